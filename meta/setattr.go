package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// SetAttr changes the attributes that Valid names. A smaller size cuts: bytes past it read as
// zero if the file grows again (rule 24).
type SetAttr struct {
	Volume honeyant.VolumeID
	Ino    honeyant.Ino
	Valid  AttrMask
	Mode   uint32 // permission bits
	UID    uint32
	GID    uint32
	Size   uint64 // bytes
	Atime  honeyant.Time
	Mtime  honeyant.Time
}

// Code implements Op.
func (*SetAttr) Code() Code { return CodeSetAttr }

func (*SetAttr) newReply() *AttrReply { return new(AttrReply) }

// Fields implements Op.
func (o *SetAttr) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Uint(c, &o.Ino)
	wire.Uint(c, &o.Valid)
	wire.Uint(c, &o.Mode)
	wire.Uint(c, &o.UID)
	wire.Uint(c, &o.GID)
	wire.Uint(c, &o.Size)
	wire.Time(c, &o.Atime)
	wire.Time(c, &o.Mtime)
}

func (o *SetAttr) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.SetAttr", honeyant.Unsupported, "", nil)
}

// AttrMask says which attributes SetAttr changes.
type AttrMask uint16

// Bits of AttrMask. The Now bits take the leader's clock instead of the given time.
// KillPriv clears setuid, and setgid if group-executable (CAP_HANDLE_KILLPRIV_V2).
const (
	SetMode AttrMask = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetAtimeNow
	SetMtimeNow
	KillPriv
)

// AttrReply is the inode after the change, or as it is.
type AttrReply struct {
	Attr honeyant.Attr
}

// Fields implements Reply.
func (r *AttrReply) Fields(c *wire.Codec) {
	wire.Attr(c, &r.Attr)
}
