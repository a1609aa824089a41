package uring

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The part of linux/io_uring.h that FUSE needs.
const (
	setupSQE128      = 1 << 10 // a command of FUSE takes 80 bytes, a plain entry has room for 16
	setupCoopTaskrun = 1 << 8  // a thread that computes is not interrupted to work for the ring

	enterGetEvents = 1 << 0

	opRead     = 22
	opURingCmd = 46

	offsetRings = 0
	offsetSQEs  = 0x10000000
)

// sqe is struct io_uring_sqe with setupSQE128.
type sqe struct {
	opcode   uint8
	flags    uint8
	ioprio   uint16
	fd       int32
	off      uint64 // of a command: its code
	addr     uint64
	length   uint32
	opFlags  uint32
	userData uint64
	misc     uint64
	cmd      [80]byte
}

// cqe is struct io_uring_cqe.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, resv uint32
	userAddr                                               uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, resv uint32
	userAddr                                               uint64
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wqFd uint32

	resv [3]uint32
	sq   sqOffsets
	cq   cqOffsets
}

// The compiler checks the sizes that the kernel counts on.
var (
	_ [128]byte = [unsafe.Sizeof(sqe{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(cqe{})]byte{}
	_ [120]byte = [unsafe.Sizeof(params{})]byte{}
)

// ring is one io_uring. One thread at a time may use it.
type ring struct {
	fd    int
	rings []byte // both queues
	slots []byte

	sqHead, sqTail *atomic.Uint32
	sqMask         uint32
	sqes           []sqe

	cqHead, cqTail *atomic.Uint32
	cqMask         uint32
	cqes           []cqe
}

// newRing makes a ring with room for at least entries unsent commands.
func newRing(entries int) (*ring, error) {
	p := params{flags: setupSQE128 | setupCoopTaskrun}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &ring{fd: int(fd)}
	size := max(int(p.sq.array)+4*int(p.sqEntries), int(p.cq.cqes)+int(p.cqEntries)*int(unsafe.Sizeof(cqe{})))
	var err error
	r.rings, err = unix.Mmap(r.fd, offsetRings, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err == nil {
		r.slots, err = unix.Mmap(r.fd, offsetSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("mapping an io_uring: %w", err)
	}
	number := func(offset uint32) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&r.rings[offset])) }
	r.sqHead, r.sqTail, r.sqMask = number(p.sq.head), number(p.sq.tail), number(p.sq.mask).Load()
	r.cqHead, r.cqTail, r.cqMask = number(p.cq.head), number(p.cq.tail), number(p.cq.mask).Load()
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.slots[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	for i := range p.sqEntries { // each place of the queue is its own slot
		number(p.sq.array + 4*i).Store(i)
	}
	return r, nil
}

// next is a cleared place for a command, which push sends with the next enter; nil if there is none.
func (r *ring) next() *sqe {
	tail := r.sqTail.Load()
	if tail-r.sqHead.Load() >= uint32(len(r.sqes)) {
		return nil
	}
	e := &r.sqes[tail&r.sqMask]
	*e = sqe{}
	return e
}

func (r *ring) push() { r.sqTail.Store(r.sqTail.Load() + 1) }

// enter sends what was pushed and returns when at least so many completions are there.
func (r *ring) enter(completions uint32) error {
	for {
		unsent := r.sqTail.Load() - r.sqHead.Load()
		if unsent == 0 && r.cqTail.Load()-r.cqHead.Load() >= completions {
			return nil
		}
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(unsent), uintptr(completions), enterGetEvents, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return os.NewSyscallError("io_uring_enter", errno)
		}
	}
}

// pop takes one completion.
func (r *ring) pop() (c cqe, ok bool) {
	head := r.cqHead.Load()
	if head == r.cqTail.Load() {
		return cqe{}, false
	}
	c = r.cqes[head&r.cqMask]
	r.cqHead.Store(head + 1)
	return c, true
}

// refused is the first failure among the completions that are there.
func (r *ring) refused() error {
	for head := r.cqHead.Load(); head != r.cqTail.Load(); head++ {
		if c := r.cqes[head&r.cqMask]; c.res < 0 {
			return fmt.Errorf("the kernel refuses a ring entry: %w", unix.Errno(-c.res))
		}
	}
	return nil
}

func (r *ring) close() {
	if r.slots != nil {
		_ = unix.Munmap(r.slots) // can not fail: it is what Mmap gave
	}
	if r.rings != nil {
		_ = unix.Munmap(r.rings)
	}
	_ = unix.Close(r.fd) // nothing is buffered
}
