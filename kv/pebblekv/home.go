package pebblekv

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
)

// Names inside a Home, and the words its pointer begins with. See doc/format/raft.md.
const (
	currentName = "CURRENT"
	statePrefix = "db-"
	pointerHead = "honeyant-state 1 "
)

// Home is a directory in which a database can be replaced as a whole by a checkpoint: a
// pointer file CURRENT names the sub-directory that is in force. A crash at any step of
// Adopt leaves the old database or the new one, whole. For one goroutine at a time.
type Home struct {
	dir string
	o   Options
	fs  vfs.FS

	mu     sync.Mutex // guards all below
	number int        // of the sub-directory in force
	db     *DB
}

// OpenHome opens the database in force in dir, an empty one if dir is new.
func OpenHome(dir string, o Options) (*Home, *DB, error) {
	const op = "pebblekv.OpenHome"
	if o.FS == nil {
		o.FS = vfs.Default
	}
	h := &Home{dir: dir, o: o, fs: o.FS}
	fail := func(err error) (*Home, *DB, error) { return nil, nil, honeyant.E(op, kindOf(err), dir, err) }
	if err := errors.Join(h.fs.MkdirAll(dir, 0o700), h.syncDir(h.fs.PathDir(dir))); err != nil {
		return fail(err)
	}
	found, err := h.readPointer()
	if err == nil && !found {
		h.number = 1
		err = h.writePointer(1)
	}
	if err == nil {
		err = h.removeOthers()
	}
	if err == nil {
		h.db, err = Open(h.path(h.number), o)
	}
	if err != nil {
		return fail(err)
	}
	return h, h.db, nil
}

func (h *Home) path(number int) string {
	return h.fs.PathJoin(h.dir, statePrefix+strconv.Itoa(number))
}

// Adopt makes the checkpoint in from, on the same file system, the database in force and
// opens it. from is gone afterwards. The database that was in force stays usable until it
// is closed, which deletes its files.
func (h *Home) Adopt(from string) (*DB, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	db, err := h.adopt(from)
	if err != nil {
		return nil, honeyant.E("pebblekv.Adopt", kindOf(err), from, err)
	}
	return db, nil
}

func (h *Home) adopt(from string) (*DB, error) {
	next := h.number + 1
	if err := h.fs.RemoveAll(h.path(next)); err != nil { // of an Adopt that failed
		return nil, err
	}
	if err := errors.Join(h.syncDir(from), h.fs.Rename(from, h.path(next))); err != nil {
		return nil, err
	}
	if err := h.syncDir(h.dir); err != nil {
		return nil, err
	}
	if err := h.writePointer(next); err != nil {
		return nil, err
	}
	old := h.db
	h.number = next
	db, err := Open(h.path(next), h.o)
	if err != nil {
		return nil, err
	}
	h.db = db
	old.removeOnClose.Store(true)
	return db, nil
}

// readPointer tells whether there is a pointer and which number it names.
func (h *Home) readPointer() (found bool, err error) {
	f, err := h.fs.Open(h.fs.PathJoin(h.dir, currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, 128))
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	if h.number, err = decodePointer(string(raw)); err != nil {
		return false, err
	}
	return true, nil
}

func encodePointer(number int) string {
	body := pointerHead + strconv.Itoa(number)
	return fmt.Sprintf("%s %08x\n", body, crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)))
}

func decodePointer(s string) (number int, err error) {
	body, ok := strings.CutPrefix(s, pointerHead)
	word, _, _ := strings.Cut(body, " ")
	number, err = strconv.Atoi(word)
	if !ok || err != nil || number < 1 || encodePointer(number) != s {
		return 0, honeyant.E("pebblekv.readPointer", honeyant.Corrupt, currentName, nil)
	}
	return number, nil
}

// writePointer replaces CURRENT; durable on return.
func (h *Home) writePointer(number int) error {
	temp := h.fs.PathJoin(h.dir, currentName+".tmp")
	f, err := h.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write([]byte(encodePointer(number))); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := h.fs.Rename(temp, h.fs.PathJoin(h.dir, currentName)); err != nil {
		return err
	}
	return h.syncDir(h.dir)
}

// removeOthers deletes databases that are not in force.
func (h *Home) removeOthers() error {
	names, err := h.fs.List(h.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, statePrefix) && name != statePrefix+strconv.Itoa(h.number) {
			if err := h.fs.RemoveAll(h.fs.PathJoin(h.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Home) syncDir(dir string) error {
	d, err := h.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
