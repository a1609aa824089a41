package volume

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/dirty"
)

// flight is dirty bytes on their way. Once frozen its runs never change.
type flight struct {
	in        *inode
	parent    honeyant.Ino // of a file that was just made
	runs      dirty.Runs
	bytes     int64
	killPriv  bool
	keepTimes bool          // the times were set after these bytes were written
	at        honeyant.Time // of the last write
	since     time.Time     // when the first was
	began     time.Time

	// Written by fly and the uploads, read when uploaded is set; guarded by in.mu from then on.
	session  *session
	chunks   []honeyant.ChunkRef
	extents  []honeyant.Extent // ascending
	uploaded bool
	sent     bool          // a commit was asked for: its outcome may be unknown
	asking   bool          // a commit is being asked for: only who asks may end the flight
	told     bool          // err is in inode.err already
	err      error         // why it was lost
	done     chan struct{} // closed when it is committed or lost
}

// freeze sends all that is dirty on its way and returns the last flight that is under way, nil if
// none. in.mu is held.
func (in *inode) freeze() *flight {
	if len(in.dirty) > 0 {
		f := &flight{
			in: in, parent: in.parent, runs: in.dirty, bytes: in.dirtyBytes, killPriv: in.killPriv,
			since: in.dirtySince, began: time.Now(), done: make(chan struct{}),
		}
		in.v.stats.dirty.Add(-f.bytes)
		in.v.stats.flying.Add(f.bytes)
		f.keepTimes, f.at = in.timesSet, in.lastWrite
		in.dirty, in.dirtyBytes, in.killPriv, in.timesSet = nil, 0, false, false
		in.flights = append(in.flights, f)
		in.keep()
		if !in.v.send(f) {
			f.uploaded = true
			in.fail(honeyant.E("volume.Flush", honeyant.Unavailable, "", errClosed))
			in.release()
		}
		if in.lingering { // the flight keeps the inode now
			in.lingering = false
			in.release()
		}
	}
	if len(in.flights) == 0 {
		return nil
	}
	return in.flights[len(in.flights)-1]
}

// flush commits what is dirty at the time of the call. A lost flight is not its error: that is
// told by File.report, once per File.
func (in *inode) flush(ctx context.Context) error {
	in.mu.Lock()
	f := in.freeze()
	in.mu.Unlock()
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lost tells whether bytes that somebody may want were lost. The flight is done.
func (f *flight) lost() bool {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	return f.err != nil && !f.in.deserted
}

// sync is flush that also waits until the leader knows: bytes and attributes are on stable storage.
func (in *inode) sync(ctx context.Context) error {
	if err := in.flush(ctx); err != nil {
		return err
	}
	return in.v.journal.flush(ctx)
}

// mayLinger tells whether closing need not commit the file's bytes: nobody else can see it before its lease was
// recalled, which commits them. Few bytes, which go with the inode, are committed to the journal all the same. The
// inode is then kept until its bytes are on their way.
func (in *inode) mayLinger() bool {
	if !in.v.journal.holds(in.ino) {
		return false
	}
	if in.v.room.scarce() {
		return false // what does not fit is an error of close
	}
	in.v.flusher.relieve(in.v)
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.locks > 0:
		return false
	case len(in.dirty) == 0: // what is on its way keeps the inode itself
		return true
	case in.dirty.End() < minPacked:
		return false
	}
	if !in.lingering {
		in.lingering = true
		in.keep()
	}
	return true
}

// send begins the way of a flight, which ends in arrive; false: the volume is closed.
func (v *Volume) send(f *flight) bool {
	if v.packer.small(f) {
		return v.packer.add(f)
	}
	return v.start(f.fly)
}

// fly uploads the flight's chunks, several at a time, then commits it when its turn comes.
func (f *flight) fly() {
	in := f.in
	ctx, cancel := context.WithTimeoutCause(in.v.ctx, in.v.o.Deadline, errDeadline)
	defer cancel()
	s, err := in.v.link.live(ctx) // while there is none, wait for the next
	if err == nil {
		f.session = s
		err = f.upload(ctx)
	}
	f.arrive(ctx, err)
}

// arrive notes the outcome of the upload. What can be committed now is, before it returns if the journal takes it at
// once, else apart. It ends the flight's claim on the inode.
func (f *flight) arrive(ctx context.Context, err error) {
	in := f.in
	in.mu.Lock()
	f.uploaded = true
	if f.err == nil && err != nil {
		f.err = in.v.fault(ctx, "volume.Flush", fmt.Sprintf("inode %d", in.ino), err)
	}
	in.mu.Unlock()
	if in.commitReady(commitHere(ctx)) {
		in.release()
		return
	}
	rest := func() {
		defer in.release()
		in.commitReady(commitFlights)
	}
	if !in.v.start(rest) {
		rest()
	}
}

// load is what one chunk is made of: one run as it is, or several packed.
type load struct {
	from, to int // indexes of the first and the last run
	bytes    int
}

