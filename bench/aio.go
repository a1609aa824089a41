package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// aio keeps many requests to one file under way from one thread: Linux native AIO,
// io_submit(2), as fio's libaio engine does.
type aio struct {
	context uintptr
	file    *os.File
	slots   []slot
	buf     []byte // page-aligned, a block for each slot
	size    int
}

// slot is a request under way.
type slot struct {
	cb    iocb
	began time.Time
}

// iocb and ioEvent are the kernel's structures: include/uapi/linux/aio_abi.h, little endian.
type iocb struct {
	data   uint64
	_      [2]uint32 // key, rw_flags
	opcode uint16
	_      int16 // priority
	fd     uint32
	buf    uint64
	nbytes uint64
	offset int64
	_      uint64    // reserved
	_      [2]uint32 // flags, resfd
}

type ioEvent struct {
	data uint64
	obj  uint64
	res  int64
	res2 int64
}

const (
	opRead  = 0 // IOCB_CMD_PREAD
	opWrite = 1 // IOCB_CMD_PWRITE
)

// eventWait is for how long at most one call waits for an answer of the disk.
const eventWait = 10 * time.Millisecond

// newAIO prepares depth requests of size bytes each. Errors are those of io_setup(2):
// containers may forbid it.
func newAIO(f *os.File, depth, size int) (*aio, error) {
	buf, err := unix.Mmap(-1, 0, depth*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("memory for the requests: %w", err)
	}
	a := &aio{file: f, slots: make([]slot, depth), buf: buf, size: size}
	copy(buf, noise(len(buf), 6))
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(depth), uintptr(unsafe.Pointer(&a.context)), 0); errno != 0 {
		unix.Munmap(buf)
		return nil, fmt.Errorf("asynchronous disk access (io_setup) is not possible here: %w", errno)
	}
	return a, nil
}

// close waits for what is under way, because the kernel writes into buf until then.
func (a *aio) close() error {
	_, _, errno := unix.Syscall(unix.SYS_IO_DESTROY, a.context, 0, 0)
	err := unix.Munmap(a.buf)
	if errno != 0 {
		return errno
	}
	return err
}

// run keeps all requests under way for d at the offsets that next gives, and returns how
// many ended per second. Latencies go to h.
func (a *aio) run(ctx context.Context, d time.Duration, opcode uint16, next func() int64, h *histogram) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]ioEvent, len(a.slots))
	began, done, flying := time.Now(), 0, 0
	pointers := make([]*iocb, 0, len(a.slots))
	queue := func(i int) {
		s := &a.slots[i]
		s.cb = iocb{data: uint64(i), opcode: opcode, fd: uint32(a.file.Fd()), buf: uint64(uintptr(unsafe.Pointer(&a.buf[i*a.size]))), nbytes: uint64(a.size), offset: next()}
		pointers = append(pointers, &s.cb)
	}
	for i := range a.slots {
		queue(i)
	}
	var fault error
	for flying > 0 || len(pointers) > 0 {
		// One by one, as fio does: a few at once are held back by the kernel (blk_start_plug) until all of them are ready, and the
		// disk has nothing to do meanwhile.
		for i := 0; i < len(pointers) && fault == nil; {
			a.slots[pointers[i].data].began = time.Now()
			n, _, errno := unix.RawSyscall(unix.SYS_IO_SUBMIT, a.context, 1, uintptr(unsafe.Pointer(&pointers[i])))
			switch {
			case errno == 0:
				i += int(n)
				flying += int(n)
			case errno != unix.EINTR && errno != unix.EAGAIN:
				fault = errno
			}
		}
		pointers = pointers[:0]
		if flying == 0 {
			break
		}
		// Raw, so that Go's scheduler does not take the processor away meanwhile and let the thread
		// wait for another one after each answer: that cost a fifth more processor time. The time
		// limit bounds how long the rest of the program, the collector for instance, may have to wait.
		wait := unix.NsecToTimespec(int64(eventWait))
		n, _, errno := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, a.context, 1, uintptr(len(events)), uintptr(unsafe.Pointer(&events[0])), uintptr(unsafe.Pointer(&wait)), 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errors.Join(fault, errno)
		}
		now := time.Now()
		for _, e := range events[:n] {
			flying--
			if e.res != int64(a.size) {
				fault = fmt.Errorf("the disk answered %w", unix.Errno(max(-e.res, 0)))
				continue
			}
			done++
			h.add(now.Sub(a.slots[e.data].began))
			if fault == nil && now.Sub(began) < d && ctx.Err() == nil {
				queue(int(e.data))
			}
		}
	}
	runtime.KeepAlive(a)
	return float64(done) / time.Since(began).Seconds(), fault
}
