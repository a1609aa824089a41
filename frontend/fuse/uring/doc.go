// Package uring serves a FUSE connection over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING): a program's request is handed to a
// thread on the program's own CPU, and one system call commits an answer and waits for the next request. Over /dev/fuse most
// of the time of a request goes by until another CPU has woken up.
//
// The kernel has a queue for each CPU. An entry is room for one request, registered with a queue; it belongs to the kernel
// until a request is in it, then to the daemon until the answer is committed. The thread that commits is the one that gets the
// entry's next request, so each entry in use has a thread and a ring of its own (queue.go). Entries that were never used
// are held by one thread for all of them (spare.go).
//
// Invariants:
//
//	U1  A request is answered on the spot by the thread that got it, whether that takes long or not; no other request
//	    waits for this thread. There are never more threads than there were requests at once.
//	U2  Payloads never take more memory than Fit was given: the number of entries bounds it, and an entry that
//	    was never used takes none. [37]
//	U3  Waits for locks leave a quarter of each queue to others, so that an unlock always gets through; beyond that
//	    they get ENOLCK.
//	U4  All ends with the connection, whoever ended it: unmounted, aborted, or the daemon killed.
//	U5  What the file system is asked is the same as over /dev/fuse.
//
// Mounting, and notices to the kernel, are left to the owner of the connection; both go over /dev/fuse. While a daemon is
// stopped (SIGSTOP, a debugger), the kernel can not take a request back that it has begun to hand over: such calls end when
// the daemon goes on or is killed, not with an abort.
//
// Sources: linux/fuse.h, linux/io_uring.h, Documentation/filesystems/fuse/fuse-io-uring.rst and fs/fuse/dev_uring.c of Linux.
package uring
