package meta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// MaxSlots bounds the changes that a session has under way at a time; MaxStoredReply the bytes of a
// reply kept for retries (rule 23). A test keeps every reply of a session's changes below it.
const (
	MaxSlots       = 64
	MaxStoredReply = 512
)

// newSlotRecord keeps an answer.
func newSlotRecord(call *Call, reply Reply, err error) (*slotRecord, error) {
	rec := &slotRecord{Seq: call.Seq, Code: call.Op.Code()}
	if err != nil {
		text := err.Error()
		rec.Failed, rec.Kind, rec.Text = true, honeyant.KindOf(err), text[:min(len(text), 200)]
		return rec, nil
	}
	rec.Reply = wire.Marshal(reply.Fields)
	if len(rec.Reply) > MaxStoredReply {
		return nil, honeyant.E("meta.Do", honeyant.Internal, call.Op.Code().String(), fmt.Errorf("reply of %d bytes is too large to keep", len(rec.Reply)))
	}
	return rec, nil
}

// answer is what the record keeps, for a retry of op.
func (r *slotRecord) answer(op Op) (Reply, error) {
	if r.Code != op.Code() {
		return nil, honeyant.E("meta.Do", honeyant.Invalid, op.Code().String(), fmt.Errorf("the slot ran %v under this number", r.Code))
	}
	if r.Failed {
		return nil, honeyant.E("meta.Do", r.Kind, "", errors.New(r.Text))
	}
	reply := NewReply(op)
	if err := wire.Unmarshal(r.Reply, reply.Fields); err != nil {
		return nil, honeyant.E("meta.Do", honeyant.Corrupt, op.Code().String(), err)
	}
	return reply, nil
}

// eachSlot goes through the slots of a session that were used.
func eachSlot(tx *Tx, id honeyant.SessionID, fn func(n uint32, rec *slotRecord)) {
	first := slotKey(id, 0)
	prefix := first[:len(first)-4]
	tx.scan(prefix, kv.PrefixEnd(prefix), func(k, v []byte) bool {
		rec := new(slotRecord)
		if err := wire.Unmarshal(v, rec.fields); err != nil {
			tx.fail(honeyant.E("meta.eachSlot", honeyant.Corrupt, keyString(k), err))
			return false
		}
		fn(binary.BigEndian.Uint32(k[len(prefix):]), rec)
		return true
	})
}

// eachSession goes through all session records.
func eachSession(tx *Tx, fn func(id honeyant.SessionID, rec *sessionRecord)) {
	prefix := []byte{tabSession}
	tx.scan(prefix, kv.PrefixEnd(prefix), func(k, v []byte) bool {
		rec := new(sessionRecord)
		if err := wire.Unmarshal(v, rec.fields); err != nil || len(k) != 9 {
			tx.fail(honeyant.E("meta.eachSession", honeyant.Corrupt, keyString(k), err))
			return false
		}
		fn(honeyant.SessionID(binary.BigEndian.Uint64(k[1:])), rec)
		return true
	})
}
