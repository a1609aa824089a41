package replica

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/rpc/wire"
)

func sampleRequest() *request {
	id := honeyant.NewChunkID(1, 2, 3)
	return &request{
		op: opPut, incarnation: 4, store: 5, chunk: id, generation: 6, length: 7, first: 8, eager: true,
		hops: []hop{{store: 9, node: 10, address: "a:1"}},
		ref:  honeyant.ChunkRef{ID: id, Sum: honeyant.ChunkSum{Length: 7, CRC: 11}, Replicas: []honeyant.Replica{{Store: 12, Generation: 13}}},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	r := sampleRequest()
	got, err := decodeRequest(wire.Marshal(r.fields))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	all := []outcome{{store: 1, generation: 2, sum: honeyant.ChunkSum{Length: 3, CRC: 4}}, {store: 5, err: honeyant.E("a.B", honeyant.NoSpace, "x", nil)}}
	back, err := decodeOutcomes(encodeOutcomes(all), 7)
	if err != nil || len(back) != 2 || back[0] != all[0] || !errors.Is(back[1].err, honeyant.NoSpace) {
		t.Errorf("%+v, %v", back, err)
	}
	infos := []chunk.Info{{ID: r.chunk, Generation: 2, Sum: r.ref.Sum}, {Suspect: true}}
	var gotInfos []chunk.Info
	if err := wire.Unmarshal(wire.Marshal(infoFields(&infos)), infoFields(&gotInfos)); err != nil || !reflect.DeepEqual(infos, gotInfos) {
		t.Errorf("%+v, %v", gotInfos, err)
	}
	buckets, gotBuckets := make([]uint64, chunk.Buckets), []uint64(nil)
	buckets[0], buckets[4095] = 1, 1<<63
	if err := wire.Unmarshal(wire.Marshal(bucketFields(&buckets)), bucketFields(&gotBuckets)); err != nil || !reflect.DeepEqual(buckets, gotBuckets) {
		t.Errorf("buckets: %v", err)
	}
	h := head{length: 100, kind: msgData, arg: 3, crc: 4}
	var b [headSize]byte
	h.put(b[:])
	if back, err := parseHead(b[:]); err != nil || back != h {
		t.Errorf("%+v, %v", back, err)
	}
	h.length = honeyant.FrameSize + 1
	h.put(b[:])
	if _, err := parseHead(b[:]); !errors.Is(err, honeyant.Corrupt) {
		t.Errorf("a frame too large: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(wire.Marshal(sampleRequest().fields))
	f.Add(encodeOutcomes([]outcome{{store: 1}, {err: honeyant.NoSpace}}))
	f.Add(bytes.Repeat([]byte{1, 0, 0, 1}, 8))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := decodeRequest(in); err == nil {
			again, err := decodeRequest(wire.Marshal(r.fields))
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v becomes %+v, %v", r, again, err)
			}
		}
		_, _ = decodeOutcomes(in, 1) // must not panic
		var infos []chunk.Info
		_ = wire.Unmarshal(in, infoFields(&infos))
		if len(in) >= headSize {
			if h, err := parseHead(in); err == nil && h.length > maxMessage {
				t.Fatalf("length %d", h.length)
			}
		}
	})
}
