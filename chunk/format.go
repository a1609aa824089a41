package chunk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/honeyant/honeyant"
)

// The numbers of doc/format/segment.md.
const (
	sectorSize  = 4096
	metaSectors = 2 // header and state of a record
	version     = 1

	magicStore   = "HNYSTORE"
	magicSegment = "HNYSEGMT"
	magicRecord  = "HNYRECRD"
	magicState   = "HNYSTATE"
	magicIndex   = "HNYINDEX"

	sectorBits = 24 // of a generation; above it the segment's number
	maxSector  = 1<<sectorBits - 1
	maxSegment = 1<<(64-sectorBits) - 1
	maxFrames  = (sectorSize - 64) / 4

	stateLive = 1
	stateDead = 2
)

// MaxLength is the most bytes one chunk may hold in a store: room above honeyant.ChunkSize for
// what is put around the data.
const MaxLength = 16 << 20

func generation(segment uint64, sector uint32) honeyant.Generation {
	return honeyant.Generation(segment<<sectorBits | uint64(sector))
}

func segmentOf(gen honeyant.Generation) uint64 { return uint64(gen) >> sectorBits }
func sectorOf(gen honeyant.Generation) uint32  { return uint32(gen & maxSector) }

// sectorsFor is how many sectors hold n bytes.
func sectorsFor(n uint32) uint32 { return uint32((uint64(n) + sectorSize - 1) / sectorSize) }

// sealCRC puts the checksum into a block whose checksum field, 12..16, is zero.
func sealCRC(b []byte, seed uint32) {
	binary.BigEndian.PutUint32(b[12:], crc32.Update(seed, castagnoli, b))
}

// checkCRC does not change b, not even for a moment.
func checkCRC(b []byte, seed uint32) bool {
	var zero [4]byte
	c := crc32.Update(seed, castagnoli, b[:12])
	c = crc32.Update(c, castagnoli, zero[:])
	return crc32.Update(c, castagnoli, b[16:]) == binary.BigEndian.Uint32(b[12:])
}

func saltSeed(salt uint64) uint32 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], salt)
	return crc32.Checksum(b[:], castagnoli)
}

func putPrefix(b []byte, magic string) {
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], version)
}

