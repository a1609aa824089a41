package meta

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Names of the counters that Tx.next knows. Numbers start at 1 and are never handed out twice.
const (
	counterInode   = "inode" // inode numbers, of all volumes; Bootstrap takes RootIno
	counterData    = "data"  // data IDs, of all volumes
	counterSession = "session"
	counterNode    = "node"
	counterStore   = "store"
	counterIntent  = "intent"
	counterMap     = "map"   // version of the cluster map
	counterNodes   = "nodes" // not handed out: how many nodes are not removed

	counterIncarnation = "incarnation" // not handed out: 1 from Bootstrap on, higher after forced promotions
)

// next hands out the next number of a counter.
func (t *Tx) next(counter string) uint64 {
	n := t.count(counter) + 1
	t.setCount(counter, n)
	return n
}

func (t *Tx) count(counter string) uint64 {
	v, ok := t.get(nameKey(tabCounter, counter))
	if !ok {
		return 0
	}
	if len(v) != 8 {
		t.fail(honeyant.E("meta.count", honeyant.Corrupt, counter, nil))
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

func (t *Tx) setCount(counter string, n uint64) {
	t.put(nameKey(tabCounter, counter), binary.BigEndian.AppendUint64(nil, n))
}

// nodeCount is the number of nodes that are not removed, at least 1.
func (t *Tx) nodeCount() int { return int(max(1, t.count(counterNodes))) }

// usage changes the counts of a volume. They are written when the operation ends, and not kept of what a session holds.
func (t *Tx) usage(v honeyant.VolumeID, change func(*StatFSReply)) {
	if t.Shadow {
		return
	}
	change(&t.usageOf(v).record.StatFS)
}

// counts is usage for the counts of chunks, orphans and queued data. Chunks is not kept there.
func (t *Tx) counts(v honeyant.VolumeID, change func(*CountsReply)) {
	if t.Shadow {
		return
	}
	change(&t.usageOf(v).record.Counts)
}

// usageChange is a volume's usage as one operation sees and changes it.
type usageChange struct {
	volume       honeyant.VolumeID
	record, read usageRecord
}

func (t *Tx) usageOf(v honeyant.VolumeID) *usageChange {
	for _, u := range t.used {
		if u.volume == v {
			return u
		}
	}
	u := &t.ofOne // mostly there is one
	if len(t.used) > 0 {
		u = new(usageChange)
	}
	*u = usageChange{volume: v}
	t.load(volumeKey(tabUsage, v, 0), u.record.fields)
	u.read = u.record
	t.used = append(t.used, u)
	return u
}

// finish writes what was kept back: usage, and chunks that were added but got no extent.
func (t *Tx) finish() {
	for _, a := range t.added {
		var r chunkRecord
		k := chunkKey(tabChunk, a.volume, a.id)
		if t.load(k, r.fields) && r.Count == 0 && !t.isDead(a.volume, a.id) {
			t.killChunk(a.volume, a.id, &r)
		}
	}
	for _, u := range t.used {
		if u.record != u.read {
			t.store(volumeKey(tabUsage, u.volume, 0), u.record.fields)
		}
	}
}

// volumeChunk names a chunk of a volume.
type volumeChunk struct {
	volume honeyant.VolumeID
	id     honeyant.ChunkID
}

// policyAt is the policy that the directory carries; 0 and directories that carry none any more lead
// to the one above, in the end to the default of the volume.
func (t *Tx) policyAt(v honeyant.VolumeID, ino honeyant.Ino) honeyant.Policy {
	var p honeyant.Policy
	for range 64 {
		if ino == 0 {
			break
		}
		if t.load(inoKey(tabPolicy, v, ino), func(c *wire.Codec) { wire.Policy(c, &p) }) {
			return p
		}
		var i Inode
		if !t.peek(inoKey(tabInode, v, ino), i.fields) || i.PolicyAt == ino {
			break
		}
		ino = i.PolicyAt
	}
	var vol volumeRecord
	t.load(volumeKey(tabVolume, v, 0), vol.fields)
	return vol.Policy
}

// storeOf is a store that is not removed.
func (t *Tx) storeOf(id honeyant.StoreID) (honeyant.Store, bool) {
	if t.Shadow {
		return honeyant.Store{ID: id}, true
	}
	for _, s := range t.stores {
		if s.ID == id {
			return s, s.State != honeyant.StoreRemoved
		}
	}
	var r storeRecord
	if !t.load(storeKey(id), r.fields) {
		r.Store = honeyant.Store{ID: id, State: honeyant.StoreRemoved}
	}
	t.stores = append(t.stores, r.Store)
	return r.Store, r.Store.State != honeyant.StoreRemoved
}

// spread counts on how many different nodes the replicas that fit lie; those of removed stores do not count.
func (t *Tx) spread(replicas []ReplicaInfo, fit func(ReplicaInfo) bool) int {
	var nodes []honeyant.NodeID
	for _, r := range replicas {
		s, ok := t.storeOf(r.Store)
		if ok && fit(r) && !slices.Contains(nodes, s.Node) {
			nodes = append(nodes, s.Node)
		}
	}
	return len(nodes)
}

// sound tells a replica that counts as a copy.
func sound(r ReplicaInfo) bool { return !r.Bad && !r.Dropping }

// addChunk records a chunk that stores hold, with count 0; refChunk then counts its extents. policyAt is the
// PolicyAt of the inode. A chunk known with the same sum stays as it is; with another sum it is Corrupt.
// Conflict: fewer nodes hold it than the policy's MinCopies. Fewer than its Copies mark it short (rule 32). From a
// journal, which nobody can take back, it is Stale only if nobody holds it.
func (t *Tx) addChunk(v honeyant.VolumeID, ref honeyant.ChunkRef, policyAt honeyant.Ino) error {
	const op = "meta.addChunk"
	k := chunkKey(tabChunk, v, ref.ID)
	var old chunkRecord
	if t.load(k, old.fields) {
		if old.Sum != ref.Sum {
			return honeyant.E(op, honeyant.Corrupt, ref.ID.String(), fmt.Errorf("known with sum %v, now %v", old.Sum, ref.Sum))
		}
		return nil
	}
	if t.err != nil {
		return t.err
	}
	if ref.ID.IsZero() || ref.Sum.Length == 0 || ref.Sum.Length > honeyant.ChunkSize {
		return honeyant.E(op, honeyant.Invalid, ref.ID.String(), fmt.Errorf("length %d", ref.Sum.Length))
	}
	// Unknown chunks of dead sessions and below the low-water mark may be reclaimed already (rule 10), and
	// those of another incarnation are none of ours (rule 6).
	if t.Session != 0 && (ref.ID.Session() != t.Session || ref.ID.Incarnation() != t.Incarnation || ref.ID.Counter() < t.LowWater) {
		return honeyant.E(op, honeyant.Stale, ref.ID.String(), fmt.Errorf("not a chunk that session %d may still commit", t.Session))
	}
	rec := chunkRecord{Sum: ref.Sum, PolicyAt: policyAt, Unused: int64(ref.Sum.Length)}
	for _, r := range ref.Replicas {
		_, ok := t.storeOf(r.Store)
		if ok && !slices.ContainsFunc(rec.Replicas, func(o ReplicaInfo) bool { return o.Store == r.Store }) {
			rec.Replicas = append(rec.Replicas, ReplicaInfo{Replica: r})
		}
	}
	if t.Shadow {
		t.store(k, rec.fields)
		return t.err
	}
	copies, minCopies := t.policyAt(v, policyAt).Effective(t.nodeCount())
	have := t.spread(rec.Replicas, sound)
	switch {
	case t.Journal && have == 0:
		return honeyant.E(op, honeyant.Stale, ref.ID.String(), fmt.Errorf("on no node any more"))
	case !t.Journal && have < minCopies:
		return honeyant.E(op, honeyant.Conflict, ref.ID.String(), fmt.Errorf("on %d nodes, needs %d", have, minCopies))
	}
	t.store(k, rec.fields)
	t.added = append(t.added, volumeChunk{v, ref.ID})
	t.usage(v, func(u *StatFSReply) { u.Chunks++; u.ChunkBytes += uint64(ref.Sum.Length) })
	if have < copies {
		t.setShort(v, ref.ID, true)
	}
	return t.err
}

// chunkUse is extents that refer to a chunk, more or fewer than before, and their bytes.
type chunkUse struct{ extents, bytes int64 }

// refChunk changes the number of extents that refer to a chunk. At 0 the chunk is dead and never
// comes back: Stale.
func (t *Tx) refChunk(v honeyant.VolumeID, id honeyant.ChunkID, change chunkUse) error {
	if change == (chunkUse{}) {
		return nil
	}
	const op = "meta.refChunk"
	k := chunkKey(tabChunk, v, id)
	var r chunkRecord
	if !t.load(k, r.fields) {
		return honeyant.E(op, honeyant.Stale, id.String(), t.err)
	}
	if r.Count == 0 && t.isDead(v, id) {
		return honeyant.E(op, honeyant.Stale, id.String(), fmt.Errorf("the chunk is dead"))
	}
	n := int64(r.Count) + change.extents
	if n < 0 {
		return honeyant.E(op, honeyant.Internal, id.String(), fmt.Errorf("count %d%+d", r.Count, change.extents))
	}
	was := r.sparse()
	r.Count = uint64(n)
	r.Unused -= change.bytes
	t.setSparse(v, id, was, n > 0 && r.sparse())
	if n == 0 {
		t.killChunk(v, id, &r)
		return t.err
	}
	t.store(k, r.fields)
	return t.err
}

// killChunk moves a chunk to the dead list.
func (t *Tx) killChunk(v honeyant.VolumeID, id honeyant.ChunkID, r *chunkRecord) {
	r.Count = 0
	t.store(chunkKey(tabChunk, v, id), r.fields)
	t.put(chunkKey(tabDead, v, id), nil)
	t.setShort(v, id, false)
	t.usage(v, func(u *StatFSReply) { u.Chunks--; u.ChunkBytes -= uint64(r.Sum.Length) })
	t.counts(v, func(c *CountsReply) { c.Dead++ })
}

func (t *Tx) isDead(v honeyant.VolumeID, id honeyant.ChunkID) bool {
	_, dead := t.get(chunkKey(tabDead, v, id))
	return dead
}

// setShort marks a chunk as having fewer copies than its policy wants, or takes the mark away.
func (t *Tx) setShort(v honeyant.VolumeID, id honeyant.ChunkID, short bool) {
	k := chunkKey(tabShort, v, id)
	_, was := t.get(k)
	switch {
	case short && !was:
		t.put(k, nil)
		t.counts(v, func(c *CountsReply) { c.Short++ })
	case !short && was:
		t.del(k)
		t.counts(v, func(c *CountsReply) { c.Short-- })
	}
}

// judgeShort sets the short mark by what the record says.
func (t *Tx) judgeShort(v honeyant.VolumeID, id honeyant.ChunkID, r *chunkRecord) {
	copies, _ := t.policyAt(v, r.PolicyAt).Effective(t.nodeCount())
	t.setShort(v, id, t.spread(r.Replicas, sound) < copies)
}

// chunkRef is a chunk with the replicas to read: those that are sound, else those being dropped, else the bad
// ones too (the reader's checksum then decides); never those of removed stores. False if the chunk is unknown.
func (t *Tx) chunkRef(v honeyant.VolumeID, id honeyant.ChunkID) (honeyant.ChunkRef, bool) {
	var r chunkRecord
	if !t.load(chunkKey(tabChunk, v, id), r.fields) {
		return honeyant.ChunkRef{}, false
	}
	ref := honeyant.ChunkRef{ID: id, Sum: r.Sum}
	for _, fit := range []func(ReplicaInfo) bool{sound, func(r ReplicaInfo) bool { return !r.Bad }, func(ReplicaInfo) bool { return true }} {
		for _, i := range r.Replicas {
			if _, ok := t.storeOf(i.Store); ok && fit(i) {
				ref.Replicas = append(ref.Replicas, i.Replica)
			}
		}
		if len(ref.Replicas) > 0 {
			break
		}
	}
	return ref, true
}
