package volume

import (
	"slices"
	"sync"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/extents"
	"github.com/honeyant/honeyant/volume/readcache"
)

const (
	// neighboursMost bounds the bytes loaded for one page.
	neighboursMost = 2 << 20
	// neighbourLoads bounds the requests for them that are under way.
	neighbourLoads = 6
)

// neighbour is a part of a chunk that files of a page need.
type neighbour struct {
	ref      honeyant.ChunkRef
	from, to int
}

// neighbours lists the parts of chunks that the small files of a page are made of, in the order of the files. Parts of one
// chunk that lie near each other are one.
func neighbours(r *meta.ReadDirReply, most int64) (all []neighbour) {
	at := map[honeyant.ChunkID][]int{}
	for i := range r.Entries {
		e := &r.Entries[i]
		for j := range e.Extents {
			x := &e.Extents[j]
			k := slices.IndexFunc(e.Chunks, func(c honeyant.ChunkRef) bool { return c.ID == x.Chunk })
			if x.Inline != nil || k < 0 {
				continue
			}
			next := neighbour{ref: e.Chunks[k], from: int(x.ChunkOffset), to: int(x.ChunkOffset + x.Length)}
			parts := at[x.Chunk]
			if n := slices.IndexFunc(parts, func(n int) bool { return all[n].near(next) }); n >= 0 {
				part := &all[parts[n]]
				part.from, part.to = min(part.from, next.from), max(part.to, next.to)
				continue
			}
			at[x.Chunk] = append(parts, len(all))
			all = append(all, next)
		}
		if len(all) > 0 {
			if most -= int64(e.Attr.Size); most < 0 {
				break
			}
		}
	}
	return all
}

// near tells whether it costs less to load what lies between two parts than to ask twice.
func (n neighbour) near(o neighbour) bool {
	return o.from <= n.to+honeyant.FrameSize && n.from <= o.to+honeyant.FrameSize
}

// loadSmall starts loading the data of the small files of a page, which has come because files beside them are read. It
// does not wait.
func (v *Volume) loadSmall(r *meta.ReadDirReply) {
	all := neighbours(r, min(neighboursMost, v.o.ReadMemory/4))
	if len(all) == 0 {
		return
	}
	v.start(func() {
		turns := newTurn(neighbourLoads)
		var loads sync.WaitGroup
		for _, n := range all {
			v.entries(n, func(e *readcache.Entry) {
				if turns.take(v.ctx) != nil {
					v.cache.Loaded(e, errClosed)
					return
				}
				loads.Go(func() {
					defer turns.give()
					v.fetchEntry(n.ref, e)
				})
			})
		}
		loads.Wait()
	})
}

// loadCompany starts loading what lies in a pack around the pieces of a small file, if another file was read from there a moment
// ago: files that were written together are mostly read together.
func (v *Volume) loadCompany(size uint64, pieces []extents.Piece) {
	if size > maxPacked {
		return
	}
	for _, p := range pieces {
		if uint64(p.Ref.Sum.Length) < 4*size {
			continue
		}
		if from, to, again := v.cache.Miss(p.Ref.ID, int(p.Off)); again {
			v.load(p.Ref, from, to) // the read waits for it, as long as its caller does
		}
	}
}

// entries calls load for each new entry of the cache that it takes to hold a part of a chunk, as far as there is room.
func (v *Volume) entries(n neighbour, load func(*readcache.Entry)) {
	for at := n.from; at < n.to; {
		e, next, room := v.cache.Begin(n.ref.ID, int(n.ref.Sum.Length), at, n.to)
		if !room {
			return
		}
		if at = next; e != nil {
			load(e)
		}
	}
}
