package fuse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/volume"
)

// device is an open /dev/fuse that a mount is served over, for what go-fuse can not say: FUSE_NOTIFY_INC_EPOCH.
// All its writes are whole messages.
type device struct {
	fd     int
	mu     sync.RWMutex // held while a message is written
	closed bool         // guarded by mu
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

// notifyStore is before the bytes of a FUSE_NOTIFY_STORE.
type notifyStore struct {
	notifyHeader
	ino, off  uint64
	size, pad uint32
}

// Codes of enum fuse_notify_code.
const (
	notifyInvalInode = 2
	notifyStoreCode  = 4
	notifyIncEpoch   = 8
)

func (d *device) write(message ...[]byte) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for !d.closed {
		_, err := unix.Writev(d.fd, message)
		if err != unix.EINTR {
			return err
		}
	}
	return nil
}

func (d *device) storePages(ino uint64, off int64, data []byte) error {
	m := notifyStore{ino: ino, off: uint64(off), size: uint32(len(data))}
	m.length, m.code = uint32(unsafe.Sizeof(m))+m.size, notifyStoreCode
	return d.write(unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m)), data)
}

func (d *device) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	_ = unix.Close(d.fd) // nothing is buffered
}

func (d *device) expireNames() error {
	h := notifyHeader{length: uint32(unsafe.Sizeof(notifyHeader{})), code: notifyIncEpoch}
	return d.write(unsafe.Slice((*byte)(unsafe.Pointer(&h)), h.length))
}

func (d *device) expireAttrs(ino uint64) (known bool, err error) {
	return d.expireInode(ino, -1, 0) // attributes alone, no page is locked
}

// expireListing also takes a directory's pages, which are locked only while an answer is copied.
func (d *device) expireListing(ino uint64) error {
	return d.expirePages(ino, 0, 0)
}

func (d *device) expirePages(ino uint64, off, length int64) error {
	_, err := d.expireInode(ino, off, length)
	return err
}

func (d *device) expireInode(ino uint64, off, length int64) (known bool, err error) {
	m := notifyInode{ino: ino, off: off, size: length}
	m.length, m.code = uint32(unsafe.Sizeof(m)), notifyInvalInode
	err = d.write(unsafe.Slice((*byte)(unsafe.Pointer(&m)), m.length))
	if err == unix.ENOENT {
		return false, nil
	}
	return true, err
}

// expiresNames tells whether the kernel is one that can be told to forget names, Linux 6.16, as far as its version says.
func expiresNames() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 16)
}

// keep lets the kernel keep attributes, and names if it can be told to forget them. stop takes it all back, and forget is
// called when the kernel keeps nothing any more.
func (fs *FS) keep(fd int, path string, forget func(), log *slog.Logger) (stop func(), err error) {
	minor, err := deviceOf(path)
	if err != nil {
		return nil, err
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := &device{fd: dup}
	k := fs.kept
	k.kernel = d
	k.below = func() bool { return mountsBelow(minor) }
	if err := d.expireNames(); err != nil { // EINVAL before Linux 6.16
		log.Info("fuse: the kernel keeps attributes, but no names: it can not be told to forget them (Linux 6.16)", "error", err)
	} else {
		k.epochs = true
	}
	k.tellable.Store(true)
	k.attrsOn.Store(true)
	k.look()
	return func() {
		k.drop(context.Background(), nil, volume.ByOthers) // programs may be inside still
		forget()
		k.off()
		if k.turn() { // else the kernel hangs in it
			if !k.storing() { // likewise; none begins any more
				d.close()
			}
			<-k.tells
		}
	}, nil
}
