package transfer

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// localWriter builds a file of many parts beside its name.
type localWriter struct {
	t      *localTarget
	path   string // below the root
	full   string // for people
	name   string // last element
	beside string
	size   int64
	sparse bool
	head   []byte
	dir    *os.File
	file   *os.File
	list   *os.File // of parts

	mu      sync.Mutex // guards what follows
	sums    map[int64]uint64
	written map[int64]bool // in this or an earlier run: a zero block can not be left out there
	dirty   bool           // something was written since the last sync
}

func (t *localTarget) create(ctx context.Context, path string, e *Entry) (writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, name, err := t.tree.parent(path)
	if err != nil {
		return nil, err
	}
	w := &localWriter{t: t, path: path, full: t.tree.full(path), name: name, beside: besideOf(name), size: e.Size, sparse: e.sparse(),
		head: listHead(e), dir: dir, sums: map[int64]uint64{}, written: map[int64]bool{}}
	if err := w.begin(e); err != nil {
		w.closeFiles()
		return nil, err
	}
	t.did("create", path)
	return w, nil
}

// begin opens the file and its list, and takes over what fits the source file.
func (w *localWriter) begin(e *Entry) error {
	var err error
	if w.file, err = w.t.beside(w.dir, w.beside, w.full); err != nil {
		return err
	}
	if w.list, err = w.t.beside(w.dir, listOf(w.beside), w.full); err != nil {
		return err
	}
	sums, keep, ok := readList(w.list, e)
	if st, err := w.file.Stat(); err != nil || st.Size() != e.Size {
		ok = false
	}
	if ok {
		w.sums = sums
		for i := range sums {
			w.written[i] = true
		}
		// a record that was cut off goes
		return fault0("truncate", w.full, w.list.Truncate(keep))
	}
	for _, step := range []func() error{
		func() error { return w.list.Truncate(0) },
		func() error { return w.file.Truncate(0) },
		func() error { return w.file.Truncate(e.Size) },
		func() error { _, err := w.list.WriteAt(w.head, 0); return err },
	} {
		if err := step(); err != nil {
			return fault("create", w.full, err)
		}
	}
	return nil
}

func (w *localWriter) claimed() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.sums))
}

func (w *localWriter) write(ctx context.Context, i int64, p part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i < 0 || i >= partsOf(w.size) || len(p.data) != partLen(w.size, i) || sumOf(p.data) != p.sum {
		return honeyant.E("write", honeyant.Corrupt, w.full, errors.New("the content changed on its way"))
	}
	w.mu.Lock()
	again := w.written[i]
	w.written[i], w.dirty = true, true
	w.mu.Unlock()
	if err := writeData(w.file, i*partSize, p.data, w.sparse && !again); err != nil {
		return fault("write", w.full, err)
	}
	w.t.did("write", w.path)
	// The disk begins now, so that the sync at the end is short. A wish.
	_ = unix.SyncFileRange(int(w.file.Fd()), i*partSize, int64(len(p.data)), unix.SYNC_FILE_RANGE_WRITE)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sums[i] = p.sum
	if _, err := w.list.Seek(0, 2); err != nil {
		return fault("write", w.full, err)
	}
	if _, err := w.list.Write(listEntry(w.head, i, p.sum)); err != nil {
		return fault("write", w.full, err)
	}
	return nil
}

func (w *localWriter) verify(ctx context.Context, from, to int64) (bad []int64, err error) {
	if err := w.sync(); err != nil {
		return nil, err
	}
	if from < 0 || to > partsOf(w.size) {
		return nil, honeyant.E("verify", honeyant.Invalid, w.full, nil)
	}
	for i := from; i < to; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.mu.Lock()
		sum, ok := w.sums[i]
		w.mu.Unlock()
		if !ok || sound(w.file, i*partSize, partLen(w.size, i), sum) {
			continue
		}
		bad = append(bad, i)
		w.mu.Lock()
		delete(w.sums, i)
		w.mu.Unlock()
	}
	return bad, nil
}

func (w *localWriter) sync() error {
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = false
	w.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return fault("sync", w.full, err)
	}
	w.t.did("synced", w.path)
	return nil
}

func (w *localWriter) finish(ctx context.Context, e *Entry) (notes []string, err error) {
	defer w.closeFiles()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if notes, err = byFile(w.file).apply(e); err != nil {
		return notes, fault("set metadata of", w.full, err)
	}
	if err := w.file.Sync(); err != nil {
		return notes, fault("sync", w.full, err)
	}
	w.t.did("synced", w.path)
	if err := unix.Renameat(int(w.dir.Fd()), w.beside, int(w.dir.Fd()), w.name); err != nil {
		return notes, fault("rename", w.full, err)
	}
	w.t.did("rename", w.path)
	if err := unix.Unlinkat(int(w.dir.Fd()), listOf(w.beside), 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return notes, fault("remove", w.full, err)
	}
	return notes, nil
}

func (w *localWriter) abandon(context.Context) error {
	w.closeFiles()
	return nil
}

func (w *localWriter) closeFiles() {
	for _, f := range []*os.File{w.file, w.list, w.dir} {
		if f != nil {
			f.Close() // what matters was synced
		}
	}
}
