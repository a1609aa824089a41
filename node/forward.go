package node

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// methodAdmin carries a command that only the leader can answer to it.
const methodAdmin = cluster.MethodFree

// maxForward bounds a forwarded command and its answer, in bytes.
const maxForward = 3 << 20

type forwarded struct {
	name   string
	params []byte
}

func (f *forwarded) fields(c *wire.Codec) {
	c.String(&f.name, 64)
	c.Bytes(&f.params, maxForward)
}

// toLeader makes a local method of one that only the leader can answer.
func (n *Node) toLeader(name string, method admin.Method) admin.Method {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		if _, leading := n.leader.Epoch(); leading {
			result, err := method(ctx, params)
			if !errors.Is(err, honeyant.NotLeader) {
				return result, err
			}
		}
		leader := n.leaderNow()
		if leader == 0 || leader == n.identity.Self() {
			return nil, honeyant.E("node.Command", honeyant.Unavailable, name, errors.New("the colony has no metadata leader now; a quorum of its voters must be up"))
		}
		req := wire.Marshal((&forwarded{name: name, params: params}).fields)
		answer, err := n.calls.control.Call(ctx, leader, methodAdmin, req)
		if err != nil {
			return nil, err
		}
		return json.RawMessage(answer), nil
	}
}

// serveForwarded answers commands that other nodes pass on.
func (n *Node) serveForwarded(methods admin.Methods) rpc.Handler {
	return func(ctx context.Context, peer honeyant.NodeID, _ rpc.Method, req []byte) ([]byte, error) {
		var f forwarded
		if err := wire.Unmarshal(req, f.fields); err != nil {
			return nil, err
		}
		method, ok := methods[f.name]
		if !ok {
			return nil, honeyant.E("node.Command", honeyant.Unsupported, f.name, errors.New("the leader does not know the command; is it older?"))
		}
		if _, leading := n.leader.Epoch(); !leading {
			return nil, honeyant.E("node.Command", honeyant.Unavailable, f.name, errors.New("the leader has just changed; try again"))
		}
		result, err := method(ctx, f.params)
		if err != nil {
			return nil, err
		}
		answer, err := json.Marshal(result)
		if err == nil && len(answer) > maxForward {
			err = honeyant.E("node.Command", honeyant.TooBig, f.name, errors.New("the answer is too long to be passed on; run the command on the leader"))
		}
		return answer, err
	}
}

// leaderCommand is a leader's method, wherever the leader is.
func (n *Node) leaderCommand(name string) admin.Method {
	_, leader := n.commands()
	return n.toLeader(name, leader[name])
}

// callMethod runs a method with Go values on both sides.
func callMethod(ctx context.Context, method admin.Method, params, result any) error {
	var raw json.RawMessage
	if params != nil {
		var err error
		if raw, err = json.Marshal(params); err != nil {
			return err
		}
	}
	answer, err := method(ctx, raw)
	if err != nil || result == nil {
		return err
	}
	if raw, err = json.Marshal(answer); err != nil {
		return err
	}
	return json.Unmarshal(raw, result)
}
