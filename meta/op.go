package meta

import (
	"context"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Op is one metadata operation as a value. The concrete types are the exported structs of
// this package that have a Code; all are used through pointers.
type Op interface {
	// Code is the operation's number on the wire.
	Code() Code
	// Fields encodes or decodes the arguments.
	Fields(c *wire.Codec)
	// eval yields the reply and, through tx, the changes. On an error nothing changes.
	// A read-only op must not change anything.
	eval(tx *Tx) (Reply, error)
}

// Reply is what an operation answers.
type Reply interface {
	Fields(c *wire.Codec)
}

// Request is an Op whose reply has type R.
type Request[R Reply] interface {
	Op
	newReply() R
}

// Doer carries operations out: the Leader itself, or a session at a distance.
type Doer interface {
	// Do returns the reply, whose type is the one newReply makes. A change is on a
	// quorum's stable storage when Do returns without an error. Errors of Kind
	// Unavailable leave open whether it was done.
	Do(ctx context.Context, op Op) (Reply, error)
}

// Do carries out op and gives the reply its type.
func Do[R Reply](ctx context.Context, d Doer, op Request[R]) (R, error) {
	var none R
	reply, err := d.Do(ctx, op)
	if err != nil {
		return none, err
	}
	r, ok := reply.(R)
	if !ok {
		return none, honeyant.E("meta.Do", honeyant.Internal, op.Code().String(), fmt.Errorf("reply has type %T", reply))
	}
	return r, nil
}

// EncodeOp writes code and fields.
func EncodeOp(op Op) []byte {
	return wire.Marshal(func(c *wire.Codec) {
		code := op.Code()
		wire.Uint(c, &code)
		op.Fields(c)
	})
}

// DecodeOp reads what EncodeOp wrote; unknown codes are Unsupported.
func DecodeOp(raw []byte) (Op, error) {
	c := wire.NewDecoder(raw)
	var code Code
	wire.Uint(c, &code)
	if err := c.Err(); err != nil {
		return nil, err
	}
	mk, ok := ops[code]
	if !ok {
		return nil, honeyant.E("meta.DecodeOp", honeyant.Unsupported, code.String(), fmt.Errorf("unknown operation; is this node older than the one that asks?"))
	}
	op := mk()
	op.Fields(c)
	return op, c.Done()
}

// NewReply makes an empty reply for op, to decode into.
func NewReply(op Op) Reply { return replies[op.Code()]() }

// ReadOnly tells whether the op never changes anything: it takes no slot and needs no batch.
func ReadOnly(op Op) bool { return op.Code() >= firstRead }

// Done is the reply of operations that only succeed or fail.
type Done struct{}

// Fields is empty.
func (*Done) Fields(*wire.Codec) {}
