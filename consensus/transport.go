package consensus

import (
	"context"
	"time"

	hraft "github.com/hashicorp/raft"
)

// transport is raft's network transport with pipelines that can not hang. In raft's own,
// when a follower answers "no", the goroutine that reads the answers leaves while the one
// that sends waits for it, for ever: replication to that follower stops until the leader
// changes, and raft never shuts down.
type transport struct {
	*hraft.NetworkTransport
	life    context.Context
	timeout time.Duration
}

// AppendEntriesPipeline implements raft.Transport.
func (t *transport) AppendEntriesPipeline(id hraft.ServerID, target hraft.ServerAddress) (hraft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	w := &pipeline{AppendPipeline: p, timeout: t.timeout}
	w.forget = context.AfterFunc(t.life, w.abort)
	return w, nil
}

type pipeline struct {
	hraft.AppendPipeline
	timeout time.Duration
	forget  func() bool
}

// AppendEntries implements raft.AppendPipeline. One that waits longer than a call may take
// closes the pipeline, and raft goes back to single calls.
func (p *pipeline) AppendEntries(args *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) (hraft.AppendFuture, error) {
	t := time.AfterFunc(p.timeout, p.abort)
	defer t.Stop()
	return p.AppendPipeline.AppendEntries(args, resp)
}

func (p *pipeline) abort() { _ = p.AppendPipeline.Close() }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.forget()
	return p.AppendPipeline.Close()
}
