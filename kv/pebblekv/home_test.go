package pebblekv_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/honeyant/honeyant/kv/pebblekv"
)

func openHome(t *testing.T, fs vfs.FS) (*pebblekv.Home, *pebblekv.DB) {
	t.Helper()
	h, db, err := pebblekv.OpenHome("home", pebblekv.Options{FS: fs, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return h, db
}

func fill(t *testing.T, db *pebblekv.DB, from, to uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	for n := from; n <= to; n++ {
		if err := db.Apply(numbered(n, rng)); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule 30: a crash at any step of Adopt leaves the old database or the new one.
func TestAdoptCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	seen := map[uint64]int{}
	for point := 0; ; point++ {
		disk := vfs.NewCrashableMem()
		var crashed *vfs.MemFS
		var mu sync.Mutex // guards ops, armed and crashed: Pebble writes in the background too
		ops, armed := 0, false
		arm := func(on bool) {
			mu.Lock()
			defer mu.Unlock()
			armed = on
		}
		watch := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if armed && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if ops++; ops == point+1 {
					// All or nothing of what was not synced: Pebble, while it opens, relies on
					// the names in one directory becoming durable in order.
					crashed = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * 100, RNG: rng})
				}
			}
			return nil
		}))
		h, old := openHome(t, watch)
		fill(t, old, 1, 10)
		if err := old.Checkpoint("copy"); err != nil {
			t.Fatal(err)
		}
		fill(t, old, 11, 20)
		if err := old.Flush(); err != nil {
			t.Fatal(err)
		}
		arm(true)
		db, err := h.Adopt("copy")
		if err != nil {
			t.Fatal(err)
		}
		if n := prefix(t, old); n != 20 {
			t.Fatalf("the old database has %d batches", n)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		arm(false)
		if n := prefix(t, db); n != 10 {
			t.Fatalf("the new database has %d batches", n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if names, _ := disk.List("home"); fmt.Sprint(names) != "[CURRENT db-2]" && fmt.Sprint(names) != "[db-2 CURRENT]" {
			t.Fatalf("left over: %v", names)
		}
		if crashed == nil {
			t.Logf("%d points, states seen after the crash: %v", point, seen)
			if seen[10] == 0 || seen[20] == 0 {
				t.Error("the crashes did not show both states")
			}
			return
		}
		_, db = openHome(t, crashed)
		n := prefix(t, db)
		if n != 10 && n != 20 {
			t.Fatalf("crash at point %d left %d batches", point, n)
		}
		seen[n]++
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHomeRefusesBadPointer(t *testing.T) {
	for _, text := range []string{"", "db-1", "honeyant-state 1 1 00000000\n", "honeyant-state 2 1 abcdef01\n"} {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("home", 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := disk.Create("home/CURRENT", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, _, err := pebblekv.OpenHome("home", pebblekv.Options{FS: disk, Log: quiet()}); err == nil {
			t.Errorf("pointer %q was accepted", text)
		}
	}
}
