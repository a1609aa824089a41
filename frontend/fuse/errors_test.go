package fuse_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/frontend/fuse"
)

func TestEveryKindHasAnErrno(t *testing.T) {
	want := map[honeyant.Kind]syscall.Errno{
		honeyant.NotExist: syscall.ENOENT, honeyant.Exist: syscall.EEXIST, honeyant.NotDir: syscall.ENOTDIR,
		honeyant.IsDir: syscall.EISDIR, honeyant.NotEmpty: syscall.ENOTEMPTY, honeyant.Permission: syscall.EACCES,
		honeyant.NoSpace: syscall.ENOSPC, honeyant.Quota: syscall.EDQUOT, honeyant.Stale: syscall.ESTALE,
		honeyant.Conflict: syscall.EAGAIN, honeyant.Invalid: syscall.EINVAL, honeyant.NameTooLong: syscall.ENAMETOOLONG,
		honeyant.TooManyLinks: syscall.EMLINK, honeyant.TooLarge: syscall.EFBIG, honeyant.NoAttr: syscall.ENODATA,
		honeyant.OutOfRange: syscall.ERANGE, honeyant.TooBig: syscall.E2BIG, honeyant.NotPermitted: syscall.EPERM,
		honeyant.Unsupported: syscall.EOPNOTSUPP, honeyant.Deadlock: syscall.EDEADLK, honeyant.Interrupted: syscall.EINTR,
		honeyant.BadHandle: syscall.EBADF, honeyant.CrossDevice: syscall.EXDEV, honeyant.NoDevice: syscall.ENXIO,
		honeyant.Loop: syscall.ELOOP, honeyant.NoLocks: syscall.ENOLCK,
	}
	for _, k := range []honeyant.Kind{honeyant.Other, honeyant.NotLeader, honeyant.Unavailable, honeyant.Corrupt,
		honeyant.Internal, honeyant.Superseded, honeyant.Fenced} {
		want[k] = syscall.EIO
	}
	for _, k := range honeyant.Kinds() {
		errno, listed := want[k]
		if !listed {
			t.Errorf("%v has no errno in this table: decide on one", k)
		}
		wrapped := honeyant.E("test.Op", honeyant.Other, "x", fmt.Errorf("with text: %w", honeyant.E("test.Inner", k, "y", nil)))
		for _, err := range []error{k, honeyant.E("test.Op", k, "x", nil), wrapped} {
			if got := fuse.Errno(err); got != errno {
				t.Errorf("%v is %v, want %v", err, got, errno)
			}
		}
	}
	for err, errno := range map[error]syscall.Errno{
		nil: 0, errors.New("plain"): syscall.EIO, context.Canceled: syscall.EINTR, context.DeadlineExceeded: syscall.EIO,
		honeyant.Kind(250): syscall.EIO,
	} {
		if got := fuse.Errno(err); got != errno {
			t.Errorf("%v is %v, want %v", err, got, errno)
		}
	}
}
