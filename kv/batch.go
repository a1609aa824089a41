package kv

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// MaxKey and MaxValue bound what a batch may carry, in bytes.
const (
	MaxKey   = 1 << 10
	MaxValue = 1 << 20
)

// Change is one put or delete.
type Change struct {
	Key    []byte
	Value  []byte // of a put
	Delete bool
}

// Batch is an ordered list of changes that take effect together; the last one of a key
// wins. The zero value is empty. Not for concurrent use.
type Batch struct {
	changes []Change
	size    int
}

// BatchOf makes a batch of changes. It keeps the slice and what is in it.
func BatchOf(changes []Change) *Batch {
	b := &Batch{changes: changes}
	for _, ch := range changes {
		b.size += len(ch.Key) + len(ch.Value) + 8
	}
	return b
}

// Put sets key to value. The batch keeps both slices.
func (b *Batch) Put(key, value []byte) {
	b.changes = append(b.changes, Change{Key: key, Value: value})
	b.size += len(key) + len(value) + 8
}

// Delete removes key. The batch keeps the slice.
func (b *Batch) Delete(key []byte) {
	b.changes = append(b.changes, Change{Key: key, Delete: true})
	b.size += len(key) + 8
}

// Append adds all changes of o.
func (b *Batch) Append(o *Batch) {
	b.changes = append(b.changes, o.changes...)
	b.size += o.size
}

// Changes lists the changes in order; read only.
func (b *Batch) Changes() []Change { return b.changes }

// Len is the number of changes.
func (b *Batch) Len() int { return len(b.changes) }

// Size is about the number of bytes the encoding takes.
func (b *Batch) Size() int { return b.size }

// Reset empties the batch.
func (b *Batch) Reset() { b.changes, b.size = nil, 0 }

// Fields encodes or decodes the batch; a decoded one aliases the input.
func (b *Batch) Fields(c *wire.Codec) {
	wire.Slice(c, &b.changes, 1<<20, func(c *wire.Codec, ch *Change) {
		c.Bool(&ch.Delete)
		c.View(&ch.Key, MaxKey)
		if !ch.Delete {
			c.View(&ch.Value, MaxValue)
		}
	})
	if c.Decoding() {
		b.size = 0
		for _, ch := range b.changes {
			b.size += len(ch.Key) + len(ch.Value) + 8
			if len(ch.Key) == 0 {
				c.Failf("empty key")
			}
		}
	}
}

// Decode reads an encoded batch; it aliases raw.
func Decode(raw []byte) (*Batch, error) {
	b := &Batch{}
	if err := wire.Unmarshal(raw, b.Fields); err != nil {
		return nil, honeyant.E("kv.Decode", honeyant.Corrupt, "batch", err)
	}
	return b, nil
}
