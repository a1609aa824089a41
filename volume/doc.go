// Package volume is one mounted volume on one node: it turns POSIX operations into metadata
// operations and chunk I/O. Front ends (FUSE, NFS, S3 ...) know only this package.
//
// What it guarantees to programs is written in doc/semantics.md. It leaves permission checks to
// the front end (the kernel's default_permissions), "." and ".." of listings to the front end,
// and the kernel's caches to the front end.
//
// Each inode with an open file has one state object (inode): its attributes as of one Version,
// the extents cached for that Version, the dirty byte ranges of all handles together, and the
// flights, which are dirty ranges on their way to stores and the metadata leader. Everything that
// is written goes through one path: dirty → freeze → flight → upload → commit in order.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	V1  Changes of names and attributes are on a quorum's stable storage when a call returns, or they were made under
//	    exclusive leases and stand in the journal, which is flushed in order, before they are a FlushInterval old. [19, 20]
//	V2  Only bytes that a program wrote are ever committed: dirty ranges are exact, neighbours are
//	    never read and written back. [11]
//	V3  Flights of an inode commit in the order in which they were frozen, and a freeze takes all
//	    that is dirty: a committed size never covers bytes that are written but not committed. [11, 20]
//	V4  Dirty and flying bytes together never exceed Options.WriteMemory, cached chunk bytes never
//	    Options.ReadMemory; who needs more waits, with a deadline. [37]
//	V5  Extents are used only together with the Version they were fetched for, and only while
//	    (*inode).fresh says so: the one place that decides what may be answered from memory.
//	V6  Chunks are immutable, so cached chunk bytes are never stale; a chunk that is gone makes
//	    the reader fetch extents again, at most three times. [25]
//	V7  The low-water mark sent with a commit is below every chunk counter whose chunk may still
//	    be committed; a commit of unknown outcome keeps its counters for ever. [10]
//	V8  O_APPEND writes are committed one by one, at the offset the leader assigns, unless the file is held
//	    exclusively: nobody else can append then. [16]
//	V9  Bytes that can not be committed are dropped only after Options.Deadline, and every
//	    descriptor open on the file then gets the error once.
//	V10 Before the first open of an inode returns the session has registered it at the leader, or counts it as open
//	    and has a lease on it; that ends after the last release and never while another open is on its way. [22]
//	V11 Names and attributes are answered from memory only under a lease in force; what this volume is changing
//	    is not, from before the change is sent until its outcome is known. [15]
//	V12 A lease is given back in this order: no change is made under it any more, bytes are committed to the journal,
//	    open files are registered, the journal is flushed, and then Return is called. [14, 21]
//	V13 While the leader carries out a change of this volume, nothing that the change may touch is changed here, or taken. [19]
//	V14 Changes that are lost (refused, or not accepted in time) make each descriptor concerned, the next Sync, and
//	    the next fsync of a directory tell so, once. [18, 20]
//
// Locks are taken in this order: inode.write (a writer's turn; held across I/O), inode.mu,
// then journal.mu, then one of Volume.mu, room.mu, session.mu, link.mu, pool.mu, readCache.mu; only readCache.mu is held
// while another one of these, its pool.mu, is taken. None but inode.write is held across I/O.
package volume
