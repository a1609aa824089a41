package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// RaiseIncarnation begins a new incarnation of the cluster after a forced promotion or a restore, in
// which acknowledged changes may have been lost: all numbers go on above a gap, so that what was handed out
// in the lost part never comes again, and all sessions end (rules 4, 6). With another From than the present
// incarnation it has been done before, and nothing happens.
type RaiseIncarnation struct {
	From uint32
}

// incarnationGap is more than any counter moves between a change and its loss.
const incarnationGap = 1 << 24

// Code implements Op.
func (*RaiseIncarnation) Code() Code { return CodeRaiseIncarnation }

func (*RaiseIncarnation) newReply() *Done { return new(Done) }

// Fields implements Op.
func (o *RaiseIncarnation) Fields(c *wire.Codec) { wire.Uint(c, &o.From) }

func (o *RaiseIncarnation) eval(tx *Tx) (Reply, error) {
	present := tx.count(counterIncarnation)
	if present == 0 {
		return nil, honeyant.E("meta.RaiseIncarnation", honeyant.Invalid, "", errors.New("the cluster was never founded"))
	}
	if present != uint64(o.From) {
		return &Done{}, nil
	}
	tx.setCount(counterIncarnation, present+1)
	for _, counter := range []string{counterInode, counterData, counterSession, counterIntent} {
		tx.setCount(counter, tx.count(counter)+incarnationGap)
	}
	for _, counter := range []string{counterNode, counterStore} {
		tx.setCount(counter, tx.count(counter)+100)
	}
	tx.next(counterMap)
	var all []honeyant.SessionID
	eachSession(tx, func(id honeyant.SessionID, _ *sessionRecord) { all = append(all, id) })
	for _, id := range all {
		tx.endSession(id)
	}
	return &Done{}, nil
}

// endSession marks a session dead: it is refused from now on. CloseSession cleans up after it in steps.
func (t *Tx) endSession(id honeyant.SessionID) {
	var s sessionRecord
	if t.load(sessionKey(id), s.fields) && !s.Dead {
		s.Dead = true
		t.store(sessionKey(id), s.fields)
	}
}
