package colony

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume/fileapi"
)

// FS is a directory of a volume as an fs.FS. Unlike the standard one it takes names that begin
// with a slash or hold dots; they never lead out of Root. Safe for concurrent use.
type FS struct {
	Client *fileapi.Client
	Root   string // directory within the volume, "" the root
}

// Open opens a file or a directory.
func (f *FS) Open(name string) (fs.File, error) {
	info, err := f.stat("open", name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &dir{fs: f, path: f.path(name), info: info}, nil
	}
	return &file{fs: f, path: f.path(name), info: info}, nil
}

// Stat tells what a name is.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name) }

func (f *FS) path(name string) string { return path.Join("/", f.Root, path.Clean("/"+name)) }

func (f *FS) stat(op, name string) (info, error) {
	s, err := f.Client.Stat(context.Background(), f.path(name))
	if err != nil {
		return info{}, &fs.PathError{Op: op, Path: name, Err: translate(err)}
	}
	return info{s}, nil
}

// translate gives the errors that package fs knows their names there.
func translate(err error) error {
	switch {
	case errors.Is(err, honeyant.NotExist), errors.Is(err, honeyant.NotDir):
		return fs.ErrNotExist
	case errors.Is(err, honeyant.Permission), errors.Is(err, honeyant.NotPermitted):
		return fs.ErrPermission
	case errors.Is(err, honeyant.NameTooLong):
		return fs.ErrInvalid
	}
	return err
}

// info is an fs.FileInfo and an fs.DirEntry.
type info struct{ s fileapi.Stat }

func (i info) Name() string               { return i.s.Name }
func (i info) Size() int64                { return i.s.Size }
func (i info) IsDir() bool                { return i.Mode().IsDir() }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) Sys() any                   { return i.s }

// ModTime is in whole seconds; the rest tells versions apart (Y3).
func (i info) ModTime() time.Time {
	return time.Unix(i.s.Modified/int64(time.Second), int64(i.s.Version%uint64(time.Second)))
}

func (i info) Mode() fs.FileMode {
	m := fs.FileMode(i.s.Mode & 0o777)
	switch i.s.Mode & honeyant.ModeType {
	case honeyant.ModeFile:
	case honeyant.ModeDir:
		m |= fs.ModeDir
	case honeyant.ModeSymlink:
		m |= fs.ModeSymlink
	default:
		m |= fs.ModeIrregular
	}
	return m
}

// file reads one version of a file, by streams from where it was sought to.
type file struct {
	fs     *FS
	path   string
	info   info
	at     int64
	stream io.ReadCloser // from at on; nil if none is open
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read reads on. A failure ends the handler that reads by http.ErrAbortHandler: those that
// serve files ignore errors of reading, and would let a response look complete that is not.
func (f *file) Read(p []byte) (int, error) {
	if f.at >= f.info.s.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.stream == nil {
		var err error
		f.stream, err = f.fs.Client.Read(context.Background(), f.path, f.info.s.Version, f.at, f.info.s.Size-f.at)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	n, err := f.stream.Read(p)
	f.at += int64(n)
	if err != nil && (err != io.EOF || f.at < f.info.s.Size) {
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.info.s.Size
	}
	if offset < 0 {
		return f.at, &fs.PathError{Op: "seek", Path: f.path, Err: fs.ErrInvalid}
	}
	if offset != f.at {
		f.drop()
	}
	f.at = offset
	return offset, nil
}

func (f *file) drop() error {
	if f.stream == nil {
		return nil
	}
	err := f.stream.Close()
	f.stream = nil
	return err
}

func (f *file) Close() error { return f.drop() }

// dir lists a directory page by page.
type dir struct {
	fs     *FS
	path   string
	info   info
	cookie uint64
	page   []fileapi.Stat
	ended  bool
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errors.New("is a directory")}
}

// pageSize is how many entries are asked for at once.
const pageSize = 1000

// ReadDir answers the next n entries, all that are left if n is not positive. A symlink is
// shown as what it leads to.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for n <= 0 || len(out) < n {
		if len(d.page) == 0 {
			if d.ended {
				break
			}
			p, err := d.fs.Client.List(context.Background(), d.path, d.cookie, pageSize)
			if err != nil {
				return out, &fs.PathError{Op: "readdir", Path: d.path, Err: translate(err)}
			}
			d.page, d.cookie, d.ended = p.Entries, p.Cookie, p.Cookie == 0
			continue
		}
		out = append(out, info{d.page[0]})
		d.page = d.page[1:]
	}
	if n > 0 && len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

var (
	_ fs.StatFS      = (*FS)(nil)
	_ io.ReadSeeker  = (*file)(nil)
	_ fs.ReadDirFile = (*dir)(nil)
)
