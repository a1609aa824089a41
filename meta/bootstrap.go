package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Bootstrap gives an empty cluster its identity, its first volume and that volume's root. Exist if done before.
type Bootstrap struct {
	Cluster string
	UID     uint32 // owner of the root directory
	GID     uint32
}

// Code implements Op.
func (*Bootstrap) Code() Code { return CodeBootstrap }

func (*Bootstrap) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *Bootstrap) Fields(c *wire.Codec) {
	c.String(&o.Cluster, 64)
	wire.Uint(c, &o.UID)
	wire.Uint(c, &o.GID)
}

func (o *Bootstrap) eval(tx *Tx) (Reply, error) {
	const op = "meta.Bootstrap"
	if tx.count(counterIncarnation) != 0 {
		return nil, honeyant.E(op, honeyant.Exist, o.Cluster, nil)
	}
	if o.Cluster == "" {
		return nil, honeyant.E(op, honeyant.Invalid, "", errors.New("no cluster ID"))
	}
	tx.setCount(counterIncarnation, 1)
	tx.setCount(counterInode, uint64(honeyant.RootIno))
	tx.put(nameKey(tabSetting, SettingCluster), []byte(o.Cluster))
	vol := volumeRecord{Name: "main"}
	tx.store(volumeKey(tabVolume, honeyant.MainVolume, 0), vol.fields)
	root := Inode{
		Attr: honeyant.Attr{
			Ino: honeyant.RootIno, Mode: honeyant.ModeDir | 0o755, Nlink: 2, UID: o.UID, GID: o.GID,
			Atime: tx.Now, Mtime: tx.Now, Ctime: tx.Now, Version: 1,
		},
		Parent: honeyant.RootIno,
	}
	tx.store(inoKey(tabInode, honeyant.MainVolume, honeyant.RootIno), root.fields)
	tx.usage(honeyant.MainVolume, func(u *StatFSReply) { u.Inodes++ })
	return &Done{}, nil
}
