// Package kv is the ordered key-value store that metadata live in: a small contract
// (Reader, DB), the Batch that changes one, and the Overlay that shows changes not yet
// in it. kv/pebblekv keeps a DB on disk; kv/kvtest holds the suite every DB passes.
//
// Keys and values are byte strings, keys ordered bytewise. Slices passed in are not kept;
// slices handed out belong to the caller unless said otherwise.
package kv

// Reader reads an ordered key-value store. Safe for concurrent use.
type Reader interface {
	// Get returns a copy of key's value, ok false if there is none.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for each pair with lower <= key < upper in order until fn returns
	// false; it sees one consistent moment. fn must not keep its arguments.
	Scan(lower, upper []byte, fn func(key, value []byte) bool) error
	// ScanReverse is Scan from the greatest key down.
	ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error
}

// DB is an ordered key-value store on disk. Safe for concurrent use; one process only.
//
// Durability: Apply alone is not synced; after a crash the DB holds a prefix of the
// applied batches in order, each wholly or not at all. Flush makes all applied so far durable.
type DB interface {
	Reader
	Apply(b *Batch) error
	// Flush returns when everything applied before the call is on stable storage.
	Flush() error
	// Checkpoint makes dir (which must not exist) a complete, durable copy of the
	// present state, sharing files by hard link where it can.
	Checkpoint(dir string) error
	Close() error
}

// PrefixEnd is the least key greater than all keys with the prefix, nil if there is none.
func PrefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
