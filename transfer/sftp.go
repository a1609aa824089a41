package transfer

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/honeyant/honeyant"
)

// noteSFTP is what SFTP has no words for.
const (
	noteSFTPXattr = "extended attributes and ACLs not kept: SFTP does not carry them"
	noteSFTPUsed  = "no honeyant answers there, so SFTP was used: slower, and without attributes, ACLs, holes, fractions of seconds and compression"
)

// sftpEnd is a machine without a honeyant, reached by the SFTP server of its sshd. Holes,
// attributes, ACLs and nanoseconds do not travel, names of one file become files of their
// own when it is the source, what is read back crosses the network, and a symbolic link
// that somebody puts into the target while it is written can not be told.
type sftpEnd struct {
	host   string
	client *sftp.Client
	ssh    *process
	tally  *tally
}

func dialSFTP(ctx context.Context, host string, o *Options, t *tally) (end, error) {
	p, err := startSSH(host, o, true, "sftp")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, p.stop)
	client, err := sftp.NewClientPipe(pollable(p.in), pollable(p.out), sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true))
	stop()
	if err != nil {
		p.stop()
		if said := p.stderr.last(); said != "" {
			err = errors.New(said)
		}
		return nil, honeyant.E("connect to", honeyant.Unavailable, host, err)
	}
	return &sftpEnd{host: host, client: client, ssh: p, tally: t}, nil
}

func (*sftpEnd) way() string { return "sftp" }

func (e *sftpEnd) close() error {
	e.ssh.stop()
	e.client.Close() // its reader has ended with the process
	return nil
}

// fault gives an error of the SFTP server a kind.
func (e *sftpEnd) fault(what, path string, err error) error {
	if err == nil {
		return nil
	}
	kind, cause := honeyant.Other, err
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind, cause = honeyant.NotExist, nil
	case errors.Is(err, os.ErrPermission):
		kind, cause = honeyant.Permission, nil
	case errors.Is(err, sftp.ErrSSHFxConnectionLost), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
		kind = honeyant.Unavailable
	case unsupported(err):
		kind, cause = honeyant.Unsupported, nil
	}
	return onHost(e.host, honeyant.E(what, kind, path, cause))
}

// unsupported tells whether the server does not know what was asked of it.
func unsupported(err error) bool {
	var status *sftp.StatusError
	return errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxOpUnsupported
}

func entryFromSFTP(name string, info os.FileInfo) Entry {
	st, ok := info.Sys().(*sftp.FileStat)
	if !ok {
		return Entry{}
	}
	kinds := map[uint32]Kind{0o100000: File, 0o040000: Dir, 0o120000: Symlink, 0o010000: Fifo, 0o140000: Socket, 0o020000: CharDevice, 0o060000: BlockDevice}
	return Entry{
		Name: name, Kind: kinds[st.Mode&0o170000], Mode: st.Mode & 0o7777, UID: st.UID, GID: st.GID, Size: int64(min(st.Size, math.MaxInt64)),
		Blocks: int64(min(st.Size, math.MaxInt64-511)+511) / 512, Atime: int64(st.Atime) * second, Mtime: int64(st.Mtime) * second, Links: 1,
	}
}

func (e *sftpEnd) look(_ context.Context, p string) (look, error) {
	info, err := e.client.Lstat(p)
	if errors.Is(err, os.ErrNotExist) {
		return look{}, nil
	}
	if err != nil {
		return look{}, e.fault("stat", p, err)
	}
	if to, err := e.client.Stat(p); err == nil && to.IsDir() {
		info = to
	}
	l := look{exists: true, entry: Entry{Kind: File}}
	if info.IsDir() {
		l.entry.Kind = Dir
		l.mark = e.readMark(p)
	}
	return l, nil
}

func (e *sftpEnd) readMark(p string) string {
	p = path.Clean(p)
	f, err := e.client.Open(path.Join(path.Dir(p), markOf(path.Base(p))))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxName))
	if err != nil {
		return ""
	}
	return string(b)
}

func (e *sftpEnd) source(_ context.Context, p string) (source, Entry, error) {
	info, err := e.client.Lstat(p)
	if err == nil && info.Mode()&os.ModeSymlink != 0 && strings.HasSuffix(p, "/") {
		info, err = e.client.Stat(p)
	}
	if err != nil {
		return nil, Entry{}, e.fault("open", p, err)
	}
	if info.IsDir() {
		return &sftpTree{e: e, dir: p}, entryFromSFTP("", info), nil
	}
	t := &sftpTree{e: e, dir: path.Dir(path.Clean(p))}
	root := entryFromSFTP(path.Base(path.Clean(p)), info)
	return t, root, t.complete(root.Name, &root)
}

