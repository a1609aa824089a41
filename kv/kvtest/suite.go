package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// Suite checks that a kv.DB keeps the contract. open opens the database in dir, which
// exists only if a database or a checkpoint of one is in it.
func Suite(t *testing.T, open func(t *testing.T, dir string) kv.DB) {
	fresh := func(t *testing.T) (kv.DB, string) {
		dir := filepath.Join(t.TempDir(), "db")
		return open(t, dir), dir
	}
	cases := []struct {
		name string
		run  func(t *testing.T, db kv.DB)
	}{
		{"get, put and delete", testPoints},
		{"the last change of a key wins within a batch", testOrderInBatch},
		{"scans keep bounds and order and stop when told", testScan},
		{"a scan sees one moment", testScanMoment},
		{"a scan may read and change the database", testScanReentrant},
		{"slices are not shared", testOwnership},
		{"batches are atomic for concurrent readers", testAtomic},
		{"random history against a model", testModel},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db, _ := fresh(t)
			defer closeDB(t, db)
			c.run(t, db)
		})
	}
	t.Run("flushed and closed state is there again", func(t *testing.T) {
		db, dir := fresh(t)
		apply(t, db, put("a", "1"), put("b", "2"), del("a"))
		must(t, db.Flush())
		apply(t, db, put("c", "3"))
		closeDB(t, db)
		db = open(t, dir)
		defer closeDB(t, db)
		want(t, db, "b=2 c=3")
	})
	t.Run("a checkpoint is a whole and separate copy", func(t *testing.T) {
		db, dir := fresh(t)
		defer closeDB(t, db)
		apply(t, db, put("a", "1"), put("b", "2"))
		must(t, db.Checkpoint(dir+".copy"))
		apply(t, db, del("a"), put("b", "changed"), put("c", "3"))
		must(t, db.Flush())
		copied := open(t, dir+".copy")
		want(t, copied, "a=1 b=2")
		apply(t, copied, put("z", "26"))
		closeDB(t, copied)
		copied = open(t, dir+".copy")
		defer closeDB(t, copied)
		want(t, copied, "a=1 b=2 z=26")
		want(t, db, "b=changed c=3")
		if err := db.Checkpoint(dir + ".copy"); !errors.Is(err, honeyant.Exist) {
			t.Errorf("checkpoint onto a directory that exists: %v", err)
		}
		apply(t, db, put("d", "4"))
	})
	t.Run("closed twice is harmless, use after it an error", func(t *testing.T) {
		db, _ := fresh(t)
		closeDB(t, db)
		closeDB(t, db)
		if err := db.Apply(batch(put("a", "1"))); err == nil {
			t.Error("Apply after Close succeeded")
		}
		if _, _, err := db.Get([]byte("a")); err == nil {
			t.Error("Get after Close succeeded")
		}
		if err := db.Scan(nil, nil, func(_, _ []byte) bool { return true }); err == nil {
			t.Error("Scan after Close succeeded")
		}
	})
}

func put(k, v string) kv.Change { return kv.Change{Key: []byte(k), Value: []byte(v)} }
func del(k string) kv.Change    { return kv.Change{Key: []byte(k), Delete: true} }

