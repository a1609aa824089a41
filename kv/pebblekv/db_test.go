package pebblekv_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/kv/pebblekv"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t testing.TB, dir string, o pebblekv.Options) *pebblekv.DB {
	t.Helper()
	o.Log = quiet()
	db, err := pebblekv.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSuite(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // a failed database keeps its goroutines
	for _, wal := range []bool{false, true} {
		t.Run(fmt.Sprintf("wal=%v", wal), func(t *testing.T) {
			kvtest.Suite(t, func(t *testing.T, dir string) kv.DB { return open(t, dir, pebblekv.Options{WAL: wal}) })
		})
	}
}

// numbered is batch n of the crash tests: many keys that all must say n, and a counter.
func numbered(n uint64, rng *rand.Rand) *kv.Batch {
	var b kv.Batch
	v := binary.BigEndian.AppendUint64(nil, n)
	for i := range 8 {
		b.Put(fmt.Appendf(nil, "all/%d", i), v)
	}
	b.Put(binary.BigEndian.AppendUint64([]byte("log/"), n), bytes.Repeat([]byte{byte(n)}, rng.IntN(2000)))
	b.Put([]byte("last"), v)
	return &b
}

// prefix checks that the database holds exactly the batches 1..n and returns n.
func prefix(t *testing.T, db kv.DB) uint64 {
	t.Helper()
	raw, ok, err := db.Get([]byte("last"))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		raw = make([]byte, 8)
	}
	n := binary.BigEndian.Uint64(raw)
	err = db.Scan([]byte("all/"), []byte("all0"), func(k, v []byte) bool {
		if !bytes.Equal(v, raw) {
			t.Errorf("%s says %x, last is %x: half a batch", k, v, raw)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	err = db.Scan([]byte("log/"), []byte("log0"), func(k, _ []byte) bool {
		if got := binary.BigEndian.Uint64(k[4:]); got != next {
			t.Errorf("batch %d where %d should be: not a prefix", got, next)
		}
		next++
		return true
	})
	if err != nil || next != n+1 {
		t.Fatalf("last says %d but %d batches are there: %v", n, next-1, err)
	}
	return n
}

// Rule 2: with the WAL off a crash leaves a prefix of the batches, at least what was
// flushed; with it, at least what was applied with sync.
func TestCrashLeavesPrefix(t *testing.T) {
	for _, wal := range []bool{false, true} {
		t.Run(fmt.Sprintf("wal=%v", wal), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			o := pebblekv.Options{WAL: wal, MemtableBytes: 64 << 10}
			disk := vfs.NewCrashableMem()
			n, partial := uint64(0), 0
			for round := range 30 {
				o.FS = disk
				db := open(t, "db", o)
				got := prefix(t, db)
				if got > n || round > 0 && got == 0 {
					t.Fatalf("round %d: %d batches of %d", round, got, n)
				}
				n = got
				var durable uint64
				for range 20 + rng.IntN(150) {
					n++
					b := numbered(n, rng)
					var err error
					if wal && rng.IntN(4) == 0 {
						err = db.ApplySync(b)
						durable = n
					} else {
						err = db.Apply(b)
					}
					if err == nil && rng.IntN(40) == 0 {
						err = db.Flush()
						durable = n
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if round == 0 {
					if err := db.Flush(); err != nil {
						t.Fatal(err)
					}
					durable = n
				}
				crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				o.FS = crashed
				db = open(t, "db", o)
				after := prefix(t, db)
				if after < durable {
					t.Fatalf("round %d: %d batches after the crash, %d were durable", round, after, durable)
				}
				if after < n {
					partial++
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				disk = crashed
			}
			if partial == 0 {
				t.Error("no crash ever lost anything: the test does not test")
			}
		})
	}
}

func TestCheckpointSurvivesCrash(t *testing.T) {
	disk := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 1))
	db := open(t, "db", pebblekv.Options{FS: disk})
	for n := uint64(1); n <= 50; n++ {
		if err := db.Apply(numbered(n, rng)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"copy", "db"} {
		db := open(t, dir, pebblekv.Options{FS: crashed})
		if n := prefix(t, db); n != 50 {
			t.Errorf("%s has %d of 50 batches", dir, n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule 9: a disk error makes every later call fail, also one that happened in the
// background, and nothing hangs.
func TestDiskErrorSticks(t *testing.T) {
	broken := errors.New("disk is broken")
	for _, kind := range []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileWrite, errorfs.OpCreate} {
		for _, wal := range []bool{false, true} {
			t.Run(fmt.Sprintf("op %d wal=%v", kind, wal), func(t *testing.T) {
				armed := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind == kind || kind == errorfs.OpFileSync && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
						return broken
					}
					return nil
				})}
				disk := errorfs.Wrap(vfs.NewMem(), &armed)
				db := open(t, "db", pebblekv.Options{FS: disk, WAL: wal, MemtableBytes: 64 << 10})
				rng := rand.New(rand.NewPCG(1, 1))
				n := uint64(0)
				apply := func() error { n++; return db.Apply(numbered(n, rng)) }
				if err := errors.Join(apply(), db.Flush(), apply()); err != nil {
					t.Fatal(err)
				}
				armed.On()
				deadline := time.Now().Add(20 * time.Second)
				var err error
				for err == nil && time.Now().Before(deadline) {
					err = apply()
				}
				if err == nil {
					t.Fatal("no Apply failed on a broken disk")
				}
				armed.Off()
				if err := apply(); err == nil {
					t.Error("Apply went on after a disk error")
				}
				if err := db.Flush(); err == nil {
					t.Error("Flush went on after a disk error")
				}
				if err := db.Checkpoint("copy"); err == nil {
					t.Error("Checkpoint went on after a disk error")
				}
				if err := db.Close(); err == nil {
					t.Error("Close hides the disk error")
				}
			})
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, keys := range []int{1, 64} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			db := open(b, b.TempDir(), pebblekv.Options{})
			defer db.Close()
			rng := rand.New(rand.NewPCG(1, 1))
			value := make([]byte, 150)
			b.SetBytes(int64(keys * (24 + len(value))))
			for b.Loop() {
				var batch kv.Batch
				for range keys {
					key := binary.BigEndian.AppendUint64([]byte("12345678"), rng.Uint64())
					batch.Put(key, value)
				}
				if err := db.Apply(&batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
