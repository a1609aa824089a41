package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// flush returns when all that was changed before is on a quorum's stable storage, or is lost, which the inodes
// concerned remember (inode.errs).
func (j *journal) flush(ctx context.Context) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	want := j.made
	if want > j.wanted && want > j.done {
		j.wanted = want
		j.kick()
	}
	for j.done < want {
		moved := j.whenMoved(true)
		j.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		j.mu.Lock()
	}
	j.mu.Unlock()
	return nil
}

// run sends what is due until the volume is closed.
func (j *journal) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s, batch, wait := j.due()
		switch {
		case len(batch) > 0:
			j.send(s, batch)
			continue
		case s != nil && j.refill(s):
			continue
		}
		timer.Reset(wait)
		select {
		case <-j.wake:
		case <-timer.C:
		case <-j.v.ctx.Done():
			return
		}
	}
}

// due takes the records of the next Flush, without taking them off, or tells how long to wait for some.
func (j *journal) due() (s *session, batch []*journalRecord, wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner == nil || len(j.records) == 0 {
		return j.owner, nil, time.Hour
	}
	if age, limit := time.Since(j.oldest), heldRecord(j.v.o.FlushInterval); j.wanted <= j.done && j.bytes < j.enough && age < limit {
		return j.owner, nil, limit - age
	}
	var size int64
	for n, r := range j.records {
		if n == journalBatch || n > 0 && size+r.size > journalBatchSize {
			break
		}
		size += r.size
		batch = append(batch, r)
	}
	return j.owner, batch, 0
}

// send carries one Flush out, however often it takes, until its outcome is known or time is up.
func (j *journal) send(s *session, batch []*journalRecord) {
	began := time.Now()
	reply, err := j.ask(s, batch)
	for wait := 20 * time.Millisecond; honeyant.KindOf(err) == honeyant.NoSpace && err != nil && time.Since(began) < j.v.o.SpaceWait; wait = min(2*wait, time.Second) {
		if pause(j.v.ctx, wait) != nil {
			break
		}
		reply, err = j.ask(s, batch)
	}
	j.stats.flushes.Add(1)
	if took := int64(time.Since(began)); took > j.stats.slowest.Load() {
		j.stats.slowest.Store(took)
	}
	switch kind := honeyant.KindOf(err); {
	case err == nil:
		j.acknowledge(s, batch, reply)
	case kind == honeyant.Fenced:
		j.v.fence(s)
	case (kind == honeyant.TooLarge || kind == honeyant.OutOfRange) && len(batch) > 1:
		j.send(s, batch[:len(batch)/2])
	default:
		j.giveUp(s, err)
	}
}

func (j *journal) ask(s *session, batch []*journalRecord) (*meta.FlushReply, error) {
	op := &meta.Flush{Volume: j.v.o.Volume, LowWater: s.lowWater()} // below the chunks of these records, too
	for _, r := range batch {
		op.Records = append(op.Records, r.rec)
	}
	j.mu.Lock()
	if j.owner == s && len(j.records) >= len(batch) && j.records[0] == batch[0] {
		j.sent = len(batch)
	}
	j.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(j.v.ctx, j.v.o.Deadline, errDeadline)
	defer cancel()
	r, held, err := s.leaser.DoLeased(ctx, op, meta.Want{Settled: func() { s.unsettled.Add(-1) }})
	if held.Open {
		s.unsettled.Add(1)
	}
	reply, ok := r.(*meta.FlushReply)
	if err == nil && !ok {
		err = honeyant.E("volume.Flush", honeyant.Internal, "", fmt.Errorf("reply has type %T", r))
	}
	return reply, err
}

// acknowledge takes off what the leader has carried out or refused.
func (j *journal) acknowledge(s *session, batch []*journalRecord, reply *meta.FlushReply) {
	refused := map[int]honeyant.Kind{}
	last := -1
	var kind honeyant.Kind
	for _, r := range reply.Refused {
		refused[int(r.Index)] = r.Kind
		last, kind = int(r.Index), r.Kind
	}
	j.mu.Lock()
	if j.owner != s || len(j.records) < len(batch) || j.records[0] != batch[0] {
		j.mu.Unlock()
		return // all is lost already
	}
	if reply.Full {
		j.full = time.Now().Add(fullPause)
	}
	var lost []*journalRecord
	for n, r := range batch {
		why, bad := refused[n]
		if reply.Rest && n > last {
			why, bad = kind, true
		}
		j.settle(s, r)
		if bad {
			r.rec.Ino = 0
			lost = append(lost, r)
			j.v.o.Log.Error("the leader refused a change that was made here", "op", r.rec.Op.Code().String(), "err", why)
			continue
		}
		for _, t := range r.touched {
			if t.Changed && (j.shadow.Has(t.Ino) || j.pending[t.Ino] > 0) { // held, or deleted by a record to come
				j.base[t.Ino] = t.Version
			}
		}
	}
	j.takeOff(len(batch))
	j.sent = 0
	j.mu.Unlock()
	var deleted []honeyant.Ino
	for some := range slices.Chunk(batch, heldAtOnce) {
		j.mu.LetOthers()
		deleted = append(deleted, j.v.names.forgetDropped(func() []honeyant.Ino { return j.dropDeleted(s, some) })...)
	}
	if len(lost) > 0 {
		if kind != honeyant.NoSpace { // what to call it is the leader's business: here it is lost
			kind = honeyant.Unavailable
		}
		j.loseRecords(s, lost, honeyant.E("volume.Flush", kind, "", errors.New("refused by the leader: the lease was lost to somebody else")))
	}
	j.giveBack(s, deleted)
	j.makeRoom(s)
}

