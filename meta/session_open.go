package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// OpenSession makes a session and tells its number. Sessions are for ever distinct.
type OpenSession struct {
	Node honeyant.NodeID
	Name string // what it is for, as shown to people: "mount /srv/data"
}

// Code implements Op.
func (*OpenSession) Code() Code { return CodeOpenSession }

func (*OpenSession) newReply() *SessionReply { return new(SessionReply) }

// Fields implements Op.
func (o *OpenSession) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Node)
	c.String(&o.Name, 300)
}

func (o *OpenSession) eval(tx *Tx) (Reply, error) {
	if o.Node != 0 {
		if n, ok := tx.node(o.Node); !ok || n.Node.State == honeyant.NodeRemoved {
			return nil, honeyant.E("meta.OpenSession", honeyant.NotPermitted, o.Node.String(), errors.New("not a member"))
		}
	}
	id := honeyant.SessionID(tx.next(counterSession))
	rec := sessionRecord{Node: o.Node, Name: o.Name}
	tx.store(sessionKey(id), rec.fields)
	return &SessionReply{Session: id, Incarnation: tx.Incarnation, Epoch: tx.Epoch}, nil
}

// SessionReply is a session as the leader knows it.
type SessionReply struct {
	Session     honeyant.SessionID
	Incarnation uint32
	Epoch       uint64
}

// Fields implements Reply.
func (r *SessionReply) Fields(c *wire.Codec) {
	wire.Uint(c, &r.Session)
	wire.Uint(c, &r.Incarnation)
	wire.Uint(c, &r.Epoch)
}
