package kv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/rpc/wire"
)

func pairs(t *testing.T, scan func(lower, upper []byte, fn func(k, v []byte) bool) error, lower, upper []byte) []string {
	t.Helper()
	var list []string
	if err := scan(lower, upper, func(k, v []byte) bool {
		list = append(list, fmt.Sprintf("%s=%s", k, v))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// Batches are laid on top, reach the base in order and are dropped from the overlay at any
// later time; what is seen is always what all batches together make.
func TestOverlayAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	key := func() []byte { return fmt.Appendf(nil, "%02d", rng.IntN(40)) }
	for range 200 {
		base := kvtest.NewMem()
		o := kv.NewOverlay(base)
		model := map[string]string{}
		var batches []*kv.Batch
		applied := 0           // batches that the base has
		var undropped []uint64 // of them, those the overlay still shows
		for range 60 {
			switch rng.IntN(4) {
			case 0, 1:
				b := &kv.Batch{}
				n := uint64(len(batches))
				for range 1 + rng.IntN(5) {
					k := key()
					if rng.IntN(3) == 0 {
						b.Delete(k)
						delete(model, string(k))
					} else {
						v := fmt.Sprintf("%d", n)
						b.Put(k, []byte(v))
						model[string(k)] = v
					}
				}
				batches = append(batches, b)
				o.Apply(n, b)
			case 2:
				if applied < len(batches) {
					if err := base.Apply(batches[applied]); err != nil {
						t.Fatal(err)
					}
					undropped = append(undropped, uint64(applied))
					applied++
				}
			case 3:
				if len(undropped) > 0 {
					i := rng.IntN(len(undropped))
					o.Drop(undropped[i], batches[undropped[i]])
					undropped = slices.Delete(undropped, i, i+1)
				}
			}
			lower, upper := key(), key()
			if rng.IntN(4) == 0 {
				upper = nil
			}
			var want []string
			for k, v := range model {
				if k >= string(lower) && (upper == nil || k < string(upper)) {
					want = append(want, k+"="+v)
				}
			}
			slices.Sort(want)
			if got := pairs(t, o.Scan, lower, upper); !slices.Equal(got, want) {
				t.Fatalf("[%s,%s): got %v, want %v", lower, upper, got, want)
			}
			slices.Reverse(want)
			if got := pairs(t, o.ScanReverse, lower, upper); !slices.Equal(got, want) {
				t.Fatalf("[%s,%s) down: got %v, want %v", lower, upper, got, want)
			}
			k := key()
			v, ok, err := o.Get(k)
			if want, there := model[string(k)]; err != nil || ok != there || string(v) != want {
				t.Fatalf("get %s: %s %v %v, want %s %v", k, v, ok, err, want, there)
			}
		}
		for ; applied < len(batches); applied++ {
			if err := base.Apply(batches[applied]); err != nil {
				t.Fatal(err)
			}
			undropped = append(undropped, uint64(applied))
		}
		for _, n := range undropped {
			o.Drop(n, batches[n])
		}
		if o.Len() != 0 {
			t.Fatalf("%d keys left after all were dropped", o.Len())
		}
	}
}

// A batch may reach the base, and be dropped, in the middle of a scan: nothing goes missing.
func TestOverlayScanWhileBaseCatchesUp(t *testing.T) {
	base := kvtest.NewMem()
	o := kv.NewOverlay(base)
	b := &kv.Batch{}
	for i := range 20 {
		b.Put(fmt.Appendf(nil, "%02d", i), []byte("v"))
	}
	o.Apply(1, b)
	n := 0
	if err := o.Scan(nil, nil, func(_, _ []byte) bool {
		if n++; n == 3 {
			if err := base.Apply(b); err != nil {
				t.Fatal(err)
			}
			o.Drop(1, b)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != 20 {
		t.Errorf("saw %d of 20 keys", n)
	}
	n = 0
	if err := o.Scan(nil, nil, func(_, _ []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("stopped after %d, %v", n, err)
	}
}

func TestBatchRoundTrip(t *testing.T) {
	var b kv.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("empty"), nil)
	b.Delete([]byte("c"))
	var more kv.Batch
	more.Put([]byte("d"), []byte("4"))
	b.Append(&more)
	got, err := kv.Decode(wire.Marshal(b.Fields))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Changes()) != fmt.Sprint(b.Changes()) || got.Size() != b.Size() || got.Len() != 4 {
		t.Errorf("got %v, want %v", got.Changes(), b.Changes())
	}
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 {
		t.Error("reset batch is not empty")
	}
	for _, bad := range []string{"\x01", "\x01\x00\x00\x00", "\x01\x00\x01a\x05x", "\xff\xff\xff\xff\xff\xff"} {
		if _, err := kv.Decode([]byte(bad)); !errors.Is(err, honeyant.Corrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff": "b", "\xff\xff": "", "": "", "ab\x00": "ab\x01"} {
		if got := kv.PrefixEnd([]byte(in)); string(got) != want || (want == "") != (got == nil) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var b kv.Batch
	b.Put([]byte("key"), []byte("value"))
	b.Delete([]byte("other"))
	f.Add(wire.Marshal(b.Fields))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := kv.Decode(raw)
		if err != nil {
			return
		}
		again, err := kv.Decode(wire.Marshal(b.Fields))
		if err != nil || again.Len() != b.Len() || again.Size() != b.Size() {
			t.Errorf("encoded again: %v", err)
		}
	})
}

// A scan sees one moment, of small parts, which are copied, and of large ones, for which the tree is cloned.
func TestScanOfAnOverlaySeesOneMoment(t *testing.T) {
	for _, n := range []int{1, 7, 8, 9, 100} {
		o := kv.NewOverlay(kvtest.NewMem())
		var want []string
		for i := range n {
			o.Set(fmt.Appendf(nil, "%03d", i), []byte("old"))
			want = append(want, fmt.Sprintf("%03d=old", i))
		}
		for _, scan := range []func(lower, upper []byte, fn func(k, v []byte) bool) error{o.Scan, o.ScanReverse} {
			got := pairs(t, func(lower, upper []byte, fn func(k, v []byte) bool) error {
				return scan(lower, upper, func(k, v []byte) bool {
					for i := range n {
						o.Set(fmt.Appendf(nil, "%03d", i), []byte("new"))
					}
					o.Set([]byte("zzz"), []byte("new"))
					return fn(k, v)
				})
			}, nil, nil)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d pairs: %v", n, got)
			}
			for i := range n {
				if was, had := o.Set(fmt.Appendf(nil, "%03d", i), []byte("old")); !had || string(was) != "new" {
					t.Errorf("%d pairs: %q, %v was there", n, was, had)
				}
			}
			if was, had := o.Unset([]byte("zzz")); !had || string(was) != "new" {
				t.Errorf("%q, %v was there", was, had)
			}
			if _, had := o.Unset([]byte("zzz")); had || o.Len() != n {
				t.Errorf("%d pairs are left of %d", o.Len(), n)
			}
		}
	}
}
