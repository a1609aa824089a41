// Package kvtest holds the suite that every kv.DB passes, and a kv.DB in memory that
// passes it too, for tests of packages above.
package kvtest

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/btree"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

type pair struct{ key, value []byte }

// Mem is a kv.DB in memory. Safe for concurrent use.
type Mem struct {
	file   string       // what Flush writes; "" if nothing
	mu     sync.RWMutex // guards all below
	tree   *btree.BTreeG[pair]
	closed bool
}

// NewMem is an empty database that is never written to disk; Checkpoint still writes.
func NewMem() kv.DB { return newMem("") }

func newMem(file string) *Mem {
	less := func(a, b pair) bool { return bytes.Compare(a.key, b.key) < 0 }
	return &Mem{file: file, tree: btree.NewG(16, less)}
}

// OpenMem is a database in memory that Flush and Close write to dir, and that starts with
// what is there, for instance a checkpoint.
func OpenMem(dir string) (*Mem, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	m := newMem(filepath.Join(dir, "mem.kv"))
	raw, err := os.ReadFile(m.file)
	if os.IsNotExist(err) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := kv.Decode(raw)
	if err != nil {
		return nil, err
	}
	return m, m.Apply(b)
}

// Apply implements kv.DB.
func (m *Mem) Apply(b *kv.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return honeyant.E("kvtest.Apply", honeyant.Unavailable, "", os.ErrClosed)
	}
	for _, c := range b.Changes() {
		if c.Delete {
			m.tree.Delete(pair{key: c.Key})
			continue
		}
		m.tree.ReplaceOrInsert(pair{bytes.Clone(c.Key), append([]byte{}, c.Value...)})
	}
	return nil
}

// view is the present moment, constant for ever.
func (m *Mem) view() (*btree.BTreeG[pair], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, honeyant.E("kvtest.Read", honeyant.Unavailable, "", os.ErrClosed)
	}
	return m.tree.Clone(), nil
}

// Get implements kv.Reader.
func (m *Mem) Get(key []byte) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, false, honeyant.E("kvtest.Get", honeyant.Unavailable, "", os.ErrClosed)
	}
	p, ok := m.tree.Get(pair{key: key})
	return bytes.Clone(p.value), ok, nil
}

// Scan implements kv.Reader.
func (m *Mem) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	t, err := m.view()
	if err != nil {
		return err
	}
	t.AscendGreaterOrEqual(pair{key: lower}, func(p pair) bool {
		return (upper == nil || bytes.Compare(p.key, upper) < 0) && fn(p.key, p.value)
	})
	return nil
}

// ScanReverse implements kv.Reader.
func (m *Mem) ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error {
	t, err := m.view()
	if err != nil {
		return err
	}
	each := func(p pair) bool {
		if upper != nil && bytes.Compare(p.key, upper) >= 0 {
			return true
		}
		return bytes.Compare(p.key, lower) >= 0 && fn(p.key, p.value)
	}
	if upper == nil {
		t.Descend(each)
	} else {
		t.DescendLessOrEqual(pair{key: upper}, each)
	}
	return nil
}

// Flush implements kv.DB.
func (m *Mem) Flush() error {
	if m.file == "" {
		return nil
	}
	return m.write(m.file)
}

func (m *Mem) write(file string) error {
	var b kv.Batch
	if err := m.Scan(nil, nil, func(k, v []byte) bool { b.Put(k, v); return true }); err != nil {
		return err
	}
	return os.WriteFile(file, wire.Marshal(b.Fields), 0o644)
}

// Checkpoint implements kv.DB; OpenMem opens the result.
func (m *Mem) Checkpoint(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return honeyant.E("kvtest.Checkpoint", honeyant.Exist, dir, err)
	}
	return m.write(filepath.Join(dir, "mem.kv"))
}

// Close implements kv.DB.
func (m *Mem) Close() error {
	m.mu.RLock()
	closed := m.closed
	m.mu.RUnlock()
	if closed {
		return nil
	}
	err := m.Flush()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return err
}
