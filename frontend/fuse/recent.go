package fuse

import (
	"sync"
	"sync/atomic"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
)

// recent spares the leader questions that the kernel asks twice within one system call. With
// timeouts 0 it asks GETATTR for what LOOKUP has just told, component by component, and for a
// directory once to walk through it and once to change it: three of the seven requests of
// stat("a/b/c"). The answer of a moment of the same system call is a right answer (a call takes
// effect somewhere between its start and its end), so nothing is cached from one call to another.
//
// A system call is not visible here. What counts as one: requests of one thread, each at most
// sameCall after the answer before it, in the order in which a path walk makes them. Each answer
// is used once, and any other request of the thread ends the call.
type recent struct {
	within time.Duration
	// off keeps GETATTR from being spared: where the kernel keeps attributes, LOOKUP and GETATTR do not come in pairs, and
	// an answer may be left for the thread's next call.
	off   atomic.Bool
	slots [64]slot // by thread; two threads of one slot only lose the saving
}

type slot struct {
	mu     sync.Mutex
	thread uint32
	last   time.Time // when the last answer was given
	dir    token     // the directory that is being walked or changed
	child  token     // what the last LOOKUP or CREATE found
}

// token is an answer that may be given once more.
type token struct {
	attr honeyant.Attr
	used bool
}

// sameCall is longer than the kernel takes from an answer to the next request of the same
// call, on a busy machine too, and shorter than any change made because of the answer.
const sameCall = time.Millisecond

func (r *recent) slot(thread uint32) *slot { return &r.slots[thread%uint32(len(r.slots))] }

// enter locks the thread's slot, empty unless it belongs to the call that h is part of.
func (r *recent) enter(h *gofuse.InHeader) *slot {
	s := r.slot(h.Pid)
	s.mu.Lock()
	if s.thread != h.Pid || h.Pid == 0 || time.Since(s.last) > r.within {
		s.dir, s.child = token{}, token{}
	}
	s.thread = h.Pid
	return s
}

// attr answers GETATTR from the same call.
func (r *recent) attr(h *gofuse.InHeader) (honeyant.Attr, bool) {
	s := r.enter(h)
	defer s.mu.Unlock()
	s.last = time.Now()
	if r.off.Load() {
		return honeyant.Attr{}, false
	}
	for _, t := range []*token{&s.child, &s.dir} {
		if t.attr.Ino == honeyant.Ino(h.NodeId) && !t.used {
			t.used = true
			a := t.attr
			if t == &s.child {
				s.dir = token{} // the walk ends here, or goes on below a
				if a.IsDir() {
					s.dir = token{attr: a}
				}
			}
			return a, true
		}
	}
	return honeyant.Attr{}, false
}

// answered remembers a GETATTR: of a directory it may be the beginning of a walk.
func (r *recent) answered(h *gofuse.InHeader, a *honeyant.Attr) {
	s := r.enter(h)
	defer s.mu.Unlock()
	s.last, s.dir, s.child = time.Now(), token{}, token{}
	if a.IsDir() {
		s.dir = token{attr: *a}
	}
}

// looking notes a LOOKUP or CREATE in a directory, which keeps only what is known of that one.
func (r *recent) looking(h *gofuse.InHeader) {
	s := r.enter(h)
	defer s.mu.Unlock()
	s.child = token{}
	if s.dir.attr.Ino != honeyant.Ino(h.NodeId) {
		s.dir = token{}
	}
}

// found remembers what a LOOKUP or CREATE answered, nil if nothing.
func (r *recent) found(h *gofuse.InHeader, a *honeyant.Attr, changed bool) {
	s := r.slot(h.Pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thread != h.Pid || h.Pid == 0 {
		return
	}
	s.last = time.Now()
	if a != nil {
		s.child = token{attr: *a}
	}
	if changed {
		s.dir = token{}
	}
}

// untouched tells that the call found the inode as it was made: nobody has changed anything about
// it, so nobody has set an attribute.
func (r *recent) untouched(h *gofuse.InHeader) bool {
	s := r.enter(h)
	defer s.mu.Unlock()
	s.last = time.Now()
	return s.child.attr.Ino == honeyant.Ino(h.NodeId) && s.child.attr.Version == 1
}

// forget ends the thread's call: something happened that is no part of a walk.
func (r *recent) forget(h *gofuse.InHeader) {
	s := r.slot(h.Pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thread == h.Pid {
		s.dir, s.child = token{}, token{}
	}
}
