package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
)

// maxRounds bounds how often failed stores are replaced for one chunk.
const maxRounds = 4

// writing is one Write under way.
type writing struct {
	c    *Client
	r    request
	data []byte
	crcs []uint32
	sum  honeyant.ChunkSum

	ref     honeyant.ChunkRef
	bad     []honeyant.StoreID
	skipped []honeyant.StoreID // not tried, because their node fell silent just now
	again   []honeyant.StoreID // tried a second time, because a chain broke before them
	errs    []error
}

// Write puts data, at most honeyant.ChunkSize bytes, into all targets and returns when it is
// on stable storage in every store of the answer [P1]. For each store that fails, next (which may be
// nil) names another, given all bad ones so far. Fewer replicas than targets are told by their
// number, none at all is an error: NoSpace if all stores said so, else the Kind of the last failure.
// data is read only until Write returns.
func (c *Client) Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
	next func(bad []honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	const op = "replica.Write"
	if len(data) > chunk.MaxLength || len(targets) == 0 || len(targets) > maxHops {
		return honeyant.ChunkRef{}, honeyant.E(op, honeyant.Invalid, id.String(), errors.New("too large, or no stores"))
	}
	w := &writing{c: c, data: data, r: request{op: opPut, chunk: id, length: uint32(len(data)), eager: len(data) < c.o.Chain}}
	if err := c.stamp(&w.r); err != nil {
		return honeyant.ChunkRef{}, err
	}
	w.crcs = crcsOf(id, data)
	w.sum = chunk.SumOfCRCs(uint32(len(data)), w.crcs)
	w.ref = honeyant.ChunkRef{ID: id, Sum: w.sum}
	pending := slices.Clone(targets)
	for round := 0; round < maxRounds && len(pending) > 0 && ctx.Err() == nil; round++ {
		pending = w.round(ctx, pending, next)
		if len(pending) == 0 && len(w.ref.Replicas) == 0 && len(w.skipped) > 0 {
			pending, w.skipped = w.skipped, nil // nobody else is left
		}
	}
	if len(w.ref.Replicas) == 0 {
		return honeyant.ChunkRef{}, w.failure(ctx, op)
	}
	return w.ref, nil
}

// crcsOf are the checksums of the frames of data.
func crcsOf(id honeyant.ChunkID, data []byte) []uint32 {
	crcs := make([]uint32, chunk.Frames(uint32(len(data))))
	for i := range crcs {
		crcs[i] = chunk.FrameCRC(id, uint32(i), data[i*honeyant.FrameSize:min((i+1)*honeyant.FrameSize, len(data))])
	}
	return crcs
}

func (w *writing) failure(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return honeyant.E(op, honeyant.Unavailable, w.ref.ID.String(), context.Cause(ctx))
	}
	kind := honeyant.Unavailable
	if len(w.errs) > 0 {
		kind = honeyant.KindOf(w.errs[len(w.errs)-1])
		for _, err := range w.errs {
			if !errors.Is(err, honeyant.NoSpace) && kind == honeyant.NoSpace {
				kind = honeyant.Unavailable
			}
		}
	}
	return honeyant.E(op, kind, w.ref.ID.String(), errors.Join(w.errs...))
}

// round sends to all of to at once, and answers what is to be sent to next.
func (w *writing) round(ctx context.Context, to []honeyant.StoreID, next func([]honeyant.StoreID) (honeyant.StoreID, bool)) []honeyant.StoreID {
	var pending []honeyant.StoreID
	failed := 0
	for _, o := range w.send(ctx, to) {
		switch {
		case o.err == nil && o.sum == w.sum:
			w.ref.Replicas = append(w.ref.Replicas, honeyant.Replica{Store: o.store, Generation: o.generation})
			continue
		case o.err == nil:
			o.err = honeyant.E("replica.Write", honeyant.Corrupt, o.store.String(), errors.New("the store keeps other bytes"))
		case errors.Is(o.err, honeyant.Interrupted) && !slices.Contains(w.again, o.store):
			w.again = append(w.again, o.store)
			pending = append(pending, o.store)
			continue
		}
		if errors.Is(o.err, honeyant.Exist) || errors.Is(o.err, honeyant.Corrupt) {
			w.c.o.Log.Error("a store refused a chunk", "chunk", w.ref.ID, "store", o.store, "err", o.err)
		}
		w.bad, w.errs = append(w.bad, o.store), append(w.errs, o.err)
		failed++
	}
	for range failed {
		if next == nil {
			break
		}
		s, ok := next(slices.Clone(w.bad))
		if !ok || slices.Contains(w.bad, s) || slices.Contains(pending, s) || w.holds(s) {
			break
		}
		pending = append(pending, s)
	}
	return pending
}

