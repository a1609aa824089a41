package rpc

import (
	"bytes"
	"testing"

	"github.com/honeyant/honeyant"
)

func TestFrameRoundTrip(t *testing.T) {
	f := frame{length: 77, kind: frameRequest, method: 515, call: 1 << 30, timeout: 1500}
	var b [headerSize]byte
	f.put(b[:])
	got, err := parseFrame(b[:], 100)
	if err != nil || got != f {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := parseFrame(b[:], 76); honeyant.KindOf(err) != honeyant.Corrupt {
		t.Errorf("over the limit: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	var b [headerSize]byte
	(&frame{length: 3, kind: frameAnswer, call: 9}).put(b[:])
	f.Add(append(b[:], "abc"...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		var head [headerSize]byte
		r := bytes.NewReader(in)
		for {
			fr, err := readFrame(r, head[:], 1<<20)
			if err != nil {
				return
			}
			if fr.length > 1<<20 {
				t.Fatalf("length %d", fr.length)
			}
			var again [headerSize]byte
			fr.put(again[:])
			if again != head {
				t.Fatalf("% x decodes to % x", head, again)
			}
			if _, err := r.Seek(int64(fr.length), 1); err != nil {
				return
			}
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	f.Add(EncodeError(honeyant.E("a.B", honeyant.Stale, "x", nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if err := DecodeError(in, 1); err == nil {
			t.Fatal("no error")
		}
	})
}
