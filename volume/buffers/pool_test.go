package buffers_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/buffers"
)

// Who finds no room waits for those before it, presses for room, and leaves when its context ends; no more is ever handed out than the limit.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := buffers.New(buffers.MinPool)
		if size := buffers.ClassSize(p.Top()); 2*size > p.Limit() {
			t.Errorf("buffers of %d bytes out of %d", size, p.Limit())
		}
		var out []*buffers.Buffer
		for b := p.Try(p.Top()); b != nil; b = p.Try(p.Top()) {
			out = append(out, b)
			if p.InUse() > p.Limit() {
				t.Fatalf("%d bytes are out", p.InUse())
			}
		}
		pressed := 0
		got := make(chan int, 2)
		for n := range 2 {
			go func() {
				if _, err := p.Get(t.Context(), p.Top(), func() { pressed++ }); err == nil {
					got <- n
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Get(ctx, 0, func() {}); honeyant.KindOf(err) != honeyant.Unavailable {
			t.Errorf("waiting ends with %v", err)
		}
		if p.Try(0) != nil || !p.Waiting() || pressed != 2 {
			t.Errorf("somebody passes those who wait: %v, pressed %d times", !p.Waiting(), pressed)
		}
		for n := range 2 {
			p.Put(out[n])
			if first := <-got; first != n {
				t.Errorf("number %d comes as number %d", first, n)
			}
		}
		if p.Waiting() || p.InUse() > p.Limit() {
			t.Errorf("waiting: %v, %d bytes out", p.Waiting(), p.InUse())
		}
	})
}

func TestClasses(t *testing.T) {
	for n, want := range map[int64]int64{0: 4 << 10, 4 << 10: 4 << 10, 4<<10 + 1: 16 << 10, 1 << 40: honeyant.ChunkSize} {
		if got := buffers.ClassSize(buffers.FitClass(n)); got != want {
			t.Errorf("%d bytes fit into %d, want %d", n, got, want)
		}
	}
}
