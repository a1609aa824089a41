package volume

import (
	"context"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// recalled gives inodes back that others want, or that can not be kept, in the background.
func (j *journal) recalled(s *session, files []meta.OpenFile) {
	j.stats.recalls.Add(uint64(len(files)))
	var inos []honeyant.Ino
	for _, f := range files {
		if f.Volume == j.v.o.Volume {
			inos = append(inos, f.Ino)
		}
	}
	j.mu.Lock()
	for _, ino := range inos {
		j.shadow.Leave(ino)
		j.leaving[ino]++
	}
	j.mu.Unlock()
	j.v.start(func() {
		left := j.surrender(s, inos)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.left(left)
	})
}

// left ends the leaving of inodes. j.mu is held.
func (j *journal) left(inos []honeyant.Ino) {
	for _, ino := range inos {
		if j.leaving[ino]--; j.leaving[ino] <= 0 {
			delete(j.leaving, ino)
		}
	}
}

// surrender commits what is dirty, flushes, and gives the leases back. The order is what nobody else may
// find broken: no change is made here any more (Leave), bytes are committed to the journal, open files are
// registered at the leader, the journal is flushed, and only then the leases go. It tells what was leaving.
func (j *journal) surrender(s *session, inos []honeyant.Ino) []honeyant.Ino {
	ctx, cancel := context.WithTimeoutCause(j.v.ctx, j.v.o.Deadline, errDeadline)
	defer cancel()
	j.v.sendTogether(inos)
	for _, ino := range inos {
		if err := j.settleData(ctx, ino); err != nil {
			j.v.o.Log.Warn("a recalled file could not be committed", "inode", uint64(ino), "err", err)
		}
	}
	inos = append(inos, j.idleChildren(s, inos)...)
	for {
		if err := j.flush(ctx); err != nil {
			return inos // the leader takes the leases in the end
		}
		j.registerOpen(ctx, inos)
		dropped := false
		j.v.names.forgetDropped(func() []honeyant.Ino {
			if dropped = j.drop(s, inos); !dropped {
				return nil
			}
			j.mu.Lock()
			defer j.mu.Unlock()
			for _, ino := range inos {
				j.returning[ino]++
			}
			return inos
		})
		if dropped {
			break
		}
	}
	j.v.names.tell(inos, ByOthers)
	j.giveBack(s, inos)
	j.v.names.returned(inos)
	return inos
}

// registerOpen tells the leader which of the inodes are open here: from now on their leases do not say so.
func (j *journal) registerOpen(ctx context.Context, inos []honeyant.Ino) {
	for _, ino := range inos {
		in := j.v.peek(ino)
		if in == nil {
			continue
		}
		j.v.mu.Lock()
		open := in.opens > 0
		j.v.mu.Unlock()
		if open {
			if err := in.registerNow(ctx); err != nil {
				j.v.o.Log.Warn("an open file could not be registered", "inode", uint64(ino), "err", err)
			}
		}
		in.release()
	}
}

// idleChildren adds, for directories that others want, what is held below them and not in use: it is likely to be
// wanted next, and each would be a recall of its own. They leave at once.
func (j *journal) idleChildren(s *session, inos []honeyant.Ino) (more []honeyant.Ino) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner != s {
		return nil
	}
	for _, dir := range inos {
		j.shadow.Children(dir, func(child honeyant.Ino, isDir bool) {
			if !isDir && j.shadow.Holds(child) && !j.v.inUse(child) {
				j.shadow.Leave(child)
				j.leaving[child]++
				more = append(more, child)
			}
		})
	}
	return more
}

// giveBack returns leases, of which nothing is left here.
func (j *journal) giveBack(s *session, inos []honeyant.Ino) {
	if len(inos) == 0 || s.holder == nil {
		return
	}
	files := make([]meta.OpenFile, len(inos))
	for i, ino := range inos {
		files[i] = meta.OpenFile{Volume: j.v.o.Volume, Ino: ino}
	}
	ctx, cancel := context.WithTimeoutCause(j.v.ctx, j.v.o.Deadline, errDeadline)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := s.holder.Return(ctx, files)
		if err == nil || s.dead.Load() {
			return
		}
		if pause(ctx, wait) != nil {
			return // the leader takes them when somebody wants them
		}
	}
}

// held lists what the session holds, and what its records rest on, deleted inodes too, for the leader of a new epoch.
func (j *journal) held(s *session) (files []meta.ReclaimedFile) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.owner != s {
		return nil
	}
	inFlight := map[honeyant.Ino]*meta.Touched{} // as the Flush that is under way leaves it
	for _, r := range j.records[:j.sent] {
		for n := range r.touched {
			if r.touched[n].Changed {
				inFlight[r.touched[n].Ino] = &r.touched[n]
			}
		}
	}
	add := func(ino honeyant.Ino) {
		version, ok := j.base[ino]
		if !ok && j.pending[ino] == 0 { // else it was born here: 0, the leader does not know it
			version = j.shadow.Version(ino)
		}
		f := meta.ReclaimedFile{OpenFile: meta.OpenFile{Volume: j.v.o.Volume, Ino: ino}, Version: version}
		if t := inFlight[ino]; t != nil {
			f.SetInFlight(t)
		}
		files = append(files, f)
	}
	j.shadow.Inodes(func(ino honeyant.Ino) { add(ino) })
	for ino := range j.pending {
		if !j.shadow.Has(ino) {
			add(ino)
		}
	}
	return files
}

// lostLeases is told which leases the session lost while it was out of touch. What was changed under them is refused
// by the leader when it is flushed.
func (j *journal) lostLeases(s *session, files []meta.OpenFile) {
	if len(files) > 0 {
		j.v.o.Log.Warn("exclusive leases were lost to others while the leader was out of reach", "inodes", len(files))
		j.recalled(s, files)
	}
}
