package volumetest

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// OverVolume is the FS of a volume's API.
func OverVolume(v *volume.Volume) FS { return volumeFS{v} }

type volumeFS struct{ v *volume.Volume }

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func (fs volumeFS) find(ctx context.Context, path string) (honeyant.Attr, error) {
	a, err := fs.v.GetAttr(ctx, honeyant.RootIno)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil || name == "" {
			break
		}
		a, err = fs.v.Lookup(ctx, a.Ino, name)
	}
	return a, err
}

// parent finds the directory of a path, and its last name.
func (fs volumeFS) parent(ctx context.Context, path string) (honeyant.Ino, string, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	a, err := fs.find(ctx, dir)
	return a.Ino, name, err
}

func (fs volumeFS) Open(path string, flag int) (File, error) {
	ctx, cancel := within()
	defer cancel()
	mode := flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	f := volume.OpenFlags{
		Read: mode != os.O_WRONLY, Write: mode != os.O_RDONLY, Append: flag&os.O_APPEND != 0,
		Sync: flag&os.O_SYNC != 0, Truncate: flag&os.O_TRUNC != 0,
	}
	if flag&os.O_CREATE != 0 {
		dir, name, err := fs.parent(ctx, path)
		if err != nil {
			return nil, err
		}
		_, file, err := fs.v.Create(ctx, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, f, flag&os.O_EXCL != 0)
		if err != nil {
			return nil, err
		}
		return volumeFile{fs.v, file}, nil
	}
	a, err := fs.find(ctx, path)
	if err != nil {
		return nil, err
	}
	file, err := fs.v.Open(ctx, a.Ino, f)
	if err != nil {
		return nil, err
	}
	return volumeFile{fs.v, file}, nil
}

func (fs volumeFS) make(path string, mode uint32, target string) error {
	ctx, cancel := within()
	defer cancel()
	dir, name, err := fs.parent(ctx, path)
	if err == nil {
		_, err = fs.v.Make(ctx, volume.NewNode{Parent: dir, Name: name, Mode: mode, Target: target})
	}
	return err
}

func (fs volumeFS) Mkdir(path string) error { return fs.make(path, honeyant.ModeDir|0o755, "") }

func (fs volumeFS) Symlink(target, path string) error {
	return fs.make(path, honeyant.ModeSymlink|0o777, target)
}

func (fs volumeFS) Remove(path string) error {
	ctx, cancel := within()
	defer cancel()
	a, err := fs.Stat(path)
	if err != nil {
		return err
	}
	dir, name, err := fs.parent(ctx, path)
	if err != nil {
		return err
	}
	if a.IsDir() {
		return fs.v.Rmdir(ctx, dir, name)
	}
	return fs.v.Unlink(ctx, dir, name)
}

func (fs volumeFS) Rename(from, to string) error {
	ctx, cancel := within()
	defer cancel()
	var op meta.Rename
	var err error
	if op.OldParent, op.OldName, err = fs.parent(ctx, from); err != nil {
		return err
	}
	if op.NewParent, op.NewName, err = fs.parent(ctx, to); err != nil {
		return err
	}
	return fs.v.Rename(ctx, &op)
}

func (fs volumeFS) Link(from, to string) error {
	ctx, cancel := within()
	defer cancel()
	a, err := fs.find(ctx, from)
	if err != nil {
		return err
	}
	dir, name, err := fs.parent(ctx, to)
	if err == nil {
		_, err = fs.v.Link(ctx, a.Ino, dir, name)
	}
	return err
}

func (fs volumeFS) ReadLink(path string) (string, error) {
	ctx, cancel := within()
	defer cancel()
	a, err := fs.find(ctx, path)
	if err != nil {
		return "", err
	}
	return fs.v.ReadLink(ctx, a.Ino)
}

func (fs volumeFS) Stat(path string) (honeyant.Attr, error) {
	ctx, cancel := within()
	defer cancel()
	return fs.find(ctx, path)
}

func (fs volumeFS) ReadDir(path string) ([]string, error) {
	ctx, cancel := within()
	defer cancel()
	a, err := fs.find(ctx, path)
	if err != nil {
		return nil, err
	}
	d, err := fs.v.OpenDir(ctx, a.Ino)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	cookie := uint64(0)
	for room := 1; ; room = room%7 + 1 { // few at a time, as a kernel with a small buffer asks
		before := len(names)
		err := d.Read(ctx, cookie, before%2 == 0, func(e meta.DirEntry) bool {
			if len(names)-before == room {
				return false
			}
			names, cookie = append(names, e.Name), e.Cookie
			return true
		})
		if err != nil || len(names) == before {
			return names, err
		}
	}
}

func (fs volumeFS) Chmod(path string, mode uint32) error {
	ctx, cancel := within()
	defer cancel()
	a, err := fs.find(ctx, path)
	if err != nil {
		return err
	}
	_, err = fs.v.SetAttr(ctx, &meta.SetAttr{Ino: a.Ino, Valid: meta.SetMode, Mode: mode})
	return err
}

type volumeFile struct {
	v *volume.Volume
	f *volume.File
}

func (f volumeFile) ReadAt(p []byte, off int64) (int, error) {
	ctx, cancel := within()
	defer cancel()
	return f.f.ReadAt(ctx, p, off)
}

func (f volumeFile) WriteAt(p []byte, off int64) (int, error) {
	ctx, cancel := within()
	defer cancel()
	return f.f.WriteAt(ctx, p, off, volume.WriteFlags{KillPriv: true})
}

func (f volumeFile) Truncate(size int64) error {
	ctx, cancel := within()
	defer cancel()
	_, err := f.v.SetAttr(ctx, &meta.SetAttr{Ino: f.f.Ino(), Valid: meta.SetSize, Size: uint64(size)})
	return err
}

func (f volumeFile) Size() (int64, error) {
	ctx, cancel := within()
	defer cancel()
	a, err := f.v.GetAttr(ctx, f.f.Ino())
	return int64(a.Size), err
}

func (f volumeFile) Sync() error {
	ctx, cancel := within()
	defer cancel()
	return f.f.Fsync(ctx, false)
}

func (f volumeFile) Close() error {
	ctx, cancel := within()
	defer cancel()
	err := f.f.Flush(ctx, 0)
	if e := f.f.Release(ctx, 0); err == nil {
		err = e
	}
	return err
}
