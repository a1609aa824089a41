package metatest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

type doer func(op meta.Op) (meta.Reply, error)

func (d doer) Do(_ context.Context, op meta.Op) (meta.Reply, error) { return d(op) }

func (h *history) ctx() context.Context { return context.Background() }

// ask does an operation and gives its reply the right type.
func ask[R meta.Reply](h *history, op meta.Request[R]) (R, error) {
	return meta.Do(h.ctx(), doer(h.Do), op)
}

// compare compares all there is.
func (h *history) compare() error {
	if h.Reaps {
		if err := h.step(&meta.Reap{Volume: h.Volume}); err != nil {
			return err
		}
	}
	for _, ino := range slices.Sorted(maps.Keys(h.m.nodes)) {
		n := h.m.nodes[ino]
		if n.attr.Nlink == 0 && !n.open {
			continue
		}
		if err := h.compareNode(ino, n); err != nil {
			return fmt.Errorf("inode %d (mode %o): %w", ino, n.attr.Mode, err)
		}
	}
	if h.Reaps {
		got, err := ask(h, &meta.StatFS{Volume: h.Volume})
		if err != nil {
			return err
		}
		if got.Inodes != uint64(len(h.m.nodes)) {
			return fmt.Errorf("statfs counts %d inodes, should be %d", got.Inodes, len(h.m.nodes))
		}
	}
	if h.Check != nil {
		return h.Check()
	}
	return nil
}

func (h *history) compareNode(ino honeyant.Ino, n *node) error {
	got, err := ask(h, &meta.GetAttr{Volume: h.Volume, Ino: ino})
	if err != nil {
		return err
	}
	if err := h.m.same("getattr", n, got.Attr); err != nil {
		return err
	}
	if err := h.compareXattrs(ino, n); err != nil {
		return err
	}
	switch {
	case n.isDir():
		return h.compareDir(ino, n)
	case n.isFile():
		return h.compareFile(ino, n)
	case n.attr.IsSymlink():
		got, err := ask(h, &meta.ReadLink{Volume: h.Volume, Ino: ino})
		if err == nil && got.Target != n.target {
			err = fmt.Errorf("target %q, should be %q", got.Target, n.target)
		}
		return err
	}
	return nil
}

func (h *history) compareXattrs(ino honeyant.Ino, n *node) error {
	got, err := ask(h, &meta.ListXattr{Volume: h.Volume, Ino: ino})
	if err != nil {
		return err
	}
	if want := slices.Sorted(maps.Keys(n.xattrs)); !slices.Equal(got.Names, want) {
		return fmt.Errorf("attributes %q, should be %q", got.Names, want)
	}
	for name, want := range n.xattrs {
		got, err := ask(h, &meta.GetXattr{Volume: h.Volume, Ino: ino, Name: name})
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Value, want) {
			return fmt.Errorf("attribute %s is %x, should be %x", name, got.Value, want)
		}
	}
	return nil
}

// compareDir lists a directory in pieces of random length.
func (h *history) compareDir(ino honeyant.Ino, n *node) error {
	seen := map[string]bool{}
	ask1 := &meta.ReadDir{Volume: h.Volume, Dir: ino, Plus: h.rng.IntN(2) == 0, Data: h.rng.IntN(2) == 0}
	for {
		ask1.Limit = uint32(1 + h.rng.IntN(5))
		got, err := ask(h, ask1)
		if err != nil {
			return err
		}
		for _, e := range got.Entries {
			child := h.m.nodes[n.entries[e.Name]]
			if child == nil || child.attr.Ino != e.Ino || seen[e.Name] || e.Type != child.attr.Mode&honeyant.ModeType || e.Cookie == 0 || e.Cookie>>63 != 0 {
				return fmt.Errorf("listing gave %+v (seen: %v)", e, seen[e.Name])
			}
			if ask1.Plus {
				if err := h.m.same("readdirplus", child, e.Attr); err != nil {
					return err
				}
			}
			if err := h.compareTold(&e, ask1.Plus && ask1.Data); err != nil {
				return err
			}
			seen[e.Name] = true
			ask1.Cookie, ask1.After = e.Cookie, e.Name
			if h.rng.IntN(2) == 0 {
				ask1.After = "" // cookies of so few names differ
			}
			got, err := ask(h, &meta.Lookup{Volume: h.Volume, Parent: ino, Name: e.Name})
			if err != nil || got.Attr.Ino != e.Ino {
				return fmt.Errorf("lookup of %q: %v, %w", e.Name, got, err)
			}
		}
		if got.EOF {
			break
		}
	}
	if len(seen) != len(n.entries) {
		return fmt.Errorf("listing gave %d names, should be %d", len(seen), len(n.entries))
	}
	if n.attr.Nlink == 0 {
		return nil // the parent may be gone too
	}
	up, err := ask(h, &meta.Lookup{Volume: h.Volume, Parent: ino, Name: ".."})
	if err == nil && up.Attr.Ino != n.parent {
		err = fmt.Errorf("its parent is %d, should be %d", up.Attr.Ino, n.parent)
	}
	return err
}

