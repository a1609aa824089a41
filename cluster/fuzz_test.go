package cluster

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

func FuzzParseToken(f *testing.F) {
	good := NewToken(sha256.Sum256([]byte("ca"))).String()
	f.Add(good)
	f.Add(strings.ToUpper(good))
	f.Add(" " + good[:50])
	f.Add("hat1-")
	f.Add(good[:40] + "\n  " + good[40:])
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			if !errors.Is(err, honeyant.Invalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseToken(tok.String())
		if err != nil || again != tok || !strings.EqualFold(strings.Join(strings.Fields(s), ""), tok.String()) {
			t.Fatalf("%q became %q, %v", s, tok.String(), err)
		}
	})
}

func sampleMap() *honeyant.Map {
	return &honeyant.Map{
		Cluster: strings.Repeat("a", 32), Version: 7, Incarnation: 1, FeatureLevel: 1, Epoch: 3, Leader: 1,
		Nodes:  []honeyant.Node{{ID: 1, Name: "a", Address: "h:1", Zone: "z", State: honeyant.NodeUp, Role: honeyant.RoleVoter}},
		Stores: []honeyant.Store{{ID: 1, Node: 1, State: honeyant.StoreActive, Capacity: 9, Used: 5, Available: -1}},
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add(EncodeMap(sampleMap()))
	f.Add(EncodeMap(&honeyant.Map{}))
	f.Add([]byte(mapMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMap(b)
		if err != nil {
			if k := honeyant.KindOf(err); k != honeyant.Corrupt && k != honeyant.Unsupported {
				t.Fatal(err)
			}
			return
		}
		if again, err := DecodeMap(EncodeMap(m)); err != nil || !sameMembers(again, m) || markOf(again) != markOf(m) {
			t.Fatalf("%+v, then %+v, %v", m, again, err)
		}
	})
}

// FuzzMessages decodes the input as every message; what decodes encodes to something that
// decodes to the same bytes.
func FuzzMessages(f *testing.F) {
	b := &beat{Known: mapMark{1, 2, 3}, Address: "h:1", Zone: "z", Refresh: true, Report: Report{Version: "v", CPUs: 2, Stores: []StoreUsage{{ID: 1, Used: 3, Failing: true}}}}
	f.Add(wire.Marshal(b.fields))
	f.Add(wire.Marshal((&beatReply{Leading: true, Leader: 1, AgeMilli: 5, Map: sampleMap()}).fields))
	f.Add(wire.Marshal((&beatReply{Sizes: sampleMap().Stores}).fields))
	f.Add(wire.Marshal((&joinRequest{Secret: make([]byte, 20), CSR: []byte("csr"), Member: Member{Name: "n", Address: "h:1"}}).fields))
	f.Add(wire.Marshal((&joinReply{Certificate: []byte("c"), Map: *sampleMap()}).fields))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, mk := range []func() func(*wire.Codec){
			func() func(*wire.Codec) { return new(beat).fields },
			func() func(*wire.Codec) { return new(beatReply).fields },
			func() func(*wire.Codec) { return new(joinRequest).fields },
			func() func(*wire.Codec) { return new(joinReply).fields },
		} {
			first := mk()
			if wire.Unmarshal(raw, first) != nil {
				continue
			}
			once := wire.Marshal(first)
			second := mk()
			if err := wire.Unmarshal(once, second); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(once, wire.Marshal(second)) {
				t.Fatal("two encodings of one message")
			}
		}
		if _, err := decodeJoinReply(raw); err != nil {
			return
		}
	})
}

func FuzzReadJoin(f *testing.F) {
	var b bytes.Buffer
	if err := writeJoin(&b, []byte("body")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := readJoin(bytes.NewReader(raw), joinAnswer)
		if err == nil && !bytes.Equal(body, raw[4:4+len(body)]) {
			t.Fatal("another body")
		}
	})
}
