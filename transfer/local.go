package transfer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/honeyant/honeyant"
)

// localEnd is this machine.
type localEnd struct {
	log *slog.Logger
	did func(change, path string) // see localTarget
}

func (*localEnd) way() string  { return "local" }
func (*localEnd) close() error { return nil }

func (e *localEnd) look(_ context.Context, path string) (look, error) {
	at, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return look{}, nil
	}
	if err != nil {
		return look{}, fault("stat", path, err)
	}
	l := look{exists: true, entry: Entry{Kind: File}}
	if at.Mode()&os.ModeSymlink != 0 {
		if to, err := os.Stat(path); err == nil && to.IsDir() {
			at = to // a link to a directory is a way to it; any other link is replaced
		}
	}
	if at.IsDir() {
		l.entry.Kind = Dir
		l.mark = readMark(path)
	}
	return l, nil
}

// readMark is the mark of a directory that is being made; "" if there is none.
func readMark(path string) string {
	path = filepath.Clean(path)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), markOf(filepath.Base(path))))
	if err != nil {
		return ""
	}
	return string(b)
}

func (e *localEnd) source(ctx context.Context, path string) (source, Entry, error) {
	at, err := os.Lstat(path)
	if err == nil && at.Mode()&os.ModeSymlink != 0 && strings.HasSuffix(path, "/") {
		at, err = os.Stat(path)
	}
	if err != nil {
		return nil, Entry{}, fault("open", path, err)
	}
	dir, root := path, ""
	if !at.IsDir() {
		dir, root = filepath.Dir(path), filepath.Base(path)
	}
	t, err := openTree(dir, root, path)
	if err != nil {
		return nil, Entry{}, err
	}
	entry, err := t.stat(root, false)
	if err != nil {
		t.close()
		return nil, Entry{}, err
	}
	return &localSource{tree: t}, entry, nil
}

func (e *localEnd) target(_ context.Context, path string, verify bool) (target, string, error) {
	dir, root := path, ""
	if at, err := os.Stat(path); err != nil || !at.IsDir() || readMark(path) != "" {
		clean := filepath.Clean(path)
		dir, root = filepath.Dir(clean), filepath.Base(clean)
		if root == "." || root == ".." || root == "/" {
			return nil, "", honeyant.E("open", honeyant.NotExist, path, nil)
		}
	}
	t, err := openTree(dir, root, path)
	if err != nil {
		return nil, "", err
	}
	lt := newLocalTarget(t, verify, e.log)
	if e.did != nil {
		lt.did = e.did
	}
	return lt, root, nil
}
