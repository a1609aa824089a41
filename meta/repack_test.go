package meta_test

import (
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// pack commits one chunk of n parts of 10 KiB, each in a file of its own.
func (b *bare) pack(counter uint64, files ...string) (honeyant.ChunkRef, []honeyant.Ino) {
	const part = 10 << 10
	ref := honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 0, counter), Sum: honeyant.ChunkSum{Length: uint32(len(files) * part), CRC: 9}, Replicas: []honeyant.Replica{rep(1, 1), rep(2, 1)}}
	var inos []honeyant.Ino
	for n, name := range files {
		ino := b.ok(create(name)).(*meta.EntryReply).Attr.Ino
		b.ok(&meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{ref}, Extents: []honeyant.Extent{{Length: part, Chunk: ref.ID, ChunkOffset: uint32(n * part)}}})
		inos = append(inos, ino)
	}
	return ref, inos
}

func (b *bare) sparse() []honeyant.ChunkID {
	b.t.Helper()
	var ids []honeyant.ChunkID
	for _, c := range b.ok(&meta.ListChunks{Volume: 1, Sparse: true}).(*meta.ChunksReply).Chunks {
		ids = append(ids, c.ID)
	}
	return ids
}

func (b *bare) sound() {
	b.t.Helper()
	faults, err := meta.Check(b.db)
	if err != nil || len(faults) > 0 {
		b.t.Fatal(faults, err)
	}
}

func (b *bare) find(id honeyant.ChunkID) []meta.PlacedExtent {
	b.t.Helper()
	return b.ok(&meta.FindExtents{Volume: 1, Chunks: []honeyant.ChunkID{id}}).(*meta.FoundReply).Found
}

// What of a pack is deleted, overwritten or cut counts as unused; more than half of it, and the pack is listed.
func TestPacksBecomeSparse(t *testing.T) {
	b, _ := newBare(t, 2)
	ref, inos := b.pack(1, "a", "b", "c", "d", "e")
	want := func(n int) {
		t.Helper()
		if got := b.sparse(); len(got) != n {
			t.Fatalf("sparse: %v, want %d", got, n)
		}
		b.sound()
	}
	want(0)
	b.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "a"})
	b.ok(&meta.Commit{Volume: 1, Ino: inos[1], Extents: []honeyant.Extent{{Length: 9, Inline: []byte("otherwise")}}})
	want(0)
	b.ok(&meta.SetAttr{Volume: 1, Ino: inos[2], Valid: meta.SetSize, Size: 100})
	want(0) // 30 of 50 KiB are used, less 10 KiB and 9 bytes
	b.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "d"})
	want(1)
	clone := b.ok(create("clone")).(*meta.EntryReply).Attr.Ino
	b.ok(&meta.Clone{Volume: 1, Src: inos[4], Dst: clone, Length: 10 << 10})
	want(0) // as far as can be told without comparing who shares what
	b.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "clone"})
	want(1)
	for _, name := range []string{"b", "c", "e"} {
		b.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: name})
	}
	want(0)
	if !b.chunk(ref.ID).Dead {
		t.Error("nothing refers to it, but it lives")
	}
}

