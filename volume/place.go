package volume

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// policyAt is a policy as of some moment. A stale one only misplaces: what metadata then find short
// or surplus is healed.
type policyAt struct {
	policy honeyant.Policy
	until  time.Time
}

const (
	policyTTL   = 5 * time.Second
	maxPolicies = 4096
)

// policyOf is the policy for the data of an inode, asked for at most once in policyTTL. Files just
// created take that of their directory.
func (v *Volume) policyOf(ctx context.Context, in *inode) (honeyant.Policy, error) {
	in.mu.Lock()
	have, parent := in.policy, in.parent
	in.mu.Unlock()
	if time.Now().Before(have.until) {
		return have.policy, nil
	}
	at := in.ino
	if dir, ok := v.journal.policyAt(in.ino); ok { // the leader may not know the inode yet
		at = dir
	} else if parent != 0 {
		at = parent
	}
	if at != in.ino {
		v.mu.Lock()
		have = v.policies[at]
		v.mu.Unlock()
		if time.Now().Before(have.until) {
			return have.policy, nil
		}
	}
	r, err := meta.Do(ctx, doer{v}, &meta.GetPolicy{Volume: v.o.Volume, Ino: at})
	if err != nil && at != in.ino && (honeyant.KindOf(err) == honeyant.NotExist || honeyant.KindOf(err) == honeyant.Stale) {
		r, err = meta.Do(ctx, doer{v}, &meta.GetPolicy{Volume: v.o.Volume, Ino: in.ino}) // the directory is gone
	}
	if err != nil {
		return honeyant.Policy{}, err
	}
	have = policyAt{policy: r.Policy, until: time.Now().Add(policyTTL)}
	in.mu.Lock()
	in.policy = have
	in.mu.Unlock()
	if at != in.ino {
		v.mu.Lock()
		if len(v.policies) >= maxPolicies {
			clear(v.policies)
		}
		v.policies[at] = have
		v.mu.Unlock()
	}
	return r.Policy, nil
}

// forgetPolicies makes the next flush ask for the inode's policy.
func (v *Volume) forgetPolicies(in *inode) {
	in.mu.Lock()
	in.policy = policyAt{}
	parent := in.parent
	in.mu.Unlock()
	at, held := v.journal.policyAt(in.ino)
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.policies, parent)
	if held {
		delete(v.policies, at)
	}
}

// members counts the nodes that are not removed.
func members(m *honeyant.Map) int {
	n := 0
	for _, node := range m.Nodes {
		if node.State != honeyant.NodeRemoved {
			n++
		}
	}
	return n
}

// store puts one chunk into as many stores as the policy wants, and tries again until ctx ends
// while fewer than its least number hold it. NoSpace is tried for Options.SpaceWait only.
func (v *Volume) store(ctx context.Context, in *inode, id honeyant.ChunkID, data []byte) (honeyant.ChunkRef, error) {
	v.stats.chunksInFlight.Add(1)
	defer v.stats.chunksInFlight.Add(-1)
	policy, err := v.policyOf(ctx, in)
	if err != nil {
		return honeyant.ChunkRef{}, err
	}
	began := time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ref, err := v.storeOnce(ctx, policy, id, data)
		if err == nil {
			return ref, nil
		}
		switch honeyant.KindOf(err) {
		case honeyant.Invalid, honeyant.Corrupt, honeyant.Exist:
			return ref, err // another try says the same
		case honeyant.NoSpace:
			if time.Since(began) >= v.o.SpaceWait {
				return ref, err
			}
		}
		if pause(ctx, wait) != nil {
			return ref, honeyant.E("volume.Flush", honeyant.Unavailable, "chunk "+id.String(), err)
		}
	}
}

func (v *Volume) storeOnce(ctx context.Context, policy honeyant.Policy, id honeyant.ChunkID, data []byte) (honeyant.ChunkRef, error) {
	m := v.o.Map()
	if m == nil {
		return honeyant.ChunkRef{}, honeyant.E("volume.Flush", honeyant.Unavailable, "cluster map", nil)
	}
	copies, least := policy.Effective(members(m))
	o := placement.Options{Local: v.o.Node, Size: int64(len(data))}
	targets, err := placement.Choose(m, policy, copies, o)
	if len(targets) < least {
		if err == nil {
			err = fmt.Errorf("%d stores have room, %d copies are the least", len(targets), least)
		}
		if honeyant.KindOf(err) == honeyant.Other {
			err = honeyant.E("volume.Flush", honeyant.NoSpace, "chunk "+id.String(), err)
		}
		return honeyant.ChunkRef{}, err
	}
	used := slices.Clone(targets)
	var mu sync.Mutex // guards used: next may be called by several streams
	next := func(bad []honeyant.StoreID) (honeyant.StoreID, bool) {
		mu.Lock()
		defer mu.Unlock()
		o, m := o, v.o.Map()
		o.Exclude = append(slices.Clone(used), bad...)
		for _, id := range used { // a second store of a node is no second copy
			if has, ok := m.Store(id); ok && !slices.Contains(bad, id) {
				o.Exclude = append(o.Exclude, storesOf(m, has.Node)...)
			}
		}
		more, _ := placement.Choose(m, policy, 1, o)
		if len(more) == 0 {
			return 0, false
		}
		used = append(used, more[0])
		return more[0], true
	}
	ref, err := v.o.Chunks.Write(ctx, id, data, targets, next)
	if err == nil && len(ref.Replicas) < least {
		err = honeyant.E("volume.Flush", honeyant.Unavailable, "chunk "+id.String(),
			fmt.Errorf("%d stores hold it, %d are the least", len(ref.Replicas), least))
		v.release(ctx, ref)
	}
	return ref, err
}

// releaser is what Chunks may be able to do besides: remove one replica.
type releaser interface {
	Delete(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error
}

// releaseWait bounds the removal of replicas that no commit will list.
const releaseWait = 2 * time.Second

// release gives back the room of a write that too few stores took: nobody has heard of these
// generations, and in a full cluster they would pile up until an inventory finds them. What can
// not be removed is left to it.
func (v *Volume) release(ctx context.Context, ref honeyant.ChunkRef) {
	chunks, ok := v.o.Chunks.(releaser)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
	defer cancel()
	for _, r := range ref.Replicas {
		if err := chunks.Delete(ctx, r.Store, ref.ID, r.Generation); err != nil {
			v.o.Log.Debug("replica not released", "chunk", ref.ID, "store", r.Store, "err", err)
		}
	}
}

// storesOf lists the stores of a node.
func storesOf(m *honeyant.Map, node honeyant.NodeID) (all []honeyant.StoreID) {
	for _, s := range m.Stores {
		if s.Node == node {
			all = append(all, s.ID)
		}
	}
	return all
}
