package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// frameType says what a frame of a call connection is; doc/format/wire.md.
type frameType uint8

const (
	frameRequest frameType = iota + 1
	frameAnswer
	frameFault
	frameCancel
	framePing
	framePong
	frameTypeEnd
)

// headerSize is the fixed part of a frame.
const headerSize = 16

// frame is the header of one message on a call connection.
type frame struct {
	length  uint32 // bytes of payload that follow
	kind    frameType
	method  Method // of a request
	call    uint32 // chosen by the client, unique among its calls under way
	timeout uint32 // ms that the client waits for a request; 0 is for ever
}

func (f *frame) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], f.length)
	b[4], b[5] = byte(f.kind), 0
	binary.BigEndian.PutUint16(b[6:], uint16(f.method))
	binary.BigEndian.PutUint32(b[8:], f.call)
	binary.BigEndian.PutUint32(b[12:], f.timeout)
}

// parseFrame reads a header. Errors have Kind Corrupt.
func parseFrame(b []byte, limit int) (frame, error) {
	f := frame{
		length: binary.BigEndian.Uint32(b[0:]), kind: frameType(b[4]), method: Method(binary.BigEndian.Uint16(b[6:])),
		call: binary.BigEndian.Uint32(b[8:]), timeout: binary.BigEndian.Uint32(b[12:]),
	}
	switch {
	case f.kind == 0 || f.kind >= frameTypeEnd || b[5] != 0:
		return f, corruptFrame("type %d.%d", b[4], b[5])
	case uint64(f.length) > uint64(limit):
		return f, corruptFrame("length %d over the limit %d", f.length, limit)
	case f.length > 0 && (f.kind == frameCancel || f.kind == framePing || f.kind == framePong):
		return f, corruptFrame("type %d with payload", f.kind)
	}
	return f, nil
}

// readFrame reads the next header from r. io.EOF only between frames.
func readFrame(r io.Reader, buf []byte, limit int) (frame, error) {
	if _, err := io.ReadFull(r, buf[:headerSize]); err != nil {
		return frame{}, err
	}
	return parseFrame(buf, limit)
}

func corruptFrame(format string, args ...any) error {
	return honeyant.E("rpc.Decode", honeyant.Corrupt, "frame", fmt.Errorf(format, args...))
}

// millis is a timeout as a header carries it: at least 1 ms, capped, 0 for none.
func millis(d time.Duration, limited bool) uint32 {
	if !limited {
		return 0
	}
	return uint32(min(max(d.Milliseconds(), 1), 1<<31))
}

// fault is an error on its way to another node.
type fault struct {
	kind   honeyant.Kind
	node   honeyant.NodeID
	op     string
	object string
	text   string
}

const maxFaultText = 4 << 10

func (f *fault) fields(c *wire.Codec) {
	wire.Uint(c, &f.kind)
	wire.Uint(c, &f.node)
	c.String(&f.op, maxFaultText)
	c.String(&f.object, maxFaultText)
	c.String(&f.text, maxFaultText)
}

// EncodeError turns err into bytes that DecodeError understands on another node: kind,
// operation, object, node and text survive.
func EncodeError(err error) []byte {
	f := fault{kind: honeyant.KindOf(err), text: clip(err.Error())}
	var e *honeyant.Error
	if errors.As(err, &e) {
		f.node, f.op, f.object, f.text = e.Node, clip(e.Op), clip(e.Object), ""
		if e.Err != nil {
			if k, ok := e.Err.(honeyant.Kind); !ok || k != e.Kind {
				f.text = clip(e.Err.Error())
			}
		}
	}
	return wire.Marshal(f.fields)
}

// DecodeError reads what EncodeError wrote on node from. The result is never nil: a
// malformed fault is itself an error of Kind Corrupt.
func DecodeError(b []byte, from honeyant.NodeID) error {
	var f fault
	if err := wire.Unmarshal(b, f.fields); err != nil {
		return err
	}
	e := &honeyant.Error{Op: f.op, Kind: f.kind, Object: f.object, Node: f.node}
	if e.Node == 0 {
		e.Node = from
	}
	if f.text != "" {
		e.Err = errors.New(f.text)
	}
	return e
}

func clip(s string) string { return s[:min(len(s), maxFaultText)] }
