package volumetest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/honeyant/honeyant"
)

// OverPath is the FS of a mounted path, through the kernel.
func OverPath(root string) FS { return pathFS{root} }

type pathFS struct{ root string }

func translate(err error) error {
	kind := honeyant.KindOfSystem(err)
	if errors.Is(err, syscall.EIO) { // what a front end makes of it
		kind = honeyant.Unavailable
	}
	if kind == honeyant.Other {
		return err
	}
	return honeyant.E("volumetest.path", kind, "", err)
}

func (fs pathFS) at(path string) string { return filepath.Join(fs.root, filepath.FromSlash(path)) }

func (fs pathFS) Open(path string, flag int) (File, error) {
	f, err := os.OpenFile(fs.at(path), flag, 0o644)
	if err != nil {
		return nil, translate(err)
	}
	return pathFile{f, flag&os.O_APPEND != 0}, nil
}

func (fs pathFS) Mkdir(path string) error  { return translate(os.Mkdir(fs.at(path), 0o755)) }
func (fs pathFS) Remove(path string) error { return translate(os.Remove(fs.at(path))) }
func (fs pathFS) Rename(from, to string) error {
	return translate(syscall.Rename(fs.at(from), fs.at(to)))
}
func (fs pathFS) Link(from, to string) error { return translate(os.Link(fs.at(from), fs.at(to))) }
func (fs pathFS) Symlink(target, path string) error {
	return translate(os.Symlink(target, fs.at(path)))
}

func (fs pathFS) ReadLink(path string) (string, error) {
	target, err := os.Readlink(fs.at(path))
	return target, translate(err)
}

func (fs pathFS) Chmod(path string, mode uint32) error {
	return translate(syscall.Chmod(fs.at(path), mode))
}

func (fs pathFS) ReadDir(path string) ([]string, error) {
	d, err := os.Open(fs.at(path))
	if err != nil {
		return nil, translate(err)
	}
	names, err := d.Readdirnames(-1)
	return names, translate(errors.Join(err, d.Close()))
}

func (fs pathFS) Stat(path string) (honeyant.Attr, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(fs.at(path), &st); err != nil {
		return honeyant.Attr{}, translate(err)
	}
	return honeyant.Attr{
		Ino: honeyant.Ino(st.Ino), Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid, Size: uint64(st.Size),
		Blocks: uint64(st.Blocks), Mtime: honeyant.Time{Sec: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec)},
	}, nil
}

type pathFile struct {
	f      *os.File
	append bool
}

func (f pathFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, translate(err)
}

func (f pathFile) WriteAt(p []byte, off int64) (int, error) {
	if f.append {
		n, err := f.f.Write(p)
		return n, translate(err)
	}
	n, err := f.f.WriteAt(p, off)
	return n, translate(err)
}

func (f pathFile) Truncate(size int64) error { return translate(f.f.Truncate(size)) }
func (f pathFile) Sync() error               { return translate(f.f.Sync()) }
func (f pathFile) Close() error              { return translate(f.f.Close()) }

func (f pathFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, translate(err)
	}
	return st.Size(), nil
}
