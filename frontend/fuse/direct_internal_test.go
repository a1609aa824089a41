package fuse

import (
	"bytes"
	"slices"
	"syscall"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// newDirect is a file system over an exclusive lease, with a kernel that notes what it is told.
func newDirect(t *testing.T) (*FS, *fakeKernel) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v, _ := c.OpenLeased(t, nil)
	fs, k := New(v, Options{}), &fakeKernel{}
	t.Cleanup(fs.OnUnmount)
	fs.kept = newFake(k)
	return fs, k
}

// create makes a file as the kernel does.
func create(t *testing.T, fs *FS, name string, flags uint32) gofuse.CreateOut {
	t.Helper()
	in := gofuse.CreateIn{InHeader: gofuse.InHeader{NodeId: uint64(honeyant.RootIno)}, Flags: flags | syscall.O_CREAT, Mode: 0o6755}
	var out gofuse.CreateOut
	if s := fs.Create(nil, &in, name, &out); s != gofuse.OK {
		t.Fatal(s)
	}
	return out
}

func open(t *testing.T, fs *FS, ino uint64, flags uint32) gofuse.OpenOut {
	t.Helper()
	in := gofuse.OpenIn{InHeader: gofuse.InHeader{NodeId: ino}, Flags: flags}
	var out gofuse.OpenOut
	if s := fs.Open(nil, &in, &out); s != gofuse.OK {
		t.Fatal(s)
	}
	return out
}

// What is written past the kernel's pages is dropped from them before the write is answered, while somebody may read them.
func TestPagesGoWithWritesPastThem(t *testing.T) {
	fs, k := newDirect(t)
	file := create(t, fs, "f", syscall.O_WRONLY)
	if file.OpenFlags&gofuse.FOPEN_DIRECT_IO == 0 {
		t.Fatal("a file that is only written goes through the kernel's pages")
	}
	write := func(fh uint64, off uint64, flags, writeFlags uint32, want ...[2]int64) {
		t.Helper()
		k.unstored = nil
		data := make([]byte, 5000)
		in := gofuse.WriteIn{InHeader: gofuse.InHeader{NodeId: file.NodeId}, Fh: fh, Offset: off, Size: uint32(len(data)), Flags: flags, WriteFlags: writeFlags}
		if n, s := fs.Write(nil, &in, data); s != gofuse.OK || n != in.Size {
			t.Fatal(n, s)
		}
		if !slices.Equal(k.unstored, want) {
			t.Errorf("dropped %v, want %v", k.unstored, want)
		}
	}
	write(file.Fh, 0, 0, 0) // nobody reads
	reader := open(t, fs, file.NodeId, syscall.O_RDONLY)
	write(file.Fh, 3000, 0, 0, [2]int64{3000, 8000})
	end := open(t, fs, file.NodeId, syscall.O_WRONLY|syscall.O_APPEND)
	write(end.Fh, 8000, syscall.O_APPEND, 0, [2]int64{8000, 8000}) // of length 0: to the end
	both := open(t, fs, file.NodeId, syscall.O_RDWR)
	if both.OpenFlags&gofuse.FOPEN_DIRECT_IO != 0 {
		t.Error("a file that can be mapped for writing goes past the kernel's pages")
	}
	write(both.Fh, 0, 0, 0) // the kernel holds these pages, and has put the bytes there itself
	k.attrs = nil
	write(file.Fh, 0, 0, gofuse.WRITE_KILL_SUIDGID, [2]int64{0, 5000})
	if !slices.Contains(k.attrs, file.NodeId) {
		t.Error("the kernel is not told that setuid is gone")
	}
	fs.kept.off() // nothing is given any more, but what is open stays as it is
	write(file.Fh, 0, 0, 0, [2]int64{0, 5000})
	fs.Release(nil, &gofuse.ReleaseIn{Fh: reader.Fh})
	fs.Release(nil, &gofuse.ReleaseIn{Fh: both.Fh})
	write(file.Fh, 0, 0, 0)
}

