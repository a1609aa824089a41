package chunk

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/honeyant/honeyant"
)

// castagnoli is read-only; crc32 uses the processor's instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FrameCRC is the checksum of one frame: CRC-32C over the chunk's ID, the frame's number
// and the data, so that the frame passes nowhere else [C7].
func FrameCRC(id honeyant.ChunkID, frame uint32, data []byte) uint32 {
	return crc32.Update(frameSeed(id, frame), castagnoli, data)
}

// frameSeed and SumOfCRCs go by table, a byte at a time: what crc32.Update is given
// moves to the heap, and these few bytes are hashed for every frame.
func frameSeed(id honeyant.ChunkID, frame uint32) uint32 {
	c := ^uint32(0)
	for _, b := range id {
		c = castagnoli[byte(c)^b] ^ c>>8
	}
	return ^addWord(c, frame)
}

// addWord goes on with the four bytes of v; c is the inverted sum.
func addWord(c, v uint32) uint32 {
	c = castagnoli[byte(c)^byte(v>>24)] ^ c>>8
	c = castagnoli[byte(c)^byte(v>>16)] ^ c>>8
	c = castagnoli[byte(c)^byte(v>>8)] ^ c>>8
	return castagnoli[byte(c)^byte(v)] ^ c>>8
}

// Frames is the number of frames of a chunk of length bytes.
func Frames(length uint32) int {
	return int((uint64(length) + honeyant.FrameSize - 1) / honeyant.FrameSize)
}

// SumOfCRCs is the checksum of a chunk of length bytes whose frames have these CRCs.
func SumOfCRCs(length uint32, crcs []uint32) honeyant.ChunkSum {
	c := ^uint32(0)
	for _, crc := range crcs {
		c = addWord(c, crc)
	}
	return honeyant.ChunkSum{Length: length, CRC: ^c}
}

// SumOf is what Commit answers for a chunk of these bytes.
func SumOf(id honeyant.ChunkID, data []byte) honeyant.ChunkSum {
	length := uint32(len(data))
	crcs := make([]uint32, 0, Frames(length))
	for len(data) > 0 {
		n := min(len(data), honeyant.FrameSize)
		crcs = append(crcs, FrameCRC(id, uint32(len(crcs)), data[:n]))
		data = data[n:]
	}
	return SumOfCRCs(length, crcs)
}

// Buckets is the number of buckets an inventory has [38].
const Buckets = 4096

// mix64 is the finalizer of splitmix64.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hashID(id honeyant.ChunkID) uint64 {
	a, b := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	return mix64(mix64(a+0x9e3779b97f4a7c15) ^ b)
}

// BucketOf is the inventory bucket, 0 .. Buckets-1, that a chunk falls into.
func BucketOf(id honeyant.ChunkID) int { return int(hashID(id) >> 52) }

// InventoryHash is what a replica adds, by XOR, to its bucket: whoever lists the same
// replicas gets the same bucket values.
func InventoryHash(id honeyant.ChunkID, gen honeyant.Generation) uint64 {
	return inventoryHash(hashID(id), uint64(gen))
}

func inventoryHash(key, gen uint64) uint64 { return mix64(key ^ mix64(gen)) }
