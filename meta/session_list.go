package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ListSessions lists the live sessions.
type ListSessions struct {
}

// Code implements Op.
func (*ListSessions) Code() Code { return CodeListSessions }

func (*ListSessions) newReply() *SessionsReply { return new(SessionsReply) }

// Fields implements Op.
func (o *ListSessions) Fields(c *wire.Codec) {
}

func (o *ListSessions) eval(tx *Tx) (Reply, error) {
	r := &SessionsReply{Next: honeyant.SessionID(tx.count(counterSession) + 1)}
	eachSession(tx, func(id honeyant.SessionID, rec *sessionRecord) {
		r.Sessions = append(r.Sessions, SessionInfo{ID: id, Node: rec.Node, Name: rec.Name, Dead: rec.Dead})
	})
	for i := range r.Sessions {
		s := &r.Sessions[i]
		eachSlot(tx, s.ID, func(_ uint32, rec *slotRecord) { s.LowWater = max(s.LowWater, rec.LowWater) })
	}
	return r, nil
}

// SessionInfo describes a session.
type SessionInfo struct {
	ID       honeyant.SessionID
	Node     honeyant.NodeID
	Name     string
	Dead     bool
	LowWater uint64 // chunk counters below it are settled (rule 10)
}

// Fields encodes or decodes.
func (s *SessionInfo) Fields(c *wire.Codec) {
	wire.Uint(c, &s.ID)
	wire.Uint(c, &s.Node)
	c.String(&s.Name, 300)
	c.Bool(&s.Dead)
	wire.Uint(c, &s.LowWater)
}

// SessionsReply is a list of sessions. A session that is not listed, or is Dead, and whose number is below
// Next, is over for ever: its late commits are refused (rule 10).
type SessionsReply struct {
	Sessions []SessionInfo
	Next     honeyant.SessionID // the number that the next session will have
}

// Fields implements Reply.
func (r *SessionsReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Sessions, 1<<20, func(c *wire.Codec, s *SessionInfo) { s.Fields(c) })
	wire.Uint(c, &r.Next)
}
