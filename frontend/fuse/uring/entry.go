package uring

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of enum fuse_uring_cmd.
const (
	cmdRegister       = 1
	cmdCommitAndFetch = 2
)

// headers is struct fuse_uring_req_header: what the kernel and the daemon exchange beside the payload.
//
// A request: inOut holds struct fuse_in_header, opIn the fixed part of the operation, the payload the rest (names, data).
// An answer: inOut holds struct fuse_out_header, the payload everything else.
type headers struct {
	inOut [128]byte
	opIn  [128]byte
	// struct fuse_uring_ent_in_out
	flags       uint64
	commitID    uint64
	payloadSize uint32
	_           uint32
	_           uint64
}

// command is struct fuse_uring_cmd_req, in the command of an sqe.
type command struct {
	flags    uint64
	commitID uint64
	queue    uint16
	_        [6]byte
}

var (
	_ [288]byte = [unsafe.Sizeof(headers{})]byte{}
	_ [24]byte  = [unsafe.Sizeof(command{})]byte{}
)

// headerRoom is the space for the headers of an entry.
const headerRoom = 512

// entry is room for one request, registered with a queue of the kernel. Whoever got it from a ring owns it, until
// it is committed.
type entry struct {
	queue   *queue
	number  uint64 // among those of its lane: its user data
	headers *headers
	payload []byte
	iov     [2]unix.Iovec // read by the kernel when the entry is registered

	// Of the request under way, kept from one to the next: what a call is given would else be made for each.
	small []byte // names
	in    [3][]byte
	out   [2][]byte
}

// arena is the memory of a queue's entries. It is mapped, not touched: an entry that never carried a large request
// takes a page or none.
type arena []byte

func newArena(entries, payload int) (arena, error) {
	size := entries*headerRoom + os.Getpagesize()
	size = size&^(os.Getpagesize()-1) + entries*payload
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("%d bytes for requests: %w", size, err)
	}
	// A huge page would make 2 MiB resident for each byte that is touched. Refused without support for them: as well.
	_ = unix.Madvise(m, unix.MADV_NOHUGEPAGE)
	return m, nil
}

// entries cuts the arena.
func (a arena) entries(q *queue, n, payload int) []*entry {
	all := make([]*entry, n)
	top := len(a) - n*payload
	for i := range all {
		e := &entry{queue: q, headers: (*headers)(unsafe.Pointer(&a[i*headerRoom])), payload: a[top+i*payload : top+(i+1)*payload]}
		e.iov[0].Base = &a[i*headerRoom]
		e.iov[0].SetLen(int(unsafe.Sizeof(headers{})))
		e.iov[1].Base = &e.payload[0]
		e.iov[1].SetLen(payload)
		all[i] = e
	}
	return all
}

func (a arena) free() {
	if a != nil {
		_ = unix.Munmap(a) // can not fail: it is what Mmap gave
	}
}

// register gives an entry to the kernel, by way of r.
func (e *entry) register(r *ring, userData uint64) error {
	return e.send(r, cmdRegister, userData)
}

// commit answers the request in e and makes r's thread the one that gets the next.
func (e *entry) commit(r *ring, userData uint64) error {
	return e.send(r, cmdCommitAndFetch, userData)
}

func (e *entry) send(r *ring, code uint64, userData uint64) error {
	s := r.next()
	if s == nil {
		return errFull
	}
	s.opcode, s.fd, s.off, s.userData = opURingCmd, int32(e.queue.server.fd), code, userData
	c := (*command)(unsafe.Pointer(&s.cmd))
	c.queue = e.queue.id
	if code == cmdRegister {
		s.addr, s.length = uint64(uintptr(unsafe.Pointer(&e.iov[0]))), uint32(len(e.iov))
	} else {
		c.commitID = e.headers.commitID
	}
	r.push()
	return nil
}