func (w *writing) holds(s honeyant.StoreID) bool {
	return slices.ContainsFunc(w.ref.Replicas, func(r honeyant.Replica) bool { return r.Store == s })
}

// send puts the chunk into all of to: own stores by a call, others through a chain, or side
// by side if the chunk is small.
func (w *writing) send(ctx context.Context, to []honeyant.StoreID) []outcome {
	var all []outcome
	var mu sync.Mutex
	var wg sync.WaitGroup
	add := func(o ...outcome) {
		mu.Lock()
		all = append(all, o...)
		mu.Unlock()
	}
	var chain []hop
	forced := len(w.ref.Replicas) == 0 && len(w.errs) > 0 && len(w.skipped) == 0
	for _, id := range to {
		if s, ok := w.c.o.Local.Store(id); ok {
			wg.Go(func() { add(w.local(ctx, id, s)) })
			continue
		}
		h, err := w.c.locate(id)
		if err == nil && !forced && w.c.peer(h.node).avoided() {
			err = unavailable("replica.Write", h.node, errors.New("it fell silent just now"))
			w.skipped = append(w.skipped, id)
		}
		if err != nil {
			add(outcome{store: id, err: err})
			continue
		}
		chain = append(chain, h)
	}
	remote := func(hops []hop) {
		add(w.c.putChain(ctx, &w.r, hops, &memorySource{data: w.data, crcs: w.crcs})...)
	}
	if w.r.eager {
		for i := range chain {
			wg.Go(func() { remote(chain[i : i+1]) })
		}
	} else if len(chain) > 0 {
		remote(chain)
	}
	wg.Wait()
	slices.SortStableFunc(all, func(a, b outcome) int { return slices.Index(to, a.store) - slices.Index(to, b.store) })
	return all
}

// local writes into a store of this process. It does not wait for a disk that hangs: then
// the writer, between two pieces, sees that nobody wants it any more, and gives up before
// it could commit anything.
func (w *writing) local(ctx context.Context, id honeyant.StoreID, s ChunkStore) outcome {
	ctx, cancel := context.WithTimeout(ctx, w.c.o.Patience)
	defer cancel()
	done := make(chan outcome, 1)
	var stage atomic.Int32 // 0 reading data, 1 done with them, 2 nobody wants it
	w.c.wg.Go(func() { done <- w.localSteps(ctx, id, s, &stage) })
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
	}
	if stage.CompareAndSwap(0, 2) {
		return outcome{store: id, err: unavailable("replica.Write", w.c.o.Self, ctx.Err())}
	}
	return <-done // Commit ends with ctx
}

func (w *writing) localSteps(ctx context.Context, id honeyant.StoreID, s ChunkStore, stage *atomic.Int32) outcome {
	fail := func(err error) outcome { return outcome{store: id, err: err} }
	if err := admit(s, w.r.incarnation); err != nil {
		return fail(err)
	}
	cw, err := s.Create(w.r.chunk, w.r.length)
	if err != nil {
		return fail(err)
	}
	defer cw.Abort()
	for i, crc := range w.crcs {
		if stage.Load() != 0 {
			return fail(context.Cause(ctx))
		}
		if err := cw.WriteFrame(w.data[i*honeyant.FrameSize:min((i+1)*honeyant.FrameSize, len(w.data))], crc); err != nil {
			return fail(err)
		}
	}
	if !stage.CompareAndSwap(0, 1) {
		return fail(context.Cause(ctx))
	}
	gen, sum, err := cw.Commit(ctx)
	return outcome{store: id, generation: gen, sum: sum, err: err}
}
