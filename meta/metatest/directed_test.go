package metatest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// refused does an operation that must fail with a kind.
func refused(t testing.TB, b *metatest.Bare, op meta.Op, kind honeyant.Kind) {
	t.Helper()
	if _, err := b.Do(op); !errors.Is(err, kind) {
		t.Fatalf("%T %+v: %v, should be %q", op, op, err, kind)
	}
}

func sound(t testing.TB, b *metatest.Bare) {
	t.Helper()
	if err := metatest.Sound(b.DB); err != nil {
		t.Fatal(err)
	}
}

// scatter gives a file n extents of 2 bytes, 3 bytes apart, from an offset on.
func scatter(t testing.TB, b *metatest.Bare, ino honeyant.Ino, from uint64, n int, counter uint64) {
	t.Helper()
	for n > 0 {
		m := min(n, 500)
		ref := ref(b, counter, uint32(2*m))
		o := &meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{ref}}
		for i := range m {
			o.Extents = append(o.Extents, honeyant.Extent{Offset: from + uint64(3*i), Length: 2, Chunk: ref.ID, ChunkOffset: uint32(2 * i)})
		}
		do(t, b, o)
		from, n, counter = from+uint64(3*m), n-m, counter+1
	}
}

func ref(b *metatest.Bare, counter uint64, size uint32) honeyant.ChunkRef {
	return honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 1, counter), Sum: honeyant.ChunkSum{Length: size, CRC: 1},
		Replicas: []honeyant.Replica{{Store: b.Stores[0], Generation: 1}}}
}

func size(ino honeyant.Ino, n uint64) *meta.SetAttr {
	return &meta.SetAttr{Volume: 1, Ino: ino, Valid: meta.SetSize, Size: n}
}

// extents counts what readers see.
func extents(t testing.TB, b *metatest.Bare, ino honeyant.Ino) int {
	t.Helper()
	n := 0
	for at := uint64(0); ; {
		r := do(t, b, &meta.Extents{Volume: 1, Ino: ino, Offset: at, Length: 1 << 40})
		if n += len(r.Extents); r.Until >= r.Attr.Size {
			return n
		}
		at = r.Until
	}
}

func reapAll(t testing.TB, b *metatest.Bare) {
	t.Helper()
	for do(t, b, &meta.Reap{Volume: 1, Limit: 100}).Left {
		sound(t, b)
	}
	if c := do(t, b, &meta.Counts{Volume: 1}); c.Orphans+c.Queued != 0 {
		t.Fatalf("left over: %+v", c)
	}
}

// TestCutIsLazyAndExact: a cut of very many extents takes effect at once, survives growth and new
// data, and is freed in slices [24].
func TestCutIsLazyAndExact(t *testing.T) {
	b := metatest.NewBare(t, nil)
	ino := mk(t, b, honeyant.RootIno, "f", honeyant.ModeFile|0o644)
	scatter(t, b, ino, 0, 2000, 1)
	do(t, b, size(ino, 100))
	if n := extents(t, b, ino); n != 34 {
		t.Fatalf("%d extents after the cut", n)
	}
	sound(t, b)
	do(t, b, size(ino, 6000))
	if n := extents(t, b, ino); n != 34 {
		t.Fatalf("%d extents after growing again: the cut shines through", n)
	}
	if r := do(t, b, &meta.Seek{Volume: 1, Ino: ino, Offset: 102, Hole: true}); r.Offset != 102 {
		t.Fatalf("hole at %d", r.Offset)
	}
	refused(t, b, &meta.Seek{Volume: 1, Ino: ino, Offset: 102}, honeyant.NoDevice)
	scatter(t, b, ino, 3000, 800, 50)
	if n := extents(t, b, ino); n != 834 {
		t.Fatalf("%d extents after writing past the floor", n)
	}
	sound(t, b)
	refused(t, b, size(ino, 3300), honeyant.Conflict) // two floors can not be said
	do(t, b, size(ino, 50))                           // below the floor one is enough
	if n := extents(t, b, ino); n != 17 {
		t.Fatalf("%d extents after the second cut", n)
	}
	reapAll(t, b)
	if a := do(t, b, &meta.GetAttr{Volume: 1, Ino: ino}).Attr; a.Blocks != 1 || a.Size != 50 {
		t.Fatalf("%+v", a)
	}
	sound(t, b)
}

