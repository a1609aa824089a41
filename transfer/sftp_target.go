package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/pkg/sftp"

	"github.com/honeyant/honeyant"
)

// sftpTarget is a directory of the other machine to write into.
type sftpTarget struct {
	sftpTree
	verify bool
}

func (t *sftpTarget) list(ctx context.Context, dir, after string) ([]Entry, string, error) {
	all, next, err := t.sftpTree.list(ctx, dir, after, false)
	return slices.DeleteFunc(all, func(e Entry) bool { return ours(e.Name) }), next, err
}

func (t *sftpTarget) mkdir(ctx context.Context, p string) (bool, error) {
	if err := ctx.Err(); err != nil || p == "" {
		return true, err
	}
	full := t.full(p)
	if info, err := t.e.client.Lstat(full); err == nil {
		if !info.IsDir() {
			return false, honeyant.E("make", honeyant.NotDir, full, errors.New("a directory can not replace what is there"))
		}
		return true, nil
	}
	if err := t.e.client.Mkdir(full); err != nil {
		return false, t.e.fault("make", full, err)
	}
	return false, nil
}

// beside is the path at which the content of p is built.
func (t *sftpTarget) beside(p string) string {
	dir, name := split(p)
	return t.full(join(dir, besideOf(name)))
}

func (t *sftpTarget) put(ctx context.Context, p string, e *Entry, data part) ([]string, error) {
	w, err := t.begin(ctx, p, e, os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	bad := []int64(nil)
	if len(data.data) > 0 {
		if err = w.write(ctx, 0, data); err == nil && t.verify {
			bad, err = w.verify(ctx, 0, 1)
		}
	}
	if err == nil && len(bad) > 0 {
		err = honeyant.E("verify", honeyant.Corrupt, t.full(p), errors.New("what is there is not what was written"))
	}
	if err != nil {
		w.f.Close()
		_ = t.e.client.Remove(w.beside) // nothing half-written remains
		return nil, err
	}
	return w.finish(ctx, e)
}

func (t *sftpTarget) create(ctx context.Context, p string, e *Entry) (writer, error) {
	w, err := t.begin(ctx, p, e, 0)
	if err != nil {
		return nil, err
	}
	if err := w.resume(e); err != nil {
		w.f.Close()
		return nil, err
	}
	return w, nil
}

func (t *sftpTarget) begin(ctx context.Context, p string, e *Entry, flag int) (*sftpWriter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &sftpWriter{t: t, path: p, beside: t.beside(p), size: e.Size, head: listHead(e), sums: map[int64]uint64{}}
	f, err := t.e.client.OpenFile(w.beside, os.O_RDWR|os.O_CREATE|flag)
	if err != nil {
		return nil, t.e.fault("create", t.full(p), err)
	}
	w.f = f
	return w, nil
}

func (t *sftpTarget) special(ctx context.Context, p string, e *Entry) ([]string, error) {
	if e.Kind != Symlink {
		return nil, honeyant.E("make", honeyant.Unsupported, t.full(p), errors.New("SFTP can not make devices, fifos and sockets"))
	}
	beside := t.beside(p)
	_ = t.e.client.Remove(beside) // of an earlier run
	if err := t.e.client.Symlink(e.Target, beside); err != nil {
		return nil, t.e.fault("make", t.full(p), err)
	}
	return nil, t.e.fault("make", t.full(p), t.e.client.PosixRename(beside, t.full(p)))
}

func (t *sftpTarget) link(ctx context.Context, p, first string) error {
	beside := t.beside(p)
	_ = t.e.client.Remove(beside) // of an earlier run
	if err := t.e.client.Link(t.full(first), beside); err != nil {
		return t.e.fault("link", t.full(p), err)
	}
	err := t.e.client.PosixRename(beside, t.full(p))
	_ = t.e.client.Remove(beside) // stays if both are the same file already
	return t.e.fault("link", t.full(p), err)
}

func (t *sftpTarget) seal(ctx context.Context, p string, e *Entry) ([]string, error) {
	if e == nil || e.Kind == Symlink {
		return nil, nil
	}
	info, err := t.e.client.Lstat(t.full(p))
	if err != nil {
		return nil, t.e.fault("stat", t.full(p), err)
	}
	return t.apply(t.full(p), e, info)
}

func (t *sftpTarget) mark(ctx context.Context, p, text string) error {
	f, err := t.e.client.OpenFile(t.full(p), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return t.e.fault("create", t.full(p), err)
	}
	_, err = f.Write([]byte(text))
	return t.e.fault("write", t.full(p), errors.Join(err, f.Close()))
}

func (t *sftpTarget) unmark(ctx context.Context, p string) error {
	if err := t.e.client.Remove(t.full(p)); !errors.Is(err, os.ErrNotExist) {
		return t.e.fault("remove", t.full(p), err)
	}
	return nil
}

// sftpWriter builds a file beside its name.
type sftpWriter struct {
	t      *sftpTarget
	path   string
	beside string
	size   int64
	head   []byte
	f      *sftp.File
	list   *sftp.File // of parts; nil for a file of one

	mu   sync.Mutex // guards what follows
	sums map[int64]uint64
	end  int64 // of the list
}

// resume takes over what an earlier run left of the same file, or begins anew.
func (w *sftpWriter) resume(e *Entry) error {
	c := w.t.e.client
	fail := func(err error) error { return w.t.e.fault("create", w.t.full(w.path), err) }
	var err error
	if w.list, err = c.OpenFile(listOf(w.beside), os.O_RDWR|os.O_CREATE); err != nil {
		return fail(err)
	}
	old, err := io.ReadAll(w.list)
	if err != nil {
		return fail(err)
	}
	sums, keep, ok := readList(bytes.NewReader(old), e)
	if ok {
		w.sums, w.end = sums, keep
		return nil
	}
	if err := errors.Join(w.f.Truncate(0), w.list.Truncate(0)); err != nil {
		return fail(err)
	}
	w.end = listHeader
	_, err = w.list.WriteAt(w.head, 0)
	return fail(err)
}

func (w *sftpWriter) claimed() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.sums))
}

