// Package uring serves a FUSE connection over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING): a program's request is handed to a
// thread on the program's own CPU, and one system call commits answers and waits for the next requests. Over /dev/fuse most
// of the time of a request goes by until another CPU has woken up.
//
// The kernel has a queue for each CPU. An entry is room for one request, registered with a queue; it belongs to the kernel
// until a request is in it, then to the daemon until the answer is committed. The kernel hands a request over on the thread that
// committed the entry last, so all commits of a CPU are made by one thread of it, the one that leads its lane (lane.go). It answers
// on the spot what did not have to wait lately (habits.go, thread.go), since waking anybody else costs more than the answer. What did, and
// waits for locks always, is answered by goroutines and comes back to be committed. Where it guessed wrong and is stuck in the
// file system, another thread takes the lead after a moment (watch.go).
//
// Invariants:
//
//	U1  A request that waits, for the network or for another program, holds up others of its CPU for a few milliseconds
//	    at most.
//	U2  Payloads never take more memory than Fit was given: the number of entries bounds it, and an entry that
//	    was never used takes none. [37]
//	U3  Waits for locks leave a quarter of each queue to others, so that an unlock always gets through; beyond that
//	    they get ENOLCK.
//	U4  All ends with the connection, whoever ended it: unmounted, aborted, or the daemon killed. A thread that ever led
//	    stays until then: with it the kernel would take away the entries that it committed.
//	U5  What the file system is asked is the same as over /dev/fuse.
//
// Mounting, and notices to the kernel, are left to the owner of the connection; both go over /dev/fuse. While a daemon is
// stopped (SIGSTOP, a debugger), the kernel can not take a request back that it has begun to hand over: such calls end when
// the daemon goes on or is killed, not with an abort.
//
// A thread that waits in a ring keeps one of the Go scheduler's processors until that notices, so a process does well to have
// more of them than CPUs: see Processors.
//
// Sources: linux/fuse.h, linux/io_uring.h, Documentation/filesystems/fuse/fuse-io-uring.rst and fs/fuse/dev_uring.c of Linux.
package uring
