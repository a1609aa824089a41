package remote

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ServerOptions configure a server.
type ServerOptions struct {
	// Leader is this node's Leader; ok false while the node does not lead or keeps no metadata.
	Leader func() (l *meta.Leader, ok bool)
	// Hint tells who leads, as far as this node knows; may be nil.
	Hint func() (node honeyant.NodeID, ok bool)
	// Deadline ("meta-serve") bounds a call whose caller said nothing; default 30 s.
	Deadline time.Duration
}

// NewServer answers ProtoMeta. A node that does not lead answers NotLeader and who does, if it knows.
func NewServer(o ServerOptions) rpc.Handler {
	if o.Deadline <= 0 {
		o.Deadline = 30 * time.Second
	}
	s := &server{o}
	return s.handle
}

type server struct{ o ServerOptions }

func (s *server) handle(ctx context.Context, peer honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Deadline, fmt.Errorf("meta-serve: no outcome within %v", s.o.Deadline))
	defer cancel()
	var grant meta.Grant
	body, err := s.serve(ctx, peer, &grant, m, req)
	a := answer{body: body}
	if err != nil {
		a = failure(err, s.o.Hint)
	}
	a.grant = grant
	return wire.Marshal(a.fields), nil
}

func (s *server) serve(ctx context.Context, peer honeyant.NodeID, grant *meta.Grant, m rpc.Method, req []byte) ([]byte, error) {
	l, ok := s.o.Leader()
	if !ok || l == nil {
		return nil, honeyant.E("remote.Serve", honeyant.NotLeader, "", nil)
	}
	switch m {
	case methodDo:
		return s.do(ctx, l, peer, grant, req)
	case methodRenew:
		var q renewRequest
		if err := wire.Unmarshal(req, q.fields); err != nil {
			return nil, err
		}
		r, err := l.RenewLeases(ctx, q.session, q.epoch, q.want)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(func(c *wire.Codec) { renewalFields(c, &r) }), nil
	case methodRecalls:
		var q recallsRequest
		if err := wire.Unmarshal(req, q.fields); err != nil {
			return nil, err
		}
		r, err := l.Recalls(ctx, q.session, q.term, q.ack, q.hold)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(func(c *wire.Codec) { recallFields(c, &r) }), nil
	case methodReassert:
		var r reassertRequest
		if err := wire.Unmarshal(req, r.fields); err != nil {
			return nil, err
		}
		return nil, l.Reassert(r.session, r.as, r.open, r.last)
	case methodRelease:
		var r releaseRequest
		if err := wire.Unmarshal(req, r.fields); err != nil {
			return nil, err
		}
		return nil, l.ReleaseOpens(r.session, r.files)
	case methodReturn:
		var r returnRequest
		if err := wire.Unmarshal(req, r.fields); err != nil {
			return nil, err
		}
		return nil, l.Return(ctx, r.session, r.stamp, r.files)
	case methodReclaim:
		var r reclaimRequest
		if err := wire.Unmarshal(req, r.fields); err != nil {
			return nil, err
		}
		lost, err := l.Reclaim(ctx, r.session, meta.Claim{Epoch: r.epoch, Stamp: r.stamp, Files: r.files, Last: r.last})
		if err != nil {
			return nil, err
		}
		return wire.Marshal(func(c *wire.Codec) { wire.Slice(c, &lost, maxOpens, openFile) }), nil
	}
	return nil, honeyant.E("remote.Serve", honeyant.Unsupported, fmt.Sprintf("method %d", m), nil)
}

func (s *server) do(ctx context.Context, l *meta.Leader, peer honeyant.NodeID, grant *meta.Grant, req []byte) ([]byte, error) {
	var r doRequest
	if err := wire.Unmarshal(req, r.fields); err != nil {
		return nil, err
	}
	op, err := meta.DecodeOp(r.op)
	if err != nil {
		return nil, err
	}
	switch op := op.(type) {
	case *meta.OpenSession:
		if peer != 0 {
			op.Node = peer
		}
	case *meta.GetSetting:
		if strings.HasPrefix(op.Name, meta.SettingSecret) {
			return nil, honeyant.E("remote.Serve", honeyant.NotPermitted, op.Name, fmt.Errorf("secret settings never leave the leader"))
		}
	case *meta.PutSetting:
		if strings.HasPrefix(op.Name, meta.SettingSecret) {
			return nil, honeyant.E("remote.Serve", honeyant.NotPermitted, op.Name, fmt.Errorf("secret settings never leave the leader"))
		}
	case *meta.Reap, *meta.Retag, *meta.Bootstrap, *meta.RaiseIncarnation:
		return nil, honeyant.E("remote.Serve", honeyant.NotPermitted, op.Code().String(), fmt.Errorf("the leader does it by itself"))
	}
	r.call.Op = op
	reply, g, err := l.DoLeased(ctx, r.call)
	*grant = g
	if err != nil {
		return nil, err
	}
	return wire.Marshal(reply.Fields), nil
}