// Rule 13: each extent is compared and swapped by itself, and the old pack dies with its last one.
func TestRepackComparesEachExtent(t *testing.T) {
	b, _ := newBare(t, 2)
	old, inos := b.pack(1, "a", "b", "c", "d")
	for _, name := range []string{"a"} {
		b.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: name})
	}
	found := b.find(old.ID)
	if len(found) != 3 {
		t.Fatal(found)
	}
	before := b.ok(&meta.GetAttr{Volume: 1, Ino: inos[1]}).(*meta.AttrReply).Attr
	fresh := honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 0, 2), Sum: honeyant.ChunkSum{Length: 30 << 10, CRC: 3}, Replicas: []honeyant.Replica{rep(1, 2), rep(2, 2)}}
	op := &meta.Repack{Volume: 1, Chunk: fresh}
	for n, e := range found {
		op.Moves = append(op.Moves, meta.Move{PlacedExtent: e, To: uint32(n * 10 << 10)})
	}
	// Meanwhile c is cut and d shared with another file.
	b.ok(&meta.SetAttr{Volume: 1, Ino: inos[2], Valid: meta.SetSize, Size: 5000})
	clone := b.ok(create("clone")).(*meta.EntryReply).Attr.Ino
	b.ok(&meta.Clone{Volume: 1, Src: inos[3], Dst: clone, Length: 10 << 10})
	if r := b.ok(op).(*meta.RepackReply); r.Moved != 2 {
		t.Fatalf("%d extents moved", r.Moved)
	}
	b.sound()
	if now := b.ok(&meta.GetAttr{Volume: 1, Ino: inos[1]}).(*meta.AttrReply).Attr; now != before {
		t.Errorf("the file changed: %+v, was %+v", now, before)
	}
	for ino, want := range map[honeyant.Ino]honeyant.ChunkID{inos[1]: fresh.ID, inos[2]: old.ID, inos[3]: fresh.ID, clone: old.ID} {
		e := b.ok(&meta.Extents{Volume: 1, Ino: ino, Length: 1 << 20}).(*meta.ExtentsReply).Extents
		if len(e) != 1 || e[0].Chunk != want {
			t.Errorf("inode %d: %+v, want chunk %v", ino, e, want)
		}
	}
	if got := b.chunk(old.ID).Chunk.Count; got != 2 || b.chunk(old.ID).Dead {
		t.Errorf("the old pack has %d extents, want those of c and of the clone", got)
	}
	// Once more is nothing: all has moved or changed.
	again := *op
	again.Chunk.ID = honeyant.NewChunkID(1, 0, 3)
	if r := b.ok(&again).(*meta.RepackReply); r.Moved != 0 || !b.chunk(again.Chunk.ID).Dead {
		t.Errorf("%d extents moved again", r.Moved)
	}
	b.fails(honeyant.Stale, &meta.Repack{Volume: 1, Chunk: again.Chunk, Moves: []meta.Move{{PlacedExtent: b.find(old.ID)[0]}}})
	b.sound()
}

func TestRepackRefuses(t *testing.T) {
	b, _ := newBare(t, 3)
	old, inos := b.pack(1, "a", "b")
	found := b.find(old.ID)
	ref := func(counter uint64, replicas ...honeyant.Replica) honeyant.ChunkRef {
		return honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 0, counter), Sum: honeyant.ChunkSum{Length: 20 << 10, CRC: 1}, Replicas: replicas}
	}
	moves := []meta.Move{{PlacedExtent: found[0]}}
	b.fails(honeyant.Conflict, &meta.Repack{Volume: 1, Chunk: ref(2, rep(1, 5)), Moves: moves}) // one copy is too few
	b.fails(honeyant.Invalid, &meta.Repack{Volume: 1, Chunk: ref(2, rep(1, 5), rep(2, 5)), Moves: []meta.Move{{PlacedExtent: found[0], To: 15 << 10}}})
	b.fails(honeyant.TooLarge, &meta.Repack{Volume: 1, Chunk: ref(2, rep(1, 5), rep(2, 5)), Moves: make([]meta.Move, meta.MaxMoves+1)})
	// A file that has another policy by now keeps its chunk, which carries that policy.
	b.ok(&meta.SetPolicy{Volume: 1, Ino: honeyant.RootIno, Policy: honeyant.Policy{Copies: 3}})
	for next := []byte(nil); ; {
		r := b.ok(&meta.Retag{Volume: 1, Ino: honeyant.RootIno, After: next}).(*meta.RetagReply)
		if next = r.Next; len(next) == 0 {
			break
		}
	}
	if r := b.ok(&meta.Repack{Volume: 1, Chunk: ref(3, rep(1, 5), rep(2, 5)), Moves: moves}).(*meta.RepackReply); r.Moved != 0 {
		t.Errorf("%d extents moved from under another policy", r.Moved)
	}
	if e := b.ok(&meta.Extents{Volume: 1, Ino: inos[0], Length: 1 << 20}).(*meta.ExtentsReply).Extents; e[0].Chunk != old.ID {
		t.Error(e)
	}
	b.sound()
}
