package volume

import (
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// emptying is what is known of a program that removes the directories of a directory one after the other, with all that is in
// them: the leases of the next one are asked for while it is busy with this one. What it looks up its kernel may know, so that
// only the removals are seen here.
type emptying struct {
	emptied atomic.Uint64 // inode of which a directory was removed last

	// Guarded by journal.mu.
	listed, named string // the directories in it that followed then, in the order of the listing and in that of names
	byName        bool   // the latter is the program's order, as of who sorts a listing
	busy          bool   // leases are being asked for ahead
}

// goAhead notes that a directory was removed, and asks for those that are likely to be emptied next, with their files.
func (j *journal) goAhead(s *session, removed *meta.Rmdir) {
	j.mu.Lock()
	ok := j.foresee(removed) && !j.busy && j.v.start(func() { j.askAhead(s, removed.Parent, removed.Name) })
	j.busy = j.busy || ok
	j.mu.Unlock()
}

// ahead is how many directories are asked for ahead: one is about to be emptied, and asked for by who does that if it is not there.
const ahead = 2

func (j *journal) askAhead(s *session, dir honeyant.Ino, name string) {
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.busy = false
	}()
	ctx, cancel := j.v.within(j.v.ctx)
	defer cancel()
	for range ahead {
		j.mu.Lock()
		next := j.following(dir, name)
		wanted := next.Ino != 0 && !j.shadow.Has(next.Ino) && j.usable(s) && s.unsettled.Load() == 0 && j.leaving[next.Ino] == 0 && j.mayTake(next.Ino)
		j.mu.Unlock()
		if wanted {
			j.takeLack(ctx, s, lack{ino: next.Ino, children: true}) // who needs it and finds that it is not held asks again
		}
		name = next.Name
	}
}

// foresee learns in which order directories are removed; false if there is no order yet. j.mu is held.
func (j *journal) foresee(removed *meta.Rmdir) bool {
	switch {
	case j.emptied.Swap(uint64(removed.Parent)) != uint64(removed.Parent):
		j.byName = false
	case j.listed != j.named:
		j.byName = j.named == removed.Name || j.byName && j.listed != removed.Name
	}
	listed, named := j.shadow.Following(removed.Parent, removed.Name)
	j.listed, j.named = listed.Name, named.Name
	return listed.Ino != 0 || named.Ino != 0
}

// following is the directory that is likely to be emptied after one. j.mu is held.
func (j *journal) following(dir honeyant.Ino, name string) meta.Subdir {
	listed, named := j.shadow.Following(dir, name)
	if j.byName {
		return named
	}
	return listed
}
