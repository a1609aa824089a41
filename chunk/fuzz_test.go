package chunk

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/honeyant/honeyant"
)

func sampleRecord() record {
	id := honeyant.NewChunkID(3, 4, 5)
	return record{id: id, gen: generation(9, 17), sectors: 40, most: 100_000,
		sum: SumOfCRCs(100_000, []uint32{1, 2}), crcs: []uint32{1, 2}, status: live}
}

// FuzzRecord: whatever is read as a record lies inside its segment, has frames that fit it
// and says the same when written again.
func FuzzRecord(f *testing.F) {
	const seed = 77
	r := sampleRecord()
	b := make([]byte, 2*sectorSize)
	r.encodeHeader(b, seed)
	r.encodeState(b[sectorSize:], seed)
	f.Add(b, true)
	f.Add(b[:sectorSize], false)
	f.Add(make([]byte, 2*sectorSize), true)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		full := make([]byte, 2*sectorSize)
		copy(full, b)
		header, state := full[:sectorSize], full[sectorSize:]
		if repair { // get past the checksum
			for _, s := range [][]byte{header, state} {
				binary.BigEndian.PutUint32(s[12:], 0)
				sealCRC(s, seed)
			}
		}
		rec, ok := joinRecord(header, state, r.gen, seed)
		if !ok {
			return
		}
		if rec.gen != r.gen || !rec.placed() || rec.id.IsZero() {
			t.Fatalf("%+v", rec)
		}
		if rec.status != live {
			return
		}
		if len(rec.crcs) != Frames(rec.sum.Length) || sectorsFor(rec.sum.Length)+metaSectors > rec.sectors {
			t.Fatalf("%+v", rec)
		}
		again := make([]byte, sectorSize)
		rec.encodeState(again, seed)
		if back, ok := stateOf(again, r.gen, seed); !ok || back.sum != rec.sum || back.id != rec.id || back.sectors != rec.sectors {
			t.Fatal("not the same when written again")
		}
	})
}

func FuzzSidecar(f *testing.F) {
	x := sidecar{number: 4, salt: 5, end: 100, punched: 8192, entries: []sidecarRecord{
		{honeyant.NewChunkID(1, 2, 3), 1, 10, honeyant.ChunkSum{Length: 5, CRC: 6}},
		{honeyant.NewChunkID(1, 2, 4), 11, 89, honeyant.ChunkSum{Length: 50, CRC: 6}},
	}}
	f.Add(x.encode(), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= sidecarHeader {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[12:], 0)
			sealCRC(b, 0)
		}
		x, ok := decodeSidecar(b)
		if !ok {
			return
		}
		for _, e := range x.entries {
			if e.sector < 1 || uint64(e.sector)+uint64(e.sectors) > uint64(x.end) {
				t.Fatalf("%+v", e)
			}
		}
		if y, ok := decodeSidecar(x.encode()); !ok || len(y.entries) != len(x.entries) || y.end != x.end {
			t.Fatal("not the same when written again")
		}
	})
}

func FuzzSegmentHeaderAndIdentity(f *testing.F) {
	f.Add((&segmentHeader{key: [16]byte{1}, number: 2, salt: 3}).encode())
	f.Add((&identity{key: [16]byte{1}, incarnation: 2, floor: 3}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := decodeSegmentHeader(b); ok && !h.future && !bytes.Equal(h.encode()[:48], b[:48]) {
			t.Fatalf("%+v", h)
		}
		if id, ok := decodeIdentity(b); ok && !id.future && id.floor > maxSegment {
			t.Fatalf("%+v", id)
		}
	})
}

// FuzzScan: a scan ends, whatever the segment is, and gives places in order that do not overlap.
func FuzzScan(f *testing.F) {
	const number, seed = 9, 77
	seg := make([]byte, 64*sectorSize)
	r := sampleRecord()
	r.encodeHeader(seg[17*sectorSize:], seed)
	r.encodeState(seg[18*sectorSize:], seed)
	f.Add(seg[:20*sectorSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		found := scanRecords(bytes.NewReader(b), int64(len(b)), number, seed)
		next := uint32(1)
		for _, r := range found.records {
			if sectorOf(r.gen) < next || segmentOf(r.gen) != number {
				t.Fatalf("%+v before %d", r, next)
			}
			next = sectorOf(r.gen) + r.sectors
		}
		if found.end != next {
			t.Fatal(found.end, next)
		}
	})
}
