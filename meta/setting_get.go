package meta

import (
	"github.com/honeyant/honeyant/rpc/wire"
)

// GetSetting reads a named value; empty if there is none.
type GetSetting struct {
	Name string
}

// Code implements Op.
func (*GetSetting) Code() Code { return CodeGetSetting }

func (*GetSetting) newReply() *SettingReply { return new(SettingReply) }

// Fields implements Op.
func (o *GetSetting) Fields(c *wire.Codec) {
	c.String(&o.Name, 255)
}

func (o *GetSetting) eval(tx *Tx) (Reply, error) {
	v, _ := tx.get(nameKey(tabSetting, o.Name))
	return &SettingReply{Value: v}, nil
}

// SettingKey is the key of a named value in the database, for who watches what is applied.
func SettingKey(name string) []byte { return nameKey(tabSetting, name) }

// SettingReply is a value.
type SettingReply struct {
	Value []byte
}

// Fields implements Reply.
func (r *SettingReply) Fields(c *wire.Codec) {
	c.Bytes(&r.Value, 1<<16)
}
