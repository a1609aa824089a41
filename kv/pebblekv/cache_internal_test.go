package pebblekv

import (
	"encoding/binary"
	"testing"

	"github.com/honeyant/honeyant/kv"
)

// What fits into the block cache is read from the disk once, memtables besides or not.
func TestTheCacheIsNotTheMemtables(t *testing.T) {
	d, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const n = 10_000
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
	for i := 0; i < n; {
		var b kv.Batch
		for range 100 {
			b.Put(key(i), make([]byte, 100))
			i++
		}
		if err := d.Apply(&b); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	misses := func() int64 {
		before := d.db.Metrics().BlockCache.Misses
		for i := range n {
			if _, ok, err := d.Get(key(i)); !ok || err != nil {
				t.Fatal(i, ok, err)
			}
		}
		return d.db.Metrics().BlockCache.Misses - before
	}
	first := misses()
	if again := misses(); first == 0 || again > first/10 {
		t.Errorf("%d blocks came from the disk, %d of them once more", first, again)
	}
}
