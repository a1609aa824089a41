package meta

import "github.com/honeyant/honeyant"

// sparseLeast is how many bytes of a chunk must be unused, besides more than half of it, for it to be sparse: less
// is not worth a new chunk.
const sparseLeast = 16 << 10

// sparse tells whether extents use less than half of a living chunk, and so whether it deserves to be rewritten. It
// is a statistic: what extents of several files share counts once for each.
func (r *chunkRecord) sparse() bool {
	return r.Count > 0 && r.Unused >= sparseLeast && 2*r.Unused > int64(r.Sum.Length)
}

// setSparse keeps the mark of a chunk.
func (t *Tx) setSparse(v honeyant.VolumeID, id honeyant.ChunkID, was, is bool) {
	switch k := chunkKey(tabSparse, v, id); {
	case is && !was:
		t.put(k, nil)
	case was && !is:
		t.del(k)
	}
}
