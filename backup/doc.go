// Package backup keeps copies of the metadata in the cluster's own stores, and finds them there again when the metadata
// are lost. The format is doc/format/backup.md.
//
// A backup is the whole replicated state of one moment as a compressed stream of keys and values, cut into chunks
// whose IDs have honeyant.BackupSession as their session, and a manifest, which is a chunk too. Which backups
// there are, and which stores hold their chunks, is one setting of the metadata; a scan of the stores finds them without it.
//
// The order in which a backup gets onto stable storage, each step before the next: its number, in the list (so that no
// number is used twice); all parts (Chunks.Write syncs every replica); the manifest; every replica is read
// back from its disk, and the whole decoded and counted; the list names it and no longer what it replaces, in one
// change; what nothing names any more is deleted, of each backup the manifest first. A crash between any two leaves the
// list as it was and chunks that Garbage knows once the next backup is there. What is deleted early, since its backup
// failed, goes within a deadline of its own. The order of a restore is that of node.Restore and consensus.Restore.
//
// Memory is bounded by a part (4 MiB), the window of the compression, and the manifest. No lock that a call of anybody
// else waits for is held during any of it: the state is read from a copy aside.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	B1  The manifest is written last, when all other chunks are on stable storage: what was interrupted has none, and
//	    Find takes no backup of which a chunk is not there. [6]
//	B2  A backup counts, and an older one may go, only when each of its replicas has been read back from its disk and
//	    the whole has been read, decoded and counted again.
//	B3  A backup that holds less than half of what the newest one does replaces nothing and is not even written: an
//	    alarm stands until a person accepts it or the next backup is as large again.
//	B4  The newest backup is never deleted. Numbers, and so chunk IDs, are never used twice. [6]
//	B5  No secret is in a backup. [33]
//
// Backups are not healed chunk by chunk: the next one, an hour later, goes to the stores that are there then.
package backup
