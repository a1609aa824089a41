package pebblekv

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stopFS stops the database at the first write, sync or create that fails inside its
// directory: it reports the fault and never returns, like a machine that died there. What
// Pebble would do instead is retry the flush, where the kernel may have dropped the pages
// and says yes (rule 9), or end the whole process when a log file can not be started.
// The goroutine that is kept is one of Pebble's or of guarded's; the process has to be
// restarted to open the directory again, which holds its lock until then.
type stopFS struct {
	vfs.FS
	prefix  string
	fault   *fault
	stopped *atomic.Bool
}

func newStopFS(fs vfs.FS, dir string, f *fault) *stopFS {
	return &stopFS{FS: fs, prefix: fs.PathJoin(dir, "x")[:len(fs.PathJoin(dir, "x"))-1], fault: f, stopped: &atomic.Bool{}}
}

// check returns if there is no error, and otherwise never.
func (s *stopFS) check(err error) {
	if err == nil {
		return
	}
	s.stopped.Store(true)
	s.fault.fail(err)
	select {}
}

func (s *stopFS) inside(name string) bool { return strings.HasPrefix(name, s.prefix) }

func (s *stopFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if !s.inside(name) {
		return f, err
	}
	s.check(err)
	return &stopFile{File: f, fs: s}, nil
}

func (s *stopFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return s.wrap(name, f, err)
}

func (s *stopFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.ReuseForWrite(oldname, newname, c)
	return s.wrap(newname, f, err)
}

// OpenDir is wrapped for the sync of directories; that there is none is no fault.
func (s *stopFS) OpenDir(name string) (vfs.File, error) {
	f, err := s.FS.OpenDir(name)
	if err != nil || !s.inside(s.FS.PathJoin(name, "x")) {
		return f, err
	}
	return &stopFile{File: f, fs: s}, nil
}

func (s *stopFS) Unwrap() vfs.FS { return s.FS }

type stopFile struct {
	vfs.File
	fs *stopFS
}

func (f *stopFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.fs.check(err)
	return n, nil
}

func (f *stopFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.fs.check(err)
	return n, nil
}

func (f *stopFile) Sync() error {
	f.fs.check(f.File.Sync())
	return nil
}

func (f *stopFile) SyncData() error {
	f.fs.check(f.File.SyncData())
	return nil
}

func (f *stopFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	f.fs.check(err)
	return full, nil
}
