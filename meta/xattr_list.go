package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListXattr lists the names of the extended attributes.
type ListXattr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
}

// Code implements Op.
func (*ListXattr) Code() Code { return CodeListXattr }

func (*ListXattr) newReply() *XattrListReply { return new(XattrListReply) }

// Fields implements Op.
func (o *ListXattr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
}

func (o *ListXattr) eval(tx *Tx) (Reply, error) {
	i, err := tx.inode("meta.ListXattr", o.Volume, o.Ino)
	if err != nil {
		return nil, err
	}
	reply := &XattrListReply{}
	if i.Marks&markXattr != 0 {
		tx.xattrNames(o.Volume, o.Ino, func(name string) bool {
			reply.Names = append(reply.Names, name)
			return true
		})
	}
	return reply, nil
}

// XattrListReply is a list of names, sorted.
type XattrListReply struct {
	Names []string
}

// Fields implements Reply.
func (r *XattrListReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Names, 1<<16, func(c *wire.Codec, s *string) { c.String(s, honeyant.MaxName) })
}
