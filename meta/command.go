package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Commands are what the replicated log carries: a version, a kind, and for a batch its place and changes.
const commandVersion = 1

type commandKind uint8

const (
	commandEpoch commandKind = iota + 1 // a leadership begins
	commandBatch                        // changes of many operations
)

// command is one log entry.
type command struct {
	Kind  commandKind
	Epoch uint64 // of a batch: log index of the epoch-open under which it was evaluated
	Seq   uint64 // of a batch: its place in the epoch, from 1 without gaps
	Batch kv.Batch
}

func (m *command) fields(c *wire.Codec) {
	v := uint8(commandVersion)
	wire.Uint(c, &v)
	if v != commandVersion {
		c.Failf("command version %d", v)
		return
	}
	wire.Uint(c, &m.Kind)
	switch m.Kind {
	case commandEpoch:
	case commandBatch:
		wire.Uint(c, &m.Epoch)
		wire.Uint(c, &m.Seq)
		m.Batch.Fields(c)
	default:
		c.Failf("command kind %d", m.Kind)
	}
}

// encode sizes the buffer first: batches are large.
func (m *command) encode() []byte {
	c := wire.NewEncoder(make([]byte, 0, 32+m.Batch.Size()))
	m.fields(c)
	return c.Encoded()
}

// decodeCommand aliases raw.
func decodeCommand(raw []byte) (*command, error) {
	m := new(command)
	if err := wire.Unmarshal(raw, m.fields); err != nil {
		return nil, honeyant.E("meta.decodeCommand", honeyant.Corrupt, fmt.Sprintf("%d bytes", len(raw)), err)
	}
	return m, nil
}
