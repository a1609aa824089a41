// Package fuse lets the kernel mount a volume: FS answers requests of the FUSE protocol out of a
// volume.Volume, and Mount connects it with /dev/fuse at a path.
//
// FS is a gofuse.RawFileSystem and knows no transport, so that gofuse.NewProtocolServer can drive
// it over another one (FUSE over io_uring) as well. It keeps nothing per inode: a node ID is an
// inode number, and only open files and directories and the requests under way have an entry in a
// small table. Permissions and ACLs are enforced by the kernel (default_permissions, POSIX_ACL)
// from the attributes and ACLs that it has, or asks for.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	F1  No state per inode, forget does nothing: what the kernel remembers costs no memory here. [28]
//	F2  Entries and attributes are kept by the kernel beyond the system call that asked for them only as F7 and F8
//	    say (Options.KernelCache, keep.go), else with timeouts 0; listings under the lease on the directory, which takes
//	    them back (keep_list.go); pages are kept by an open only if the file is as the last open found it (pages.go). [15, 28]
//	F3  A panic, a lost leader or a hung store ends as an errno within the volume's deadline;
//	    only lock waits (F_SETLKW, flock) last as long as the program wants.
//	F4  The writeback cache is never asked for, and O_APPEND files bypass the page cache, so
//	    that offsets are the leader's and not the kernel's guess. [16]
//	F5  Nothing here touches a mounted path of its own: mounts are looked at through
//	    /proc/self/mountinfo and questions to them have deadlines.
//	F6  Each Kind has one errno (errors.go).
//	F7  A timeout never exceeds what is left of the session's lease, and is given only if the volume vouches for
//	    that very answer and nothing it speaks of was dropped since the request began. A drop returns when
//	    the kernel has forgotten, or all timeouts have run out. [14, 15]
//	F8  An answer that reaches the kernel after it was told to forget does no harm: names get timeouts in answers to
//	    LOOKUP, CREATE, MKDIR ..., which carry the connection's epoch of before the request (INC_EPOCH), attributes in
//	    answers to GETATTR and LOOKUP, where attr_version tells an older answer (INVAL_INODE), or the kernel says
//	    that it does not know the inode yet and is told again; for that reason also with an inode that was just made.
//	    Names in answers to READDIRPLUS carry the epoch of when they are taken in: a drop of the directory waits for that
//	    (keep_entries.go). Never in answers to SETATTR, or to a CREATE that finds the file there, where nothing tells.
//	    Notices of names and attributes take no lock that a request holds. [14]
//	F9  A kernel that makes a change itself, under an exclusive lease, is told of attributes alone: its names are in
//	    order (doc/decisions/0006). Names are not expired while anything is mounted below (below.go).
//
//	F10 Pages that the kernel did not ask for are stored only where nobody can have changed them since they were read, and
//	    whoever could waits until they are there (keep_store.go, doc/decisions/0020).
//	F11 A write past the kernel's pages is answered when it has none left from before it (direct.go).
//
// What the kernel does on its own and this package can not change: reads do not update atime;
// sync(2) and syncfs(2) do not reach a FUSE file system (what is written is committed by flush
// interval, fsync and close); flock locks of a closed file are given back a moment after
// close returns (RELEASE); O_APPEND set later by fcntl(F_SETFL) appends at the end as this
// node knows it; a descriptor of a removed directory is ESTALE.
package fuse
