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

// Set lays one pair on top as part of batch 0, and tells what was there before: not of the base. The overlay keeps the slices.
func (o *Overlay) Set(key, value []byte) (old []byte, had bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, had := o.tree.ReplaceOrInsert(overlaid{key: key, value: value})
	return was.value, had
}

// Unset takes what was laid on a key off, whatever batch it is part of, and tells what it was.
func (o *Overlay) Unset(key []byte) (old []byte, had bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, had := o.tree.Delete(overlaid{key: key})
	return was.value, had
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

// cut is the part of the tree between two keys as it is now. A small part is copied. Else the tree is cloned: that takes
// constant time, but each node that is changed later has to be copied first.
func (o *Overlay) cut(lower, upper []byte, reverse bool) *cursor {
	o.mu.RLock()
	top := &cursor{tree: o.tree, lower: lower, upper: upper, reverse: reverse}
	top.any()
	o.mu.RUnlock()
	if !top.done {
		o.mu.Lock()
		defer o.mu.Unlock()
		top = &cursor{tree: o.tree.Clone(), lower: lower, upper: upper, reverse: reverse}
	}
	return top
}

// scan merges the two orders. Its part of the tree is taken before the
// base is read: a batch that reaches the base meanwhile is then seen in both, never in neither.
func (o *Overlay) scan(lower, upper []byte, fn func(key, value []byte) bool, reverse bool) error {
	top := o.cut(lower, upper, reverse)
	baseScan, before := o.base.Scan, -1
	if reverse {
		baseScan, before = o.base.ScanReverse, 1
	}
	more := true
	emit := func() {
		if it := top.next(); more && !it.deleted {
			more = fn(it.key, it.value)
		}
	}
	err := baseScan(lower, upper, func(key, value []byte) bool {
		for more && top.any() && bytes.Compare(top.first().key, key) == before {
			emit()
		}
		if !more {
			return false
		}
		if top.any() && bytes.Equal(top.first().key, key) {
			emit()
			return more
		}
		more = fn(key, value)
		return more
	})
	for err == nil && more && top.any() {
		emit()
	}
	return err
}

// cursor goes through a part of a tree, which nobody changes, some items at a time.
type cursor struct {
	tree         *btree.BTreeG[overlaid]
	lower, upper []byte // nil upper: no limit
	reverse      bool
	items        []overlaid
	at           int
	asked        int // items of the last fetch
	last         []byte
	done         bool
}

func (c *cursor) first() *overlaid { return &c.items[c.at] }

func (c *cursor) next() overlaid {
	c.at++
	return c.items[c.at-1]
}

// any tells whether there is a first item.
func (c *cursor) any() bool {
	if c.at < len(c.items) {
		return true
	}
	if c.done {
		return false
	}
	if len(c.items) > 0 {
		c.last = c.items[len(c.items)-1].key
	}
	c.items, c.at = c.items[:0], 0
	c.asked = min(max(2*c.asked, 8), 1024)
	c.fetch()
	c.done = len(c.items) < c.asked
	return len(c.items) > 0
}

// fetch takes the items after last.
func (c *cursor) fetch() {
	take := func(it overlaid) bool {
		switch {
		case c.last != nil && bytes.Equal(it.key, c.last), c.reverse && c.upper != nil && bytes.Equal(it.key, c.upper):
			return true
		case c.reverse && bytes.Compare(it.key, c.lower) < 0, !c.reverse && c.upper != nil && bytes.Compare(it.key, c.upper) >= 0:
			return false
		}
		c.items = append(c.items, it)
		return len(c.items) < c.asked
	}
	from := c.last
	switch {
	case !c.reverse && from == nil:
		c.tree.AscendGreaterOrEqual(overlaid{key: c.lower}, take)
	case !c.reverse:
		c.tree.AscendGreaterOrEqual(overlaid{key: from}, take)
	case from == nil && c.upper == nil:
		c.tree.Descend(take)
	case from == nil:
		c.tree.DescendLessOrEqual(overlaid{key: c.upper}, take)
	default:
		c.tree.DescendLessOrEqual(overlaid{key: from}, take)
	}
}
