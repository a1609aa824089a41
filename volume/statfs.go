package volume

import (
	"context"

	"github.com/honeyant/honeyant"
)

// StatFS tells size and room of the volume, as the policy's copies can be placed on the present stores.
func (v *Volume) StatFS(ctx context.Context) (StatFS, error) {
	return StatFS{}, honeyant.E("volume.StatFS", honeyant.Unsupported, "", nil)
}
