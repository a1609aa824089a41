package fuse

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

// Options of an FS. Zero values mean the defaults named.
type Options struct {
	// Incarnation of the cluster: the generation of all inode numbers (rule 27).
	Incarnation uint32
	// Deadline bounds how long Close waits for what is under way; default 30 s. Requests are
	// bounded by the volume's own deadline.
	Deadline time.Duration
	// KernelCache lets the kernel keep attributes, and names, for as long as the volume's leases last, if it can be
	// told to forget them: root's connection, and for names Linux 6.16 and nothing mounted below. See decision 0006.
	KernelCache bool
	// Calm is how long the kernel keeps nothing of what has just changed, since taking it back costs more than it
	// saves; default 500 ms, negative: none.
	Calm time.Duration
	Log  *slog.Logger // default: discards
}

// FS answers FUSE requests out of a volume. Safe for concurrent use.
type FS struct {
	gofuse.RawFileSystem // ENOSYS for the rest: the kernel asks once and never again

	volume  *volume.Volume
	options Options
	root    context.Context // parent of all requests; ends in stop
	stopAll context.CancelFunc

	files table[*handle]
	dirs  table[*dir]

	mu    sync.Mutex
	calls map[*call]struct{} // requests that may wait, guarded by mu
	under atomic.Int64       // all requests under way

	counts  [opCount]atomic.Uint64
	outage  outage
	kept    *kept
	pages   pages
	readers readers

	lockable lockable
}

// New makes a file system over v. The volume is not closed with it.
func New(v *volume.Volume, o Options) *FS {
	if o.Deadline == 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Calm == 0 {
		o.Calm = calmFor
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	fs := &FS{
		RawFileSystem: gofuse.NewDefaultRawFileSystem(),
		volume:        v,
		options:       o,
		calls:         make(map[*call]struct{}),
		kept:          newKept(o.Calm),
	}
	fs.root, fs.stopAll = context.WithCancel(context.Background())
	return fs
}

// String names the file system.
func (fs *FS) String() string { return "honeyant" }

// Init is called by the transport before the first request.
func (fs *FS) Init(*gofuse.Server) {}

// OnUnmount is called by the transport after the last request: what programs had open and the
// kernel could not close any more (an aborted connection) is closed here.
func (fs *FS) OnUnmount() { fs.stop() }

// Forget does nothing (F1).
func (fs *FS) Forget(nodeid, nlookup uint64) {}

// interruptAll ends the requests under way early; they answer EINTR.
func (fs *FS) interruptAll() { fs.stopAll() }

// stop releases all handles. Harmless twice.
func (fs *FS) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), fs.options.Deadline)
	defer cancel()
	for _, f := range fs.files.drain() {
		if err := f.Release(ctx, 0); err != nil {
			fs.options.Log.Warn("fuse: a file left open could not be flushed", "inode", uint64(f.Ino()), "error", err)
		}
	}
	for _, d := range fs.dirs.drain() {
		d.open.Close()
	}
	fs.stopAll()
}

// InUse counts open files and directories and requests under way, for status.
func (fs *FS) InUse() (files, dirs, requests int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.files.len(), fs.dirs.len(), int(fs.under.Load())
}

// fill turns attributes into the protocol's.
func (fs *FS) fill(a *honeyant.Attr, out *gofuse.Attr) {
	*out = gofuse.Attr{
		Ino:       uint64(a.Ino),
		Size:      a.Size,
		Blocks:    a.Blocks,
		Atime:     uint64(a.Atime.Sec),
		Mtime:     uint64(a.Mtime.Sec),
		Ctime:     uint64(a.Ctime.Sec),
		Atimensec: a.Atime.Nsec,
		Mtimensec: a.Mtime.Nsec,
		Ctimensec: a.Ctime.Nsec,
		Mode:      a.Mode,
		Nlink:     a.Nlink,
		Owner:     gofuse.Owner{Uid: a.UID, Gid: a.GID},
		Rdev:      a.Rdev,
		Blksize:   blockSize,
	}
}

// blockSize is st_blksize: what programs take as the size of their buffers. Larger ones spare
// requests.
const blockSize = 128 << 10

// entry answers with an inode found or made under a name.
func (fs *FS) entry(a *honeyant.Attr, out *gofuse.EntryOut) {
	out.NodeId = uint64(a.Ino)
	out.Generation = uint64(fs.options.Incarnation)
	out.SetEntryTimeout(0)
	out.SetAttrTimeout(0)
	fs.fill(a, &out.Attr)
}

// table numbers what is open.
type table[T any] struct {
	mu   sync.RWMutex
	last uint64
	open map[uint64]T // guarded by mu
}

func (t *table[T]) add(v T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[uint64]T)
	}
	t.last++
	t.open[t.last] = v
	return t.last
}

func (t *table[T]) get(fh uint64) (T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.open[fh]
	return v, ok
}

func (t *table[T]) take(fh uint64) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.open[fh]
	delete(t.open, fh)
	return v, ok
}

func (t *table[T]) drain() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]T, 0, len(t.open))
	for _, v := range t.open {
		all = append(all, v)
	}
	t.open = nil
	return all
}

func (t *table[T]) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.open)
}
