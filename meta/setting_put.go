package meta

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// PutSetting sets a small named value of the cluster (at most 64 KiB); with Expect only if it is
// unchanged, else Conflict.
type PutSetting struct {
	Name    string
	Value   []byte // empty removes it
	Compare bool
	Expect  []byte
}

// Code implements Op.
func (*PutSetting) Code() Code { return CodePutSetting }

func (*PutSetting) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *PutSetting) Fields(c *wire.Codec) {
	c.String(&o.Name, 255)
	c.Bytes(&o.Value, 1<<16)
	c.Bool(&o.Compare)
	c.Bytes(&o.Expect, 1<<16)
}

func (o *PutSetting) eval(tx *Tx) (Reply, error) {
	const op = "meta.PutSetting"
	if o.Name == "" || len(o.Value) > MaxSetting {
		return nil, honeyant.E(op, honeyant.Invalid, o.Name, fmt.Errorf("%d bytes", len(o.Value)))
	}
	if o.Name == SettingCluster {
		return nil, honeyant.E(op, honeyant.NotPermitted, o.Name, nil)
	}
	if err := o.checkLevel(tx); err != nil {
		return nil, err
	}
	k := nameKey(tabSetting, o.Name)
	old, was := tx.get(k)
	if o.Compare && !bytes.Equal(old, o.Expect) {
		return nil, honeyant.E(op, honeyant.Conflict, o.Name, nil)
	}
	switch {
	case len(o.Value) > 0 && !bytes.Equal(old, o.Value):
		tx.put(k, bytes.Clone(o.Value))
	case len(o.Value) == 0 && was:
		tx.del(k)
	}
	return &Done{}, nil
}

// checkLevel lets the feature level only rise, and only to one that this program reads: any
// other value would keep every node from starting again.
func (o *PutSetting) checkLevel(tx *Tx) error {
	if o.Name != SettingFeatureLevel {
		return nil
	}
	now := uint64(1)
	if old, ok := tx.get(nameKey(tabSetting, SettingFeatureLevel)); ok {
		if n, err := strconv.ParseUint(string(old), 10, 32); err == nil {
			now = n
		}
	}
	level, err := strconv.ParseUint(string(o.Value), 10, 32)
	if err != nil || strconv.FormatUint(level, 10) != string(o.Value) || level < now || level > max(now, FeatureLevel) {
		return honeyant.E("meta.PutSetting", honeyant.Invalid, o.Name, fmt.Errorf("%.20q: the level is %d and can be raised up to %d", o.Value, now, max(now, FeatureLevel)))
	}
	return nil
}

// FeatureLevel is the highest level of formats that this program reads (rule 34).
const FeatureLevel = 1

// MaxSetting is the largest value of a setting, in bytes.
const MaxSetting = 64 << 10

// Settings that this package reads itself.
const (
	SettingCluster      = "cluster"       // ID of the cluster; written by Bootstrap alone
	SettingFeatureLevel = "feature_level" // decimal; 1 if absent (rule 34)
)

// SettingSecret begins the names of settings that only the leader's own process may read or
// write: meta/remote refuses them (rule 33).
const SettingSecret = "secret."
