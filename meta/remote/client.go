package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Options of a session or an admin client. Zero values mean the defaults.
type Options struct {
	// Caller makes calls to other nodes by ProtoMeta.
	Caller rpc.Caller
	// Local is this node's own Leader, asked directly while ok; may be nil.
	Local func() (l *meta.Leader, ok bool)
	// Leader tells who leads, as far as this node knows; may be nil.
	Leader func() (node honeyant.NodeID, ok bool)
	// Candidates lists the nodes that may lead, usually the voters; asked in turn when nothing better is known.
	Candidates func() []honeyant.NodeID

	Node     honeyant.NodeID // this node, as the session's owner
	Name     string          // what the session is for, as shown to people
	Deadline time.Duration   // "meta-call": the longest a call without a deadline of its own takes; default 30 s
	Attempt  time.Duration   // "meta-attempt": the longest one node is waited for before the next is asked; default 3 s
	Log      *slog.Logger    // default: nothing is logged
	// Clock is a clock that goes on while the machine sleeps, by which leases are counted besides Go's, which does not
	// (rule 15); default: the kernel's CLOCK_BOOTTIME.
	Clock func() time.Duration
	// OnFenced is called once, on a goroutine of its own, when the session turns out to be dead.
	OnFenced func()
}

func (o Options) withDefaults() Options {
	if o.Deadline <= 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Attempt <= 0 {
		o.Attempt = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// client finds the leader and asks it, again and again. Safe for concurrent use.
type client struct {
	o    Options
	mu   sync.Mutex                    // guards below
	last honeyant.NodeID               // answered as the leader, or was named by one that does not lead
	turn int                           // next candidate
	mute map[honeyant.NodeID]time.Time // nodes that did not answer for long, and when that was
	// also learns what this one finds out of nodes, that one leads, or is silent; may be nil.
	also *client
}

const (
	firstPause = 10 * time.Millisecond
	maxPause   = 250 * time.Millisecond
	muteAfter  = 500 * time.Millisecond // a call that failed after so long met silence, not a refusal
)

// A question is one call to whatever node leads: directly, or encoded.
type question struct {
	method rpc.Method
	direct func(ctx context.Context, l *meta.Leader) error
	encode func() []byte
	decode func(body []byte) error
	grant  *meta.Grant // set to what the answer grants; may be nil
	// failed is told of each attempt whose outcome is unknown; may be nil.
	failed func()
	// patient: the answer may take long, so that its absence says nothing about the node.
	patient bool
}

// withDeadline gives ctx the default deadline if it has none.
func (c *client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.o.Deadline, fmt.Errorf("meta-call: no outcome within %v", c.o.Deadline))
}

// ask asks until there is an outcome or ctx ends. The errors NotLeader and Unavailable are not outcomes.
func (c *client) ask(ctx context.Context, q *question) error {
	pause := firstPause
	var last error
	tried := 0
	for {
		err := c.attempt(ctx, q)
		if !errors.Is(err, honeyant.NotLeader) && !errors.Is(err, honeyant.Unavailable) {
			return err
		}
		if q.failed != nil {
			q.failed()
		}
		last = err
		if ctx.Err() != nil {
			return ended(ctx, last)
		}
		// A node that names another leads there at once; after a round without luck, pause.
		if tried++; tried%2 == 0 || errors.Is(err, honeyant.Unavailable) {
			select {
			case <-ctx.Done():
				return ended(ctx, last)
			case <-time.After(pause):
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// ended is the error of a call whose context is over: it leaves open whether it was done.
func ended(ctx context.Context, last error) error {
	kind := honeyant.Unavailable
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = honeyant.Interrupted
	}
	cause := context.Cause(ctx)
	if last != nil && !errors.Is(last, context.Canceled) && !errors.Is(last, context.DeadlineExceeded) {
		cause = fmt.Errorf("%w; last answer: %v", cause, last)
	}
	return honeyant.E("remote.Do", kind, "", cause)
}

// attempt asks one node.
func (c *client) attempt(ctx context.Context, q *question) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Attempt, fmt.Errorf("meta-attempt: no answer within %v", c.o.Attempt))
	defer cancel()
	if c.o.Local != nil {
		if l, ok := c.o.Local(); ok && l != nil {
			if err := q.direct(ctx, l); !errors.Is(err, honeyant.NotLeader) {
				return err
			}
		}
	}
	node, ok := c.pick()
	if !ok {
		return honeyant.E("remote.Do", honeyant.Unavailable, "", errors.New("no node is known that could lead"))
	}
	began := time.Now()
	raw, err := c.o.Caller.Call(ctx, node, q.method, q.encode())
	if err != nil {
		silence := time.Since(began)
		if q.patient {
			silence = 0
		}
		c.forget(node, silence)
		if c.also != nil && silence >= muteAfter {
			c.also.forget(node, silence)
		}
		if errors.Is(err, honeyant.Invalid) || errors.Is(err, honeyant.Corrupt) {
			return err // it can not be sent
		}
		return unavailable(err)
	}
	var a answer
	if err := wire.Unmarshal(raw, a.fields); err != nil {
		return honeyant.E("remote.Do", honeyant.Corrupt, node.String(), err)
	}
	if q.grant != nil {
		*q.grant = a.grant
	}
	if a.failed {
		if a.kind == honeyant.NotLeader {
			c.follow(node, a.leader)
		}
		return a.err("remote.Do", node)
	}
	c.follow(0, node)
	if c.also != nil {
		c.also.follow(0, node)
	}
	if q.decode == nil {
		return nil
	}
	return q.decode(a.body)
}

// unavailable is a failed call as such: whatever the network says, its outcome is unknown.
func unavailable(err error) error {
	if errors.Is(err, honeyant.Unavailable) {
		return err
	}
	return honeyant.E("remote.Do", honeyant.Unavailable, "", err)
}

// pick chooses whom to ask. A node that has just been silent is not asked while there is another:
// others name it as the leader until they have noticed, too.
func (c *client) pick() (honeyant.NodeID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != 0 && !c.muted(c.last) {
		return c.last, true
	}
	turn := c.turn
	c.turn++
	if turn%2 == 0 && c.o.Leader != nil { // every other time: the hint may be wrong for long
		if id, ok := c.o.Leader(); ok && id != 0 && !c.muted(id) {
			return id, true
		}
	}
	var all []honeyant.NodeID
	if c.o.Candidates != nil {
		all = c.o.Candidates()
	}
	if len(all) == 0 {
		return c.last, c.last != 0
	}
	at := turn / 2 % len(all)
	for i := range all {
		if id := all[(at+i)%len(all)]; !c.muted(id) {
			return id, true
		}
	}
	return all[at], true
}

// muted tells whether a node was silent a short while ago; c.mu is held.
func (c *client) muted(id honeyant.NodeID) bool {
	since, ok := c.mute[id]
	return ok && time.Since(since) < c.o.Attempt
}

// follow takes a hint from node, which does not lead itself.
func (c *client) follow(node, leader honeyant.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leader == node {
		leader = 0
	}
	if node == 0 {
		delete(c.mute, leader) // it has answered
	}
	c.last = leader
}

// forget drops what was known if it was node, which has not answered for so long.
func (c *client) forget(node honeyant.NodeID, silence time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == node {
		c.last = 0
	}
	if silence >= muteAfter {
		if c.mute == nil {
			c.mute = map[honeyant.NodeID]time.Time{}
		}
		c.mute[node] = time.Now()
	}
}

// do carries out a call.
func (c *client) do(ctx context.Context, call *meta.Call) (reply meta.Reply, err error) {
	reply, _, err = c.doLeased(ctx, call)
	return reply, err
}

// doLeased carries out a call and tells what may be remembered of the answer, also of an error.
func (c *client) doLeased(ctx context.Context, call *meta.Call) (reply meta.Reply, grant meta.Grant, err error) {
	var op []byte
	change := !meta.ReadOnly(call.Op)
	q := question{
		method: methodDo,
		direct: func(ctx context.Context, l *meta.Leader) (err error) {
			reply, grant, err = l.DoLeased(ctx, *call)
			return err
		},
		encode: func() []byte {
			if op == nil {
				op = meta.EncodeOp(call.Op)
			}
			r := doRequest{call: *call, op: op}
			return wire.Marshal(r.fields)
		},
		decode: func(body []byte) error {
			reply = meta.NewReply(call.Op)
			if err := wire.Unmarshal(body, reply.Fields); err != nil {
				return honeyant.E("remote.Do", honeyant.Corrupt, call.Op.Code().String(), err)
			}
			return nil
		},
		grant:  &grant,
		failed: func() { call.Retry = change },
	}
	if err := c.ask(ctx, &q); err != nil {
		return nil, grant, err
	}
	return reply, grant, nil
}

// Admin carries out operations without a session: for nodes, stores, tokens, settings and healing, whose
// changes may be repeated without harm. Safe for concurrent use.
type Admin struct{ c *client }

// NewAdmin makes an Admin; it connects when it is asked.
func NewAdmin(o Options) *Admin { return &Admin{&client{o: o.withDefaults()}} }

// Do implements meta.Doer.
func (a *Admin) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	ctx, cancel := a.c.withDeadline(ctx)
	defer cancel()
	return a.c.do(ctx, &meta.Call{Op: op})
}
