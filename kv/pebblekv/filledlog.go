package pebblekv

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// filledFS fills new log files with zeros before they are written. Syncing a write that makes a file longer takes the
// file system a transaction of its journal; one into what is there already takes the write alone (on ext4 0.4 ms instead of
// 1.2). Pebble does so itself with logs that it uses again, but the first ones are new, and all of a database that is changed
// seldom. What is read of a log ends at its first zeros.
type filledFS struct {
	vfs.FS
	size int64 // of a log, about
}

// Create implements vfs.FS.
func (f filledFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < f.size; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), f.size-at)], at); err != nil {
			break // the writes to come say so, if it matters
		}
	}
	return file, nil
}

// Unwrap implements vfs.FS.
func (f filledFS) Unwrap() vfs.FS { return f.FS }