func (w *sftpWriter) write(ctx context.Context, i int64, p part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(p.data, i*partSize); err != nil {
		return w.t.e.fault("write", w.t.full(w.path), err)
	}
	w.t.e.tally.travelled(formRaw, len(p.data), len(p.data))
	w.mu.Lock()
	w.sums[i] = p.sum
	at := w.end
	w.end += listRecord
	w.mu.Unlock()
	if w.list == nil {
		return nil
	}
	_, err := w.list.WriteAt(listEntry(w.head, i, p.sum), at)
	return w.t.e.fault("write", w.t.full(w.path), err)
}

func (w *sftpWriter) verify(ctx context.Context, from, to int64) (bad []int64, err error) {
	for i := from; i < to; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.mu.Lock()
		sum, ok := w.sums[i]
		w.mu.Unlock()
		if !ok {
			continue
		}
		b := make([]byte, partLen(w.size, i))
		n, err := w.f.ReadAt(b, i*partSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, w.t.e.fault("verify", w.t.full(w.path), err)
		}
		if n != len(b) || sumOf(b) != sum {
			bad = append(bad, i)
			w.mu.Lock()
			delete(w.sums, i)
			w.mu.Unlock()
		}
	}
	return bad, nil
}

func (w *sftpWriter) finish(ctx context.Context, e *Entry) ([]string, error) {
	full := w.t.full(w.path)
	defer w.abandon(ctx)
	if err := w.f.Truncate(e.Size); err != nil {
		return nil, w.t.e.fault("truncate", full, err)
	}
	info, err := w.f.Stat()
	if err != nil {
		return nil, w.t.e.fault("stat", full, err)
	}
	notes, err := w.t.apply(w.beside, e, info)
	if err != nil {
		return notes, err
	}
	if err := w.f.Sync(); err != nil && !unsupported(err) {
		return notes, w.t.e.fault("sync", full, err)
	}
	if err := w.t.e.client.PosixRename(w.beside, full); err != nil {
		return notes, w.t.e.fault("rename", full, err)
	}
	if w.list != nil {
		if err := w.t.e.client.Remove(listOf(w.beside)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return notes, w.t.e.fault("remove", full, err)
		}
	}
	return notes, nil
}

func (w *sftpWriter) abandon(context.Context) error {
	w.f.Close() // what matters was synced
	if w.list != nil {
		w.list.Close()
	}
	return nil
}
