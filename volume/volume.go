package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/spin"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/buffers"
	"github.com/honeyant/honeyant/volume/readcache"
)

// Volume is a mounted volume. Safe for concurrent use. Every call ends within Options.Deadline;
// errors are *honeyant.Error: what the leader said, Unavailable when nobody answered in time,
// Interrupted when the caller's context ended first.
type Volume struct {
	o          Options
	link       *link
	pool       *buffers.Pool // written bytes
	cache      *readcache.Cache
	names      *nameCache // nil: nothing is remembered
	journal    *journal
	uploads    turn
	packer     *packer
	packs      *buffers.Spare // for packing small runs into one chunk; besides the pool, so that a flight never waits for a writer
	packMax    int
	copies     *buffers.Spare // for copyBytes
	room       room
	flusher    flusher
	stats      counters
	lossesTold atomic.Uint64 // lost changes that Sync has told

	ctx    context.Context // ends when work in the background must
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	hooks  sync.WaitGroup // of Options.OnFenced

	mu       spin.Mutex // guards what follows
	inodes   map[honeyant.Ino]*inode
	dirs     int
	policies map[honeyant.Ino]policyAt
	closed   bool
}

// counters are the running figures of Stats.
type counters struct {
	dirty, flying                        atomic.Int64
	written, read, chunksWritten         atomic.Uint64
	lostWrites, cacheHits, cacheMisses   atomic.Uint64
	chunksInFlight, readAheads, openings atomic.Int64
}

const (
	// maxUploads bounds the chunks on their way at a time.
	maxUploads = 16
	// maxPack is the most that small runs are packed into.
	maxPack = 1 << 20
)

var errClosed = errors.New("the volume is closed")

// New starts a volume over a live session. Close it.
func New(o Options) (*Volume, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	v := &Volume{
		o: o, link: newLink(o.Meta), pool: buffers.New(o.WriteMemory), cache: readcache.New(o.ReadMemory), uploads: newTurn(maxUploads),
		packMax: int(min(maxPack, buffers.ClassSize(buffers.FitClass(o.WriteMemory/8)))),
		inodes:  map[honeyant.Ino]*inode{}, policies: map[honeyant.Ino]policyAt{},
	}
	v.packs = buffers.NewSpare(maxPacking, v.packMax)
	v.copies = buffers.NewSpare(maxCopies, copyStep)
	v.packer = &packer{v: v}
	v.flusher.wake = make(chan struct{}, 1)
	v.ctx, v.cancel = context.WithCancelCause(context.Background())
	v.journal = newJournal(v, o.JournalMemory)
	v.journal.off = o.NoJournal
	if !o.NoLeases {
		v.names = newNameCache(o.NameMemory)
		v.names.journal, v.names.arrived = v.journal, v.loadSmall
	}
	v.watch(v.link.current())
	v.start(v.flushOld)
	v.start(v.journal.run)
	return v, nil
}

// start runs fn in a goroutine that Close waits for; false if the volume is closed.
func (v *Volume) start(fn func()) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.wg.Go(fn)
	return true
}

// Close commits everything that is dirty, gives open files back and waits for all work of the
// volume to end. What can not be committed until ctx ends is lost, which is the error. The session
// is left to its owner. Harmless twice.
func (v *Volume) Close(ctx context.Context) error {
	err := v.Sync(ctx)
	if err == nil {
		v.deregisterAll(ctx)
	}
	v.mu.Lock()
	again := v.closed
	v.closed = true
	v.mu.Unlock()
	v.cancel(errClosed)
	v.wg.Wait()
	hooks := make(chan struct{})
	go func() {
		defer close(hooks)
		v.hooks.Wait()
	}()
	select {
	case <-hooks:
	case <-ctx.Done(): // its owner's, who must end it
	}
	if again {
		return nil
	}
	return err
}

