package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Lookup finds a name in a directory; "." and ".." work. NotExist if there is none.
func (v *Volume) Lookup(ctx context.Context, parent honeyant.Ino, name string) (honeyant.Attr, error) {
	r, err := ask(ctx, v, "volume.Lookup", &meta.Lookup{Volume: v.o.Volume, Parent: parent, Name: name})
	if err != nil {
		return honeyant.Attr{}, err
	}
	return v.seen(r.Attr), nil
}

// Make creates a directory, fifo, socket, device, symlink or an empty file. An existing name is Exist.
func (v *Volume) Make(ctx context.Context, n NewNode) (honeyant.Attr, error) {
	r, err := ask(ctx, v, "volume.Make", v.makeOp(n, true, false))
	if err != nil {
		return honeyant.Attr{}, err
	}
	return v.seen(r.Attr), nil
}

func (v *Volume) makeOp(n NewNode, exclusive, open bool) *meta.Make {
	return &meta.Make{
		Volume: v.o.Volume, Parent: n.Parent, Name: n.Name, Mode: n.Mode, Umask: n.Umask, UID: n.UID, GID: n.GID,
		Rdev: n.Rdev, Target: n.Target, Exclusive: exclusive, Open: open,
	}
}

// Link gives a file one more name.
func (v *Volume) Link(ctx context.Context, ino, parent honeyant.Ino, name string) (honeyant.Attr, error) {
	r, err := ask(ctx, v, "volume.Link", &meta.Link{Volume: v.o.Volume, Ino: ino, Parent: parent, Name: name})
	if err != nil {
		return honeyant.Attr{}, err
	}
	return v.seen(r.Attr), nil
}

// Unlink removes a name of something that is not a directory. An open file lives on until it is
// released everywhere.
func (v *Volume) Unlink(ctx context.Context, parent honeyant.Ino, name string) error {
	r, err := ask(ctx, v, "volume.Unlink", &meta.Unlink{Volume: v.o.Volume, Parent: parent, Name: name})
	if err != nil {
		return err
	}
	v.seen(r.Attr)
	v.unlinked(&r.Attr)
	return nil
}

// unlinked drops what is dirty of a file that has lost its last name, if nobody here has it open.
func (v *Volume) unlinked(a *honeyant.Attr) {
	if a.Nlink > 0 || a.IsDir() {
		return
	}
	if in := v.peek(a.Ino); in != nil {
		defer in.release()
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.deserted = !v.isOpen(a.Ino); in.deserted {
			in.drop()
		}
	}
}

// Rmdir removes an empty directory.
func (v *Volume) Rmdir(ctx context.Context, parent honeyant.Ino, name string) error {
	_, err := ask(ctx, v, "volume.Rmdir", &meta.Rmdir{Volume: v.o.Volume, Parent: parent, Name: name})
	return err
}

// Rename moves a name, replacing what the new one stood for, atomically; see meta.Rename, whose
// Volume is filled in here.
func (v *Volume) Rename(ctx context.Context, op *meta.Rename) error {
	with := *op
	with.Volume = v.o.Volume
	if err := v.journal.replacing(ctx, &with); err != nil {
		return v.fault(ctx, "volume.Rename", op.OldName, err)
	}
	r, err := ask(ctx, v, "volume.Rename", &with)
	if err != nil {
		return err
	}
	v.seen(r.Moved)
	if r.Other.Ino != 0 {
		v.seen(r.Other)
		v.unlinked(&r.Other)
	}
	return nil
}

// ReadLink tells a symlink's target.
func (v *Volume) ReadLink(ctx context.Context, ino honeyant.Ino) (string, error) {
	r, err := ask(ctx, v, "volume.ReadLink", &meta.ReadLink{Volume: v.o.Volume, Ino: ino})
	if err != nil {
		return "", err
	}
	return r.Target, nil
}
