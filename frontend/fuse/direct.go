package fuse

import (
	"sync"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

// Programs that only write a file, or append to it, hand their bytes over as they are (FOPEN_DIRECT_IO): through the page cache they would
// be copied once more, into pages that the next open drops anyway, and the kernel would ask for security.capability
// before the first write. Of its own pages the kernel drops those that are written over before it sends a write. A program
// that reads the file meanwhile may bring them back as they were, so they are dropped again before the write is answered (F11).

// handle is an open file that the kernel has.
type handle struct {
	*volume.File
	direct bool // it is written past the page cache
	eager  bool // the kernel sends no FLUSH

	mu     sync.Mutex // guards what follows
	owners []uint64   // of POSIX locks that were asked for, which nobody gives back but Release
}

// readers counts open files that the kernel may read pages through, by inode: a mapping keeps its file open.
type readers struct {
	mu sync.Mutex // guards what follows
	of map[honeyant.Ino]int
}

func (r *readers) begin(ino honeyant.Ino) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[honeyant.Ino]int{}
	}
	r.of[ino]++
}

func (r *readers) end(ino honeyant.Ino) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[ino]--; r.of[ino] <= 0 {
		delete(r.of, ino)
	}
}

func (r *readers) any(ino honeyant.Ino) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[ino] > 0
}

// direct tells whether a file that is being opened is written past the page cache.
func (fs *FS) direct(f volume.OpenFlags) bool {
	return f.Append || f.Write && !f.Read && fs.kept.attrsOn.Load() // else the kernel can be told of no pages
}

// wrotePast makes the kernel forget what it has of bytes that were just written past its pages, and mode bits that this took away.
func (fs *FS) wrotePast(h *handle, in *gofuse.WriteIn, end bool, privileged bool) {
	if !fs.kept.tellable.Load() {
		return
	}
	if privileged {
		_, _ = fs.kept.expireAttrs(in.NodeId) // fails with the connection
	}
	if !fs.readers.any(h.Ino()) {
		return
	}
	length := int64(in.Size)
	if end {
		length = 0 // from where the kernel takes the end to be, which it may be late with
	}
	done := make(chan struct{})
	go func() { // never here, as in read
		_ = fs.kept.expirePages(in.NodeId, int64(in.Offset), length)
		close(done)
	}()
	late := time.NewTimer(tellDeadline)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C: // a program's read of such a page hangs; they go when it ends
	}
}
