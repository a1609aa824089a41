package volume

import (
	"context"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// filesAtLeast is how many inodes metadata are good for on small machines: what is shown as free
// is counted down from it (rule 38).
const filesAtLeast = 10_000_000

// StatFS tells size and room of the volume, as the policy's copies can be placed on the present stores.
func (v *Volume) StatFS(ctx context.Context) (StatFS, error) {
	const name = "volume.StatFS"
	r, err := ask(ctx, v, name, &meta.StatFS{Volume: v.o.Volume})
	if err != nil {
		return StatFS{}, err
	}
	p, err := ask(ctx, v, name, &meta.GetPolicy{Volume: v.o.Volume, Ino: honeyant.RootIno})
	if err != nil {
		return StatFS{}, err
	}
	s := StatFS{UsedBytes: r.Bytes, Files: r.Inodes, BlockSize: 4096, MaxName: honeyant.MaxName}
	if r.Inodes < filesAtLeast {
		s.FreeFiles = filesAtLeast - r.Inodes
	}
	if m := v.o.Map(); m != nil {
		copies, _ := p.Policy.Effective(members(m))
		total, free := placement.Usable(m, copies)
		pending := v.stats.dirty.Load() + v.stats.flying.Load()
		s.TotalBytes, s.FreeBytes = uint64(max(total, 0)), uint64(max(free-marginOf(m, total)-pending, 0))
		s.AvailBytes = s.FreeBytes
	}
	return s, nil
}
