package volume

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/extents"
)

// commitReady commits flights from the front for as long as they are uploaded; false: commit refused to, and they are still
// there. Only one goroutine does so at a time.
func (in *inode) commitReady(commit committer) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.committing {
		return true
	}
	in.committing = true
	defer func() { in.committing = false }()
	for len(in.flights) > 0 && in.flights[0].uploaded {
		if first := in.flights[0]; first.err != nil {
			if !first.told {
				in.fail(first.err)
			} else {
				in.land(1)
			}
			continue
		}
		n := in.together()
		batch := append([]*flight(nil), in.flights[:n]...)
		for _, f := range batch {
			f.sent, f.asking = true, true
		}
		in.mu.Unlock()
		sent := time.Now()
		op, reply, ok, err := commit(batch)
		err = lasting(in, "volume.Flush", err)
		in.mu.Lock()
		for _, f := range batch {
			f.asking = false
			f.sent = ok
		}
		if !ok {
			return false
		}
		if err != nil {
			in.fail(err)
			continue
		}
		if in.committed(n, reply, sent, op.Extents, op.Chunks) && in.v.names != nil {
			in.mu.Unlock()
			in.v.names.tell([]honeyant.Ino{in.ino}, ByOthers)
			in.mu.Lock()
		}
	}
	return true
}

// together is how many flights from the front can be committed in one operation: uploaded, of one
// session, ascending without overlap, and not too many. in.mu is held.
func (in *inode) together() int {
	n, extents, chunks := 0, 0, 0
	for _, f := range in.flights {
		if !f.uploaded || f.err != nil || n > 0 && (f.keepTimes != in.flights[0].keepTimes || f.session != in.flights[0].session || f.runs[0].Off < in.flights[n-1].runs.End()) {
			break
		}
		extents, chunks = extents+len(f.extents), chunks+len(f.chunks)
		if n > 0 && (extents > maxCommitExtents || chunks > maxCommitChunks) {
			break
		}
		n++
	}
	return n
}

const (
	maxCommitExtents = 1024
	maxCommitChunks  = 64
	// maxRuns bounds the dirty runs of an inode, and so the extents of a flight.
	maxRuns = 1024
)

// committed takes the first n flights off, and tells whether that changes attributes that may have been told before: what
// was written has shown in them since then (merged), so mostly it does not. in.mu is held.
func (in *inode) committed(n int, reply *meta.CommitReply, sent time.Time, extents []honeyant.Extent, chunks []honeyant.ChunkRef) (changes bool) {
	known, told := in.known && reply.Attr.Version == in.attr.Version+1, in.merged(in.attr)
	// If nobody else changed the file in between, what is remembered stays right with the new extents put in.
	if known {
		in.ext.Patch(extents, chunks)
		in.attr.Version++
	}
	in.learn(reply.Attr, sent)
	for _, f := range in.flights[:n] {
		in.v.stats.written.Add(uint64(f.bytes))
		in.v.took(f.bytes)
		in.v.stats.chunksWritten.Add(uint64(len(f.chunks)))
	}
	in.land(n)
	now := in.merged(in.attr)
	now.Version = told.Version // nobody is told of it
	return !known || now != told
}

// commitOf makes one commit of flights that follow each other.
func commitOf(batch []*flight) *meta.Commit {
	first := batch[0]
	extents, chunks, killPriv := first.extents, first.chunks, first.killPriv
	for _, f := range batch[1:] {
		extents = append(extents[:len(extents):len(extents)], f.extents...)
		chunks = append(chunks[:len(chunks):len(chunks)], f.chunks...)
		killPriv = killPriv || f.killPriv
	}
	return &meta.Commit{
		Volume: first.in.v.o.Volume, Ino: first.in.ino, Chunks: chunks, Extents: extents, KillPriv: killPriv, KeepTimes: first.keepTimes, At: batch[len(batch)-1].at,
		Written: first.since,
	}
}

// committer makes one commit of flights; ok false: it did not, for this was not the way to.
type committer func(batch []*flight) (op *meta.Commit, reply *meta.CommitReply, ok bool, err error)

// commitFlights is the committer that goes on until the outcome is known or time is up.
func commitFlights(batch []*flight) (op *meta.Commit, reply *meta.CommitReply, ok bool, err error) {
	for retry := 0; ; retry++ {
		op = commitOf(batch)
		if reply, err = commitOnce(batch, op); !again(batch, err, retry) {
			return op, reply, true, err
		}
		if err = reupload(batch); err != nil {
			return op, nil, true, err
		}
	}
}

