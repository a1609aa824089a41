package fuse_test

import (
	"encoding/binary"
	"os"
	"testing"
	"unsafe"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// driver sends requests as another transport would, without a kernel.
type driver struct {
	t      *testing.T
	server *gofuse.ProtocolServer
	unique uint64
}

func newDriver(t *testing.T) (*driver, *fuse.FS) {
	t.Helper()
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	fs := fuse.New(cluster.Open(t, nil), fuse.Options{Incarnation: 7})
	t.Cleanup(fs.OnUnmount)
	d := &driver{t: t, server: gofuse.NewProtocolServer(fs, fuse.ServerOptions(fuse.MountOptions{}))}
	var in gofuse.InitIn
	in.Major, in.Minor, in.Flags = 7, 40, 0xffffffff
	var out gofuse.InitOut
	d.call(26, 0, bytesOf(&in)[unsafe.Sizeof(in.InHeader):], bytesOf(&out), gofuse.OK)
	if out.Flags64()&gofuse.CAP_WRITEBACK_CACHE != 0 {
		t.Error("the writeback cache was asked for [16]")
	}
	for name, flag := range map[string]uint64{"DONT_MASK": gofuse.CAP_DONT_MASK, "POSIX_ACL": gofuse.CAP_POSIX_ACL,
		"HANDLE_KILLPRIV_V2": gofuse.CAP_HANDLE_KILLPRIV_V2, "POSIX_LOCKS": gofuse.CAP_POSIX_LOCKS, "FLOCK_LOCKS": gofuse.CAP_FLOCK_LOCKS} {
		if out.Flags64()&flag == 0 {
			t.Errorf("%s was not asked for", name)
		}
	}
	return d, fs
}

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// call sends one request and copies the answer's body into out.
func (d *driver) call(opcode uint32, node uint64, body, out []byte, want gofuse.Status) {
	d.t.Helper()
	d.unique++
	h := gofuse.InHeader{Length: uint32(int(unsafe.Sizeof(gofuse.InHeader{})) + len(body)), Opcode: opcode, Unique: d.unique, NodeId: node}
	h.Pid = uint32(os.Getpid())
	in := append(append([]byte(nil), bytesOf(&h)...), body...)
	reply := make([]byte, 16+max(len(out), 1<<16))
	n, code := d.server.HandleRequest([][]byte{in}, [][]byte{reply})
	if code != gofuse.OK || n < 16 {
		d.t.Fatalf("opcode %d: %v, %d bytes", opcode, code, n)
	}
	if got := gofuse.Status(-int32(binary.NativeEndian.Uint32(reply[4:]))); got != want {
		d.t.Fatalf("opcode %d: %v, want %v", opcode, got, want)
	}
	copy(out, reply[16:n])
}

// TestOtherTransport drives the file system without /dev/fuse.
func TestOtherTransport(t *testing.T) {
	d, fs := newDriver(t)
	var entry gofuse.EntryOut
	var in gofuse.MkdirIn
	in.Mode, in.Umask = 0o777, 0o022
	d.call(9, 1, append(bytesOf(&in)[unsafe.Sizeof(in.InHeader):], "dir\x00"...), bytesOf(&entry), gofuse.OK)
	if entry.Generation != 7 || entry.EntryTimeout() != 0 || entry.AttrTimeout() != 0 {
		t.Errorf("generation %d, timeouts %v and %v; want 7, 0, 0", entry.Generation, entry.EntryTimeout(), entry.AttrTimeout())
	}
	if entry.Attr.Mode != honeyant.ModeDir|0o755 {
		t.Errorf("mode %o: the umask must count once", entry.Attr.Mode)
	}
	made := entry.NodeId
	d.call(1, 1, []byte("dir\x00"), bytesOf(&entry), gofuse.OK)
	if entry.NodeId != made {
		t.Errorf("lookup finds inode %d, want %d", entry.NodeId, made)
	}
	d.call(1, 1, []byte("none\x00"), nil, gofuse.ENOENT)
	long := append(make([]byte, 0, 300), make([]byte, 256)...)
	for i := range long {
		long[i] = 'n'
	}
	d.call(1, 1, append(long, 0), nil, gofuse.Status(unix.ENAMETOOLONG))
	var rename gofuse.RenameIn
	rename.Newdir, rename.Flags = 1, unix.RENAME_WHITEOUT
	d.call(45, 1, append(bytesOf(&rename)[unsafe.Sizeof(rename.InHeader):], "dir\x00new\x00"...), nil, gofuse.EINVAL)
	var read gofuse.ReadIn
	read.Fh, read.Size = 12345, 4096
	d.call(15, made, bytesOf(&read)[unsafe.Sizeof(read.InHeader):], nil, gofuse.EBADF)
	if got := fs.Requests()["LOOKUP"]; got != 3 {
		t.Errorf("%d lookups counted, want 3", got)
	}
}