// Sync commits everything that is dirty (syncfs). An inode whose bytes are lost is the error, and
// its Files tell it as well; so are, once, changes of names and attributes that were lost since the last Sync.
func (v *Volume) Sync(ctx context.Context) error {
	var last []*flight
	for _, in := range v.allInodes() {
		in.mu.Lock()
		if f := in.freeze(); f != nil {
			last = append(last, f)
		}
		in.mu.Unlock()
	}
	var first error
	for _, f := range last {
		select {
		case <-f.done:
			if first == nil && f.lost() {
				first = f.err
			}
		case <-ctx.Done():
			return v.fault(ctx, "volume.Sync", "", context.Cause(ctx))
		}
	}
	if err := v.journal.flush(ctx); err != nil {
		return v.fault(ctx, "volume.Sync", "", err)
	}
	if told := v.journal.report(&v.lossesTold); first == nil {
		first = told
	}
	return first
}

// Publish makes an inode and what this volume did to it known to the leader, for those who ask the leader by number. It
// does not tell what was lost.
func (v *Volume) Publish(ctx context.Context, ino honeyant.Ino) error {
	ctx, cancel := v.within(ctx)
	defer cancel()
	err := v.journal.settleData(ctx, ino)
	if err == nil {
		err = v.journal.flush(ctx)
	}
	if err != nil {
		return v.fault(ctx, "volume.Publish", fmt.Sprintf("inode %d", ino), err)
	}
	return nil
}

// deregisterAll takes the registrations of open files back, for an orderly end.
func (v *Volume) deregisterAll(ctx context.Context) {
	for _, in := range v.allInodes() {
		in.mu.Lock()
		registered := in.registered == v.link.current()
		in.registered = nil
		in.mu.Unlock()
		if !registered {
			continue
		}
		if _, err := ask(ctx, v, "volume.Close", &meta.Release{Volume: v.o.Volume, Ino: in.ino}); err != nil {
			return // the session's end gives them back, too
		}
	}
}

// Reset goes on with a new session after the old one died: open files are registered again before
// any other call goes through, locks are lost, and what the old session had not committed is EIO on
// each descriptor concerned. Files that were deleted meanwhile are Stale from now on, which is no
// error of Reset; on an error call it again.
func (v *Volume) Reset(ctx context.Context, m Meta) error {
	ctx, cancel := v.within(ctx)
	defer cancel()
	v.fence(v.link.current())
	s := &session{meta: m}
	for _, in := range v.allInodes() {
		if err := in.reregister(ctx, s); err != nil {
			return v.fault(ctx, "volume.Reset", in.object(), err)
		}
	}
	v.watch(s)
	v.link.replace(s)
	return nil
}

// Opens lists the inodes that the session has registered as open, for re-assertion at a new leader (rule 22).
func (v *Volume) Opens() []honeyant.Ino {
	var open []honeyant.Ino
	s := v.link.current()
	for _, in := range v.allInodes() {
		in.mu.Lock()
		if in.registered == s {
			open = append(open, in.ino)
		}
		in.mu.Unlock()
	}
	return open
}

// Stats tells figures of the moment.
func (v *Volume) Stats() Stats {
	s := v.link.current()
	v.mu.Lock()
	inodes, dirs := len(v.inodes), v.dirs
	v.mu.Unlock()
	c := &v.stats
	var names NameStats
	if v.names != nil {
		names = v.names.stats()
	}
	return Stats{
		Names: names, Journal: v.journal.figures(),
		OpenFiles: int(c.openings.Load()), OpenDirs: dirs, Inodes: inodes,
		DirtyBytes: c.dirty.Load(), FlyingBytes: c.flying.Load(), WriteMemory: v.pool.InUse(), ReadCacheBytes: v.cache.InUse(),
		ChunksInFlight: int(c.chunksInFlight.Load()), ReadAheads: int(c.readAheads.Load()),
		BytesWritten: c.written.Load(), BytesRead: c.read.Load(), ChunksWritten: c.chunksWritten.Load(), LostWrites: c.lostWrites.Load(),
		CacheHits: c.cacheHits.Load(), CacheMisses: c.cacheMisses.Load(), Session: s.meta.ID(), Fenced: s.dead.Load(),
	}
}
