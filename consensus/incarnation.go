package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// The incarnation numbers the lives of a cluster's metadata: 1 from Bootstrap on, one more with each
// ForceSingle. Logs of two incarnations may differ where neither side can see it, so they never mix:
// each connection begins with a hello of both sides, and whoever is behind stops (C10).

const (
	helloMagic = "HYI\x01" // the last byte is the version
	helloBytes = len(helloMagic) + 8
)

// incarnationKey is its name in the stable store.
var incarnationKey = []byte("Incarnation")

// incarnation is the number of this node's metadata, 0 while it has none.
type incarnation struct {
	store *logStore
	mu    sync.Mutex // held while it is raised
	value atomic.Uint64
}

func (i *incarnation) load(store *logStore) error {
	v, err := store.GetUint64(incarnationKey)
	i.store = store
	i.value.Store(v)
	return err
}

// raise sets the number, durably, if it is below to.
func (i *incarnation) raise(to uint64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.value.Load() >= to {
		return nil
	}
	if err := i.store.SetUint64(incarnationKey, to); err != nil {
		return err
	}
	i.value.Store(to)
	return nil
}

// adopt takes the number of another node if this one has none yet.
func (i *incarnation) adopt(of uint64) error {
	if i.value.Load() != 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.value.Load() != 0 {
		return nil
	}
	if err := i.store.SetUint64(incarnationKey, of); err != nil {
		return err
	}
	i.value.Store(of)
	return nil
}

// Incarnation is which life of the cluster's metadata this node takes part in, 0 while it has none: it
// takes that of the first node it meets.
func (n *Node) Incarnation() uint64 { return n.incarnation.value.Load() }

// greet exchanges hellos over a new connection and decides whether it may be used.
func (n *Node) greet(c net.Conn) error {
	deadline := time.Now().Add(n.o.Timings.Network)
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	mine := n.Incarnation()
	if _, err := c.Write(binary.BigEndian.AppendUint64([]byte(helloMagic), mine)); err != nil {
		return err
	}
	var b [helloBytes]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return err
	}
	if string(b[:len(helloMagic)]) != helloMagic {
		return honeyant.E("consensus.Connect", honeyant.Unsupported, fmt.Sprintf("% x", b), errors.New("the other side speaks another version"))
	}
	if err := n.meet(mine, binary.BigEndian.Uint64(b[len(helloMagic):])); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// meet judges the number of another node, to which mine was told.
func (n *Node) meet(mine, theirs uint64) error {
	const op = "consensus.Connect"
	switch {
	case theirs == mine, theirs == 0:
		return nil // a fresh node takes ours
	case mine == 0:
		if err := n.incarnation.adopt(theirs); err != nil {
			return err
		}
		if n.Incarnation() == theirs {
			return nil
		}
		return honeyant.E(op, honeyant.Unavailable, "", errors.New("met two incarnations at once"))
	case theirs < mine:
		return honeyant.E(op, honeyant.Stale, "", fmt.Errorf("the other side is of incarnation %d, this one of %d", theirs, mine))
	}
	err := honeyant.E(op, honeyant.Stale, "", fmt.Errorf("the cluster is in incarnation %d, the metadata here are of %d", theirs, mine))
	n.superseded.Do(func() {
		if f := n.o.Events.OnSuperseded; f != nil {
			n.events.add(func() { f(theirs) })
		}
		n.halt(err)
	})
	return err
}

// dialNode connects to a node where it is now, and greets it.
func (n *Node) dialNode(ctx context.Context, id honeyant.NodeID, p rpc.Proto) (rpc.Conn, error) {
	addr, ok := n.o.Resolve(id)
	if id == 0 || !ok {
		return nil, honeyant.E("consensus.Dial", honeyant.Unavailable, id.String(), honeyant.NotExist)
	}
	c, err := n.o.Network.Dial(ctx, addr, id, p)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = n.greet(c)
	if !stop() && err == nil {
		err = honeyant.E("consensus.Dial", honeyant.Unavailable, id.String(), context.Cause(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
