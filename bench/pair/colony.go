package pair

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// Node is a node that can be asked to measure.
type Node struct {
	ID   honeyant.NodeID
	Name string
	Dial func(ctx context.Context) (net.Conn, error) // to its Server
}

// stepWait is how long a node may work without telling a step: a cold build on a small
// machine, with pauses.
const stepWait = 20 * time.Minute

// Pairs lets node measure the way to others. Errors: those of the node; Unavailable if it
// can not be reached.
func Pairs(ctx context.Context, node Node, to []honeyant.NodeID, w Work, tell func(Step)) (*bench.Run, error) {
	return command(ctx, node, request{Op: opPairs, To: to, Work: w}, tell)
}

// Groups lets node measure itself. Errors as of Pairs.
func Groups(ctx context.Context, node Node, w Work, tell func(Step)) (*bench.Run, error) {
	return command(ctx, node, request{Op: opGroups, Work: w}, tell)
}

func command(ctx context.Context, node Node, q request, tell func(Step)) (*bench.Run, error) {
	const op = "pair.Command"
	dial, cancel := context.WithTimeout(ctx, dialWait)
	conn, err := node.Dial(dial)
	cancel()
	if err != nil {
		return nil, honeyant.E(op, honeyant.Unavailable, node.Name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeMessage(conn, q); err != nil {
		return nil, honeyant.E(op, honeyant.Unavailable, node.Name, err)
	}
	for {
		var a answer
		if err := readAnswer(conn, stepWait, &a); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			kind := honeyant.KindOf(err)
			if kind == honeyant.Other {
				kind = honeyant.Unavailable
			}
			return nil, honeyant.E(op, kind, node.Name, err)
		}
		switch {
		case a.Step != nil:
			tell(*a.Step)
		case a.Run != nil:
			return a.Run, a.Run.Validate()
		default:
			return nil, honeyant.E(op, honeyant.Corrupt, node.Name, errors.New("an empty answer"))
		}
	}
}
