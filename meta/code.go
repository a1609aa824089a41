package meta

import "strconv"

// Code is the number of an operation on the wire. The list is only ever appended to,
// changes below firstRead, reads from there on.
type Code uint16

// Changes of names, attributes and data.
const (
	CodeMake     Code = iota + 1 // mknod, create, mkdir, symlink
	CodeLink                     // link
	CodeUnlink                   // unlink
	CodeRmdir                    // rmdir
	CodeRename                   // rename, also NOREPLACE and EXCHANGE
	CodeSetAttr                  // chmod, chown, utimens, truncate
	CodeSetXattr                 // setxattr, also POSIX ACLs
	CodeRemoveXattr
	CodeCommit   // extents and chunks of written data; also append
	CodePunch    // fallocate: punch hole, zero range
	CodeAllocate // fallocate: allocate, extend
	CodeClone    // copy_file_range with shared extents
	CodeLock     // take or change a POSIX or flock lock
	CodeUnlock
	CodeSetPolicy
	CodeReap  // leader: delete orphans that nobody has open, free queued data, in slices
	CodeRetag // leader: move a policy down a tree, in slices
	CodeReserveInodes
	CodeFlush  // changes that a session has made under exclusive leases
	CodeRepack // leader: let extents of sparse chunks use a new one
)

// Changes of the cluster.
const (
	CodeOpenSession Code = iota + 64
	CodeCloseSession
	CodeAddNode
	CodeUpdateNode
	CodeRemoveNode
	CodeAddStore
	CodeUpdateStore
	CodeAddToken
	CodeRevokeToken
	CodePutSetting // small named values: CA, feature level, mirror state, job cursors
	CodeHealBegin
	CodeHealEnd
	CodeDropBegin
	CodeDropEnd
	CodeForgetChunk
	CodeReportBad
	CodeBootstrap
	CodeSweepChunks // takes replicas of removed stores off, marks what is short of copies, in slices
	CodeRaiseIncarnation
)

const firstRead Code = 128

// Reads.
const (
	CodeLookup Code = iota + firstRead
	CodeGetAttr
	CodeReadDir
	CodeReadLink
	CodeGetXattr
	CodeListXattr
	CodeExtents
	CodeStatFS
	CodeGetLock
	CodeOpen    // registers an open at the leader (in memory) and answers attributes and first extents
	CodeRelease // takes the registration back
	CodeGetPolicy
	CodeSeek // SEEK_DATA, SEEK_HOLE
	CodeListSessions
	CodeListNodes
	CodeListTokens
	CodeGetSetting
	CodeListChunks // scan with a cursor: heal, drain, fsck
	CodeGetChunk
	CodeCounts // inodes, bytes, chunks, under-replicated of a volume
	CodePath   // names of an inode up to the root
	CodeListIntents
	CodeTake        // an exclusive lease, with the records that it covers
	CodeFindExtents // those that refer to some chunks: a scan with a cursor
)

// String is the operation's name.
func (c Code) String() string {
	if mk, ok := ops[c]; ok {
		return opName(mk())
	}
	return "op " + strconv.Itoa(int(c))
}
