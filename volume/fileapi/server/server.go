// Package server answers the calls of volume/fileapi on the daemon's socket.
package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/fileapi"
)

// Limits of one call.
const (
	maxWrite = 64 << 20         // bytes of a file that is written
	maxPage  = 4096             // entries of a page
	piece    = 1 << 20          // bytes read at once
	callTime = 30 * time.Second // besides reads, and for each piece of them
)

// Server gives the files of a volume. Made by New.
type Server struct {
	use   func(context.Context) (*volume.Volume, error)
	locks locks
}

// New is for the volume that use answers.
func New(use func(context.Context) (*volume.Volume, error)) *Server {
	return &Server{use: use, locks: locks{held: map[string]*held{}}}
}

// Close takes no more locks and gives back those that are held. What is not given back when ctx ends dies with the volume's session.
func (s *Server) Close(ctx context.Context) { s.locks.close(ctx) }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	v, err := s.use(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	q := r.URL.Query()
	op := r.Method + " " + strings.TrimPrefix(r.URL.Path, fileapi.Prefix)
	var answer any
	switch op {
	case "GET read":
		s.read(w, r, v, q)
		return
	case "GET stat":
		answer, err = stat(ctx, v, q.Get("path"))
	case "GET list":
		answer, err = list(ctx, v, q)
	case "PUT write":
		answer, err = write(ctx, v, q.Get("path"), http.MaxBytesReader(w, r.Body, maxWrite))
	case "POST remove":
		err = remove(ctx, v, q.Get("path"))
	case "POST lock":
		answer, err = s.lock(ctx, v, q)
	case "POST unlock":
		err = s.unlock(q)
	default:
		err = honeyant.E("fileapi", honeyant.Unsupported, op, errors.New("no such call"))
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler) // the caller went away
	}
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	text, _ := json.Marshal(fileapi.Failure{Kind: honeyant.KindOf(err), Text: err.Error()})
	w.Write(text)
}

// maxLinks is how many symlinks a path may have.
const maxLinks = 40