// TestEmptyingIsConstant: truncate to 0, unlink and replacing of a large file take a few keys [24].
func TestEmptyingIsConstant(t *testing.T) {
	b := metatest.NewBare(t, nil)
	for n, op := range []func(ino honeyant.Ino) meta.Op{
		func(ino honeyant.Ino) meta.Op { return size(ino, 0) },
		func(honeyant.Ino) meta.Op {
			return &meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "f1"}
		},
		func(honeyant.Ino) meta.Op {
			return &meta.Rename{Volume: 1, OldParent: honeyant.RootIno, OldName: "new", NewParent: honeyant.RootIno, NewName: "f2"}
		},
	} {
		ino := mk(t, b, honeyant.RootIno, fmt.Sprint("f", n), honeyant.ModeFile|0o644)
		mk(t, b, honeyant.RootIno, fmt.Sprint("new", []string{"x", "y", ""}[n]), honeyant.ModeFile|0o644)
		scatter(t, b, ino, 0, 1500, uint64(100*n+1))
		_, changes, err := meta.Eval(b.DB, b.Env, op(ino))
		if err != nil || changes.Len() > 8 {
			t.Fatalf("case %d: %d keys, %v", n, changes.Len(), err)
		}
		if err := b.DB.Apply(changes); err != nil {
			t.Fatal(err)
		}
		sound(t, b)
	}
	reapAll(t, b)
	sound(t, b)
	if u := do(t, b, &meta.StatFS{Volume: 1}); u.Bytes != 0 || u.Chunks != 0 {
		t.Fatalf("%+v", u)
	}
}

// TestOrphanLivesWhileOpen: what is unlinked while open works by number until it is released [22].
func TestOrphanLivesWhileOpen(t *testing.T) {
	b := metatest.NewBare(t, nil)
	ino := mk(t, b, honeyant.RootIno, "f", honeyant.ModeFile|0o644)
	do(t, b, &meta.Open{Volume: 1, Ino: ino})
	do(t, b, &meta.Lock{Volume: 1, Ino: ino, Lock: meta.FileLock{Kind: meta.LockFlock, Write: true, Owner: 1}})
	do(t, b, &meta.SetXattr{Volume: 1, Ino: ino, Name: "user.x", Value: []byte("y")})
	do(t, b, &meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "f"})
	do(t, b, &meta.Reap{Volume: 1})
	do(t, b, &meta.Commit{Volume: 1, Ino: ino, Extents: []honeyant.Extent{{Length: 3, Inline: []byte("abc")}}})
	refused(t, b, &meta.Link{Volume: 1, Ino: ino, Parent: honeyant.RootIno, Name: "again"}, honeyant.NotExist)
	if p := do(t, b, &meta.Path{Volume: 1, Ino: ino}); !p.Orphan {
		t.Fatalf("%+v", p)
	}
	sound(t, b)
	do(t, b, &meta.Release{Volume: 1, Ino: ino})
	reapAll(t, b)
	refused(t, b, &meta.GetAttr{Volume: 1, Ino: ino}, honeyant.Stale)
	sound(t, b)
}

// TestCloneShares: clones share chunks, survive the original, and stop where one operation ends [13].
func TestCloneShares(t *testing.T) {
	b := metatest.NewBare(t, nil)
	src := mk(t, b, honeyant.RootIno, "src", honeyant.ModeFile|0o644)
	dst := mk(t, b, honeyant.RootIno, "dst", honeyant.ModeFile|0o644)
	scatter(t, b, src, 5000, 1200, 1)
	do(t, b, &meta.Commit{Volume: 1, Ino: src, Extents: []honeyant.Extent{{Length: 3, Inline: []byte("abc")}}})
	calls, done := 0, uint64(0)
	for total := do(t, b, &meta.GetAttr{Volume: 1, Ino: src}).Attr.Size; done < total; calls++ {
		done += do(t, b, &meta.Clone{Volume: 1, Src: src, SrcOffset: done, Dst: dst, DstOffset: done, Length: total - done}).Copied
	}
	if calls != 3 {
		t.Fatalf("%d calls", calls)
	}
	do(t, b, &meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "src"})
	reapAll(t, b)
	sound(t, b)
	if n := extents(t, b, dst); n != 1201 {
		t.Fatalf("%d extents", n)
	}
	refused(t, b, &meta.Clone{Volume: 1, Src: dst, Dst: dst, SrcOffset: 0, DstOffset: 1, Length: 5}, honeyant.Invalid)
	refused(t, b, &meta.Clone{Volume: 1, Src: dst, Dst: dst, SrcOffset: 0, DstOffset: 1 << 20, Length: 5}, honeyant.Unsupported)
}

