package fuse

import (
	"context"
	"errors"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
)

// errnos is the one place where kinds become errnos. Kinds that must not reach a program
// (NotLeader, Superseded, Fenced) are EIO: whoever let them through has said enough in the log.
var errnos = [...]syscall.Errno{
	honeyant.Other:        syscall.EIO,
	honeyant.NotExist:     syscall.ENOENT,
	honeyant.Exist:        syscall.EEXIST,
	honeyant.NotDir:       syscall.ENOTDIR,
	honeyant.IsDir:        syscall.EISDIR,
	honeyant.NotEmpty:     syscall.ENOTEMPTY,
	honeyant.Permission:   syscall.EACCES,
	honeyant.NoSpace:      syscall.ENOSPC,
	honeyant.Quota:        syscall.EDQUOT,
	honeyant.Stale:        syscall.ESTALE,
	honeyant.Conflict:     syscall.EAGAIN,
	honeyant.NotLeader:    syscall.EIO,
	honeyant.Unavailable:  syscall.EIO,
	honeyant.Corrupt:      syscall.EIO,
	honeyant.Invalid:      syscall.EINVAL,
	honeyant.Internal:     syscall.EIO,
	honeyant.NameTooLong:  syscall.ENAMETOOLONG,
	honeyant.TooManyLinks: syscall.EMLINK,
	honeyant.TooLarge:     syscall.EFBIG,
	honeyant.NoAttr:       syscall.ENODATA,
	honeyant.OutOfRange:   syscall.ERANGE,
	honeyant.TooBig:       syscall.E2BIG,
	honeyant.NotPermitted: syscall.EPERM,
	honeyant.Unsupported:  syscall.EOPNOTSUPP,
	honeyant.Deadlock:     syscall.EDEADLK,
	honeyant.Interrupted:  syscall.EINTR,
	honeyant.Superseded:   syscall.EIO,
	honeyant.BadHandle:    syscall.EBADF,
	honeyant.CrossDevice:  syscall.EXDEV,
	honeyant.NoDevice:     syscall.ENXIO,
	honeyant.Loop:         syscall.ELOOP,
	honeyant.Fenced:       syscall.EIO,
	honeyant.NoLocks:      syscall.ENOLCK,
}

// Errno is what a program sees of an error; a kind of a later version is EIO.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	k := honeyant.KindOf(err)
	if k == honeyant.Other && errors.Is(err, context.Canceled) {
		return syscall.EINTR
	}
	if int(k) < len(errnos) {
		return errnos[k]
	}
	return syscall.EIO
}

func status(err error) gofuse.Status { return gofuse.Status(Errno(err)) }
