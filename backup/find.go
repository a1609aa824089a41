package backup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
)

// Store is a store of chunks that is being searched; *chunk.Store is one.
type Store interface {
	// Bucket lists the chunks of one of chunk.Buckets buckets.
	Bucket(n int) []chunk.Info
	// ReadAt reads, checked, from a record.
	ReadAt(id honeyant.ChunkID, gen honeyant.Generation, p []byte, off uint32) (int, error)
}

// Found is a backup in stores, without any metadata that would name it.
type Found struct {
	Manifest
	Missing int // parts that are in none of the stores

	parts map[int][]place
}

type place struct {
	store Store
	info  chunk.Info
}

// Find searches stores for backups; the newest one comes first: that of the highest incarnation, of these the one with
// the highest number. A backup without a readable manifest was never finished, or is being deleted, and is none (B1).
func Find(stores []Store) []*Found {
	type name struct{ incarnation, number uint32 }
	all := map[name]map[int][]place{}
	for _, s := range stores {
		for n := range chunk.Buckets {
			for _, i := range s.Bucket(n) {
				if !i.ID.IsBackup() || i.Suspect {
					continue
				}
				at := name{i.ID.Incarnation(), numberOf(i.ID)}
				if all[at] == nil {
					all[at] = map[int][]place{}
				}
				all[at][partOf(i.ID)] = append(all[at][partOf(i.ID)], place{s, i})
			}
		}
	}
	var found []*Found
	for at, parts := range all {
		f := &Found{parts: parts}
		m := f.manifest()
		if m == nil || m.Number != at.number || m.Holds.Incarnation != at.incarnation {
			continue
		}
		f.Manifest = *m
		for i, sum := range m.Parts {
			if !slices.ContainsFunc(parts[i+1], func(p place) bool { return p.info.Sum == sum }) {
				f.Missing++
			}
		}
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b *Found) int {
		return cmp.Or(cmp.Compare(b.Holds.Incarnation, a.Holds.Incarnation), cmp.Compare(b.Number, a.Number))
	})
	return found
}

// manifest is the first that can be read, nil if none can.
func (f *Found) manifest() *Manifest {
	for _, p := range f.parts[0] {
		raw := make([]byte, p.info.Sum.Length)
		if _, err := p.store.ReadAt(p.info.ID, p.info.Generation, raw, 0); err != nil {
			continue
		}
		if m, err := decodeManifest(raw); err == nil {
			return m
		}
	}
	return nil
}

// Read hands out the pairs that the backup holds, in the order of the keys; each may be nil, and must not keep its
// arguments. Only when Read returns without an error is the backup what it was when it was made. Kinds: Corrupt,
// NotExist (parts are missing), those of each.
func (f *Found) Read(each func(key, value []byte) error) error {
	const op = "backup.Read"
	return f.Manifest.read(func(part int, p []byte) error {
		var faults []error
		for _, at := range f.parts[part] {
			if at.info.Sum != f.Parts[part-1] {
				continue
			}
			_, err := at.store.ReadAt(at.info.ID, at.info.Generation, p, 0)
			if err == nil {
				return nil
			}
			faults = append(faults, err)
		}
		if len(faults) == 0 {
			return honeyant.E(op, honeyant.NotExist, fmt.Sprintf("backup %d", f.Number), fmt.Errorf("part %d of %d is in none of these stores", part, len(f.Parts)))
		}
		return honeyant.E(op, honeyant.Corrupt, fmt.Sprintf("backup %d", f.Number), errors.Join(faults...))
	}, each)
}
