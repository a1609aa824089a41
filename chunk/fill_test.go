package chunk_test

import (
	"strings"
	"testing"

	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// Small chunks do not make their segment longer, so that syncing them changes nothing but blocks that are there; a large one is not
// written twice for that. What was filled and not used is cut off at the end.
func TestRoomForSmallChunksIsFilled(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{})
	size := func() (total int64) {
		t.Helper()
		names, err := fs.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".seg") {
				continue
			}
			f, err := fs.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			total += n
			_ = f.Close()
		}
		return total
	}
	mustPut(t, s, idOf(1), content(1, 4096))
	filled := size()
	for n := 2; n < 30; n++ {
		mustPut(t, s, idOf(n), content(n, 4096))
		if now := size(); now != filled {
			t.Fatalf("chunk %d: %d bytes, were %d", n, now, filled)
		}
	}
	const large = 3 << 20
	mustPut(t, s, idOf(100), content(100, large))
	if now := size(); now-filled > large+64<<10 {
		t.Errorf("a chunk of %d bytes takes %d", large, now-filled)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if now := size(); now > large+30*(12<<10)+64<<10 {
		t.Errorf("%d bytes are left", now)
	}
	again := open(t, fs, chunk.Options{})
	for n := 1; n < 30; n++ {
		check(t, again, idOf(n), 0, content(n, 4096))
	}
}
