package transfer

import (
	"context"

	"github.com/honeyant/honeyant"
)

func dialSFTP(ctx context.Context, host string, o *Options, t *tally) (end, error) {
	return nil, honeyant.E("connect to", honeyant.Unsupported, host, nil)
}
