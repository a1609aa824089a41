package volume

import "testing"

// A long sequential reader gets as much ahead as there is memory for; a short one costs at most twice what it read.
func TestReadAheadGrowsWithWhatWasRead(t *testing.T) {
	for _, most := range []int64{6 << 20, aheadMost} {
		var r readAhead
		const piece = 128 << 10
		deepest := int64(0)
		for off := int64(0); off < 256<<20; off += piece {
			r.step(off, piece, most)
			ahead := r.until - (off + piece)
			deepest = max(deepest, ahead)
			if limit := max(aheadWaste*(off+piece), aheadFirst); ahead > min(limit, most) {
				t.Fatalf("%d bytes ahead after %d were read, at most %d", ahead, off+piece, min(limit, most))
			}
		}
		if deepest < most-aheadStep {
			t.Errorf("%d bytes ahead at the most, there is room for %d", deepest, most)
		}
		if s := r.step(900<<20, piece, most); s != (span{}) || r.until != 0 {
			t.Errorf("after a seek %v is asked for", s)
		}
	}
	if aheadMost < 32<<20 {
		t.Error("less than it takes to keep several stores at work")
	}
}
