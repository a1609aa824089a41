package honeyant

import "time"

// Time is a point in time as inodes keep it: seconds and nanoseconds since 1970, UTC.
// It is stamped by the leader or given by a program, never compared for correctness.
type Time struct {
	Sec  int64
	Nsec uint32 // 0 .. 999,999,999
}

// TimeOf converts.
func TimeOf(t time.Time) Time { return Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())} }

// Std converts.
func (t Time) Std() time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// Before orders times.
func (t Time) Before(u Time) bool { return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec }

// AfterBy1 is t plus one nanosecond: the smallest later time.
func (t Time) AfterBy1() Time {
	if t.Nsec == 999_999_999 {
		return Time{Sec: t.Sec + 1}
	}
	return Time{Sec: t.Sec, Nsec: t.Nsec + 1}
}

// File type bits of Attr.Mode, as in <sys/stat.h>.
const (
	ModeType    uint32 = 0o170000
	ModeSocket  uint32 = 0o140000
	ModeSymlink uint32 = 0o120000
	ModeFile    uint32 = 0o100000
	ModeBlock   uint32 = 0o060000
	ModeDir     uint32 = 0o040000
	ModeChar    uint32 = 0o020000
	ModeFifo    uint32 = 0o010000
	ModeSetuid  uint32 = 0o4000
	ModeSetgid  uint32 = 0o2000
	ModeSticky  uint32 = 0o1000
)

// Attr is what stat(2) tells of an inode.
type Attr struct {
	Ino    Ino
	Mode   uint32 // type and permission bits as in stat(2)
	Nlink  uint32
	UID    uint32
	GID    uint32
	Rdev   uint32
	Size   uint64 // bytes
	Blocks uint64 // 512-byte units that hold data
	Atime  Time
	Mtime  Time
	Ctime  Time
	// Version grows by one with each committed change of the inode's data or attributes.
	Version uint64
}

// IsDir tells a directory.
func (a *Attr) IsDir() bool { return a.Mode&ModeType == ModeDir }

// IsFile tells a regular file.
func (a *Attr) IsFile() bool { return a.Mode&ModeType == ModeFile }

// IsSymlink tells a symbolic link.
func (a *Attr) IsSymlink() bool { return a.Mode&ModeType == ModeSymlink }
