package meta

import (
	"bytes"

	"github.com/honeyant/honeyant/kv"
)

// recent is a reader with a memory of values read and written lately, absent ones too: directories, counters,
// stores and policies are read by almost every operation (rule 40). It belongs to the evaluation goroutine, and
// everything that goroutine lays on the overlay passes through learn, so it never differs from it.
type recent struct {
	kv.Reader
	values map[string]recentValue
}

type recentValue struct {
	value []byte
	there bool
}

// Bounds of the memory: together at most a few MiB.
const (
	maxRecent      = 8192 // keys
	maxRecentValue = 512  // bytes; larger values are not kept
)

func newRecent(base kv.Reader) *recent {
	return &recent{Reader: base, values: make(map[string]recentValue)}
}

// Get implements kv.Reader.
func (r *recent) Get(key []byte) ([]byte, bool, error) {
	if v, ok := r.values[string(key)]; ok {
		return bytes.Clone(v.value), v.there, nil
	}
	value, there, err := r.Reader.Get(key)
	if err == nil && len(value) <= maxRecentValue {
		r.keep(key, recentValue{bytes.Clone(value), there})
	}
	return value, there, err
}

// learn takes over what a batch changes. It keeps the values.
func (r *recent) learn(b *kv.Batch) {
	for _, ch := range b.Changes() {
		if len(ch.Value) > maxRecentValue {
			delete(r.values, string(ch.Key))
		} else {
			r.keep(ch.Key, recentValue{ch.Value, !ch.Delete})
		}
	}
}

func (r *recent) keep(key []byte, v recentValue) {
	if len(r.values) >= maxRecent {
		n := 0
		for k := range r.values { // in random order
			delete(r.values, k)
			if n++; n == maxRecent/8 {
				break
			}
		}
	}
	r.values[string(key)] = v
}
