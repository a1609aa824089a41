package meta

import (
	"bytes"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Holdings say what a copy of the metadata holds and of when it is. The counts are of keys and bytes as Export
// hands them out; the rest is what the database says.
type Holdings struct {
	Cluster     string
	Incarnation uint32
	Applied     uint64 // log index up to which everything is in it

	Pairs  uint64 // keys
	Bytes  uint64 // of keys and values
	Inodes uint64
	Names  uint64
	Chunks uint64
}

// Count takes one pair in.
func (h *Holdings) Count(key, value []byte) {
	h.Pairs++
	h.Bytes += uint64(len(key) + len(value))
	if len(key) == 0 {
		return
	}
	switch key[0] {
	case tabInode:
		h.Inodes++
	case tabDentry:
		h.Names++
	case tabChunk:
		h.Chunks++
	}
}

// exported tells whether a key belongs into a backup. Left out are: how far the log is applied, which is of that log;
// tokens and secret settings, the authority's key among them, since stores hold no secrets (rule 33); replies to
// sessions, which all end with a restore.
func exported(key []byte) bool {
	switch key[0] {
	case tabApplied, tabToken, tabSlot:
		return false
	case tabSetting:
		return !bytes.HasPrefix(key[1:], []byte(SettingSecret))
	}
	return true
}

// Export hands out what a backup of db holds, in the order of the keys, and tells what that is. db must not
// change meanwhile. each may be nil; it must not keep its arguments, and its error ends the export.
func Export(db kv.Reader, each func(key, value []byte) error) (Holdings, error) {
	var h Holdings
	var applied appliedRecord
	tx := newTx(db, Env{})
	tx.load(appliedKey, applied.fields)
	cluster, _ := tx.get(nameKey(tabSetting, SettingCluster))
	h.Cluster, h.Incarnation, h.Applied = string(cluster), uint32(tx.count(counterIncarnation)), applied.Index
	if tx.err != nil {
		return h, honeyant.E("meta.Export", honeyant.Other, "", tx.err)
	}
	var failed error
	err := db.Scan(nil, nil, func(key, value []byte) bool {
		if len(key) == 0 || !exported(key) {
			return true
		}
		h.Count(key, value)
		if each != nil {
			failed = each(key, value)
		}
		return failed == nil
	})
	if failed != nil {
		return h, failed
	}
	return h, err
}

// Secrets hands out the settings that Export leaves out, as keys and values: for a restore beside metadata that can
// still be read.
func Secrets(db kv.Reader, each func(key, value []byte) error) error {
	prefix := nameKey(tabSetting, SettingSecret)
	var failed error
	err := db.Scan(prefix, kv.PrefixEnd(prefix), func(key, value []byte) bool {
		failed = each(key, value)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// MemberKeys are the public keys of the nodes that are not removed, in the form that AddNode took.
func MemberKeys(db kv.Reader) (map[honeyant.NodeID][]byte, error) {
	keys := map[honeyant.NodeID][]byte{}
	tx := newTx(db, Env{})
	tx.scan([]byte{tabNode}, []byte{tabNode + 1}, func(_, value []byte) bool {
		var r nodeRecord
		if err := wire.Unmarshal(value, r.fields); err != nil {
			tx.fail(err)
			return false
		}
		if r.Node.State != honeyant.NodeRemoved {
			keys[r.Node.ID] = r.PublicKey
		}
		return true
	})
	return keys, tx.err
}
