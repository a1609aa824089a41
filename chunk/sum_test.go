package chunk_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
)

// The checksums are what doc/format/segment.md says, by the standard library alone.
func TestSumsAsSpecified(t *testing.T) {
	table := crc32.MakeTable(crc32.Castagnoli)
	id := honeyant.NewChunkID(0xdeadbeef, 0x123456789abc, 0x42)
	data := content(1, 2*honeyant.FrameSize+77)
	var list []byte
	for n := 0; n*honeyant.FrameSize < len(data); n++ {
		frame := data[n*honeyant.FrameSize : min(len(data), (n+1)*honeyant.FrameSize)]
		b := binary.BigEndian.AppendUint32(append([]byte(nil), id[:]...), uint32(n))
		want := crc32.Checksum(append(b, frame...), table)
		if got := chunk.FrameCRC(id, uint32(n), frame); got != want {
			t.Fatalf("frame %d: %x, want %x", n, got, want)
		}
		list = binary.BigEndian.AppendUint32(list, want)
	}
	want := honeyant.ChunkSum{Length: uint32(len(data)), CRC: crc32.Checksum(list, table)}
	if got := chunk.SumOf(id, data); got != want {
		t.Fatalf("%v, want %v", got, want)
	}
	if got := chunk.SumOf(id, nil); got != (honeyant.ChunkSum{}) {
		t.Fatalf("of nothing: %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { chunk.FrameCRC(id, 1, data[:100]) }); n > 0 {
		t.Fatalf("%v allocations a frame", n)
	}
}

// Inventory hashes are part of the protocol between nodes: they must never change.
func TestInventoryHashIsFixed(t *testing.T) {
	id := honeyant.NewChunkID(1, 2, 3)
	if b, h := chunk.BucketOf(id), chunk.InventoryHash(id, 4); b != goldenBucket || h != goldenHash {
		t.Fatalf("bucket %d, hash %#x", b, h)
	}
}

const (
	goldenBucket = 2241
	goldenHash   = 0xfc1d702a941a67ff
)
