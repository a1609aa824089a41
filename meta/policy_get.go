package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetPolicy tells which policy holds at an inode and where it was set.
type GetPolicy struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*GetPolicy) Code() Code { return CodeGetPolicy }

func (*GetPolicy) newReply() *PolicyReply { return new(PolicyReply) }

// Fields implements Op.
func (o *GetPolicy) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *GetPolicy) eval(tx *Tx) (Reply, error) {
	at := honeyant.Ino(0)
	if o.Ino != 0 {
		i, err := tx.inode("meta.GetPolicy", o.Volume, o.Ino)
		if err != nil {
			return nil, err
		}
		at = tx.policyDir(o.Volume, i.PolicyAt)
	}
	return &PolicyReply{Policy: tx.policyAt(o.Volume, at), At: at}, nil
}

// policyDir is the directory whose policy holds where an inode refers to at: at itself, or if
// that carries none any more, where it refers to in its turn. 0: the volume's default.
func (t *Tx) policyDir(v honeyant.VolumeID, at honeyant.Ino) honeyant.Ino {
	for range 64 {
		if at == 0 {
			break
		}
		if _, ok := t.get(inoKey(tabPolicy, v, at)); ok {
			return at
		}
		var i Inode
		if !t.load(inoKey(tabInode, v, at), i.fields) || i.PolicyAt == at {
			break
		}
		at = i.PolicyAt
	}
	return 0
}

// PolicyReply is a policy and the directory that carries it.
type PolicyReply struct {
	Policy honeyant.Policy
	At     honeyant.Ino // 0: the default of the volume
}

// Fields implements Reply.
func (r *PolicyReply) Fields(c *wire.Codec) {
	wire.Policy(c, &r.Policy)
	wire.Uint(c, &r.At)
}
