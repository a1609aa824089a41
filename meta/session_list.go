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
	return nil, honeyant.E("meta.ListSessions", honeyant.Unsupported, "", nil)
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

// SessionsReply is a list of sessions.
type SessionsReply struct{ Sessions []SessionInfo }

// Fields implements Reply.
func (r *SessionsReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Sessions, 1<<20, func(c *wire.Codec, s *SessionInfo) { s.Fields(c) })
}
