package remote

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant/meta"
)

// slotTable hands out the session's slots, the lowest free one first, so that few are ever used.
type slotTable struct {
	free chan struct{} // one token a free slot
	mu   sync.Mutex    // guards below
	busy [meta.MaxSlots]bool
	seq  [meta.MaxSlots]uint64
}

func newSlotTable() *slotTable {
	t := &slotTable{free: make(chan struct{}, meta.MaxSlots)}
	for range meta.MaxSlots {
		t.free <- struct{}{}
	}
	return t
}

// take waits for a free slot and gives it the next number.
func (t *slotTable) take(ctx context.Context, over <-chan struct{}) (slot uint32, seq uint64, ok bool) {
	select {
	case <-t.free:
	case <-ctx.Done():
		return 0, 0, false
	case <-over:
		return 0, 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.busy {
		if !t.busy[i] {
			t.busy[i] = true
			t.seq[i]++
			return uint32(i), t.seq[i], true
		}
	}
	panic("remote: a token without a free slot")
}

// give returns a slot whose outcome is known.
func (t *slotTable) give(slot uint32) {
	t.mu.Lock()
	t.busy[slot] = false
	t.mu.Unlock()
	t.free <- struct{}{}
}

// used is how many slots are busy.
func (t *slotTable) used() int { return meta.MaxSlots - len(t.free) }
