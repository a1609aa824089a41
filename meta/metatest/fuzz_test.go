package metatest_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// recorded is the encoded operations of a random history.
func recorded(t testing.TB, seed uint64, n int) [][]byte {
	b := metatest.NewBare(t, nil)
	target := b.Target()
	var all [][]byte
	inner := target.Do
	target.Do = func(op meta.Op) (meta.Reply, error) {
		all = append(all, meta.EncodeOp(op))
		return inner(op)
	}
	metatest.Run(t, seed, target, metatest.Options{Ops: n})
	return all
}

// FuzzDecodeOp: whatever decodes encodes to something that decodes to the same.
func FuzzDecodeOp(f *testing.F) {
	for _, raw := range recorded(f, 1, 150) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		op, err := meta.DecodeOp(raw)
		if err != nil {
			return
		}
		once := meta.EncodeOp(op)
		again, err := meta.DecodeOp(once)
		if err != nil {
			t.Fatalf("%T %+v does not decode again: %v", op, op, err)
		}
		if twice := meta.EncodeOp(again); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

// FuzzEval: no operation, however odd its fields, makes metadata contradict themselves.
func FuzzEval(f *testing.F) {
	history := recorded(f, 2, 150)
	for n, raw := range history {
		f.Add(raw, uint8(n))
	}
	f.Fuzz(func(t *testing.T, raw []byte, skip uint8) {
		op, err := meta.DecodeOp(raw)
		if err != nil || op.Code() >= meta.CodeOpenSession && op.Code() <= meta.CodeBootstrap {
			return // those of the cluster have faults of their own to test
		}
		b := metatest.NewBare(t, nil)
		for _, raw := range history[:min(int(skip), len(history))] {
			if op, err := meta.DecodeOp(raw); err == nil {
				_, _ = b.Do(op)
			}
		}
		_, commit := op.(*meta.Commit) // may name a known chunk with another sum, which is Corrupt
		if _, err := b.Do(op); honeyant.KindOf(err) == honeyant.Internal || honeyant.KindOf(err) == honeyant.Corrupt && !commit {
			t.Fatalf("%T %+v: %v", op, op, err)
		}
		if err := metatest.Sound(b.DB); err != nil {
			t.Fatalf("%T %+v: %v", op, op, err)
		}
	})
}

// TestDamage: Check notices when any single pair of a volume's tables is lost. (It tries one in three. One
// extended attribute of several is counted nowhere, so their table is left out.)
func TestDamage(t *testing.T) {
	b := metatest.NewBare(t, nil)
	seed := rand.Uint64()
	metatest.Run(t, seed, b.Target(), metatest.Options{Ops: 250})
	var keys [][]byte
	if err := b.DB.Scan([]byte{'A'}, []byte{'z' + 1}, func(k, _ []byte) bool {
		if bytes.IndexByte([]byte("ideolqcD"), k[0]) >= 0 {
			keys = append(keys, bytes.Clone(k))
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for n := rand.IntN(3); n < len(keys); n += 3 {
		k := keys[n]
		v, _, err := b.DB.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		set(t, b, k, nil)
		if metatest.Sound(b.DB) == nil {
			t.Errorf("seed %d: the loss of %c:%x is not noticed", seed, k[0], k[1:])
		}
		set(t, b, k, append([]byte{}, v...))
	}
	sound(t, b)
}

func set(t *testing.T, b *metatest.Bare, k, v []byte) {
	t.Helper()
	var change kv.Batch
	if v == nil {
		change.Delete(k)
	} else {
		change.Put(k, v)
	}
	if err := b.DB.Apply(&change); err != nil {
		t.Fatal(err)
	}
}
