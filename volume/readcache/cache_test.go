package readcache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
)

// Parts of chunks are loaded, kept, fail and are read in any order: what is read is right, an entry never overlaps another, and
// the memory is never exceeded.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int64{64 << 10, 256 << 10, 1 << 20, 9 << 20} {
			c := New(limit)
			chunks := make([][]byte, 6)
			for i := range chunks {
				chunks[i] = make([]byte, 1+rng.IntN(3<<20))
				for j := range chunks[i] {
					chunks[i][j] = byte(j>>8) ^ byte(j) ^ byte(i)
				}
			}
			var loading []*Entry
			for range 3000 {
				i := rng.IntN(len(chunks))
				id, data := honeyant.ChunkID{15: byte(i)}, chunks[i]
				from := rng.IntN(len(data))
				to := from + 1 + rng.IntN(len(data)-from)
				beyond := to + rng.IntN(2)*c.size
				switch rng.IntN(5) {
				case 0:
					e, next, room := c.Begin(id, len(data), from, beyond)
					switch {
					case !room || e == nil && next == beyond:
					case e == nil || next != e.off+e.n && (next != beyond || e.off+e.n < min(beyond, len(data))) || e.off > max(from, next) || e.n > c.size || e.off+e.n > len(data):
						t.Fatalf("an entry %+v for [%d, %d)", e, from, to)
					default:
						copy(e.Data(), data[e.off:])
						loading = append(loading, e)
					}
				case 1:
					for _, e := range loading {
						var err error
						if rng.IntN(5) == 0 {
							clear(e.buf.B)
							err = errors.New("not loaded")
						}
						c.Loaded(e, err)
					}
					loading = loading[:0]
				case 2:
					if len(loading) == 0 {
						c.Keep(id, data)
					}
				case 3:
					if len(loading) > 0 {
						continue // it would wait
					}
					got := make([]byte, to-from)
					rest, _ := c.Read(t.Context(), id, from, got)
					for _, gap := range rest {
						copy(gap.Dst, data[gap.Off:])
					}
					if !bytes.Equal(got, data[from:to]) {
						t.Fatalf("[%d, %d) is read wrong", from, to)
					}
				case 4:
					time.Sleep(time.Duration(rng.IntN(int(unreadAge))))
				}
				if used := c.pool.InUse(); used > limit {
					t.Fatalf("%d bytes of %d", used, limit)
				}
				seen := map[*Entry]int{}
				for _, e := range c.frames {
					seen[e]++
				}
				for e, n := range seen {
					if n != e.count() {
						t.Fatalf("an entry of %d frames has %d", e.count(), n)
					}
				}
				if len(seen) != c.used.Len()+c.unread.Len() {
					t.Fatalf("%d entries, %d in the lists", len(seen), c.used.Len()+c.unread.Len())
				}
			}
			for _, e := range loading {
				c.Loaded(e, nil)
			}
		}
	})
}
