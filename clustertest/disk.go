package clustertest

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/honeyant/honeyant/disk"
)

// Disk is what a machine stores on: files for metadata and their log, and a directory of
// chunks. Safe for concurrent use.
type Disk struct {
	mu     sync.Mutex // guards all below
	files  *vfs.MemFS
	chunks *disk.Memory
	slow   time.Duration
	undo   []func()
}

// syncTime is what each sync of a healthy store takes.
const syncTime = time.Millisecond

func newDisk(dir string) *Disk {
	d := &Disk{files: vfs.NewCrashableMem(), chunks: disk.NewMemory(0)}
	d.chunks.Inject(disk.Fault{Op: disk.OpSync, Delay: syncTime})
	if err := makeDirs(d.files, dir); err != nil {
		panic(err) // memory does not fail
	}
	return d
}

// makeDirs makes a directory with its parents, durably.
func makeDirs(fs vfs.FS, path string) error {
	if err := fs.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for {
		d, err := fs.OpenDir(path)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if path == filepath.Dir(path) {
			return nil
		}
		path = filepath.Dir(path)
	}
}

// Chunks is the store's directory at present.
func (d *Disk) Chunks() *disk.Memory {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.chunks
}

// Files is the file system of metadata and log at present. Of its syncs only those of the
// log are as slow as Slow says: the others happen under locks of Pebble, and fake time stands
// still while a goroutine waits for a lock.
func (d *Disk) Files() vfs.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errorfs.Wrap(d.files, errorfs.InjectorFunc(func(op errorfs.Op) error {
		sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
		if sync && strings.HasSuffix(op.Path, ".log") {
			d.mu.Lock()
			slow := d.slow
			d.mu.Unlock()
			if slow > 0 {
				Sleep(slow)
			}
		}
		return nil
	}))
}

// Slow makes each sync of the disk take so long, until Undo.
func (d *Disk) Slow(each time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = each
	d.undo = append(d.undo, d.chunks.Inject(disk.Fault{Op: disk.OpSync, Delay: each}))
}

// Undo takes Slow back.
func (d *Disk) Undo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = 0
	for _, undo := range d.undo {
		undo()
	}
	d.undo = nil
}

// fall replaces the disks by what a crash leaves of them, with the metadata below to instead
// of from. Faults do not survive it.
func (d *Disk) fall(process bool, rng *rand.Rand, from, to string) error {
	d.Undo()
	d.mu.Lock()
	defer d.mu.Unlock()
	if process {
		d.files = d.files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		d.chunks = d.chunks.Kill()
	} else {
		d.files = d.files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(2), RNG: rng})
		d.chunks = d.chunks.Crash(rng)
	}
	d.chunks.Inject(disk.Fault{Op: disk.OpSync, Delay: syncTime})
	if err := d.files.Rename(from, to); err != nil {
		return err
	}
	return makeDirs(d.files, to)
}