// settle says that no commit of the record's chunks is under way any more. j.mu is held.
func (j *journal) settle(s *session, r *journalRecord) {
	for _, id := range r.chunks {
		s.settle(id)
	}
	for _, t := range r.touched {
		if t.Changed {
			if j.pending[t.Ino]--; j.pending[t.Ino] <= 0 {
				delete(j.pending, t.Ino)
			}
		}
	}
	j.bytes -= r.size
}

// takeOff removes the first n records. j.mu is held.
func (j *journal) takeOff(n int) {
	j.done = j.records[n-1].seq
	rest := copy(j.records, j.records[n:])
	clear(j.records[rest:])
	j.records = j.records[:rest]
	j.oldest = time.Time{}
	for _, r := range j.records {
		if j.oldest.IsZero() || r.at.Before(j.oldest) {
			j.oldest = r.at
		}
	}
	j.notify()
}

// dropDeleted lets go of inodes of which nothing is left here, whose leases the leader may forget.
func (j *journal) dropDeleted(s *session, batch []*journalRecord) (gone []honeyant.Ino) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner != s {
		return nil
	}
	for _, r := range batch {
		for _, t := range r.touched {
			if !t.Changed || j.pending[t.Ino] > 0 {
				continue
			}
			if a, ok := j.shadow.Attr(t.Ino); ok && a.Nlink == 0 && !j.v.isOpen(t.Ino) {
				j.shadow.Drop(t.Ino)
			}
			if !j.shadow.Has(t.Ino) {
				delete(j.base, t.Ino)
				gone = append(gone, t.Ino)
			}
		}
	}
	return gone
}

// loseRecords tells the files concerned that changes of theirs are lost, and gives up what is held of them.
func (j *journal) loseRecords(s *session, lost []*journalRecord, err error) {
	seen := map[honeyant.Ino]bool{}
	var files []meta.OpenFile
	for _, r := range lost {
		j.stats.lost.Add(1)
		for _, t := range r.touched {
			if !seen[t.Ino] {
				seen[t.Ino] = true
				files = append(files, meta.OpenFile{Volume: j.v.o.Volume, Ino: t.Ino})
				if t.Changed {
					j.v.loseInode(t.Ino, err)
				}
			}
		}
	}
	if len(files) > 0 {
		j.recalled(s, files)
	}
}

// loseInode makes each descriptor that is open on an inode tell an error.
func (v *Volume) loseInode(ino honeyant.Ino, err error) {
	in := v.peek(ino)
	if in == nil {
		v.stats.lostWrites.Add(1)
		return
	}
	defer in.release()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.fail(err)
}

// giveUp loses all that the leader does not know.
func (j *journal) giveUp(s *session, err error) {
	j.mu.Lock()
	if j.owner != s {
		j.mu.Unlock()
		return
	}
	lost := j.records
	var held []meta.OpenFile
	j.shadow.Inodes(func(ino honeyant.Ino) {
		held = append(held, meta.OpenFile{Volume: j.v.o.Volume, Ino: ino})
	})
	for _, r := range lost {
		for _, id := range r.chunks {
			if !unsure(err) { // else its counters stay pending (V7)
				s.settle(id)
			}
		}
	}
	j.clear()
	j.mu.Unlock()
	j.v.o.Log.Error("changes of names and attributes are lost", "records", len(lost), "err", err)
	told := map[honeyant.Ino]bool{}
	for _, r := range lost {
		j.stats.lost.Add(1)
		for _, t := range r.touched {
			if t.Changed && !told[t.Ino] {
				told[t.Ino] = true
				j.v.loseInode(t.Ino, honeyant.E("volume.Flush", honeyant.KindOf(err), fmt.Sprintf("inode %d", t.Ino), err))
			}
		}
	}
	j.recalled(s, held)
}

// abandon loses what session s had not told the leader, since it is dead.
func (j *journal) abandon(s *session, err error) {
	if j == nil {
		return
	}
	j.mu.Lock()
	if j.owner != s {
		j.mu.Unlock()
		return
	}
	lost := j.records
	j.clear()
	j.owner = nil
	j.mu.Unlock()
	told := map[honeyant.Ino]bool{}
	for _, r := range lost {
		j.stats.lost.Add(1)
		for _, t := range r.touched {
			if t.Changed && !told[t.Ino] {
				told[t.Ino] = true
				j.v.loseInode(t.Ino, err)
			}
		}
	}
}
