package clustertest

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// Files are calls by path on one node's volume, as a program makes them. An error of a node
// that is or was taken down during the call is Unavailable: what was to be done may be done.
// Safe for concurrent use.
type Files struct {
	Host *Host
	// Unsynced leaves changes to the volume's flush interval; otherwise each is on stable storage when its call returns.
	Unsynced bool
}

// change is do for what changes something.
func (f Files) change(ctx context.Context, op string, call func(v *volume.Volume) error) error {
	return f.do(ctx, op, func(v *volume.Volume) error {
		err := call(v)
		if err == nil && !f.Unsynced {
			err = v.Sync(ctx)
		}
		return err
	})
}

// Sync makes all that was changed durable.
func (f Files) Sync(ctx context.Context) error {
	return f.do(ctx, "sync", func(v *volume.Volume) error { return v.Sync(ctx) })
}

// do runs f on the volume of the node that runs now.
func (f Files) do(ctx context.Context, op string, call func(v *volume.Volume) error) error {
	n := f.Host.Node()
	if n == nil {
		return honeyant.E(op, honeyant.Unavailable, f.Host.ID.String(), errors.New("it does not run"))
	}
	v, err := n.Volume(ctx)
	if err == nil {
		err = call(v)
	}
	if f.Host.Node() != n {
		return honeyant.E(op, honeyant.Unavailable, f.Host.ID.String(), errors.New("it died"))
	}
	return err
}

// walk finds a path, "" being the root.
func walk(ctx context.Context, v *volume.Volume, p string) (honeyant.Attr, error) {
	attr, err := v.GetAttr(ctx, honeyant.RootIno)
	for _, name := range strings.Split(p, "/") {
		if err == nil && name != "" && name != "." {
			attr, err = v.Lookup(ctx, attr.Ino, name)
		}
	}
	return attr, err
}

func parent(ctx context.Context, v *volume.Volume, p string) (honeyant.Ino, string, error) {
	attr, err := walk(ctx, v, path.Dir(p))
	return attr.Ino, path.Base(p), err
}

// Create makes a file that must not exist, writes data and closes it.
func (f Files) Create(ctx context.Context, p string, data []byte) error {
	return f.change(ctx, "create", func(v *volume.Volume) error { return write(ctx, v, p, data, true) })
}

// Put makes or truncates a file, writes data and closes it.
func (f Files) Put(ctx context.Context, p string, data []byte) error {
	return f.change(ctx, "put", func(v *volume.Volume) error { return write(ctx, v, p, data, false) })
}

func write(ctx context.Context, v *volume.Volume, p string, data []byte, exclusive bool) error {
	dir, name, err := parent(ctx, v, p)
	if err != nil {
		return err
	}
	_, file, err := v.Create(ctx, volume.NewNode{Parent: dir, Name: name, Mode: honeyant.ModeFile | 0o644},
		volume.OpenFlags{Write: true, Truncate: !exclusive}, exclusive)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(ctx, data, 0, volume.WriteFlags{})
	return errors.Join(err, file.Flush(ctx, 0), file.Release(ctx, 0))
}

// Overwrite writes data over the beginning of a file that is there, and closes it.
func (f Files) Overwrite(ctx context.Context, p string, data []byte) error {
	return f.change(ctx, "overwrite", func(v *volume.Volume) error {
		attr, err := walk(ctx, v, p)
		if err != nil {
			return err
		}
		file, err := v.Open(ctx, attr.Ino, volume.OpenFlags{Write: true})
		if err != nil {
			return err
		}
		_, err = file.WriteAt(ctx, data, 0, volume.WriteFlags{})
		return errors.Join(err, file.Flush(ctx, 0), file.Release(ctx, 0))
	})
}

// Get reads a whole file.
func (f Files) Get(ctx context.Context, p string) (data []byte, err error) {
	err = f.do(ctx, "get", func(v *volume.Volume) error {
		attr, err := walk(ctx, v, p)
		if err != nil {
			return err
		}
		file, err := v.Open(ctx, attr.Ino, volume.OpenFlags{Read: true})
		if err != nil {
			return err
		}
		buf := make([]byte, 256<<10)
		for err == nil {
			var n int
			n, err = file.ReadAt(ctx, buf, int64(len(data)))
			data = append(data, buf[:n]...)
			if n == 0 {
				break
			}
		}
		return errors.Join(err, file.Release(ctx, 0))
	})
	return data, err
}

// Stat tells the attributes at a path.
func (f Files) Stat(ctx context.Context, p string) (attr honeyant.Attr, err error) {
	err = f.do(ctx, "stat", func(v *volume.Volume) error {
		attr, err = walk(ctx, v, p)
		return err
	})
	return attr, err
}

// Mkdir makes a directory.
func (f Files) Mkdir(ctx context.Context, p string) error {
	return f.change(ctx, "mkdir", func(v *volume.Volume) error {
		dir, name, err := parent(ctx, v, p)
		if err == nil {
			_, err = v.Make(ctx, volume.NewNode{Parent: dir, Name: name, Mode: honeyant.ModeDir | 0o755})
		}
		return err
	})
}

// Remove unlinks a file.
func (f Files) Remove(ctx context.Context, p string) error {
	return f.change(ctx, "remove", func(v *volume.Volume) error {
		dir, name, err := parent(ctx, v, p)
		if err == nil {
			err = v.Unlink(ctx, dir, name)
		}
		return err
	})
}

// Rename moves a name; replace says whether the new one may be taken.
func (f Files) Rename(ctx context.Context, from, to string, replace bool) error {
	return f.change(ctx, "rename", func(v *volume.Volume) error {
		op := &meta.Rename{}
		var err error
		if op.OldParent, op.OldName, err = parent(ctx, v, from); err != nil {
			return err
		}
		if op.NewParent, op.NewName, err = parent(ctx, v, to); err != nil {
			return err
		}
		op.NoReplace = !replace
		return v.Rename(ctx, op)
	})
}

// List tells the names in a directory.
func (f Files) List(ctx context.Context, p string) (names []string, err error) {
	err = f.do(ctx, "list", func(v *volume.Volume) error {
		attr, err := walk(ctx, v, p)
		if err != nil {
			return err
		}
		dir, err := v.OpenDir(ctx, attr.Ino)
		if err != nil {
			return err
		}
		defer dir.Close()
		var cookie uint64
		for more := true; more && err == nil; {
			more = false
			err = dir.Read(ctx, cookie, false, func(e meta.DirEntry) bool {
				names = append(names, e.Name)
				cookie, more = e.Cookie, true
				return true
			})
		}
		return err
	})
	return names, err
}
