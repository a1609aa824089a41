package transfer

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// partSize is how a file is divided: what one request carries, what one checksum covers,
// and the least that is fetched again after an interruption.
const partSize = 1 << 20

// part is a piece of a file on its way, with the checksum taken where it was read.
type part struct {
	data []byte
	sum  uint64
}

func sumOf(b []byte) uint64 { return xxhash.Sum64(b) }

func newPart(b []byte) part { return part{b, sumOf(b)} }

// partsOf is how many parts a file of size bytes has.
func partsOf(size int64) int64 { return (size + partSize - 1) / partSize }

// partLen is the length of part i of a file of size bytes.
func partLen(size, i int64) int { return int(min(partSize, size-i*partSize)) }

// The list of parts (doc/format/cp.md) lies beside a file that is being copied and says
// which of its parts are there. It is a hint: what it says is read back before it counts.
const (
	listMagic   = "HNYPARTS"
	listVersion = 1
	listHeader  = 48
	listRecord  = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// listHead is the header for a source file: another file, or one that changed, has another.
func listHead(e *Entry) []byte {
	b := make([]byte, listHeader)
	copy(b, listMagic)
	binary.LittleEndian.PutUint16(b[8:], listVersion)
	binary.LittleEndian.PutUint32(b[12:], partSize)
	binary.LittleEndian.PutUint64(b[16:], uint64(e.Size))
	binary.LittleEndian.PutUint64(b[24:], uint64(e.Mtime))
	binary.LittleEndian.PutUint64(b[32:], e.Ino)
	binary.LittleEndian.PutUint32(b[40:], uint32(e.Ctime/second))
	binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
	return b
}

func listEntry(head []byte, i int64, sum uint64) []byte {
	b := make([]byte, listRecord)
	binary.LittleEndian.PutUint64(b, uint64(i))
	binary.LittleEndian.PutUint64(b[8:], sum)
	crc := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b[:16])
	binary.LittleEndian.PutUint32(b[16:], crc)
	return b
}

// readList is the parts that a list tells for the file of e; ok is false if it is of
// another file, and how many bytes of the list are sound. A record that is damaged, or of no part of
// the file, ends it.
func readList(r io.Reader, e *Entry) (sums map[int64]uint64, keep int64, ok bool) {
	head := make([]byte, listHeader)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, listHead(e)) {
		return nil, 0, false
	}
	sums, keep = map[int64]uint64{}, listHeader
	b := make([]byte, listRecord)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return sums, keep, true
		}
		i, sum := int64(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])
		if i < 0 || i >= partsOf(e.Size) || !bytes.Equal(b, listEntry(head, i, sum)) {
			return sums, keep, true
		}
		sums[i] = sum
		keep += listRecord
	}
}

// readPart fills a part from f. A file that ends early gives fewer bytes.
func readPart(f *os.File, off int64, buf []byte) ([]byte, error) {
	n, err := f.ReadAt(buf, off)
	if err == io.EOF {
		err = nil
	}
	return buf[:n], err
}

// zero tells whether b has only zero bytes.
func zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