// compareTold checks what a listing tells of a file's content against what it tells when asked.
func (h *history) compareTold(e *meta.DirEntry, asked bool) error {
	want := asked && e.Attr.IsFile() && e.Attr.Size <= meta.SmallFile
	if !e.Told {
		if want && e.Attr.Size == 0 {
			return fmt.Errorf("listing does not tell that %q is empty", e.Name)
		}
		return nil // too many extents, or enough told
	}
	if !want {
		return fmt.Errorf("listing tells what %q holds", e.Name)
	}
	r, err := ask(h, &meta.Extents{Volume: h.Volume, Ino: e.Ino, Length: meta.SmallFile})
	if err != nil {
		return err
	}
	same := func(a, b honeyant.Extent) bool {
		inline := bytes.Equal(a.Inline, b.Inline)
		a.Inline, b.Inline = nil, nil
		return inline && reflect.DeepEqual(a, b)
	}
	if !slices.EqualFunc(e.Extents, r.Extents, same) || len(e.Chunks) != len(r.Chunks) {
		return fmt.Errorf("listing tells %+v %+v of %q, should be %+v", e.Extents, e.Chunks, e.Name, r)
	}
	for i := range e.Chunks {
		if !reflect.DeepEqual(e.Chunks[i], r.Chunks[i]) {
			return fmt.Errorf("listing tells %+v of %q, should be %+v", e.Chunks, e.Name, r.Chunks)
		}
	}
	return nil
}

// compareFile reads all of a file through its extents, in pieces, and its holes.
func (h *history) compareFile(ino honeyant.Ino, n *node) error {
	data, held := make([]byte, len(n.data)), make([]bool, len(n.data))
	size := n.attr.Size
	for at := uint64(0); at < size; {
		r, err := ask(h, &meta.Extents{Volume: h.Volume, Ino: ino, Offset: at, Length: uint64(1 + h.rng.IntN(1<<16)), Limit: uint32(1 + h.rng.IntN(300))})
		if err != nil {
			return err
		}
		if r.Until <= at {
			return fmt.Errorf("extents from %d hold until %d", at, r.Until)
		}
		refs := map[honeyant.ChunkID]bool{}
		for _, ref := range r.Chunks {
			if refs[ref.ID] || int(ref.Sum.Length) != len(h.m.chunks[ref.ID]) || !slices.Equal(ref.Replicas, h.Replicas) {
				return fmt.Errorf("chunk %+v", ref)
			}
			refs[ref.ID] = true
		}
		before := uint64(0)
		for _, e := range r.Extents {
			if e.Offset < before || e.End() > size || e.End() <= at || e.Inline == nil && !refs[e.Chunk] {
				return fmt.Errorf("extent %+v after %d of %d", e, before, size)
			}
			before = e.End()
			b := e.Inline
			if b == nil {
				b = h.m.chunks[e.Chunk][e.ChunkOffset : e.ChunkOffset+e.Length]
			}
			for i := max(e.Offset, at); i < min(e.End(), r.Until); i++ {
				data[i], held[i] = b[i-e.Offset], true
			}
		}
		at = r.Until
	}
	for i := range data {
		if data[i] != n.data[i] || held[i] != n.held[i] {
			return fmt.Errorf("byte %d of %d is %d (data: %v), should be %d (%v)", i, size, data[i], held[i], n.data[i], n.held[i])
		}
	}
	return nil
}
