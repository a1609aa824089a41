package volume

import (
	"context"
	"sync"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

const (
	// neighboursMost bounds the bytes loaded for one page.
	neighboursMost = 2 << 20
	// neighbourLoads bounds the requests for them that are under way.
	neighbourLoads = 6
)

// neighbour is what files of a page need of one chunk.
type neighbour struct {
	ref      honeyant.ChunkRef
	from, to uint32
}

// neighbours lists the chunks that the small files of a page are made of, each once, in the order of the files.
func neighbours(r *meta.ReadDirReply, most int64) (all []neighbour) {
	at := map[honeyant.ChunkID]int{}
	for i := range r.Entries {
		e := &r.Entries[i]
		for j := range e.Chunks {
			if _, ok := at[e.Chunks[j].ID]; !ok {
				at[e.Chunks[j].ID] = len(all)
				all = append(all, neighbour{ref: e.Chunks[j], from: ^uint32(0)})
			}
		}
		for j := range e.Extents {
			x := &e.Extents[j]
			n, ok := at[x.Chunk]
			if !ok {
				continue
			}
			all[n].from, all[n].to = min(all[n].from, x.ChunkOffset), max(all[n].to, x.ChunkOffset+x.Length)
		}
		if len(all) > 0 {
			if most -= int64(e.Attr.Size); most < 0 {
				break
			}
		}
	}
	return all
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
			for i := int(n.from) / v.cache.size; i*v.cache.size < int(n.to); i++ {
				if turns.take(v.ctx) != nil {
					break
				}
				loads.Go(func() {
					defer turns.give()
					v.loadPiece(n.ref, i)
				})
			}
		}
		loads.Wait()
	})
}

// loadPiece loads a piece of a chunk, if it is not there and there is room.
func (v *Volume) loadPiece(ref honeyant.ChunkRef, i int) {
	n := min(v.cache.size, int(ref.Sum.Length)-i*v.cache.size)
	if n <= 0 {
		return
	}
	e, _ := v.cache.begin(pieceKey{ref.ID, uint32(i)}, n)
	if e == nil {
		return
	}
	v.stats.readAheads.Add(1)
	defer v.stats.readAheads.Add(-1)
	ctx, cancel := context.WithTimeoutCause(v.ctx, v.o.Deadline, errDeadline)
	defer cancel()
	v.cache.loaded(e, v.o.Chunks.Read(ctx, ref, e.buf.B[:n], uint32(i*v.cache.size)))
}
