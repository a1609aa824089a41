package volume

import "github.com/honeyant/honeyant"

// NewNode describes something to be made under a name.
type NewNode struct {
	Parent honeyant.Ino
	Name   string
	Mode   uint32 // type and permission bits before the umask
	Umask  uint32
	UID    uint32
	GID    uint32
	Rdev   uint32 // of devices
	Target string // of a symlink
}

// OpenFlags say what a File is for. Access is checked by the front end; WriteAt of a File
// without Write and ReadAt of one without Read are BadHandle.
type OpenFlags struct {
	Read     bool
	Write    bool
	Append   bool // O_APPEND: each write goes to the end as the leader knows it
	Sync     bool // O_SYNC, O_DSYNC: each write is committed before it returns
	Direct   bool // O_DIRECT: no read-ahead
	Truncate bool // O_TRUNC
}

// WriteFlags of one WriteAt.
type WriteFlags struct {
	// KillPriv clears setuid and setgid (FUSE_WRITE_KILL_SUIDGID).
	KillPriv bool
	// Cached says that the bytes come from the page cache (FUSE_WRITE_CACHE: mmap), without a
	// caller: they go to their offset even in append mode.
	Cached bool
	// Append says that O_APPEND was set since the File was opened (fcntl), At that it was taken away:
	// the bytes go to the end, or to their offset.
	Append, At bool
}

// Bits of Allocate's mode, those of fallocate(2) on Linux.
const (
	FallocKeepSize  uint32 = 0x01
	FallocPunchHole uint32 = 0x02
	FallocCollapse  uint32 = 0x08
	FallocZeroRange uint32 = 0x10
	FallocInsert    uint32 = 0x20
	FallocUnshare   uint32 = 0x40
)

// StatFS is what statfs(2) tells. Bytes are those a user can store: what the stores can take,
// divided by the copies of the volume's policy as they can really be placed.
type StatFS struct {
	TotalBytes uint64
	FreeBytes  uint64
	AvailBytes uint64 // same as FreeBytes: the reserve for deletions is kept out of both
	UsedBytes  uint64 // bytes of files, holes left out, one copy counted
	Files      uint64 // inodes in use
	FreeFiles  uint64 // an estimate: what metadata can hold on small machines
	BlockSize  uint32
	MaxName    uint32
}

// Stats are figures for status and metrics.
type Stats struct {
	OpenFiles      int // open file descriptions
	OpenDirs       int
	Inodes         int   // inode states held
	DirtyBytes     int64 // written, not yet on their way
	FlyingBytes    int64 // on their way to stores or to the leader
	WriteMemory    int64 // bytes of buffers in use by the two
	ReadCacheBytes int64
	ChunksInFlight int    // uploads under way
	ReadAheads     int    // read-ahead requests under way
	BytesWritten   uint64 // committed since the volume was opened
	BytesRead      uint64 // handed out since then
	ChunksWritten  uint64
	LostWrites     uint64 // flushes given up since then: each made EIO or ENOSPC
	CacheHits      uint64 // reads served by read-ahead
	CacheMisses    uint64
	Names          NameStats
	Journal        JournalStats
	Session        honeyant.SessionID
	Fenced         bool // the session is dead and no new one has come yet
}
