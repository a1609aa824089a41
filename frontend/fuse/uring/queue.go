package uring

import "sync/atomic"

// queue is the kernel's queue of requests of the programs on one CPU.
type queue struct {
	server *Server
	id     uint16 // the CPU's number
	arena  arena
	depth  int

	waiting atomic.Int32 // entries that wait for a lock
}