// loads divides the flight into chunks: large runs go as they are, small ones are packed.
func (f *flight) loads(packMax int) []load {
	var all []load
	for i, r := range f.runs {
		if n := len(all); n > 0 && !f.alone(i, packMax) && !f.alone(all[n-1].to, packMax) && all[n-1].bytes+r.N <= packMax {
			all[n-1].to, all[n-1].bytes = i, all[n-1].bytes+r.N
			continue
		}
		all = append(all, load{from: i, to: i, bytes: r.N})
	}
	return all
}

// alone tells that run i is a chunk of its own.
func (f *flight) alone(i, packMax int) bool { return f.runs[i].N > packMax/2 }

// inline tells that the flight needs no chunk.
func (f *flight) inline() bool { return f.runs.End() <= honeyant.InlineLimit }

// upload puts the bytes into stores and fills in chunks and extents.
func (f *flight) upload(ctx context.Context) error {
	if f.inline() {
		f.putInline()
		return nil
	}
	loads := f.loads(f.in.v.packMax)
	f.chunks = make([]honeyant.ChunkRef, len(loads))
	extents := make([][]honeyant.Extent, len(loads))
	errs := make([]error, len(loads))
	var wg sync.WaitGroup
	for i := range loads {
		put := func() { f.chunks[i], extents[i], errs[i] = f.put(ctx, loads[i]) }
		if i == len(loads)-1 {
			put() // the last one, mostly the only one, needs no goroutine
			break
		}
		wg.Go(put)
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return err
		}
		f.extents = append(f.extents, extents[i]...)
	}
	return nil
}

// putInline lets the bytes go with the metadata.
func (f *flight) putInline() {
	for _, r := range f.runs {
		f.extents = append(f.extents, honeyant.Extent{Offset: uint64(r.Off), Length: uint32(r.N), Inline: bytes.Clone(r.Bytes())})
	}
}

// put makes one chunk of a load.
func (f *flight) put(ctx context.Context, l load) (honeyant.ChunkRef, []honeyant.Extent, error) {
	v := f.in.v
	if err := v.uploads.take(ctx); err != nil {
		return honeyant.ChunkRef{}, nil, err
	}
	defer v.uploads.give()
	id := f.session.newChunk()
	data := f.runs[l.from].Bytes()
	if l.to > l.from {
		pack, err := v.packs.Take(ctx)
		if err != nil {
			f.session.settle(id)
			return honeyant.ChunkRef{}, nil, err
		}
		defer v.packs.Give(pack)
		data = pack[:0]
	}
	if l.to > l.from {
		for _, r := range f.runs[l.from : l.to+1] {
			data = append(data, r.Bytes()...)
		}
	}
	extents := extentsOf(f.runs[l.from:l.to+1], id, 0)
	ref, err := v.store(ctx, f.in, id, data)
	if err != nil {
		f.session.settle(id)
	}
	return ref, extents, err
}

// land gives back the buffers of the first n flights and wakes who waits for them. in.mu is held.
func (in *inode) land(n int) {
	for _, f := range in.flights[:n] {
		for _, c := range f.chunks {
			if !f.sent || !unsure(f.err) { // else its counters stay pending (V7)
				f.session.settle(c.ID)
			}
		}
		in.v.stats.flying.Add(-f.bytes)
		for _, r := range f.runs {
			in.v.pool.Put(r.Buf)
		}
		close(f.done)
	}
	rest := copy(in.flights, in.flights[n:])
	clear(in.flights[rest:])
	in.flights = in.flights[:rest]
}

// fail loses all bytes of the inode that are not committed. Flights still being uploaded stay in
// line, marked, until their upload ends: they read from their buffers. Those whose commit is being asked for
// get its outcome. in.mu is held.
func (in *inode) fail(err error) {
	if !in.deserted {
		in.v.o.Log.Error("written bytes are lost", "inode", uint64(in.ino), "err", err)
		in.lost(err)
		if in.v.names != nil { // of size and times as if they were not; a closed volume has told all
			in.v.start(func() { in.v.names.tell([]honeyant.Ino{in.ino}, ByOthers) })
		}
	}
	in.drop()
	for _, f := range in.flights {
		if f.asking {
			continue
		}
		if f.err == nil {
			f.err = err
		}
		f.told = true
	}
	n := 0
	for n < len(in.flights) && in.flights[n].uploaded && !in.flights[n].asking {
		n++
	}
	in.land(n)
}

// drop forgets what is dirty. in.mu is held.
func (in *inode) drop() {
	in.trim(0)
	in.killPriv = false
}

// abandon loses what session s had not committed.
func (in *inode) abandon(s *session, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.locks > 0 && in.registered == s {
		in.locks = 0
		in.lost(err)
	}
	doomed := len(in.dirty) > 0
	for _, f := range in.flights {
		doomed = doomed || !f.asking && !f.told
	}
	if doomed {
		in.fail(err)
	}
}