// walk looks a path up, following symlinks within the volume.
func walk(ctx context.Context, v *volume.Volume, p string) (honeyant.Attr, error) {
	links := 0
	todo := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	root, err := v.GetAttr(ctx, honeyant.RootIno)
	if err != nil {
		return root, err
	}
	trail := []honeyant.Attr{root}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		at := trail[len(trail)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			trail = trail[:max(1, len(trail)-1)]
			continue
		}
		if !at.IsDir() {
			return at, honeyant.E("fileapi.walk", honeyant.NotDir, p, nil)
		}
		next, err := v.Lookup(ctx, at.Ino, name)
		if err != nil {
			return next, err
		}
		if !next.IsSymlink() {
			trail = append(trail, next)
			continue
		}
		if links++; links > maxLinks {
			return next, honeyant.E("fileapi.walk", honeyant.Loop, p, nil)
		}
		target, err := v.ReadLink(ctx, next.Ino)
		if err != nil {
			return next, err
		}
		if strings.HasPrefix(target, "/") {
			trail = trail[:1]
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return trail[len(trail)-1], nil
}

func describe(name string, a honeyant.Attr) fileapi.Stat {
	return fileapi.Stat{Name: name, Mode: a.Mode, Size: int64(a.Size), Modified: a.Mtime.Std().UnixNano(), Version: versionOf(a), Ino: uint64(a.Ino)}
}

// versionOf tells this content of this inode from all others: a file that was replaced has
// another inode, whose versions count from the start again.
func versionOf(a honeyant.Attr) uint64 { return uint64(a.Ino)*0x9e3779b97f4a7c15 + a.Version }

func stat(ctx context.Context, v *volume.Volume, p string) (fileapi.Stat, error) {
	a, err := walk(ctx, v, p)
	return describe(path.Base(path.Clean("/"+p)), a), err
}

func list(ctx context.Context, v *volume.Volume, q url.Values) (fileapi.Page, error) {
	page := fileapi.Page{Entries: []fileapi.Stat{}}
	cookie, err := strconv.ParseUint(q.Get("cookie"), 10, 64)
	limit, err2 := strconv.Atoi(q.Get("limit"))
	if err != nil || err2 != nil || limit <= 0 {
		return page, honeyant.E("fileapi.list", honeyant.Invalid, "cookie and limit", errors.Join(err, err2))
	}
	limit = min(limit, maxPage)
	a, err := walk(ctx, v, q.Get("path"))
	if err != nil {
		return page, err
	}
	d, err := v.OpenDir(ctx, a.Ino)
	if err != nil {
		return page, err
	}
	defer d.Close()
	more := false
	err = d.Read(ctx, cookie, true, func(e meta.DirEntry) bool {
		if len(page.Entries) == limit {
			more = true
			return false
		}
		page.Entries = append(page.Entries, describe(e.Name, e.Attr))
		page.Cookie = e.Cookie
		return true
	})
	if !more {
		page.Cookie = 0
	}
	return page, err
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, v *volume.Volume, q url.Values) {
	ctx := r.Context()
	version, err := strconv.ParseUint(q.Get("version"), 10, 64)
	offset, err2 := strconv.ParseInt(q.Get("offset"), 10, 64)
	length, err3 := strconv.ParseInt(q.Get("length"), 10, 64)
	if err := errors.Join(err, err2, err3); err != nil || offset < 0 || length < 0 {
		fail(w, honeyant.E("fileapi.read", honeyant.Invalid, q.Get("path"), err))
		return
	}
	f, err := open(ctx, v, q.Get("path"), version)
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Release(context.WithoutCancel(ctx), 0)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	buf := make([]byte, min(piece, length))
	for length > 0 {
		n, err := readPiece(ctx, v, f, buf[:min(int64(len(buf)), length)], offset, version)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil || n == 0 {
			panic(http.ErrAbortHandler) // the length was told: cut it off visibly
		}
		offset, length = offset+int64(n), length-int64(n)
	}
}

func open(ctx context.Context, v *volume.Volume, p string, version uint64) (*volume.File, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	a, err := walk(ctx, v, p)
	switch {
	case err != nil:
		return nil, err
	case a.IsDir():
		return nil, honeyant.E("fileapi.read", honeyant.IsDir, p, nil)
	case !a.IsFile():
		return nil, honeyant.E("fileapi.read", honeyant.Invalid, p, errors.New("it is no regular file"))
	case version != 0 && versionOf(a) != version:
		return nil, honeyant.E("fileapi.read", honeyant.Stale, p, errors.New("the file was changed"))
	}
	return v.Open(ctx, a.Ino, volume.OpenFlags{Read: true})
}

func readPiece(ctx context.Context, v *volume.Volume, f *volume.File, p []byte, offset int64, version uint64) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	n, err := f.ReadAt(ctx, p, offset)
	if err != nil || version == 0 {
		return n, err
	}
	a, err := v.GetAttr(ctx, f.Ino())
	if err == nil && versionOf(a) != version {
		err = honeyant.E("fileapi.read", honeyant.Stale, "", errors.New("the file was changed"))
		n = 0
	}
	return n, err
}

// write makes a file beside the one that it replaces, and renames it.
func write(ctx context.Context, v *volume.Volume, p string, content io.Reader) (fileapi.Stat, error) {
	clean := path.Clean("/" + p)
	name := path.Base(clean)
	if name == "/" {
		return fileapi.Stat{}, honeyant.E("fileapi.write", honeyant.Invalid, p, errors.New("no file name"))
	}
	dir, err := makeDirs(ctx, v, path.Dir(clean))
	if err != nil {
		return fileapi.Stat{}, err
	}
	beside := "." + name + "." + rand.Text()[:8]
	_, f, err := v.Create(ctx, volume.NewNode{Parent: dir, Name: beside, Mode: honeyant.ModeFile | 0o600}, volume.OpenFlags{Write: true}, true)
	if err != nil {
		return fileapi.Stat{}, err
	}
	err = fill(ctx, f, content)
	err = errors.Join(err, f.Release(context.WithoutCancel(ctx), 0))
	if err == nil {
		err = v.Rename(ctx, &meta.Rename{Volume: honeyant.MainVolume, OldParent: dir, OldName: beside, NewParent: dir, NewName: name})
	}
	if err == nil {
		err = v.Sync(ctx)
	}
	if err != nil {
		return fileapi.Stat{}, errors.Join(err, ignoreGone(v.Unlink(context.WithoutCancel(ctx), dir, beside)))
	}
	return stat(ctx, v, clean)
}

