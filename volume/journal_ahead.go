package volume

import (
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// emptying is what is known of a program that removes the directories of a directory one after the other, with all that is in
// them: the leases of the next one are asked for while it is busy with this one.
type emptying struct {
	emptied atomic.Uint64 // inode of which a directory was removed last

	// Guarded by journal.mu.
	at     string // the directory in it that was looked up last, and is likely to be removed next
	byName bool   // the order is that of names, as of who sorts a listing, else that of the listing
	asking bool   // leases are being asked for
}

// empties notes that a directory in dir was removed. j.mu is held.
func (j *journal) empties(dir honeyant.Ino) {
	if j.emptied.Swap(uint64(dir)) != uint64(dir) {
		j.at = ""
	}
}

// goAhead asks for the directory that is likely to be emptied after the one that was just looked up, with its files.
func (j *journal) goAhead(s *session, lookup *meta.Lookup) {
	j.mu.Lock()
	next := j.next(s, lookup)
	j.asking = j.asking || next != 0
	j.mu.Unlock()
	if next == 0 {
		return
	}
	asked := func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asking = false
	}
	if !j.v.start(func() {
		defer asked()
		ctx, cancel := j.v.within(j.v.ctx)
		defer cancel()
		j.takeLack(ctx, s, lack{ino: next, children: true}) // who needs it and finds that it is not held asks again
	}) {
		asked()
	}
}

// next tells which directory to ask for, 0: none. j.mu is held.
func (j *journal) next(s *session, lookup *meta.Lookup) honeyant.Ino {
	name := lookup.Name
	if _, kind, ok := j.shadow.Child(lookup.Parent, name); !ok || kind != honeyant.ModeDir || name == j.at || j.asking || !j.usable(s) || s.unsettled.Load() != 0 {
		return 0
	}
	listed, named := j.shadow.Following(lookup.Parent, j.at)
	if j.at != "" && listed.Name != named.Name {
		j.byName = named.Name == name || j.byName && listed.Name != name
	}
	j.at = name
	listed, named = j.shadow.Following(lookup.Parent, name)
	if j.byName {
		listed = named
	}
	if listed.Ino == 0 || j.shadow.Has(listed.Ino) || j.leaving[listed.Ino] > 0 || !j.mayTake(listed.Ino) {
		return 0
	}
	return listed.Ino
}
