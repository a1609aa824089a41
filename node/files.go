package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"path"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/volume"
)

// Files without a mount: enough for a demo where nothing can be mounted, and for scripts.

// putFile writes a piece of a file, making its directories; the last piece sets its size.
func (n *Node) putFile(ctx context.Context, req admin.PutRequest) (admin.None, error) {
	v, err := n.mounts.use(ctx)
	if err != nil {
		return admin.None{}, err
	}
	dir, err := makeDirs(ctx, v, path.Dir(path.Clean("/"+req.Path)))
	if err != nil {
		return admin.None{}, err
	}
	name := path.Base(path.Clean("/" + req.Path))
	if name == "/" {
		return admin.None{}, honeyant.E("node.putFile", honeyant.Invalid, req.Path, errors.New("no file name"))
	}
	_, f, err := v.Create(ctx, volume.NewNode{Parent: dir, Name: name, Mode: honeyant.ModeFile | 0o644}, volume.OpenFlags{Write: true, Truncate: req.Offset == 0}, false)
	if err != nil {
		return admin.None{}, err
	}
	_, err = f.WriteAt(ctx, req.Data, req.Offset, volume.WriteFlags{})
	return admin.None{}, errors.Join(err, f.Flush(ctx, 0), f.Release(ctx, 0))
}

// makeDirs is mkdir -p.
func makeDirs(ctx context.Context, v *volume.Volume, rel string) (honeyant.Ino, error) {
	at := honeyant.RootIno
	for _, name := range strings.Split(strings.Trim(rel, "/"), "/") {
		if name == "" {
			continue
		}
		attr, err := v.Make(ctx, volume.NewNode{Parent: at, Name: name, Mode: honeyant.ModeDir | 0o755})
		if errors.Is(err, honeyant.Exist) {
			attr, err = v.Lookup(ctx, at, name)
		}
		if err != nil {
			return 0, err
		}
		at = attr.Ino
	}
	return at, nil
}

// sumFile reads a whole file and answers its SHA-256.
func (n *Node) sumFile(ctx context.Context, req admin.SumRequest) (admin.SumReply, error) {
	v, err := n.mounts.use(ctx)
	if err != nil {
		return admin.SumReply{}, err
	}
	attr, err := walk(ctx, v, path.Clean("/"+req.Path))
	if err != nil {
		return admin.SumReply{}, err
	}
	f, err := v.Open(ctx, attr.Ino, volume.OpenFlags{Read: true})
	if err != nil {
		return admin.SumReply{}, err
	}
	defer f.Release(ctx, 0)
	h := sha256.New()
	buf := make([]byte, 1<<20)
	var total int64
	for {
		got, err := f.ReadAt(ctx, buf, total)
		h.Write(buf[:got])
		total += int64(got)
		if err != nil {
			return admin.SumReply{}, err
		}
		if got == 0 {
			return admin.SumReply{SHA256: h.Sum(nil), Bytes: total}, nil
		}
	}
}
