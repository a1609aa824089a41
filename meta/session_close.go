package meta

import (
	"github.com/honeyant/honeyant"
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
	return nil, honeyant.E("meta.CloseSession", honeyant.Unsupported, "", nil)
}
