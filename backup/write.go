package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/meta"
)

// writer is one backup being written; for one goroutine.
type writer struct {
	m        *Maker
	ctx      context.Context
	pace     *worker.Pace // nil: at once
	stores   []honeyant.StoreID
	least    int // copies of each chunk
	manifest Manifest
	kept     Kept // Refs without the manifest until the end
}

// write writes the parts, and when all of them are on stable storage the manifest (B1).
func (w *writer) write(db kv.Reader) error {
	w.manifest = Manifest{Number: w.kept.Number, Made: w.kept.Made, Holds: w.kept.Holds}
	p, err := newPacker(w.m.o.PartSize, w.part)
	if err != nil {
		return err
	}
	defer p.stop()
	holds, err := meta.Export(db, p.add)
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		return err
	}
	if holds != w.kept.Holds {
		return honeyant.E("backup.write", honeyant.Internal, "", fmt.Errorf("the copy of the state changed from %+v to %+v", w.kept.Holds, holds))
	}
	w.manifest.Length, w.manifest.Digest = p.length, [32]byte(p.digest.Sum(nil))
	w.kept.Length = p.length
	ref, err := w.put(0, w.manifest.encode())
	w.kept.Refs = append([]honeyant.ChunkRef{ref}, w.kept.Refs...)
	return err
}

// part writes the next part.
func (w *writer) part(data []byte) error {
	n := len(w.manifest.Parts) + 1
	if n > maxParts {
		return honeyant.E("backup.write", honeyant.TooLarge, "", fmt.Errorf("more than %d parts", maxParts))
	}
	ref, err := w.put(n, data)
	w.kept.Refs = append(w.kept.Refs, ref)
	if err != nil {
		return err
	}
	w.manifest.Parts = append(w.manifest.Parts, ref.Sum)
	if w.pace != nil {
		w.pace.Progress("writing a backup of the metadata", uint64(n), 0)
		return w.pace.Wait(w.ctx)
	}
	return nil
}

// put answers what is in the stores also with an error.
func (w *writer) put(part int, data []byte) (honeyant.ChunkRef, error) {
	ref, err := w.m.o.Chunks.Write(w.ctx, chunkID(w.kept.Holds.Incarnation, w.kept.Number, part), data, w.stores, nil)
	if err != nil {
		return ref, err
	}
	if len(ref.Replicas) < w.least {
		return ref, honeyant.E("backup.write", honeyant.Unavailable, ref.ID.String(), fmt.Errorf("%d stores took it, and it needs %d", len(ref.Replicas), w.least))
	}
	return ref, nil
}

// verify reads each replica back from its disk, and then the whole (B2).
func (w *writer) verify() error {
	const op = "backup.verify"
	for i := range w.kept.Refs {
		ref := &w.kept.Refs[i]
		var good []honeyant.Replica
		var faults []error
		for _, r := range ref.Replicas {
			sum, err := w.m.o.Chunks.Verify(w.ctx, r.Store, ref.ID, r.Generation)
			if err == nil && sum != ref.Sum {
				err = honeyant.E(op, honeyant.Corrupt, r.Store.String(), fmt.Errorf("it keeps %+v instead of %+v", sum, ref.Sum))
			}
			if err != nil {
				faults = append(faults, err)
				continue
			}
			good = append(good, r)
		}
		if len(good) < w.least {
			return honeyant.E(op, honeyant.Unavailable, ref.ID.String(), errors.Join(append(faults, fmt.Errorf("%d stores hold it, and it needs %d", len(good), w.least))...))
		}
		ref.Replicas = good
		if w.pace != nil {
			if err := w.pace.Wait(w.ctx); err != nil {
				return err
			}
		}
	}
	first := w.kept.Refs[0]
	raw := make([]byte, first.Sum.Length)
	if err := w.m.o.Chunks.Read(w.ctx, first, raw, 0); err != nil {
		return err
	}
	m, err := decodeManifest(raw)
	if err != nil {
		return err
	}
	return m.read(func(part int, p []byte) error {
		if part >= len(w.kept.Refs) {
			return honeyant.E(op, honeyant.Corrupt, "", fmt.Errorf("no part %d", part))
		}
		return w.m.o.Chunks.Read(w.ctx, w.kept.Refs[part], p, 0)
	}, nil)
}
