package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// AddNode takes a new node in and tells its ID. With Token the token is used up by one in the same step.
type AddNode struct {
	Name      string
	Address   string // host:port
	Zone      string
	TokenHash []byte // SHA-256 of the token; empty only for the first node
	PublicKey []byte // DER (PKIX) of the node's key, so that a retry gets the same ID
}

// Code implements Op.
func (*AddNode) Code() Code { return CodeAddNode }

func (*AddNode) newReply() *NodeReply { return new(NodeReply) }

// Fields implements Op.
func (o *AddNode) Fields(c *wire.Codec) {
	c.String(&o.Name, 255)
	c.String(&o.Address, 300)
	c.String(&o.Zone, 255)
	c.Bytes(&o.TokenHash, 32)
	c.Bytes(&o.PublicKey, 4096)
}

func (o *AddNode) eval(tx *Tx) (Reply, error) {
	return nil, honeyant.E("meta.AddNode", honeyant.Unsupported, "", nil)
}

// NodeReply is a node.
type NodeReply struct {
	Node honeyant.Node
}

// Fields implements Reply.
func (r *NodeReply) Fields(c *wire.Codec) {
	wire.Node(c, &r.Node)
}
