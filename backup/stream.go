package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

const (
	magicStream = "HNYMETA\x01" // the last byte is the version
	// partSize is how much of the compressed stream one chunk holds.
	partSize = honeyant.ChunkSize
	// window bounds the memory of both sides.
	window = 1 << 20
	// maxPair bounds a key or a value that a reader believes in.
	maxPair = 16 << 20
)

// packer compresses pairs and hands the stream out in parts.
type packer struct {
	emit   func(part []byte) error // must not keep it
	part   []byte
	most   int
	length uint64
	digest hash.Hash
	zip    *zstd.Encoder
	pairs  uint64
	head   []byte
}

func newPacker(most int, emit func([]byte) error) (*packer, error) {
	p := &packer{emit: emit, most: most, digest: sha256.New()}
	var err error
	p.zip, err = zstd.NewWriter((*cutter)(p), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, honeyant.E("backup.pack", honeyant.Internal, "", err)
	}
	_, err = p.zip.Write([]byte(magicStream))
	return p, err
}

// add takes a pair.
func (p *packer) add(key, value []byte) error {
	p.head = binary.AppendUvarint(p.head[:0], uint64(len(key)))
	p.head = append(p.head, key...)
	p.head = binary.AppendUvarint(p.head, uint64(len(value)))
	p.pairs++
	if _, err := p.zip.Write(p.head); err != nil {
		return err
	}
	_, err := p.zip.Write(value)
	return err
}

// finish ends the stream: a key of no bytes, and how many pairs there were.
func (p *packer) finish() error {
	if _, err := p.zip.Write(binary.AppendUvarint([]byte{0}, p.pairs)); err != nil {
		return err
	}
	if err := p.zip.Close(); err != nil {
		return err
	}
	return p.cut()
}

// stop gives up what was not handed out; harmless after finish.
func (p *packer) stop() {
	p.emit = func([]byte) error { return nil }
	_ = p.zip.Close()
}

func (p *packer) cut() error {
	if len(p.part) == 0 {
		return nil
	}
	p.digest.Write(p.part)
	p.length += uint64(len(p.part))
	err := p.emit(p.part)
	p.part = p.part[:0]
	return err
}

// cutter is the packer as the compressor writes to it.
type cutter packer

// Write implements io.Writer.
func (c *cutter) Write(b []byte) (int, error) {
	p, n := (*packer)(c), len(b)
	for len(b) > 0 {
		take := min(len(b), p.most-len(p.part))
		p.part = append(p.part, b[:take]...)
		b = b[take:]
		if len(p.part) == p.most {
			if err := p.cut(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// unpack reads a stream, hands out its pairs (each may be nil; it must not keep its arguments) and counts
// them again. Errors: Corrupt, those of in and of each.
func unpack(in io.Reader, each func(key, value []byte) error) (h meta.Holdings, err error) {
	const op = "backup.unpack"
	corrupt := func(err error) error {
		if k := honeyant.KindOf(err); k != honeyant.Other {
			return err // what the reader below says
		}
		return honeyant.E(op, honeyant.Corrupt, "", err)
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(2*window))
	if err != nil {
		return h, corrupt(err)
	}
	defer z.Close()
	r := bufio.NewReaderSize(z, 64<<10)
	magic := make([]byte, len(magicStream))
	if _, err := io.ReadFull(r, magic); err != nil {
		return h, corrupt(err)
	}
	if string(magic) != magicStream {
		return h, corrupt(fmt.Errorf("it begins with %q", magic))
	}
	var key, value []byte
	for {
		if key, err = readBytes(r, key); err != nil {
			return h, corrupt(err)
		}
		if len(key) == 0 {
			break
		}
		if value, err = readBytes(r, value); err != nil {
			return h, corrupt(err)
		}
		h.Count(key, value)
		if each == nil {
			continue
		}
		if err := each(key, value); err != nil {
			return h, err
		}
	}
	pairs, err := binary.ReadUvarint(r)
	if err != nil {
		return h, corrupt(err)
	}
	if pairs != h.Pairs {
		return h, corrupt(fmt.Errorf("%d pairs instead of %d", h.Pairs, pairs))
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return h, corrupt(errors.Join(errors.New("bytes after the end"), err))
	}
	return h, nil
}

// readBytes reads a length and as many bytes into buf or a longer one.
func readBytes(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, noEOF(err)
	}
	if n > maxPair {
		return buf, fmt.Errorf("a key or value of %d bytes", n)
	}
	buf = buf[:0]
	for n > 0 { // a length that lies makes us read, not allocate
		step := int(min(n, 64<<10))
		at := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf, noEOF(err)
		}
		n -= uint64(step)
	}
	return buf, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// partReader reads the parts of a backup one after another and checks them against its manifest.
type partReader struct {
	m      *Manifest
	load   func(part int, p []byte) error // fills p with part 1, 2, ...
	next   int
	buf    []byte
	left   []byte
	digest hash.Hash
}

func newPartReader(m *Manifest, load func(int, []byte) error) *partReader {
	return &partReader{m: m, load: load, digest: sha256.New()}
}

// Read implements io.Reader.
func (r *partReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.next == len(r.m.Parts) {
			return 0, io.EOF
		}
		n := r.m.Parts[r.next].Length
		if n > partSize {
			return 0, honeyant.E("backup.read", honeyant.Corrupt, "", fmt.Errorf("part %d of %d bytes", r.next+1, n))
		}
		if cap(r.buf) < int(n) {
			r.buf = make([]byte, n)
		}
		r.next++
		if err := r.load(r.next, r.buf[:n]); err != nil {
			return 0, err
		}
		r.left = r.buf[:n]
		r.digest.Write(r.left)
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// read reads a whole backup and compares it with its manifest. Errors: Corrupt, those of load and each.
func (m *Manifest) read(load func(part int, p []byte) error, each func(key, value []byte) error) error {
	r := newPartReader(m, load)
	got, err := unpack(r, each)
	if err != nil {
		return err
	}
	got.Cluster, got.Incarnation, got.Applied = m.Holds.Cluster, m.Holds.Incarnation, m.Holds.Applied
	if r.next != len(m.Parts) || len(r.left) > 0 || [32]byte(r.digest.Sum(nil)) != m.Digest || got != m.Holds {
		return honeyant.E("backup.read", honeyant.Corrupt, fmt.Sprintf("backup %d", m.Number), fmt.Errorf("it holds %+v, and its manifest says %+v", got, m.Holds))
	}
	return nil
}
