package uring

import (
	"errors"
	"time"
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// What still comes over /dev/fuse: INIT, FORGET and INTERRUPT, requests from before the queues were
// there, and the news that the connection has ended.

// readBuffer is what the kernel wants to see room for, at the least.
func (s *Server) readBuffer() []byte {
	return make([]byte, max(8192, s.layout.Payload+4096))
}

// init answers INIT, the first request of a connection.
func (s *Server) init(buffer []byte) error {
	n, err := s.read(buffer)
	if err != nil {
		return err
	}
	in := (*gofuse.InitIn)(unsafe.Pointer(&buffer[0]))
	if n < inHeaderSize || in.Opcode != opInit {
		return errors.New("the kernel does not begin with INIT")
	}
	if in.Flags64()&gofuse.CAP_OVER_IO_URING == 0 {
		return ErrNotOffered
	}
	return s.reply(buffer[:n])
}

// read takes one request. ENODEV: the connection has ended.
func (s *Server) read(buffer []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, buffer)
		// ENOENT: the request was taken back before it was read.
		if err != unix.EINTR && err != unix.ENOENT && err != unix.EAGAIN {
			return n, err
		}
	}
}

// reply answers one request that came over the device.
func (s *Server) reply(request []byte) error {
	out := make([]byte, outHeaderSize+s.layout.Payload)
	h := *(*gofuse.InHeader)(unsafe.Pointer(&request[0]))
	n, status := s.protocol.HandleRequest([][]byte{request}, [][]byte{out})
	if status != gofuse.OK {
		n = outHeaderSize
		*(*gofuse.OutHeader)(unsafe.Pointer(&out[0])) = gofuse.OutHeader{Length: uint32(n), Status: -int32(status), Unique: h.Unique}
	}
	if n == 0 {
		return nil
	}
	for {
		if _, err := unix.Write(s.fd, out[:n]); err != unix.EINTR {
			return err
		}
	}
}

// gather is how long FORGETs are left to pile up: to be woken for each costs more than a tenth of removing a file.
const gather = 2 * time.Millisecond

// listen serves the device until the connection ends.
func (s *Server) listen() {
	buffer := s.readBuffer()
	for {
		n, err := s.read(buffer)
		if err == unix.ENODEV {
			return
		}
		if err != nil || n < inHeaderSize {
			s.log.Error("fuse: reading the device", "bytes", n, "error", err)
			time.Sleep(100 * time.Millisecond) // no known error gets here
			continue
		}
		switch (*gofuse.InHeader)(unsafe.Pointer(&buffer[0])).Opcode {
		case opForget, opBatchForget:
			s.protocol.HandleRequest([][]byte{buffer[:n]}, nil) // has no answer
			time.Sleep(gather)                                  // nobody waits, and the kernel tells many at once
		case opInterrupt:
			s.threads.Add(1)
			go s.interrupt(append([]byte(nil), buffer[:n]...))
		default:
			s.threads.Add(1)
			request := append([]byte(nil), buffer[:n]...)
			go func() {
				defer s.threads.Done()
				if err := s.reply(request); err != nil && err != unix.ENOENT && err != unix.ENODEV {
					s.log.Warn("fuse: an answer does not reach the kernel", "error", err)
				}
			}()
		}
	}
}

// interrupt tells a request under way that its program got a signal. The request may not have come out of its ring yet, or
// have been answered already: it is looked for a few times.
func (s *Server) interrupt(request []byte) {
	defer s.threads.Done()
	out := make([]byte, 256)
	for wait := time.Millisecond; wait < time.Second; wait *= 4 {
		n, status := s.protocol.HandleRequest([][]byte{request}, [][]byte{out})
		if status != gofuse.OK || n == 0 {
			return
		}
		select {
		case <-s.gone:
			return
		case <-time.After(wait):
		}
	}
}
