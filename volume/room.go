package volume

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/placement"
)

// room sees to it that what write(2) took finds its place when it is flushed (rule 26). The map grants every node the same
// share of what is free: a node's credit. Against it counts what the node has taken in and not stored yet, and what it has
// stored so lately that the map may not tell it. So all nodes together never take in more than there is, though none of
// them asks another. Who is at the end of the credit waits until the map is newer; who wants more than a share is told that
// there is no space. A margin stays free for what is not counted: headers, replicas being healed, room that is left in the
// wrong places.
type room struct {
	mu       sync.Mutex // guards all below
	until    time.Time  // what follows is taken from the map again after that
	policy   honeyant.Policy
	known    bool
	free     int64     // bytes that fit, by the map, less the margin
	share    int64     // of them, this node's credit
	full     time.Time // since when a share is less than wanted, zero: it is not
	wanted   int64     // the least bytes refused since then
	entering int64     // admitted, and not among the dirty bytes yet
	stored   [roomParts]storedPart

	low atomic.Bool // the credit is not much more than what may be unflushed
}

// storedPart is what was stored in one part of the time that the map may be late.
type storedPart struct {
	at    int64 // number of the part
	bytes int64
}

const (
	roomTTL   = 250 * time.Millisecond
	roomPoll  = 100 * time.Millisecond
	roomParts = 16
	roomAsk   = time.Second

	// marginNode bytes for each node, but no more than one part in marginPart of all there is, stay free.
	marginNode = honeyant.ChunkSize
	marginPart = 64
)

// marginOf is what stays free of total bytes.
func marginOf(m *honeyant.Map, total int64) int64 {
	return min(int64(members(m))*marginNode, total/marginPart)
}

// admit waits until n more bytes at off may be taken in, and answers what to call when they are among the dirty bytes,
// or were not taken. NoSpace: they do not fit, nor did they for Options.SpaceWait: a map that has just been made may
// not know all stores yet, and deleted bytes come back.
func (v *Volume) admit(ctx context.Context, in *inode, off, n int64) (done func(), err error) {
	nothing := func() {}
	if v.journal.isFull(in.ino) {
		return nothing, honeyant.E("volume.Write", honeyant.NoSpace, in.object(), errMetadataFull)
	}
	if off+n <= honeyant.InlineLimit {
		return nothing, nil // it goes with the metadata
	}
	if v.room.scarce() { // then it matters how many copies are wanted; without an answer, what is known has to do
		short, cancel := context.WithTimeout(ctx, roomAsk)
		_, _ = v.policyOf(short, in)
		cancel()
	}
	for deadline := time.Now().Add(v.o.Deadline); ; {
		ok, full := v.take(in, n)
		switch {
		case ok:
			return func() { v.room.entered(n) }, nil
		case !full.IsZero() && time.Since(full) >= v.o.SpaceWait, time.Now().After(deadline):
			return nothing, honeyant.E("volume.Write", honeyant.NoSpace, in.object(), nil)
		}
		if err := pause(ctx, roomPoll); err != nil {
			return nothing, v.fault(ctx, "volume.Write", in.object(), err)
		}
	}
}

// take counts n more bytes as taken in if that is within the credit. full is since when they have been more than a whole
// share, zero: they are not.
func (v *Volume) take(in *inode, n int64) (ok bool, full time.Time) {
	policy := v.knownPolicy(in)
	r := &v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	v.refresh(policy, now)
	if !r.known || r.share >= r.wanted {
		r.full = time.Time{}
	}
	if !r.known || r.share-r.spent(v, now) >= n {
		r.entering += n
		return true, time.Time{}
	}
	if r.share >= n {
		return false, time.Time{}
	}
	if r.full.IsZero() {
		r.full, r.wanted = now, n
	}
	r.wanted = min(r.wanted, n)
	return false, r.full
}

// knownPolicy is the policy for an inode's data as far as it was asked for lately, otherwise the default.
func (v *Volume) knownPolicy(in *inode) honeyant.Policy {
	in.mu.Lock()
	have, at := in.policy, in.parent
	in.mu.Unlock()
	if !have.until.IsZero() {
		return have.policy
	}
	if dir, ok := v.journal.policyAt(in.ino); ok {
		at = dir
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.policies[at].policy
}

// refresh takes what fits from the map, if it was not done lately for the same policy. room.mu is held.
func (v *Volume) refresh(policy honeyant.Policy, now time.Time) {
	r := &v.room
	if !now.After(r.until) && policy.Equal(r.policy) {
		return
	}
	m := v.o.Map()
	r.until, r.policy, r.known = now.Add(min(roomTTL, v.o.MapAge)), policy, m != nil
	if m == nil {
		return
	}
	copies, _ := policy.Effective(members(m))
	total, free := placement.Usable(onlyPinned(m, policy), copies)
	r.free = free - marginOf(m, total)
	r.share = max(0, r.free) / int64(max(1, members(m)))
	r.low.Store(r.share < scarceFactor*v.o.WriteMemory)
}

// scarceFactor times Options.WriteMemory of credit is little: what is closed is stored then before close returns.
const scarceFactor = 2

// scarce tells whether there is so little room that errors should not come late.
func (r *room) scarce() bool { return r.low.Load() }

// onlyPinned is the map without the stores that a policy does not use.
func onlyPinned(m *honeyant.Map, policy honeyant.Policy) *honeyant.Map {
	if policy.Placement != honeyant.PlacePinned {
		return m
	}
	own := *m
	own.Stores = nil
	for _, s := range m.Stores {
		if slices.Contains(policy.Pinned, s.ID) {
			own.Stores = append(own.Stores, s)
		}
	}
	return &own
}

// spent is what counts against the credit. room.mu is held.
func (r *room) spent(v *Volume, now time.Time) int64 {
	sum := r.entering + v.stats.dirty.Load() + v.stats.flying.Load()
	part := v.roomPart(now)
	for _, p := range r.stored {
		if p.at > part-roomParts {
			sum += p.bytes
		}
	}
	return sum
}

func (v *Volume) roomPart(now time.Time) int64 {
	return now.UnixNano() / max(1, int64(v.o.MapAge)/(roomParts-1))
}

// took notes that bytes are stored, which the map tells later.
func (v *Volume) took(n int64) {
	r := &v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	part := v.roomPart(time.Now())
	p := &r.stored[part%roomParts]
	if p.at != part {
		*p = storedPart{at: part}
	}
	p.bytes += n
}

// entered says that admitted bytes are counted elsewhere by now.
func (r *room) entered(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entering -= n
}

// fits tells whether n more bytes would find room at present; nothing is set aside for them.
func (v *Volume) fits(ctx context.Context, in *inode, n int64) bool {
	for began := time.Now(); ; {
		policy := v.knownPolicy(in)
		r := &v.room
		r.mu.Lock()
		now := time.Now()
		v.refresh(policy, now)
		ok := !r.known || r.free-r.spent(v, now) >= n
		r.mu.Unlock()
		if ok {
			return true
		}
		if time.Since(began) >= v.o.SpaceWait || pause(ctx, roomPoll) != nil {
			return false
		}
	}
}