// fromFuture tells a block that this version must not touch [C9].
func fromFuture(b []byte) bool {
	return binary.BigEndian.Uint16(b[8:]) > version || binary.BigEndian.Uint16(b[10:]) != 0
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func corrupt(op, object, format string, args ...any) error {
	return honeyant.E(op, honeyant.Corrupt, object, fmt.Errorf(format, args...))
}

// segmentHeader is sector 0 of a segment.
type segmentHeader struct {
	key    [16]byte
	number uint64
	salt   uint64
	future bool
}

func (h *segmentHeader) encode() []byte {
	b := make([]byte, sectorSize)
	putPrefix(b, magicSegment)
	copy(b[16:], h.key[:])
	binary.BigEndian.PutUint64(b[32:], h.number)
	binary.BigEndian.PutUint64(b[40:], h.salt)
	sealCRC(b, 0)
	return b
}

func decodeSegmentHeader(b []byte) (segmentHeader, bool) {
	var h segmentHeader
	if len(b) != sectorSize || string(b[:8]) != magicSegment || !checkCRC(b, 0) {
		return h, false
	}
	copy(h.key[:], b[16:])
	h.number = binary.BigEndian.Uint64(b[32:])
	h.salt = binary.BigEndian.Uint64(b[40:])
	h.future = fromFuture(b)
	return h, true
}

// status is what is known of a record.
type status uint8

const (
	unfinished status = iota // never committed
	live
	dead
	suspect // its state can not be read: counts as alive, gives no bytes
)

// record is header and state of a chunk's record. A value once made is not changed.
type record struct {
	id      honeyant.ChunkID // zero: neither header nor state is readable
	gen     honeyant.Generation
	sectors uint32 // reserved, header and state included
	most    uint32 // bytes the body may hold
	sum     honeyant.ChunkSum
	crcs    []uint32
	status  status
	future  bool
}

// bodyOffset is where in the segment the bytes begin.
func (r *record) bodyOffset() int64 { return int64(sectorOf(r.gen)+metaSectors) * sectorSize }

// encodeHeader fills the header sector b, which is zero.
func (r *record) encodeHeader(b []byte, seed uint32) {
	putPrefix(b, magicRecord)
	r.encodeName(b)
	binary.BigEndian.PutUint32(b[44:], r.most)
	sealCRC(b[:sectorSize], seed)
}

func (r *record) encodeName(b []byte) {
	binary.BigEndian.PutUint64(b[16:], uint64(r.gen))
	copy(b[24:], r.id[:])
	binary.BigEndian.PutUint32(b[40:], r.sectors)
}

func (r *record) decodeName(b []byte) {
	r.gen = honeyant.Generation(binary.BigEndian.Uint64(b[16:]))
	copy(r.id[:], b[24:])
	r.sectors = binary.BigEndian.Uint32(b[40:])
}

// encodeState fills the state sector b, which is zero, from status, sum and crcs.
func (r *record) encodeState(b []byte, seed uint32) {
	putPrefix(b, magicState)
	r.encodeName(b)
	b[44] = stateLive
	if r.status == dead {
		b[44] = stateDead
	}
	binary.BigEndian.PutUint32(b[48:], r.sum.Length)
	binary.BigEndian.PutUint32(b[52:], r.sum.CRC)
	binary.BigEndian.PutUint32(b[56:], uint32(len(r.crcs)))
	for i, c := range r.crcs {
		binary.BigEndian.PutUint32(b[64+4*i:], c)
	}
	sealCRC(b[:sectorSize], seed)
}

// headerOf decodes the header sector of the record at gen.
func headerOf(b []byte, gen honeyant.Generation, seed uint32) (record, bool) {
	var r record
	if len(b) != sectorSize || string(b[:8]) != magicRecord || !checkCRC(b, seed) {
		return r, false
	}
	r.decodeName(b)
	r.most = binary.BigEndian.Uint32(b[44:])
	r.future = fromFuture(b)
	ok := r.gen == gen && r.placed() && !r.id.IsZero() && (r.future || sectorsFor(r.most)+metaSectors <= r.sectors)
	return r, ok
}

// placed tells whether the record lies inside what a segment can be.
func (r *record) placed() bool {
	return r.sectors >= metaSectors && uint64(sectorOf(r.gen))+uint64(r.sectors) <= maxSector+1
}

// stateOf decodes the state sector of the record at gen.
func stateOf(b []byte, gen honeyant.Generation, seed uint32) (record, bool) {
	var r record
	if len(b) != sectorSize || string(b[:8]) != magicState || !checkCRC(b, seed) {
		return r, false
	}
	r.decodeName(b)
	r.future = fromFuture(b)
	if r.gen != gen || !r.placed() || r.id.IsZero() {
		return r, false
	}
	if r.future {
		r.status = suspect
		return r, true
	}
	switch b[44] {
	case stateLive:
		r.status = live
	case stateDead:
		r.status = dead
	default:
		return r, false
	}
	r.sum.Length = binary.BigEndian.Uint32(b[48:])
	r.sum.CRC = binary.BigEndian.Uint32(b[52:])
	frames := binary.BigEndian.Uint32(b[56:])
	if r.status == dead {
		return r, frames == 0
	}
	if frames > maxFrames || int(frames) != Frames(r.sum.Length) || sectorsFor(r.sum.Length)+metaSectors > r.sectors {
		return r, false
	}
	r.crcs = make([]uint32, frames)
	for i := range r.crcs {
		r.crcs[i] = binary.BigEndian.Uint32(b[64+4*i:])
	}
	return r, SumOfCRCs(r.sum.Length, r.crcs) == r.sum
}

// joinRecord is what header and state say together; nil means a sector that can not be read. ok is
// false if there is no sign of a record at gen.
func joinRecord(header, state []byte, gen honeyant.Generation, seed uint32) (*record, bool) {
	h, hOK := headerOf(header, gen, seed)
	s, sOK := stateOf(state, gen, seed)
	if sOK && hOK && (h.id != s.id || h.sectors != s.sectors) {
		sOK = false
	}
	switch {
	case sOK:
		s.most = h.most
		s.future = s.future || hOK && h.future
		return &s, true
	case !hOK:
		return &record{gen: gen, status: suspect}, false
	case state != nil && isZero(state):
		h.status = unfinished
	default:
		h.status = suspect
	}
	return &h, true
}