func ignoreGone(err error) error {
	if errors.Is(err, honeyant.NotExist) {
		return nil
	}
	return err
}

func fill(ctx context.Context, f *volume.File, content io.Reader) error {
	buf := make([]byte, piece)
	var at int64
	for {
		n, err := io.ReadFull(content, buf)
		if n > 0 {
			if _, werr := f.WriteAt(ctx, buf[:n], at, volume.WriteFlags{}); werr != nil {
				return werr
			}
			at += int64(n)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return errors.Join(f.Fsync(ctx, false), f.Flush(ctx, 0))
		case err != nil:
			return honeyant.E("fileapi.write", honeyant.Invalid, "content", err)
		}
	}
}

// makeDirs is mkdir -p.
func makeDirs(ctx context.Context, v *volume.Volume, p string) (honeyant.Ino, error) {
	a, err := walk(ctx, v, p)
	if err == nil && !a.IsDir() {
		return 0, honeyant.E("fileapi.write", honeyant.NotDir, p, nil)
	}
	if err == nil || !errors.Is(err, honeyant.NotExist) {
		return a.Ino, err
	}
	above, err := makeDirs(ctx, v, path.Dir(p))
	if err != nil {
		return 0, err
	}
	a, err = v.Make(ctx, volume.NewNode{Parent: above, Name: path.Base(p), Mode: honeyant.ModeDir | 0o700})
	if errors.Is(err, honeyant.Exist) {
		a, err = v.Lookup(ctx, above, path.Base(p))
	}
	return a.Ino, err
}

// maxDepth bounds how deep remove goes.
const maxDepth = 64

func remove(ctx context.Context, v *volume.Volume, p string) error {
	clean := path.Clean("/" + p)
	if clean == "/" {
		return honeyant.E("fileapi.remove", honeyant.NotPermitted, p, errors.New("the root of the volume stays"))
	}
	dir, err := walk(ctx, v, path.Dir(clean))
	if err != nil {
		return err
	}
	a, err := v.Lookup(ctx, dir.Ino, path.Base(clean))
	if err != nil {
		return err
	}
	return removeNode(ctx, v, dir.Ino, path.Base(clean), a, maxDepth)
}

func removeNode(ctx context.Context, v *volume.Volume, parent honeyant.Ino, name string, a honeyant.Attr, depth int) error {
	if !a.IsDir() {
		return ignoreGone(v.Unlink(ctx, parent, name))
	}
	if depth == 0 {
		return honeyant.E("fileapi.remove", honeyant.Loop, name, errors.New("too deep"))
	}
	d, err := v.OpenDir(ctx, a.Ino)
	if err != nil {
		return err
	}
	var all []meta.DirEntry
	err = d.Read(ctx, 0, true, func(e meta.DirEntry) bool {
		all = append(all, e)
		return len(all) < maxPage
	})
	d.Close()
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := removeNode(ctx, v, a.Ino, e.Name, e.Attr, depth-1); err != nil {
			return err
		}
	}
	if len(all) >= maxPage {
		return removeNode(ctx, v, parent, name, a, depth)
	}
	return ignoreGone(v.Rmdir(ctx, parent, name))
}

func (s *Server) lock(ctx context.Context, v *volume.Volume, q url.Values) (fileapi.LockAnswer, error) {
	ms, err := strconv.ParseInt(q.Get("ttl_ms"), 10, 64)
	owner := q.Get("owner")
	if err != nil || ms <= 0 || owner == "" {
		return fileapi.LockAnswer{}, honeyant.E("fileapi.lock", honeyant.Invalid, "owner and ttl_ms", fmt.Errorf("owner %q: %w", owner, err))
	}
	granted, err := s.locks.take(ctx, v, path.Clean("/"+q.Get("path")), owner, time.Duration(ms)*time.Millisecond)
	return fileapi.LockAnswer{Granted: granted}, err
}

func (s *Server) unlock(q url.Values) error {
	return s.locks.give(path.Clean("/"+q.Get("path")), q.Get("owner"))
}
