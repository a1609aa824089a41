package volume_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// V3: whatever order the uploads end in, what is committed at any moment is a prefix of what was
// written, so no committed size covers bytes that are written but not committed.
func TestCommitsKeepTheOrderOfWrites(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	synctest.Test(t, func(t *testing.T) {
		for round := range uint64(5) {
			seed += round
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 3))
			c := volumetest.NewCluster(t, 2, 1<<40)
			s := c.NewSession(t)
			v := c.Open(t, func(o *volume.Options) { o.Meta, o.WriteMemory, o.FlushInterval = s, 2<<20, 50*time.Millisecond })
			delays := make(chan time.Duration, 10_000)
			for range cap(delays) {
				delays <- time.Duration(r.IntN(300)) * time.Millisecond
			}
			upload := func(context.Context, honeyant.ChunkID, int) error {
				time.Sleep(<-delays) // fake time
				return nil
			}
			c.Chunks.BeforeWrite.Store(&upload)
			const blocks, block = 300, 30_000
			committed := map[int]int{} // block -> bytes
			var order []int
			commit := func(op meta.Op) error {
				o, ok := op.(*meta.Commit)
				if !ok {
					return nil
				}
				for _, e := range o.Extents {
					for at := int(e.Offset); at < int(e.End()); {
						b := at / block
						n := min(int(e.End()), (b+1)*block) - at
						committed[b] += n
						at += n
					}
				}
				gap := -1
				for i, b := range order {
					if committed[b] < block && gap < 0 {
						gap = i
					} else if gap >= 0 && i > gap && committed[b] > 0 {
						t.Errorf("seed %d: write %d is committed, write %d is not", seed, i, gap)
						break
					}
				}
				return nil
			}
			s.Before.Store(&commit)
			f := create(t, v, "f")
			order = r.Perm(blocks)
			for i := 0; i < blocks; i += 40 { // some stretches are sequential
				if r.IntN(2) == 0 {
					for k := i + 1; k < min(i+40, blocks); k++ {
						order[k] = -1
					}
				}
			}
			order = fillGaps(order)
			for _, b := range order {
				write(t, f, pattern(block, b), int64(b)*block)
			}
			closeFile(t, f)
			for b := range blocks {
				if committed[b] != block {
					t.Fatalf("seed %d: block %d: %d bytes committed", seed, b, committed[b])
				}
			}
		}
	})
}

// fillGaps replaces each -1 by the block after the one before it, as far as that is unused.
func fillGaps(order []int) []int {
	used := map[int]bool{}
	for _, b := range order {
		used[b] = true
	}
	next := 0
	for i := range order {
		if order[i] >= 0 {
			continue
		}
		b := order[i-1] + 1
		if used[b] || b >= len(order) {
			for used[next] {
				next++
			}
			b = next
		}
		order[i], used[b] = b, true
	}
	return order
}

// A commit that replaces more extents than one operation may is divided, down to parts of one extent.
func TestOverwriteOfManySmallExtents(t *testing.T) {
	c := volumetest.NewCluster(t, 2, 1<<40)
	v := c.Open(t, nil)
	f := create(t, v, "f")
	const step, pieces = 512, 8000
	// Two flights in turn, so that neighbours never lie in one chunk.
	for first := range 2 {
		for i := first; i < pieces; i += 2 {
			write(t, f, pattern(step, i), int64(i)*step+8192)
			if i%1000 > 997 {
				if err := f.Fsync(bg, false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	data := pattern(4<<20, 1)
	write(t, f, data, 0)
	if err := f.Fsync(bg, false); err != nil {
		t.Fatal(err)
	}
	closeFile(t, f)
	g := open(t, c.Open(t, nil), "f", volume.OpenFlags{Read: true})
	if got := readAll(t, g); !bytes.Equal(got, data) {
		t.Fatalf("read %d other bytes", len(got))
	}
	closeFile(t, g)
}
