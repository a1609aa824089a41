package fuse

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// device is an open /dev/fuse that a mount is served over, for what go-fuse can not say: FUSE_NOTIFY_INC_EPOCH.
// All its writes are whole messages.
type device struct {
	fd     int
	closed bool // guarded by kept.tells
}

// mountDevice mounts at path as go-fuse does for root, and gives the connection to serve.
func mountDevice(path string, o *gofuse.MountOptions) (fd int, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return -1, err
	}
	fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d", fd, st.Mode&unix.S_IFMT, os.Geteuid(), os.Getegid(), o.MaxWrite)
	for _, option := range o.Options {
		data += "," + option
	}
	if o.AllowOther {
		data += ",allow_other"
	}
	if err := unix.Mount(o.FsName, path, "fuse."+o.Name, unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// notifyHeader is struct fuse_out_header of a message that answers nothing.
type notifyHeader struct {
	length uint32
	code   int32
	unique uint64
}

type notifyInode struct {
	notifyHeader
	ino       uint64
	off, size int64
}

// Codes of enum fuse_notify_code.
const (
	notifyInvalInode = 2
	notifyIncEpoch   = 8
)

func (d *device) write(message []byte) error {
	for !d.closed {
		_, err := unix.Write(d.fd, message)
		if err != unix.EINTR {
			return err
		}
	}
	return nil
}

func (d *device) expireNames() error {
	h := notifyHeader{length: uint32(unsafe.Sizeof(notifyHeader{})), code: notifyIncEpoch}
	return d.write(unsafe.Slice((*byte)(unsafe.Pointer(&h)), h.length))
}

func (d *device) expireAttrs(ino uint64) error {
	m := notifyInode{ino: ino, off: -1} // off < 0: attributes alone, no page is locked
	m.length, m.code = uint32(unsafe.Sizeof(m)), notifyInvalInode
	err := d.write(unsafe.Slice((*byte)(unsafe.Pointer(&m)), m.length))
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// keep lets the kernel keep names and attributes, if it can be told to forget them.
func (fs *FS) keep(fd int, log *slog.Logger) (stop func(), err error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := &device{fd: dup}
	if err := d.expireNames(); err != nil { // EINVAL before Linux 6.16
		log.Info("fuse: the kernel keeps no names, since it can not be told to forget them", "error", err)
		return func() { _ = unix.Close(dup) }, nil // nothing was asked of it
	}
	fs.kept.kernel = d
	fs.kept.on.Store(true)
	forget := fs.volume.Keep(fs.kept.drop)
	return func() {
		fs.kept.drop(nil) // programs may be inside still
		forget()
		fs.kept.on.Store(false)
		select {
		case fs.kept.tells <- struct{}{}:
			d.closed = true
			_ = unix.Close(dup) // nothing is buffered
			<-fs.kept.tells
		case <-time.After(tellDeadline): // the kernel hangs in it
		}
	}, nil
}
