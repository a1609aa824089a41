package chunk

import (
	"cmp"
	"slices"

	"github.com/honeyant/honeyant"
)

// Buckets tells, for each bucket, the XOR over its chunks of InventoryHash [38].
func (s *Store) Buckets() [Buckets]uint64 {
	var all [Buckets]uint64
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range all {
		all[i] = s.index.tables[i].xor
	}
	return all
}

// Bucket lists the chunks of bucket n in order of generation, with header and state read
// from disk; nil if there is no such bucket.
func (s *Store) Bucket(n int) []Info {
	if n < 0 || n >= Buckets {
		return nil
	}
	s.mu.RLock()
	var slots []slot
	for _, e := range s.index.tables[n].slots {
		if e.gen != 0 {
			slots = append(slots, e)
		}
	}
	s.mu.RUnlock()
	out := make([]Info, 0, len(slots))
	for _, e := range slots {
		gen := honeyant.Generation(e.gen)
		seg, rec, err := s.record(gen)
		if err != nil {
			continue // the segment went meanwhile
		}
		switch rec.status {
		case live:
			out = append(out, Info{ID: rec.id, Generation: gen, Sum: rec.sum})
		case suspect:
			out = append(out, Info{ID: rec.id, Generation: gen, Suspect: true})
		default:
			s.forget(e.key, gen, seg, rec)
		}
		seg.release()
	}
	slices.SortFunc(out, func(a, b Info) int { return cmp.Compare(a.Generation, b.Generation) })
	return out
}

// sorted is the segments in order of number.
func (s *Store) sorted() []*segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*segment, 0, len(s.segments))
	for _, seg := range s.segments {
		all = append(all, seg)
	}
	slices.SortFunc(all, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return all
}