func (e *sftpEnd) target(_ context.Context, p string, verify bool) (target, string, error) {
	if info, err := e.client.Stat(p); err == nil && info.IsDir() && e.readMark(p) == "" {
		return &sftpTarget{sftpTree{e: e, dir: p}, verify}, "", nil
	}
	dir, root := path.Dir(path.Clean(p)), path.Base(path.Clean(p))
	if info, err := e.client.Stat(dir); err != nil || !info.IsDir() || root == "." || root == ".." || root == "/" {
		return nil, "", e.fault("open", dir, os.ErrNotExist)
	}
	return &sftpTarget{sftpTree{e: e, dir: dir}, verify}, root, nil
}

// sftpTree is a directory of the other machine.
type sftpTree struct {
	e   *sftpEnd
	dir string
}

func (t *sftpTree) close() error { return nil } // with the connection

func (t *sftpTree) full(p string) string { return path.Join(t.dir, p) }

// complete adds what a listing does not tell.
func (t *sftpTree) complete(p string, e *Entry) (err error) {
	if e.Kind == Symlink {
		e.Target, err = t.e.client.ReadLink(t.full(p))
	}
	return t.e.fault("readlink", t.full(p), err)
}

func (t *sftpTree) list(ctx context.Context, dir, _ string, brief bool) ([]Entry, string, error) {
	infos, err := t.e.client.ReadDirContext(ctx, t.full(dir))
	if err != nil {
		return nil, "", t.e.fault("list", t.full(dir), err)
	}
	var all []Entry
	for _, info := range infos {
		e := entryFromSFTP(info.Name(), info)
		if e.Kind == 0 || e.Name == "" || !validName(e.Name) {
			continue
		}
		if !brief {
			if err := t.complete(join(dir, e.Name), &e); err != nil {
				return nil, "", err
			}
		}
		all = append(all, e)
	}
	return all, "", nil
}

func (t *sftpTree) whole(ctx context.Context, p string) (Entry, part, error) {
	r, err := t.open(ctx, p)
	if err != nil {
		return Entry{}, part{}, err
	}
	got, err := r.read(ctx, 0)
	e, closed := r.close(ctx)
	return e, got, errors.Join(err, closed)
}

func (t *sftpTree) open(_ context.Context, p string) (reader, error) {
	f, err := t.e.client.Open(t.full(p))
	if err != nil {
		return nil, t.e.fault("open", t.full(p), err)
	}
	return &sftpReader{t.e, f}, nil
}

type sftpReader struct {
	e *sftpEnd
	f *sftp.File
}

func (r *sftpReader) ranges() []span { return []span{{0, math.MaxInt64}} }

func (r *sftpReader) read(ctx context.Context, i int64) (part, error) {
	if err := ctx.Err(); err != nil {
		return part{}, err
	}
	b := make([]byte, partSize)
	n, err := r.f.ReadAt(b, i*partSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return part{}, r.e.fault("read", r.f.Name(), err)
	}
	r.e.tally.travelled(formRaw, n, n)
	return newPart(b[:n]), nil
}

func (r *sftpReader) close(context.Context) (Entry, error) {
	info, err := r.f.Stat()
	r.f.Close()
	if err != nil {
		return Entry{}, r.e.fault("stat", r.f.Name(), err)
	}
	return entryFromSFTP("", info), nil
}

// apply gives what SFTP can give of the metadata of e.
func (t *sftpTarget) apply(p string, e *Entry, there os.FileInfo) (notes []string, err error) {
	c := t.e.client
	mode := e.Mode
	if st, ok := there.Sys().(*sftp.FileStat); ok && (st.UID != e.UID || st.GID != e.GID) {
		if err := c.Chown(p, int(e.UID), int(e.GID)); err != nil {
			notes = append(notes, noteOwner)
			if mode&0o6000 != 0 && e.Kind != Dir {
				mode &^= 0o6000
				notes = append(notes, noteMode)
			}
		}
	}
	if len(e.Xattrs) > 0 {
		notes = append(notes, noteSFTPXattr)
	}
	if err := c.Chmod(p, modeOf(mode)); err != nil {
		return notes, t.e.fault("set mode of", p, err)
	}
	return notes, t.e.fault("set times of", p, c.Chtimes(p, time.Unix(0, e.Atime), time.Unix(0, e.Mtime)))
}

// modeOf is a mode as package os writes it.
func modeOf(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	for bit, flag := range map[uint32]os.FileMode{0o4000: os.ModeSetuid, 0o2000: os.ModeSetgid, 0o1000: os.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}
