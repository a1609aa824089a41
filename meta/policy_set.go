package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SetPolicy sets or removes the policy of a directory tree. What exists below is moved over by
// Retag in slices; what is made below from now on has it at once.
type SetPolicy struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Remove bool
	Policy honeyant.Policy
}

// Code implements Op.
func (*SetPolicy) Code() Code { return CodeSetPolicy }

func (*SetPolicy) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *SetPolicy) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	c.Bool(&o.Remove)
	wire.Policy(c, &o.Policy)
}

func (o *SetPolicy) eval(tx *Tx) (Reply, error) {
	const op = "meta.SetPolicy"
	if err := o.check(op); err != nil {
		return nil, err
	}
	if o.Ino == 0 {
		var vol volumeRecord
		if !tx.load(volumeKey(tabVolume, o.Volume, 0), vol.fields) {
			return nil, honeyant.E(op, honeyant.NotExist, "volume", tx.err)
		}
		vol.Policy = o.Policy
		if o.Remove {
			vol.Policy = honeyant.Policy{}
		}
		tx.store(volumeKey(tabVolume, o.Volume, 0), vol.fields)
		tx.queueRetag(o.Volume, o.Ino)
		return &Done{}, nil
	}
	dir, err := tx.liveDirectory(op, o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	k := inoKey(tabPolicy, o.Volume, o.Ino)
	if o.Remove {
		tx.del(k)
		dir.PolicyAt = 0
		if o.Ino != honeyant.RootIno {
			parent, err := tx.directory(op, o.Volume, dir.Parent)
			if err != nil {
				return nil, err
			}
			dir.PolicyAt = parent.PolicyAt
		}
	} else {
		tx.store(k, func(c *wire.Codec) { wire.Policy(c, &o.Policy) })
		dir.PolicyAt = o.Ino
	}
	tx.changed(dir)
	tx.putInode(o.Volume, dir)
	tx.queueRetag(o.Volume, o.Ino)
	return &Done{}, nil
}

// check refuses what can not be kept to.
func (o *SetPolicy) check(op string) error {
	p := &o.Policy
	switch {
	case o.Remove:
		return nil
	case p.Copies > maxCopies || p.MinCopies > maxCopies || p.Placement > honeyant.PlaceLocal:
		return honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("policy %+v", *p))
	case p.Copies != 0 && p.MinCopies > p.Copies:
		return honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("at least %d of %d copies", p.MinCopies, p.Copies))
	case (p.Placement == honeyant.PlacePinned) != (len(p.Pinned) > 0):
		return honeyant.E(op, honeyant.Invalid, "", fmt.Errorf("pinned placement and a list of stores need each other"))
	}
	return nil
}

// maxCopies bounds the copies of a chunk.
const maxCopies = 16
