package pebblekv

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant/kv"
)

// A new log has its length before anything is written to it, and what was synced is found in front of its zeros after a crash.
func TestNewLogsAreFilled(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d, err := Open("db", Options{WAL: true, FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	names, err := mem.List("db")
	if err != nil {
		t.Fatal(err)
	}
	logs := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		logs++
		if at, err := mem.Stat("db/" + name); err != nil || at.Size() < DefaultMemtableBytes {
			t.Errorf("%s: %v, %v", name, at.Size(), err)
		}
	}
	if logs == 0 {
		t.Fatalf("no log among %q", names)
	}
	var b kv.Batch
	b.Put([]byte("k"), []byte("v"))
	if err := d.ApplySync(&b); err != nil {
		t.Fatal(err)
	}
	after, err := Open("db", Options{WAL: true, FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if v, ok, err := after.Get([]byte("k")); string(v) != "v" || !ok || err != nil {
		t.Errorf("%q %v %v", v, ok, err)
	}
}
