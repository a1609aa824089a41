package transfer

import (
	"context"
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// source is where a copy reads. Safe for concurrent use. Paths are below the root, as
// join makes them. An entry that is gone is NotExist.
type source interface {
	// list is the next entries of a directory behind the name after, and the name
	// behind which the next page begins, "" after the last; brief leaves attributes and
	// link targets out.
	list(ctx context.Context, dir, after string, brief bool) (entries []Entry, next string, err error)
	// whole is a file of at most partSize bytes, and what it was when it was read.
	whole(ctx context.Context, path string) (Entry, part, error)
	// open begins to read a file in parts.
	open(ctx context.Context, path string) (reader, error)
	close() error
}

// reader is a source file. Safe for concurrent use.
type reader interface {
	// ranges is where the file has data, in order; what lies between are holes.
	ranges() []span
	// read is part i. A file that became shorter gives a short part.
	read(ctx context.Context, i int64) (part, error)
	// close ends it and tells what the file is now.
	close(ctx context.Context) (Entry, error)
}

// span is a range of bytes: from, and the first byte behind.
type span struct{ from, to int64 }

// localSource is a tree of this machine.
type localSource struct{ tree *tree }

func (s *localSource) close() error { return s.tree.close() }

func (s *localSource) list(ctx context.Context, dir, after string, brief bool) ([]Entry, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	return s.tree.list(dir, after, brief)
}

// openFile opens a regular file for reading, and does not change its access time if it may.
func (s *localSource) openFile(path string) (*os.File, Entry, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK // should it have become a fifo
	f, err := s.tree.open(path, flags|unix.O_NOATIME, 0)
	if errors.Is(err, honeyant.NotPermitted) {
		f, err = s.tree.open(path, flags, 0)
	}
	if err != nil {
		return nil, Entry{}, err
	}
	e, err := fileEntry(f)
	if err == nil && e.Kind != File {
		err = honeyant.E("open", honeyant.Stale, s.tree.full(path), errors.New("it is a file no more"))
	}
	if err != nil {
		f.Close()
		return nil, Entry{}, err
	}
	return f, e, nil
}

// fileEntry is the brief entry of an open file.
func fileEntry(f *os.File) (Entry, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Entry{}, fault("stat", f.Name(), err)
	}
	return entryFromStat("", &st), nil
}

func (s *localSource) whole(ctx context.Context, path string) (Entry, part, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, part{}, err
	}
	f, e, err := s.openFile(path)
	if err != nil {
		return Entry{}, part{}, err
	}
	defer f.Close()
	buf := make([]byte, min(e.Size, partSize))
	b, err := readPart(f, 0, buf)
	if err != nil {
		return Entry{}, part{}, fault("read", s.tree.full(path), err)
	}
	e, err = fileEntry(f)
	return e, newPart(b), err
}

func (s *localSource) open(ctx context.Context, path string) (reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, e, err := s.openFile(path)
	if err != nil {
		return nil, err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL) // a wish
	return &localReader{f: f, path: s.tree.full(path), data: dataRanges(f, e.Size)}, nil
}

type localReader struct {
	f    *os.File
	path string
	data []span
}

func (r *localReader) ranges() []span { return r.data }

func (r *localReader) read(ctx context.Context, i int64) (part, error) {
	if err := ctx.Err(); err != nil {
		return part{}, err
	}
	b, err := readPart(r.f, i*partSize, make([]byte, partSize))
	if err != nil {
		return part{}, fault("read", r.path, err)
	}
	return newPart(b), nil
}

func (r *localReader) close(context.Context) (Entry, error) {
	defer r.f.Close()
	return fileEntry(r.f)
}

// maxRanges bounds the ranges that are told of one file; behind the last the rest counts
// as data, whose zeros are found when they are written.
const maxRanges = 1 << 15

// dataRanges asks where a file has data. A file system that can not tell says: everywhere.
func dataRanges(f *os.File, size int64) []span {
	var all []span
	for at := int64(0); at < size; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return all // a hole up to the end
		}
		if err != nil || len(all) == maxRanges {
			return append(all, span{at, size})
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil || to <= from {
			to = math.MaxInt64
		}
		all = append(all, span{from, min(to, size)})
		at = to
	}
	return all
}

// withData lists the parts of a file that touch one of the ranges.
func withData(ranges []span, size int64) []int64 {
	var parts []int64
	next := int64(0)
	for _, r := range ranges {
		for i := max(next, r.from/partSize); i*partSize < min(r.to, size); i++ {
			parts = append(parts, i)
			next = i + 1
		}
	}
	return parts
}
