package kv

import (
	"bytes"
	"sync"

	"github.com/google/btree"
)

// Overlay shows a Reader with changes on top that are not in it yet. Each change carries
// the number of the batch it belongs to, so that a batch that has reached the base can be
// dropped again. Safe for concurrent use.
type Overlay struct {
	base Reader
	mu   sync.RWMutex // guards tree
	tree *btree.BTreeG[overlaid]
}

type overlaid struct {
	key, value []byte
	deleted    bool
	batch      uint64
}

func lessKey(a, b overlaid) bool { return bytes.Compare(a.key, b.key) < 0 }

// NewOverlay is empty over base.
func NewOverlay(base Reader) *Overlay {
	return &Overlay{base: base, tree: btree.NewG(16, lessKey)}
}

// Apply lays the changes of b on top as part of batch number n. The overlay keeps the slices of b.
func (o *Overlay) Apply(n uint64, b *Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ch := range b.changes {
		o.tree.ReplaceOrInsert(overlaid{key: ch.Key, value: ch.Value, deleted: ch.Delete, batch: n})
	}
}

// Drop forgets what batch n changed, unless a later batch changed it again. Call it when
// the base shows batch n.
func (o *Overlay) Drop(n uint64, b *Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ch := range b.changes {
		if cur, ok := o.tree.Get(overlaid{key: ch.Key}); ok && cur.batch == n {
			o.tree.Delete(cur)
		}
	}
}

// Len is the number of keys laid on top.
func (o *Overlay) Len() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.tree.Len()
}

// Get implements Reader.
func (o *Overlay) Get(key []byte) ([]byte, bool, error) {
	o.mu.RLock()
	cur, ok := o.tree.Get(overlaid{key: key})
	o.mu.RUnlock()
	if ok {
		if cur.deleted {
			return nil, false, nil
		}
		return bytes.Clone(cur.value), true, nil
	}
	return o.base.Get(key)
}

// Scan implements Reader.
func (o *Overlay) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	return o.scan(lower, upper, fn, false)
}

// ScanReverse implements Reader.
func (o *Overlay) ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error {
	return o.scan(lower, upper, fn, true)
}

// scan merges the two orders. The tree is cloned (copy on write, constant time) before the
// base is read: a batch that reaches the base meanwhile is then seen in both, never in neither.
func (o *Overlay) scan(lower, upper []byte, fn func(key, value []byte) bool, reverse bool) error {
	top := o.inRange(lower, upper, reverse)
	baseScan, before := o.base.Scan, -1
	if reverse {
		baseScan, before = o.base.ScanReverse, 1
	}
	i, more := 0, true
	emit := func(it overlaid) {
		if more && !it.deleted {
			more = fn(it.key, it.value)
		}
	}
	err := baseScan(lower, upper, func(key, value []byte) bool {
		for more && i < len(top) && bytes.Compare(top[i].key, key) == before {
			emit(top[i])
			i++
		}
		if !more {
			return false
		}
		if i < len(top) && bytes.Equal(top[i].key, key) {
			emit(top[i])
			i++
			return more
		}
		more = fn(key, value)
		return more
	})
	for ; err == nil && more && i < len(top); i++ {
		emit(top[i])
	}
	return err
}

func (o *Overlay) inRange(lower, upper []byte, reverse bool) []overlaid {
	o.mu.Lock()
	tree := o.tree.Clone()
	o.mu.Unlock()
	var top []overlaid
	tree.AscendGreaterOrEqual(overlaid{key: lower}, func(it overlaid) bool {
		if upper != nil && bytes.Compare(it.key, upper) >= 0 {
			return false
		}
		top = append(top, it)
		return true
	})
	if reverse {
		for i, j := 0, len(top)-1; i < j; i, j = i+1, j-1 {
			top[i], top[j] = top[j], top[i]
		}
	}
	return top
}