// TestPolicyMovesDown: what is made inherits; Retag moves the rest in slices and leaves
// subtrees with a policy of their own alone.
func TestPolicyMovesDown(t *testing.T) {
	b := metatest.NewBare(t, nil)
	top := mk(t, b, honeyant.RootIno, "top", honeyant.ModeDir|0o755)
	own := mk(t, b, top, "own", honeyant.ModeDir|0o755)
	deep := mk(t, b, top, "deep", honeyant.ModeDir|0o755)
	var files []honeyant.Ino
	for n, dir := range []honeyant.Ino{top, own, deep} {
		ino := mk(t, b, dir, "f", honeyant.ModeFile|0o644)
		scatter(t, b, ino, 0, 5, uint64(n+1))
		files = append(files, ino)
	}
	do(t, b, &meta.SetPolicy{Volume: 1, Ino: own, Policy: honeyant.Policy{Copies: 1}})
	do(t, b, &meta.SetPolicy{Volume: 1, Ino: top, Policy: honeyant.Policy{Copies: 3}})
	for _, dir := range []honeyant.Ino{own, top} {
		var after []byte
		for {
			r := do(t, b, &meta.Retag{Volume: 1, Ino: dir, After: after, Limit: 2})
			sound(t, b)
			if after = r.Next; len(after) == 0 {
				break
			}
		}
	}
	for n, want := range []honeyant.Ino{top, own, top} {
		if p := do(t, b, &meta.GetPolicy{Volume: 1, Ino: files[n]}); p.At != want {
			t.Errorf("file %d: %+v", n, p)
		}
		if c := do(t, b, &meta.GetChunk{Volume: 1, Chunk: ref(b, uint64(n+1), 0).ID}); c.Chunk.PolicyAt != want {
			t.Errorf("chunk %d: %+v", n, c)
		}
	}
	if p := do(t, b, &meta.GetPolicy{Volume: 1, Ino: mk(t, b, deep, "new", honeyant.ModeFile)}); p.At != top || p.Policy.Copies != 3 {
		t.Errorf("new file: %+v", p)
	}
	if c := do(t, b, &meta.Counts{Volume: 1}); c.Short != 2 {
		t.Errorf("%+v: two chunks lack copies", c)
	}
	do(t, b, &meta.SetPolicy{Volume: 1, Ino: top, Remove: true})
	if p := do(t, b, &meta.GetPolicy{Volume: 1, Ino: files[2]}); p.At != 0 {
		t.Errorf("after removing: %+v", p)
	}
	refused(t, b, &meta.SetPolicy{Volume: 1, Ino: files[0]}, honeyant.NotDir)
	refused(t, b, &meta.SetPolicy{Volume: 1, Ino: top, Policy: honeyant.Policy{Copies: 1, MinCopies: 2}}, honeyant.Invalid)
}

func TestPaths(t *testing.T) {
	b := metatest.NewBare(t, nil)
	x := mk(t, b, honeyant.RootIno, "x", honeyant.ModeDir)
	y := mk(t, b, x, "y", honeyant.ModeDir)
	do(t, b, &meta.Rename{Volume: 1, OldParent: honeyant.RootIno, OldName: "x", NewParent: honeyant.RootIno, NewName: "z"})
	for ino, want := range map[honeyant.Ino]string{honeyant.RootIno: "/", x: "/z", y: "/z/y"} {
		if p := do(t, b, &meta.Path{Volume: 1, Ino: ino}); p.Path != want {
			t.Errorf("%d is %q, should be %q", ino, p.Path, want)
		}
	}
	refused(t, b, &meta.Path{Volume: 1, Ino: mk(t, b, y, "f", honeyant.ModeFile)}, honeyant.Unsupported)
}

// TestBadCommits: nothing that contradicts itself gets in.
func TestBadCommits(t *testing.T) {
	b := metatest.NewBare(t, nil)
	ino := mk(t, b, honeyant.RootIno, "f", honeyant.ModeFile)
	c := ref(b, 1, 100)
	chunk := func(at uint64, n, from uint32) honeyant.Extent {
		return honeyant.Extent{Offset: at, Length: n, Chunk: c.ID, ChunkOffset: from}
	}
	for name, k := range map[string]struct {
		op   meta.Commit
		kind honeyant.Kind
	}{
		"past the chunk":    {meta.Commit{Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{chunk(0, 50, 51)}}, honeyant.Invalid},
		"unknown chunk":     {meta.Commit{Extents: []honeyant.Extent{chunk(0, 50, 0)}}, honeyant.Stale},
		"overlap":           {meta.Commit{Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{chunk(0, 50, 0), chunk(49, 1, 0)}}, honeyant.Invalid},
		"empty":             {meta.Commit{Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{chunk(0, 0, 0)}}, honeyant.Invalid},
		"too far":           {meta.Commit{Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{chunk(honeyant.MaxFileSize-49, 50, 0)}}, honeyant.TooLarge},
		"inline too far":    {meta.Commit{Extents: []honeyant.Extent{{Offset: 4095, Length: 2, Inline: []byte("ab")}}}, honeyant.OutOfRange},
		"inline and length": {meta.Commit{Extents: []honeyant.Extent{{Length: 3, Inline: []byte("ab")}}}, honeyant.Invalid},
		"size":              {meta.Commit{MinSize: honeyant.MaxFileSize + 1}, honeyant.TooLarge},
	} {
		k.op.Volume, k.op.Ino = 1, ino
		if _, err := b.Do(&k.op); !errors.Is(err, k.kind) {
			t.Errorf("%s: %v, should be %q", name, err, k.kind)
		}
	}
	op := &meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{chunk(0, 100, 0)}}
	do(t, b, op)
	do(t, b, op) // the same again is fine
	sound(t, b)
	do(t, b, size(ino, 0))
	refused(t, b, op, honeyant.Stale) // the chunk is dead and stays so
	sound(t, b)
}
