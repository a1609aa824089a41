package replica

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// messageKind says what a message on a chunk stream is; doc/format/wire.md.
type messageKind uint8

const (
	msgRequest messageKind = iota + 1
	msgData                // one frame of a chunk
	msgAlive               // the server works on the request
	msgReady               // the server wants the data of a put
	msgDone
	msgFault
	msgEnd
)

const (
	headSize   = 16
	maxMessage = 4 << 20
	maxHops    = 16
)

// head is in front of each message.
type head struct {
	length uint32 // bytes that follow
	kind   messageKind
	arg    uint32 // of msgData: the frame's number
	crc    uint32 // of msgData: chunk.FrameCRC; else CRC-32C of the payload
}

func (h *head) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], h.length)
	b[4], b[5], b[6], b[7] = byte(h.kind), 0, 0, 0
	binary.BigEndian.PutUint32(b[8:], h.arg)
	binary.BigEndian.PutUint32(b[12:], h.crc)
}

func parseHead(b []byte) (head, error) {
	h := head{
		length: binary.BigEndian.Uint32(b[0:]), kind: messageKind(b[4]),
		arg: binary.BigEndian.Uint32(b[8:]), crc: binary.BigEndian.Uint32(b[12:]),
	}
	limit := uint32(maxMessage)
	if h.kind == msgData {
		limit = honeyant.FrameSize
	}
	if h.kind == 0 || h.kind >= msgEnd || b[5]|b[6]|b[7] != 0 || h.length > limit {
		return h, corrupt("message % x", b[:headSize])
	}
	return h, nil
}

func corrupt(format string, args ...any) error {
	return honeyant.E("replica.Decode", honeyant.Corrupt, "", fmt.Errorf(format, args...))
}

func payloadCRC(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// operation is what a request asks for.
type operation uint8

const (
	opPut operation = iota + 1
	opRead
	opCopy
	opDelete
	opVerify
	opStat
	opBuckets
	opBucket
	opLimit
)

// hop is one store of a chain.
type hop struct {
	store   honeyant.StoreID
	node    honeyant.NodeID
	address string
}

// request asks a node for something; each operation uses the fields that concern it.
type request struct {
	op          operation
	incarnation uint32
	store       honeyant.StoreID
	chunk       honeyant.ChunkID
	generation  honeyant.Generation
	length      uint32 // put: bytes of the chunk; read: frames wanted
	first       uint32 // read: number of the first frame; bucket: its number
	eager       bool   // put: the data follow without waiting for msgReady
	hops        []hop  // put: where to forward to
	ref         honeyant.ChunkRef
}

func (r *request) fields(c *wire.Codec) {
	wire.Uint(c, &r.op)
	wire.Uint(c, &r.incarnation)
	wire.Uint(c, &r.store)
	wire.Chunk(c, &r.chunk)
	wire.Uint(c, &r.generation)
	wire.Uint(c, &r.length)
	wire.Uint(c, &r.first)
	c.Bool(&r.eager)
	wire.Slice(c, &r.hops, maxHops, func(c *wire.Codec, h *hop) {
		wire.Uint(c, &h.store)
		wire.Uint(c, &h.node)
		c.String(&h.address, 300)
	})
	wire.ChunkRef(c, &r.ref)
}

func decodeRequest(b []byte) (*request, error) {
	var r request
	if err := wire.Unmarshal(b, r.fields); err != nil {
		return nil, err
	}
	if r.op == 0 || r.op >= opLimit || r.length > chunk.MaxLength {
		return nil, corrupt("operation %d of %d bytes", r.op, r.length)
	}
	return &r, nil
}

// outcome is what a put came to in one store: a replica, or an error.
type outcome struct {
	store      honeyant.StoreID
	generation honeyant.Generation
	sum        honeyant.ChunkSum
	err        error
}

func encodeOutcomes(all []outcome) []byte {
	return wire.Marshal(func(c *wire.Codec) {
		wire.Slice(c, &all, maxHops+1, func(c *wire.Codec, o *outcome) {
			wire.Uint(c, &o.store)
			wire.Uint(c, &o.generation)
			wire.Sum(c, &o.sum)
			var fault []byte
			if o.err != nil {
				fault = rpc.EncodeError(o.err)
			}
			c.View(&fault, maxMessage)
		})
	})
}

// decodeOutcomes reads what encodeOutcomes wrote on a node.
func decodeOutcomes(b []byte, from honeyant.NodeID) ([]outcome, error) {
	var all []outcome
	err := wire.Unmarshal(b, func(c *wire.Codec) {
		wire.Slice(c, &all, maxHops+1, func(c *wire.Codec, o *outcome) {
			wire.Uint(c, &o.store)
			wire.Uint(c, &o.generation)
			wire.Sum(c, &o.sum)
			var fault []byte
			c.View(&fault, maxMessage)
			if len(fault) > 0 {
				o.err = rpc.DecodeError(fault, from)
			}
		})
	})
	return all, err
}

// infos is the answer to opStat (one) and opBucket.
func infoFields(all *[]chunk.Info) func(*wire.Codec) {
	return func(c *wire.Codec) {
		wire.Slice(c, all, maxMessage, func(c *wire.Codec, i *chunk.Info) {
			wire.Chunk(c, &i.ID)
			wire.Uint(c, &i.Generation)
			wire.Sum(c, &i.Sum)
			c.Bool(&i.Suspect)
		})
	}
}

// bucketFields is the answer to opBuckets: 8 bytes each, big-endian.
func bucketFields(all *[]uint64) func(*wire.Codec) {
	return func(c *wire.Codec) {
		raw := make([]byte, 8*chunk.Buckets)
		for i, v := range *all {
			binary.BigEndian.PutUint64(raw[8*i:], v)
		}
		c.Fixed(raw)
		if c.Decoding() && c.Err() == nil {
			*all = make([]uint64, chunk.Buckets)
			for i := range *all {
				(*all)[i] = binary.BigEndian.Uint64(raw[8*i:])
			}
		}
	}
}
