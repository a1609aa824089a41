package uring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spare is the thread that holds the entries which no request has come to yet, of all queues. The kernel prefers the entry that
// was committed last, so one of these is taken only if all those with threads of their own are busy: it then gets
// a thread, for good. There are as many threads as there were ever requests at once, and a request never waits
// for one that waits for it.
type spare struct {
	server  *Server
	entries []*entry // by user data
	wake    int      // eventfd

	mu       sync.Mutex // guards what follows
	returned []*entry   // answered, to be committed here
	closing  bool
}

// User data of the read of wake; entries have their index.
const wakeData = 1 << 32

func newSpare(s *Server) (*spare, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &spare{server: s, wake: wake}
	for _, q := range s.queues {
		p.entries = append(p.entries, q.arena.entries(q, q.depth, s.layout.Payload)...)
	}
	return p, nil
}

// run is the thread. It says on made whether it has a ring, registers its entries when go on start says so, and
// says on made again whether the kernel took them.
func (p *spare) run(made chan<- error, start <-chan bool) {
	defer p.server.threads.Done()
	runtime.LockOSThread() // for good: the kernel works for the ring on this thread
	r, err := newRing(len(p.entries) + 1)
	made <- err
	if err != nil {
		return
	}
	defer r.close()
	if !<-start {
		return
	}
	err = p.register(r)
	made <- err
	if err != nil {
		return
	}
	if err := p.serve(r); err != nil {
		p.server.log.Error("fuse: the spare thread ends", "error", err)
	}
}

func (p *spare) register(r *ring) error {
	for i, e := range p.entries {
		if err := e.register(r, uint64(i)); err != nil {
			return err
		}
	}
	if err := r.enter(0); err != nil {
		return err
	}
	// What the kernel refuses completes at once. A request may complete, too, but not as a failure.
	for head := r.cqHead.Load(); head != r.cqTail.Load(); head++ {
		if res := r.cqes[head&r.cqMask].res; res < 0 {
			return fmt.Errorf("the kernel refuses a ring entry: %w", unix.Errno(-res))
		}
	}
	return nil
}

func (p *spare) serve(r *ring) error {
	var counter [8]byte
	var pinned runtime.Pinner
	pinned.Pin(&counter)
	defer pinned.Unpin()
	armed := false
	for {
		if !armed {
			s := r.next()
			if s == nil {
				return errors.New("an io_uring is full: this is a bug")
			}
			s.opcode, s.fd, s.addr, s.length, s.userData = opRead, int32(p.wake), uint64(uintptr(unsafe.Pointer(&counter))), uint32(len(counter)), wakeData
			r.push()
			armed = true
		}
		if err := r.enter(1); err != nil {
			return err
		}
		for c, ok := r.pop(); ok; c, ok = r.pop() {
			switch {
			case c.userData == wakeData:
				armed = false
				closing, returned := p.told()
				if closing {
					return nil
				}
				for _, e := range returned {
					if err := e.commit(r, p.index(e)); err != nil {
						return err
					}
				}
			case c.res < 0:
				p.server.ended(c.res)
			default:
				e := p.entries[c.userData]
				p.server.threads.Add(1)
				go e.queue.work(e)
			}
		}
	}
}

func (p *spare) index(e *entry) uint64 {
	for i := range p.entries {
		if p.entries[i] == e {
			return uint64(i)
		}
	}
	return 0 // all entries are there
}

func (p *spare) told() (closing bool, returned []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	returned, p.returned = p.returned, nil
	return p.closing, returned
}

// giveBack commits an answered entry on the spare thread, which keeps it.
func (p *spare) giveBack(e *entry) {
	p.mu.Lock()
	p.returned = append(p.returned, e)
	p.mu.Unlock()
	p.rouse()
}

// close ends the thread.
func (p *spare) close() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.rouse()
}

func (p *spare) rouse() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	if _, err := unix.Write(p.wake, one[:]); err != nil {
		p.server.log.Error("fuse: the spare thread can not be woken", "error", err) // can not happen: the counter holds 2^64
	}
}
