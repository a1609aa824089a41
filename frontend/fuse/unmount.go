package fuse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/mountinfo"
)

// umountDeadline bounds one umount(2): past it the connection is aborted, which makes
// every call that hangs in it return.
const umountDeadline = 5 * time.Second

// connections is where the kernel lets FUSE connections be aborted.
const connections = "/sys/fs/fuse/connections"

// Unmount takes away what is mounted at path, whatever state its daemon is in: the normal
// way if nothing is open below it, else lazily (open files keep working), and if its daemon does
// not answer or the kernel hangs, by aborting the connection, so that calls that hang return. NotExist: nothing
// of Honeyant is mounted there.
func Unmount(ctx context.Context, path string) error {
	const op = "fuse.Unmount"
	path, err := canonical(path)
	if err != nil {
		return err
	}
	m, ok, err := topmost(path)
	if err != nil {
		return err
	}
	if !ok || !ours(m) {
		return honeyant.E(op, honeyant.NotExist, path, fmt.Errorf("no volume is mounted here"))
	}
	err = umount(ctx, path, 0)
	if errors.Is(err, unix.EBUSY) {
		err = answers(ctx, path)
		if !errors.Is(err, context.DeadlineExceeded) {
			err = umount(ctx, path, unix.MNT_DETACH)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		// MNT_FORCE aborts the connection before anything else, so that this can not hang.
		err = umount(ctx, path, unix.MNT_FORCE|unix.MNT_DETACH)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		if err := abort(m.Minor); err != nil {
			return honeyant.E(op, honeyant.Unavailable, path, err)
		}
		err = umount(ctx, path, unix.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: gone meanwhile
		return honeyant.E(op, kindOfOS(err), path, err)
	}
	return nil
}

// ours tells mounts that this package made, or that are FUSE and lost their daemon's name.
func ours(m mountinfo.Mount) bool { return m.Type == fsType }

// umount is umount2(2) with a deadline; as an ordinary user it asks fusermount.
func umount(ctx context.Context, path string, flags int) error {
	ctx, cancel := context.WithTimeout(ctx, umountDeadline)
	defer cancel()
	done := make(chan error, 1) // 1: the goroutine ends even if nobody waits any more
	go func() {
		if os.Geteuid() == 0 {
			done <- unix.Unmount(path, flags|unix.UMOUNT_NOFOLLOW)
			return
		}
		done <- fusermountUnmount(ctx, path, flags)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.DeadlineExceeded
	}
}

func fusermountUnmount(ctx context.Context, path string, flags int) error {
	bin, err := fusermount()
	if err != nil {
		return err
	}
	option := "-u"
	if flags&unix.MNT_DETACH != 0 {
		option = "-uz"
	}
	out, err := exec.CommandContext(ctx, bin, option, path).CombinedOutput()
	if err != nil && strings.Contains(string(out), "busy") {
		return unix.EBUSY
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", bin, option, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", fmt.Errorf("neither fusermount3 nor fusermount is in PATH: install the package fuse3, or run as root")
}

// abort breaks a FUSE connection: everything that waits for its daemon gets ECONNABORTED or
// ENOTCONN at once.
func abort(connection uint32) error {
	file := filepath.Join(connections, strconv.FormatUint(uint64(connection), 10), "abort")
	err := os.WriteFile(file, []byte("1"), 0)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// The control file system is not mounted everywhere (containers).
	if err := unix.Mount("fusectl", connections, "fusectl", 0, ""); err != nil {
		return fmt.Errorf("%s: %w", connections, err)
	}
	defer func() { _ = unix.Unmount(connections, unix.MNT_DETACH) }() // as it was before
	if err := os.WriteFile(file, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // not there any more: nothing to abort
}
