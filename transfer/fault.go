package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// fault is an error of a system call on a path: the kind follows from errno.
func fault(what, path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	kind, cause := honeyant.KindOfSystem(err), err
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBADF): // of a file system that can not do it: not what the user asked for is wrong
		kind = honeyant.Other
	case kind != honeyant.KindOf(err) && !errors.Is(err, unix.EROFS):
		cause = nil // the kind says it in words
	}
	return honeyant.E(what, kind, path, cause)
}

// refused is the error of a copy that is not begun: exit code 2. It is of Kind Invalid.
type refused struct{ err error }

func (r *refused) Error() string        { return r.err.Error() }
func (r *refused) Unwrap() error        { return r.err }
func (r *refused) Is(target error) bool { return target == honeyant.Invalid }

func refusal(format string, args ...any) error { return &refused{fmt.Errorf(format, args...)} }

// fatal tells the errors after which going on with other files makes no sense.
func fatal(err error) bool {
	return errors.Is(err, honeyant.NoSpace) || errors.Is(err, honeyant.Quota) || errors.Is(err, honeyant.Unavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// onHost gives an error that came from another machine without the words of the wire.
func onHost(host string, err error) error {
	if errors.Is(err, honeyant.Unavailable) {
		return honeyant.E("", honeyant.Unavailable, host, fmt.Errorf("the machine is lost: %w", err))
	}
	var e *honeyant.Error
	if errors.As(err, &e) {
		plain := *e
		plain.Node = 0
		err = &plain
	}
	return fmt.Errorf("on %s: %w", host, err)
}
