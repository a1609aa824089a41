package meta

import (
	"encoding/binary"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// each decodes all records of a table that has no volumes; make gives an empty one and its fields.
func each[T any](tx *Tx, table byte, fields func(*T) func(*wire.Codec), fn func(*T)) {
	prefix := []byte{table}
	tx.scan(prefix, kv.PrefixEnd(prefix), func(k, v []byte) bool {
		rec := new(T)
		if err := wire.Unmarshal(v, fields(rec)); err != nil {
			tx.fail(honeyant.E("meta.each", honeyant.Corrupt, keyString(k), err))
			return false
		}
		fn(rec)
		return true
	})
}

func (t *Tx) eachNode(fn func(*nodeRecord)) {
	each(t, tabNode, func(r *nodeRecord) func(*wire.Codec) { return r.fields }, fn)
}

func (t *Tx) eachStore(fn func(*storeRecord)) {
	each(t, tabStore, func(r *storeRecord) func(*wire.Codec) { return r.fields }, fn)
}

func (t *Tx) eachToken(fn func(*Token)) {
	each(t, tabToken, func(r *Token) func(*wire.Codec) { return r.Fields }, fn)
}

func (t *Tx) node(id honeyant.NodeID) (rec nodeRecord, ok bool) {
	ok = t.load(nodeKey(id), rec.fields)
	return rec, ok
}

// volumes lists the volumes.
func (t *Tx) volumes() (ids []honeyant.VolumeID) {
	prefix := []byte{tabVolume}
	t.scan(prefix, kv.PrefixEnd(prefix), func(k, _ []byte) bool {
		if len(k) == 5 {
			ids = append(ids, honeyant.VolumeID(binary.BigEndian.Uint32(k[1:])))
		}
		return true
	})
	return ids
}

// eachChunk goes through the chunks in table after the given one.
func (t *Tx) eachChunk(table byte, v honeyant.VolumeID, after honeyant.ChunkID, fn func(honeyant.ChunkID) bool) {
	lower := chunkKey(table, v, after)
	if !after.IsZero() {
		lower = append(lower, 0)
	}
	t.scan(lower, kv.PrefixEnd(volumeKey(table, v, 0)), func(k, _ []byte) bool {
		return fn(honeyant.ChunkID(k[5:]))
	})
}

// lastReplica finds a living chunk whose good replicas all lie on stores of which on answers true. It reads
// the whole chunk table, which stalls the leader for about a microsecond a chunk: for rare commands only.
func (t *Tx) lastReplica(on func(honeyant.StoreID) bool) (id honeyant.ChunkID, found bool) {
	for _, v := range t.volumes() {
		t.scan(volumeKey(tabChunk, v, 0), kv.PrefixEnd(volumeKey(tabChunk, v, 0)), func(k, raw []byte) bool {
			var r chunkRecord
			if err := wire.Unmarshal(raw, r.fields); err != nil {
				t.fail(honeyant.E("meta.lastReplica", honeyant.Corrupt, keyString(k), err))
				return false
			}
			here, elsewhere := false, false
			for _, i := range r.Replicas {
				if on(i.Store) {
					here = true
				} else if _, ok := t.storeOf(i.Store); ok && sound(i) {
					elsewhere = true
				}
			}
			if found = r.Count > 0 && here && !elsewhere; found {
				id = honeyant.ChunkID(k[5:])
			}
			return !found
		})
		if found {
			break
		}
	}
	return id, found
}

// up tells whether a store answers.
func (t *Tx) up(s honeyant.StoreID) bool { return t.StoreUp == nil || t.StoreUp(s) }

// homes counts the nodes that could hold a copy in another store than this one.
func (t *Tx) homes(but honeyant.StoreID) int {
	var nodes []honeyant.NodeID
	t.eachStore(func(s *storeRecord) {
		if s.Store.ID != but && s.Store.State == honeyant.StoreActive && !slices.Contains(nodes, s.Store.Node) {
			nodes = append(nodes, s.Store.Node)
		}
	})
	return len(nodes)
}

func (r *chunkRecord) find(is func(ReplicaInfo) bool) int { return slices.IndexFunc(r.Replicas, is) }

func (t *Tx) chunkInfo(v honeyant.VolumeID, id honeyant.ChunkID, r *chunkRecord) ChunkInfo {
	return ChunkInfo{ID: id, Sum: r.Sum, Count: r.Count, PolicyAt: r.PolicyAt, Policy: t.policyAt(v, r.PolicyAt), Replicas: slices.Clone(r.Replicas)}
}

// Intent is a replica that is being made (rule 12).
type Intent struct {
	Chunk  honeyant.ChunkID
	Store  honeyant.StoreID
	Intent uint64
}

// Fields encodes or decodes.
func (i *Intent) Fields(c *wire.Codec) {
	wire.Chunk(c, &i.Chunk)
	wire.Uint(c, &i.Store)
	wire.Uint(c, &i.Intent)
}

// intents lists those of one chunk.
func (t *Tx) intents(v honeyant.VolumeID, id honeyant.ChunkID) (list []Intent) {
	prefix := chunkKey(tabIntent, v, id)
	t.scanIntents(prefix, kv.PrefixEnd(prefix), func(i Intent) bool {
		list = append(list, i)
		return true
	})
	return list
}

func (t *Tx) scanIntents(lower, upper []byte, fn func(Intent) bool) {
	t.scan(lower, upper, func(k, v []byte) bool {
		var r intentRecord
		if err := wire.Unmarshal(v, r.fields); err != nil || len(k) != 25 {
			t.fail(honeyant.E("meta.scanIntents", honeyant.Corrupt, keyString(k), err))
			return false
		}
		return fn(Intent{Chunk: honeyant.ChunkID(k[5:21]), Store: honeyant.StoreID(binary.BigEndian.Uint32(k[21:])), Intent: r.Intent})
	})
}
