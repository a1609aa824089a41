package uring

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// queue is the kernel's queue of requests of the programs on one CPU.
type queue struct {
	server *Server
	id     uint16 // the CPU's number
	arena  arena
	depth  int

	waiting atomic.Int32 // entries that wait for a lock
}

// work is a thread of the queue's CPU that owns one entry: it answers the request that is in it, commits the answer,
// sleeps until the next request is there, all in one system call, and so on until the connection ends. It answers on
// the spot, however long that takes: the other requests of the CPU have other entries.
func (q *queue) work(e *entry) {
	defer q.server.threads.Done()
	runtime.LockOSThread() // for good: the thread ends with the goroutine, since it is bound to a CPU
	bind(q.id)
	r, err := newRing(1)
	if err != nil {
		// Too many open files, or no memory. The request must be answered all the same.
		q.server.log.Warn("fuse: no ring for one more thread, answering slowly", "error", err)
		q.server.answer(e)
		q.server.spare.giveBack(e)
		return
	}
	defer r.close()
	q.server.workers.Add(1)
	defer q.server.workers.Add(-1)
	for {
		q.server.answer(e)
		if err := e.commit(r, 0); err != nil {
			q.server.log.Error("fuse: an answer can not be committed", "error", err)
			return
		}
		if err := r.enter(1); err != nil {
			q.server.log.Error("fuse: a thread ends", "cpu", q.id, "error", err)
			return
		}
		if c, ok := r.pop(); !ok || c.res < 0 {
			q.server.ended(c.res)
			return
		}
	}
}

// bind keeps the calling thread on a CPU. Where that is not allowed (a CPU outside of the container's set) it is
// only slower.
func bind(cpu uint16) {
	var set unix.CPUSet
	set.Set(int(cpu))
	_ = unix.SchedSetaffinity(0, &set) // see above
}
