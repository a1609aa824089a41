package uring

import (
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	inHeaderSize  = int(unsafe.Sizeof(gofuse.InHeader{}))
	outHeaderSize = int(unsafe.Sizeof(gofuse.OutHeader{}))
)

// Opcodes that a transport has to know.
const (
	opWrite       = 16
	opInit        = 26
	opSetLkW      = 33
	opInterrupt   = 36
	opForget      = 2
	opBatchForget = 42
)

// smallPayload is the most that is copied out of the way of the answer: names, never data.
const smallPayload = 4096

// answer answers the request in e, so that e can be committed.
func (s *Server) answer(e *entry) {
	h := *(*gofuse.InHeader)(unsafe.Pointer(&e.headers.inOut))
	status := gofuse.OK
	n := 0
	size := int(e.headers.payloadSize)
	fixed := int(h.Length) - inHeaderSize - size // the operation's own part
	switch {
	case size > len(e.payload) || fixed < 0 || fixed > len(e.headers.opIn):
		s.log.Error("fuse: a request makes no sense", "opcode", h.Opcode, "length", h.Length, "payload", size)
		status = gofuse.EIO
	case h.Opcode == opSetLkW:
		if leave := e.queue.waitForLock(); leave != nil {
			n, status = s.handle(e, h.Opcode, fixed, size)
			leave()
		} else {
			status = gofuse.Status(unix.ENOLCK)
		}
	default:
		n, status = s.handle(e, h.Opcode, fixed, size)
	}
	out := (*gofuse.OutHeader)(unsafe.Pointer(&e.headers.inOut))
	if status != gofuse.OK || n < outHeaderSize { // no answer is one, too: an aborted connection
		if status == gofuse.OK {
			status = gofuse.EIO
		}
		*out = gofuse.OutHeader{Status: -int32(status)}
		n = outHeaderSize
	}
	out.Length, out.Unique = uint32(n), h.Unique
	e.headers.payloadSize = uint32(n - outHeaderSize)
}

// handle calls the file system. Request and answer use the same memory.
func (s *Server) handle(e *entry, opcode uint32, fixed, size int) (n int, status gofuse.Status) {
	payload := e.payload[:size]
	if size <= smallPayload && opcode != opWrite { // the answer to GETXATTR would overwrite the name
		e.small = append(e.small[:0], payload...)
		payload = e.small
	}
	e.in = [...][]byte{e.headers.inOut[:inHeaderSize], e.headers.opIn[:fixed], payload}
	e.out = [...][]byte{e.headers.inOut[:outHeaderSize], e.payload}
	return s.protocol.HandleRequest(e.in[:], e.out[:])
}

// waitForLock tells that one more entry may wait for a lock, and gives what ends that; nil: a quarter of the queue is kept
// for others, who might give it back.
func (q *queue) waitForLock() (leave func()) {
	if q.waiting.Add(1) > int32(q.depth*3/4) {
		q.waiting.Add(-1)
		return nil
	}
	return func() { q.waiting.Add(-1) }
}
