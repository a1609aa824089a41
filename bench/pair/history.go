package pair

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// historyWait bounds what is asked about a history: reading it may take a slow disk a while.
const historyWait = 2 * time.Minute

// Fetch calls keep with every run that node has and lacking asks for. lacking is told all
// IDs. Errors: Unsupported if the node keeps no history, Unavailable, those of lacking and keep.
func Fetch(ctx context.Context, node Node, lacking func(ids []string) ([]string, error), keep func(*bench.Run) error) error {
	return converse(ctx, node, func(conn net.Conn) error {
		a, err := askFor(conn, request{Op: opHistory}, historyWait)
		if err != nil {
			return err
		}
		ids, err := lacking(a.IDs)
		if err != nil {
			return err
		}
		for _, id := range ids {
			a, err := askFor(conn, request{Op: opRun, ID: id}, historyWait)
			if err != nil {
				return err
			}
			if a.Run == nil || a.Run.ID != id {
				return honeyant.E("pair.Fetch", honeyant.Corrupt, id, errors.New("the node sent another run than was asked for"))
			}
			if err := a.Run.Validate(); err != nil {
				return err
			}
			if err := keep(a.Run); err != nil {
				return err
			}
		}
		return nil
	})
}

// Nudge tells node that this one has new runs, waits until it has fetched them, and returns
// how many that were. Errors as of Fetch.
func Nudge(ctx context.Context, node Node) (fetched int, err error) {
	err = converse(ctx, node, func(conn net.Conn) error {
		a, err := askFor(conn, request{Op: opFetch}, historyWait)
		fetched = int(a.Bytes)
		return err
	})
	return fetched, err
}

// converse connects to a node and lets f talk to it until ctx ends.
func converse(ctx context.Context, node Node, f func(net.Conn) error) error {
	const op = "pair.History"
	dial, cancel := context.WithTimeout(ctx, dialWait)
	conn, err := node.Dial(dial)
	cancel()
	if err != nil {
		return honeyant.E(op, honeyant.Unavailable, node.Name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err = f(conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		kind := honeyant.KindOf(err)
		if kind == honeyant.Other {
			kind = honeyant.Unavailable
		}
		return honeyant.E(op, kind, node.Name, err)
	}
	return nil
}
