package meta

import (
	"encoding/binary"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// CloseSession ends a session: its locks and slots go, its later requests are refused for ever (Fenced).
type CloseSession struct {
	Session honeyant.SessionID
}

// Code implements Op.
func (*CloseSession) Code() Code { return CodeCloseSession }

func (*CloseSession) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *CloseSession) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Session)
}

func (o *CloseSession) eval(tx *Tx) (Reply, error) {
	id := o.Session
	var rec sessionRecord
	if !tx.load(sessionKey(id), rec.fields) {
		return &Done{}, nil // it is over
	}
	var slots []uint32
	eachSlot(tx, id, func(n uint32, _ *slotRecord) { slots = append(slots, n) })
	for _, n := range slots {
		tx.del(slotKey(id, n))
	}
	files, more := tx.heldBy(id, maxCloseLocks)
	for n, f := range files {
		if tx.size() > MaxOpSize/2 { // the locks of others that stay are written anew
			more = true
			files = files[:n]
			break
		}
		tx.dropLocks(id, f.Volume, f.Ino)
	}
	if more {
		if !rec.Dead || len(files) > 0 {
			rec.Dead = true
			tx.store(sessionKey(id), rec.fields)
		}
		return &Done{}, nil
	}
	tx.del(sessionKey(id))
	return &Done{}, nil
}

// maxCloseLocks bounds the inodes whose locks one step drops; the leader takes as many steps as it needs.
const maxCloseLocks = 500

// heldBy lists inodes on which a session has locks.
func (t *Tx) heldBy(id honeyant.SessionID, limit int) (files []OpenFile, more bool) {
	prefix := heldKey(id, 0, 0)[:9]
	t.scan(prefix, kv.PrefixEnd(prefix), func(k, _ []byte) bool {
		if more = len(files) == limit; !more {
			files = append(files, OpenFile{honeyant.VolumeID(binary.BigEndian.Uint32(k[9:])), honeyant.Ino(binary.BigEndian.Uint64(k[13:]))})
		}
		return !more
	})
	return files, more
}