// A file that is made to be written needs no FLUSH: what is written is seen by all who open it, and POSIX locks
// end with it.
func TestNewFilesAreClosedWithoutFlush(t *testing.T) {
	fs, _ := newDirect(t)
	if out := create(t, fs, "both", syscall.O_RDWR|syscall.O_EXCL); out.OpenFlags&gofuse.FOPEN_NOFLUSH != 0 {
		t.Error("a file that can be mapped is closed without FLUSH")
	}
	if out := create(t, fs, "lockfile", syscall.O_WRONLY); out.OpenFlags&gofuse.FOPEN_NOFLUSH != 0 {
		t.Error("a file that may be there to be locked is closed without FLUSH")
	}
	out := create(t, fs, "f", syscall.O_WRONLY|syscall.O_EXCL)
	if out.OpenFlags&gofuse.FOPEN_NOFLUSH == 0 {
		t.Fatal("a new file is closed with FLUSH")
	}
	const me, other = 1, 2
	lock := func(owner uint64) gofuse.LkIn {
		return gofuse.LkIn{InHeader: gofuse.InHeader{NodeId: out.NodeId}, Fh: out.Fh, Owner: owner, Lk: gofuse.FileLock{End: toEnd, Typ: syscall.F_WRLCK}}
	}
	mine, others := lock(me), lock(other)
	if s := fs.SetLk(nil, &mine); s != gofuse.OK {
		t.Fatal(s)
	}
	if s := fs.SetLk(nil, &others); s != gofuse.EAGAIN {
		t.Fatalf("the lock of another: %v", s)
	}
	data := bytes.Repeat([]byte{7}, 5000)
	if _, s := fs.Write(nil, &gofuse.WriteIn{InHeader: gofuse.InHeader{NodeId: out.NodeId}, Fh: out.Fh, Size: 5000}, data); s != gofuse.OK {
		t.Fatal(s)
	}
	fs.Release(nil, &gofuse.ReleaseIn{InHeader: gofuse.InHeader{NodeId: out.NodeId}, Fh: out.Fh})
	var got gofuse.LkOut
	if s := fs.GetLk(nil, &others, &got); s != gofuse.OK || got.Lk.Typ != syscall.F_UNLCK {
		t.Errorf("after RELEASE the file is locked: %+v, %v", got.Lk, s)
	}
	f, err := fs.volume.Open(t.Context(), honeyant.Ino(out.NodeId), volume.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release(t.Context(), 0)
	b := make([]byte, 6000)
	if n, err := f.ReadAt(t.Context(), b, 0); err != nil || !bytes.Equal(b[:n], data) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Who only reads has nothing to commit, and closing tells nothing, but where locks may be held.
func TestReadersCloseWithoutFlush(t *testing.T) {
	fs, _ := newDirect(t)
	made := create(t, fs, "f", syscall.O_WRONLY)
	open := func(flags uint32) (fh uint64, flushed bool) {
		t.Helper()
		var out gofuse.OpenOut
		if s := fs.Open(nil, &gofuse.OpenIn{InHeader: gofuse.InHeader{NodeId: made.NodeId}, Flags: flags}, &out); s != gofuse.OK {
			t.Fatal(s)
		}
		return out.Fh, out.OpenFlags&gofuse.FOPEN_NOFLUSH == 0
	}
	release := func(fh uint64) {
		fs.Release(nil, &gofuse.ReleaseIn{InHeader: gofuse.InHeader{NodeId: made.NodeId}, Fh: fh})
	}
	lock := func(fh, owner uint64, kind uint32) gofuse.Status {
		return fs.SetLk(nil, &gofuse.LkIn{InHeader: gofuse.InHeader{NodeId: made.NodeId}, Fh: fh, Owner: owner, Lk: gofuse.FileLock{End: toEnd, Typ: kind}})
	}
	const me, other = 1, 2

	for _, flags := range []uint32{syscall.O_RDWR, syscall.O_WRONLY, syscall.O_RDONLY | syscall.O_TRUNC} {
		fh, flushed := open(flags)
		if !flushed {
			t.Errorf("opened with %#x: closed without FLUSH", flags)
		}
		release(fh)
	}
	reader, flushed := open(syscall.O_RDONLY)
	if flushed {
		t.Error("a reader is closed with FLUSH")
	}

	// A lock that is held through another descriptor goes with each that is opened now: POSIX wants it so.
	writer, _ := open(syscall.O_RDWR)
	if s := lock(writer, me, syscall.F_WRLCK); s != gofuse.OK {
		t.Fatal(s)
	}
	second, flushed := open(syscall.O_RDONLY)
	if !flushed {
		t.Error("a reader of a locked file is closed without FLUSH")
	}
	release(second)
	if s := lock(writer, me, syscall.F_UNLCK); s != gofuse.OK {
		t.Fatal(s)
	}

	// One that was taken through a reader ends with it, and the next is closed with FLUSH.
	if s := lock(reader, me, syscall.F_RDLCK); s != gofuse.OK {
		t.Fatal(s)
	}
	if s := lock(writer, other, syscall.F_WRLCK); s != gofuse.EAGAIN {
		t.Errorf("while another reads under a lock: %v", s)
	}
	release(reader)
	if s := lock(writer, other, syscall.F_WRLCK); s != gofuse.OK {
		t.Errorf("after the reader has gone: %v", s)
	}
	release(writer)
	if _, flushed = open(syscall.O_RDONLY); !flushed {
		t.Error("a reader of a file that was locked by a reader is closed without FLUSH")
	}
}
