package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// GetXattr tells one extended attribute by its full name (user. trusted. security. system.posix_acl_);
// NoAttr if there is none.
func (v *Volume) GetXattr(ctx context.Context, ino honeyant.Ino, name string) ([]byte, error) {
	r, err := ask(ctx, v, "volume.GetXattr", &meta.GetXattr{Volume: v.o.Volume, Ino: ino, Name: name})
	if err != nil {
		return nil, err
	}
	return r.Value, nil
}

// SetXattr sets an extended attribute; see meta.SetXattr, whose Volume is filled in here.
func (v *Volume) SetXattr(ctx context.Context, op *meta.SetXattr) error {
	with := *op
	with.Volume = v.o.Volume
	r, err := ask(ctx, v, "volume.SetXattr", &with)
	if err != nil {
		return err
	}
	v.seen(r.Attr)
	return nil
}

// ListXattr lists the names of the extended attributes, sorted.
func (v *Volume) ListXattr(ctx context.Context, ino honeyant.Ino) ([]string, error) {
	r, err := ask(ctx, v, "volume.ListXattr", &meta.ListXattr{Volume: v.o.Volume, Ino: ino})
	if err != nil {
		return nil, err
	}
	return r.Names, nil
}

// RemoveXattr removes an extended attribute; NoAttr if there is none.
func (v *Volume) RemoveXattr(ctx context.Context, ino honeyant.Ino, name string) error {
	r, err := ask(ctx, v, "volume.RemoveXattr", &meta.RemoveXattr{Volume: v.o.Volume, Ino: ino, Name: name})
	if err != nil {
		return err
	}
	v.seen(r.Attr)
	return nil
}
