package uring

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// lane serves the requests of the programs on one CPU. One thread of that CPU leads: it waits in the ring and answers on the spot
// what can be expected to be quick; the rest is answered apart, by goroutines, and comes back to be committed. If
// an answer on the spot takes long after all, another thread takes the lead.
type lane struct {
	server *Server
	cpu    int
	ring   *ring
	wake   int // eventfd: told has something new

	// turn<<1, plus 1 while the thread that leads is in the file system. Only the thread whose turn it is may use
	// ring, entries, armed and ended.
	state   atomic.Uint64
	since   atomic.Int64  // when it went in
	op      atomic.Uint32 // what for
	thread  atomic.Int32  // the one whose turn it is
	entries []*entry      // by user data
	armed   bool          // wake is being read
	counter [8]byte       // what the kernel reads from wake goes here

	offer  chan uint64 // a turn, for a thread that had one
	habits habits

	mu       sync.Mutex // guards what follows
	returned []*entry   // answered apart, to be committed
	closing  bool
}

// wakeData is the user data of the read of wake; entries have their index.
const wakeData = 1 << 32

// patience is how long the thread that leads may stay in the file system, asleep or at work.
const (
	patience     = 5 * time.Millisecond
	patienceBusy = 20 * patience
)

func newLane(s *Server, cpu int, entries []*entry) (*lane, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	r, err := newRing(len(entries) + 1)
	if err != nil {
		return nil, errors.Join(err, unix.Close(wake))
	}
	return &lane{server: s, cpu: cpu, ring: r, wake: wake, entries: entries, offer: make(chan uint64)}, nil
}

// open registers the entries on the thread that leads first, and says on registered whether the kernel took them.
func (l *lane) open(registered chan<- error) {
	defer l.server.threads.Done()
	// For good: the kernel works for this thread's entries on it, and it is bound to a CPU. It ends with the goroutine.
	runtime.LockOSThread()
	bind(l.cpu)
	err := l.register()
	registered <- err
	if err == nil {
		l.serve(0)
	}
}

func (l *lane) register() error {
	for i, e := range l.entries {
		if err := e.register(l.ring, uint64(i)); err != nil {
			return err
		}
	}
	if err := l.ring.enter(0); err != nil {
		return err
	}
	return l.ring.refused() // what the kernel does not take completes at once
}

// takeOver is a further thread that leads from turn on.
func (l *lane) takeOver(turn uint64) {
	defer l.server.threads.Done()
	runtime.LockOSThread() // see open
	bind(l.cpu)
	l.serve(turn)
}

// serve leads, waits for another turn when it has lost this one, and so on. The thread may not end before the connection does:
// the kernel would take its entries away.
func (l *lane) serve(turn uint64) {
	l.server.leads.Add(1)
	defer l.server.leads.Add(-1)
	for {
		lost, err := l.lead(turn)
		if err != nil {
			l.server.log.Error("fuse: a thread of the rings ends", "cpu", l.cpu, "error", err)
		}
		if !lost {
			return
		}
		select {
		case turn = <-l.offer:
		case <-l.server.gone:
			return
		}
	}
}

// lead takes requests from the ring until the connection ends, or somebody else leads.
func (l *lane) lead(turn uint64) (lost bool, err error) {
	l.thread.Store(int32(unix.Gettid()))
	for {
		if err := l.listen(); err != nil {
			return false, err
		}
		if err := l.ring.enter(1); err != nil {
			return false, err
		}
		for c, ok := l.ring.pop(); ok; c, ok = l.ring.pop() {
			switch {
			case c.userData == wakeData:
				l.armed = false
				if closing, err := l.told(); closing || err != nil {
					return false, err
				}
			case c.res < 0:
				l.server.ended(c.res)
			default:
				e := l.entries[c.userData]
				op := e.opcode()
				if !l.habits.quick(op) {
					l.server.help(apart{l, e, op})
					continue
				}
				if !l.here(e, op, turn) {
					return true, nil
				}
				if err := e.commit(l.ring, c.userData); err != nil {
					return false, err
				}
			}
		}
	}
}

// here answers on the spot; false: it took so long that somebody else leads now.
func (l *lane) here(e *entry, op uint32, turn uint64) bool {
	began, slept := l.server.now(), sleeps()
	l.since.Store(int64(began))
	l.op.Store(op)
	l.state.Store(turn<<1 | 1)
	l.server.watch.stir()
	if l.server.timed(e, began) >= long && (sleeps() != slept || slept == 0) {
		l.habits.waited(op)
	} else {
		l.habits.went(op)
	}
	if l.state.CompareAndSwap(turn<<1|1, turn<<1) {
		return true
	}
	l.giveBack(e)
	return false
}

// apart answers without anybody waiting for it.
func (l *lane) apart(e *entry, op uint32) {
	if l.server.timed(e, l.server.now()) < long {
		l.habits.short(op)
	}
	l.giveBack(e)
}

// relieve gives the lead to another thread if the one that leads is stuck in the file system.
func (l *lane) relieve(now time.Duration) {
	state := l.state.Load()
	stuck := now - time.Duration(l.since.Load())
	if state&1 == 0 || stuck < patience || stuck < patienceBusy && runs(l.thread.Load()) || !l.state.CompareAndSwap(state, (state>>1+1)<<1) {
		return
	}
	turn := state>>1 + 1
	l.habits.waited(l.op.Load()) // so that the next of the kind is not waited for
	select {
	case l.offer <- turn:
	default:
		l.server.threads.Add(1)
		go l.takeOver(turn)
	}
}

// listen has the kernel read wake.
func (l *lane) listen() error {
	if l.armed {
		return nil
	}
	s := l.ring.next()
	if s == nil {
		return errFull
	}
	s.opcode, s.fd, s.addr, s.length, s.userData = opRead, int32(l.wake), uint64(uintptr(unsafe.Pointer(&l.counter))), uint32(len(l.counter)), wakeData
	l.ring.push()
	l.armed = true
	return nil
}

// told commits what was answered apart.
func (l *lane) told() (closing bool, err error) {
	l.mu.Lock()
	returned := l.returned
	l.returned, closing = nil, l.closing
	l.mu.Unlock()
	for _, e := range returned {
		if err := e.commit(l.ring, e.number); err != nil {
			return closing, err
		}
	}
	return closing, nil
}

// giveBack has the thread that leads commit e.
func (l *lane) giveBack(e *entry) {
	l.mu.Lock()
	l.returned = append(l.returned, e)
	first := len(l.returned) == 1
	l.mu.Unlock()
	if first {
		l.rouse()
	}
}

// close makes the thread that leads end.
func (l *lane) close() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.rouse()
}

func (l *lane) rouse() {
	one := [8]byte{1, 1, 1, 1, 1, 1, 1} // more than none, in either order of bytes
	if _, err := unix.Write(l.wake, one[:]); err != nil && err != unix.EAGAIN {
		l.server.log.Error("fuse: a thread of the rings can not be woken", "cpu", l.cpu, "error", err)
	}
}

func (l *lane) free() {
	l.ring.close()
	_ = unix.Close(l.wake) // nothing is buffered
}

// bind keeps the calling thread on a CPU. Where that is not allowed (a CPU outside of the container's set) it is
// only slower.
func bind(cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set) // see above
}

// opcode of the request in e.
func (e *entry) opcode() uint32 {
	return (*gofuse.InHeader)(unsafe.Pointer(&e.headers.inOut)).Opcode
}

var errFull = errors.New("an io_uring is full: this is a bug")