// commitOnce carries the commit of flights out.
func commitOnce(batch []*flight, op *meta.Commit) (*meta.CommitReply, error) {
	first := batch[0]
	v := first.in.v
	// A flight that waited long for its turn gets some time all the same.
	left := max(v.o.Deadline-time.Since(first.began), v.o.Deadline/4)
	ctx, cancel := context.WithTimeoutCause(v.ctx, left, errDeadline)
	defer cancel()
	reply, err := v.commit(ctx, first.session, op)
	if err != nil {
		err = v.fault(ctx, "volume.Flush", fmt.Sprintf("inode %d", first.in.ino), err)
	}
	return reply, err
}

// commitHere is a committer that asks nobody: it is for what the journal takes at once.
func commitHere(ctx context.Context) committer {
	return func(batch []*flight) (op *meta.Commit, reply *meta.CommitReply, ok bool, err error) {
		op = commitOf(batch)
		reply, ok = batch[0].in.v.journal.atOnce(ctx, batch[0].session, op)
		return op, reply, ok, nil
	}
}

// commit carries a commit out under the session that made its chunks. One that is too large, or
// replaces too many extents at once, is divided; one that finds no room is tried again for a while.
func (v *Volume) commit(ctx context.Context, s *session, op *meta.Commit) (*meta.CommitReply, error) {
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if s.dead.Load() {
			return nil, honeyant.Fenced
		}
		op.LowWater = s.lowWater()
		reply, err := meta.Do(ctx, under{v, s}, op)
		switch honeyant.KindOf(err) {
		case honeyant.Fenced:
			v.fence(s)
			return nil, err
		case honeyant.NoSpace:
			if time.Since(began) >= v.o.SpaceWait {
				return nil, err
			}
		case honeyant.TooLarge, honeyant.OutOfRange:
			lower, upper := halves(op.Extents)
			if lower == nil || op.Append {
				return nil, err
			}
			return v.commitParts(ctx, s, op, lower, upper)
		default:
			return reply, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// halves divides extents in two, a single one in its middle; nil if there is nothing to divide.
func halves(all []honeyant.Extent) (lower, upper []honeyant.Extent) {
	if half := len(all) / 2; half > 0 {
		return all[:half], all[half:]
	}
	if len(all) == 0 || all[0].Length < 2 {
		return nil, nil
	}
	from, to := int64(all[0].Offset), int64(all[0].End())
	mid := from + (to-from)/2
	return []honeyant.Extent{extents.Cut(all[0], from, mid)}, []honeyant.Extent{extents.Cut(all[0], mid, to)}
}

// commitParts commits the lower extents, then the upper ones.
func (v *Volume) commitParts(ctx context.Context, s *session, op *meta.Commit, parts ...[]honeyant.Extent) (*meta.CommitReply, error) {
	var reply *meta.CommitReply
	for _, some := range parts {
		piece := *op
		piece.Extents, piece.Chunks = some, nil
		for _, c := range op.Chunks {
			for i := range some {
				if some[i].Chunk == c.ID {
					piece.Chunks = append(piece.Chunks, c)
					break
				}
			}
		}
		var err error
		if reply, err = v.commit(ctx, s, &piece); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

// again tells whether a refused commit may succeed with new chunks: because policy or membership changed
// since they were placed (Conflict), or because a chunk is dead already (Stale, which may also mean
// that the file is gone).
func again(batch []*flight, err error, retry int) bool {
	switch honeyant.KindOf(err) {
	case honeyant.Conflict:
		return time.Since(batch[0].began) < batch[0].in.v.o.Deadline
	case honeyant.Stale:
		return retry == 0
	}
	return false
}

// lasting makes Unavailable of a Conflict that has been waited for long enough: to a program it would say that
// nothing was lost and that it should try again.
func lasting(in *inode, op string, err error) error {
	if honeyant.KindOf(err) != honeyant.Conflict {
		return err
	}
	return honeyant.E(op, honeyant.Unavailable, in.object(), err)
}

// reupload makes new chunks of flights whose commit was refused.
func reupload(batch []*flight) error {
	v := batch[0].in.v
	left := max(v.o.Deadline-time.Since(batch[0].began), v.o.Deadline/4)
	ctx, cancel := context.WithTimeoutCause(v.ctx, left, errDeadline)
	defer cancel()
	if err := pause(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	v.forgetPolicies(batch[0].in)
	for _, f := range batch {
		for _, c := range f.chunks {
			f.session.settle(c.ID)
		}
		f.chunks, f.extents = nil, nil
		if err := f.upload(ctx); err != nil {
			return v.fault(ctx, "volume.Flush", f.in.object(), err)
		}
	}
	return nil
}