func batch(changes ...kv.Change) *kv.Batch {
	b := &kv.Batch{}
	for _, c := range changes {
		if c.Delete {
			b.Delete(c.Key)
		} else {
			b.Put(c.Key, c.Value)
		}
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, db kv.DB, changes ...kv.Change) {
	t.Helper()
	must(t, db.Apply(batch(changes...)))
}

func closeDB(t *testing.T, db kv.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

type scanner func(lower, upper []byte, fn func(k, v []byte) bool) error

func collect(t *testing.T, scan scanner, lower, upper []byte) string {
	t.Helper()
	var out bytes.Buffer
	must(t, scan(lower, upper, func(k, v []byte) bool {
		fmt.Fprintf(&out, " %s=%s", k, v)
		return true
	}))
	return string(bytes.TrimPrefix(out.Bytes(), []byte(" ")))
}

func want(t *testing.T, db kv.Reader, pairs string) {
	t.Helper()
	if got := collect(t, db.Scan, nil, nil); got != pairs {
		t.Fatalf("got  %s\nwant %s", got, pairs)
	}
}

func testPoints(t *testing.T, db kv.DB) {
	if _, ok, err := db.Get([]byte("a")); ok || err != nil {
		t.Fatal("an empty database has a key", ok, err)
	}
	apply(t, db)
	apply(t, db, put("a", "1"), put("empty", ""))
	v, ok, err := db.Get([]byte("a"))
	if string(v) != "1" || !ok || err != nil {
		t.Fatal(v, ok, err)
	}
	if v, ok, err = db.Get([]byte("empty")); len(v) != 0 || !ok || err != nil {
		t.Fatal("empty value", v, ok, err)
	}
	apply(t, db, del("a"), del("never there"))
	if _, ok, err = db.Get([]byte("a")); ok || err != nil {
		t.Fatal("deleted key is there", ok, err)
	}
	big := bytes.Repeat([]byte("x"), kv.MaxValue)
	apply(t, db, kv.Change{Key: bytes.Repeat([]byte{0xff}, kv.MaxKey), Value: big})
	if v, _, err = db.Get(bytes.Repeat([]byte{0xff}, kv.MaxKey)); !bytes.Equal(v, big) || err != nil {
		t.Fatal("largest value", len(v), err)
	}
}

func testOrderInBatch(t *testing.T, db kv.DB) {
	apply(t, db, put("a", "1"), del("a"), put("b", "1"), put("b", "2"), del("c"), put("c", "3"))
	want(t, db, "b=2 c=3")
}

func testScan(t *testing.T, db kv.DB) {
	apply(t, db, put("b", "2"), put("a", "1"), put("c", "3"), put("\xff\xff", "last"), put("\x00", "first"))
	cases := []struct {
		lower, upper []byte
		up, down     string
	}{
		{nil, nil, "\x00=first a=1 b=2 c=3 \xff\xff=last", "\xff\xff=last c=3 b=2 a=1 \x00=first"},
		{[]byte("a"), []byte("c"), "a=1 b=2", "b=2 a=1"},
		{[]byte("aa"), nil, "b=2 c=3 \xff\xff=last", "\xff\xff=last c=3 b=2"},
		{nil, []byte("b"), "\x00=first a=1", "a=1 \x00=first"},
		{[]byte("b"), []byte("b"), "", ""},
		{[]byte("c"), []byte("a"), "", ""},
		{[]byte("b"), kv.PrefixEnd([]byte("b")), "b=2", "b=2"},
		{[]byte("\xff"), kv.PrefixEnd([]byte("\xff")), "\xff\xff=last", "\xff\xff=last"},
	}
	for _, c := range cases {
		if got := collect(t, db.Scan, c.lower, c.upper); got != c.up {
			t.Errorf("[%q,%q) up: got %q, want %q", c.lower, c.upper, got, c.up)
		}
		if got := collect(t, db.ScanReverse, c.lower, c.upper); got != c.down {
			t.Errorf("[%q,%q) down: got %q, want %q", c.lower, c.upper, got, c.down)
		}
	}
	for _, scan := range []scanner{db.Scan, db.ScanReverse} {
		n := 0
		must(t, scan(nil, nil, func(_, _ []byte) bool { n++; return n < 2 }))
		if n != 2 {
			t.Errorf("called %d times after saying stop at 2", n)
		}
	}
}

func testScanMoment(t *testing.T, db kv.DB) {
	for i := range 100 {
		apply(t, db, put(fmt.Sprintf("%03d", i), "old"))
	}
	for _, scan := range []scanner{db.Scan, db.ScanReverse} {
		n := 0
		must(t, scan(nil, nil, func(k, v []byte) bool {
			if n++; n == 1 {
				for i := range 100 {
					apply(t, db, del(fmt.Sprintf("%03d", i)), put(fmt.Sprintf("%03d+", i), "new"))
				}
			}
			if string(v) != "old" {
				t.Errorf("%s=%s was put after the scan began", k, v)
			}
			return true
		}))
		if n != 100 {
			t.Errorf("saw %d of 100 keys", n)
		}
		for i := range 100 {
			apply(t, db, put(fmt.Sprintf("%03d", i), "old"), del(fmt.Sprintf("%03d+", i)))
		}
	}
}

func testScanReentrant(t *testing.T, db kv.DB) {
	apply(t, db, put("a", "1"), put("b", "2"))
	must(t, db.Scan(nil, nil, func(k, v []byte) bool {
		got, ok, err := db.Get(k)
		if !ok || err != nil || !bytes.Equal(got, v) {
			t.Errorf("get %s inside a scan: %s %v %v", k, got, ok, err)
		}
		if got := collect(t, db.Scan, k, nil); got == "" {
			t.Error("inner scan is empty")
		}
		return true
	}))
}

func testOwnership(t *testing.T, db kv.DB) {
	k, v := []byte("key"), []byte("value")
	var b kv.Batch
	b.Put(k, v)
	must(t, db.Apply(&b))
	copy(k, "xxx")
	copy(v, "xxxxx")
	want(t, db, "key=value")
	got, _, err := db.Get([]byte("key"))
	must(t, err)
	copy(got, "yyyyy")
	want(t, db, "key=value")
}

func testAtomic(t *testing.T, db kv.DB) {
	apply(t, db, put("a", "0"), put("b", "0"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 300 {
			v := fmt.Sprint(i)
			if err := db.Apply(batch(put("a", v), put("b", v))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for range 200 {
				var seen []string
				err := db.Scan(nil, nil, func(_, v []byte) bool { seen = append(seen, string(v)); return true })
				if err != nil || len(seen) != 2 || seen[0] != seen[1] {
					t.Errorf("half a batch: %v %v", seen, err)
				}
			}
		})
	}
	wg.Wait()
}

func testModel(t *testing.T, db kv.DB) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	model := map[string]string{}
	key := func() string { return fmt.Sprintf("%02x", rng.IntN(64)) }
	for i := range 300 {
		var b kv.Batch
		for range rng.IntN(6) {
			if k := key(); rng.IntN(3) == 0 {
				b.Delete([]byte(k))
				delete(model, k)
			} else {
				model[k] = fmt.Sprint(i)
				b.Put([]byte(k), []byte(model[k]))
			}
		}
		must(t, db.Apply(&b))
		if rng.IntN(50) == 0 {
			must(t, db.Flush())
		}
		if rng.IntN(10) > 0 {
			continue
		}
		lower, upper := key(), key()
		var keys []string
		for k := range model {
			if k >= lower && k < upper {
				keys = append(keys, k)
			}
		}
		sort.Strings(keys)
		up, down := "", ""
		for j, k := range keys {
			up += fmt.Sprintf(" %s=%s", k, model[k])
			r := keys[len(keys)-1-j]
			down += fmt.Sprintf(" %s=%s", r, model[r])
		}
		if got := collect(t, db.Scan, []byte(lower), []byte(upper)); " "+got != up && got != up {
			t.Fatalf("[%s,%s): got %s, want %s", lower, upper, got, up)
		}
		if got := collect(t, db.ScanReverse, []byte(lower), []byte(upper)); " "+got != down && got != down {
			t.Fatalf("[%s,%s) down: got %s, want %s", lower, upper, got, down)
		}
	}
}
