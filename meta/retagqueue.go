package meta

import (
	"bytes"
	"encoding/binary"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// queueRetag notes that the policy at a directory (0: the volume's default) has to be moved down its tree.
func (t *Tx) queueRetag(v honeyant.VolumeID, ino honeyant.Ino) { t.put(inoKey(tabRetag, v, ino), nil) }

// retagged notes how far a Retag has got, unless the policy was set anew since it began.
func (t *Tx) retagged(v honeyant.VolumeID, ino honeyant.Ino, after, next []byte) {
	k := inoKey(tabRetag, v, ino)
	cursor, queued := t.get(k)
	switch {
	case !queued || !bytes.Equal(cursor, after):
	case len(next) == 0:
		t.del(k)
	default:
		t.put(k, bytes.Clone(next))
	}
}

// nextRetag is the next slice that is to be done.
func nextRetag(tx *Tx) (job *Retag, ok bool, err error) {
	prefix := []byte{tabRetag}
	tx.scan(prefix, kv.PrefixEnd(prefix), func(k, v []byte) bool {
		if ok = len(k) == 13; ok {
			job = &Retag{Volume: honeyant.VolumeID(binary.BigEndian.Uint32(k[1:])), Ino: honeyant.Ino(binary.BigEndian.Uint64(k[5:])), After: bytes.Clone(v)}
		}
		return !ok
	})
	return job, ok, tx.err
}
