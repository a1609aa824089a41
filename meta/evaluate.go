package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// MaxOpSize bounds the bytes that one operation may change (rule 24).
const MaxOpSize = 1 << 20

// evaluate runs op on tx. It returns the reply and the changes; on an error there are none.
func evaluate(tx *Tx, op Op) (Reply, *kv.Batch, error) {
	reply, changes, err := tx.result(op.eval(tx))
	if err != nil {
		return nil, nil, err
	}
	most := MaxTouched
	if op.Code() == CodeFlush {
		most = maxFlushTouched
	}
	switch n := changes.Len(); {
	case n > 0 && ReadOnly(op):
		return nil, nil, honeyant.E("meta.evaluate", honeyant.Internal, op.Code().String(), fmt.Errorf("a read changed %d keys", n))
	case n > most || changes.Size() > MaxOpSize:
		return nil, nil, honeyant.E("meta.evaluate", honeyant.TooLarge, op.Code().String(), fmt.Errorf("%d keys, %d bytes", n, changes.Size()))
	}
	return reply, changes, nil
}
