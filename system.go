package honeyant

import (
	"errors"
	"io/fs"
	"syscall"
)

// KindOfSystem is the kind of what a system call, or a package such as os, says: that of KindOf if there is one, else by errno; Other
// where that is about the machine (EIO, EMFILE, ENOMEM) and not about what was asked for.
func KindOfSystem(err error) Kind {
	if k := KindOf(err); k != Other {
		return k
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return kindOfErrno(errno)
	case errors.Is(err, fs.ErrNotExist):
		return NotExist
	case errors.Is(err, fs.ErrExist):
		return Exist
	case errors.Is(err, fs.ErrPermission):
		return Permission
	}
	return Other
}

func kindOfErrno(errno syscall.Errno) Kind {
	switch errno {
	case syscall.ENOENT:
		return NotExist
	case syscall.EEXIST:
		return Exist
	case syscall.ENOTDIR:
		return NotDir
	case syscall.EISDIR:
		return IsDir
	case syscall.ENOTEMPTY:
		return NotEmpty
	case syscall.EACCES:
		return Permission
	case syscall.EPERM, syscall.EROFS:
		return NotPermitted
	case syscall.ENOSPC:
		return NoSpace
	case syscall.EDQUOT:
		return Quota
	case syscall.ESTALE:
		return Stale
	case syscall.EAGAIN:
		return Conflict
	case syscall.EINVAL:
		return Invalid
	case syscall.ENAMETOOLONG:
		return NameTooLong
	case syscall.EMLINK:
		return TooManyLinks
	case syscall.EFBIG:
		return TooLarge
	case syscall.EOPNOTSUPP:
		return Unsupported
	case syscall.EBADF:
		return BadHandle
	case syscall.EXDEV:
		return CrossDevice
	case syscall.ELOOP:
		return Loop
	case syscall.ENOLCK:
		return NoLocks
	}
	return Other
}
