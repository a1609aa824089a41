package meta

import (
	"bytes"
	"errors"

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
	const op = "meta.AddNode"
	first := true
	var known *nodeRecord
	tx.eachNode(func(n *nodeRecord) {
		first = false
		if len(o.PublicKey) > 0 && bytes.Equal(n.PublicKey, o.PublicKey) {
			known = n
		}
	})
	if known != nil {
		if known.Node.State == honeyant.NodeRemoved {
			return nil, honeyant.E(op, honeyant.NotPermitted, known.Node.ID.String(), errors.New("the node was removed"))
		}
		return &NodeReply{Node: known.Node}, tx.err
	}
	if !first || len(o.TokenHash) > 0 {
		if err := tx.useToken(o.TokenHash); err != nil {
			return nil, err
		}
	}
	rec := nodeRecord{PublicKey: o.PublicKey, Node: honeyant.Node{
		ID: honeyant.NodeID(tx.next(counterNode)), Name: o.Name, Address: o.Address, Zone: o.Zone, State: honeyant.NodeUp,
	}}
	tx.store(nodeKey(rec.Node.ID), rec.fields)
	tx.setCount(counterNodes, tx.count(counterNodes)+1)
	tx.next(counterMap)
	return &NodeReply{Node: rec.Node}, nil
}

// NodeReply is a node.
type NodeReply struct {
	Node honeyant.Node
}

// Fields implements Reply.
func (r *NodeReply) Fields(c *wire.Codec) {
	wire.Node(c, &r.Node)
}
