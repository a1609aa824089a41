package remote

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant/meta"
)

// slotTable hands out the session's slots, the lowest free one first, so that few are ever used. It hands out none
// while a slot is left: a change whose caller has gone must not be done after one that was asked for later (W7).
type slotTable struct {
	free    chan struct{} // one token a free slot
	mu      sync.Mutex    // guards below
	busy    [meta.MaxSlots]bool
	seq     [meta.MaxSlots]uint64
	left    map[uint32]struct{} // busy without a caller
	settled chan struct{}       // closed when left becomes empty; nil if nobody waits for that
}

func newSlotTable() *slotTable {
	t := &slotTable{free: make(chan struct{}, meta.MaxSlots), left: map[uint32]struct{}{}}
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
	for len(t.left) > 0 {
		if t.settled == nil {
			t.settled = make(chan struct{})
		}
		settled := t.settled
		t.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
		case <-over:
		}
		t.mu.Lock()
		if len(t.left) > 0 && (ctx.Err() != nil || isOver(over)) {
			t.free <- struct{}{}
			return 0, 0, false
		}
	}
	for i := range t.busy {
		if !t.busy[i] {
			t.busy[i] = true
			t.seq[i]++
			return uint32(i), t.seq[i], true
		}
	}
	panic("remote: a token without a free slot")
}

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// leave notes that the caller of a slot has gone before the outcome is known.
func (t *slotTable) leave(slot uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left[slot] = struct{}{}
}

// give returns a slot whose outcome is known.
func (t *slotTable) give(slot uint32) {
	t.mu.Lock()
	t.busy[slot] = false
	delete(t.left, slot)
	if len(t.left) == 0 && t.settled != nil {
		close(t.settled)
		t.settled = nil
	}
	t.mu.Unlock()
	t.free <- struct{}{}
}

// used is how many slots are busy.
func (t *slotTable) used() int { return meta.MaxSlots - len(t.free) }
