package metatest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// bench is a volume on Pebble with a directory.
func bench(b *testing.B) (*metatest.Bare, honeyant.Ino) {
	db, err := pebblekv.Open(b.TempDir(), pebblekv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	t := metatest.NewBare(b, db)
	return t, mk(b, t, honeyant.RootIno, "dir", honeyant.ModeDir|0o755)
}

func mk(t testing.TB, b *metatest.Bare, parent honeyant.Ino, name string, mode uint32) honeyant.Ino {
	t.Helper()
	return do(t, b, &meta.Make{Volume: 1, Parent: parent, Name: name, Mode: mode, Exclusive: true}).Attr.Ino
}

// do does an operation that has to work.
func do[R meta.Reply](t testing.TB, b *metatest.Bare, op meta.Request[R]) R {
	t.Helper()
	reply, err := b.Do(op)
	if err != nil {
		t.Fatalf("%T %+v: %v", op, op, err)
	}
	return reply.(R)
}

// eval measures evaluation alone: nothing is applied.
func eval(b *testing.B, t *metatest.Bare, op func(n int) meta.Op) {
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if _, _, err := meta.Eval(t.DB, t.Env, op(n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	t, dir := bench(b)
	eval(b, t, func(n int) meta.Op {
		return &meta.Make{Volume: 1, Parent: dir, Name: fmt.Sprint(n), Mode: honeyant.ModeFile | 0o644, Exclusive: true}
	})
}

func BenchmarkMakeApply(b *testing.B) {
	t, dir := bench(b)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		mk(b, t, dir, fmt.Sprint(n), honeyant.ModeFile|0o644)
	}
}

func BenchmarkLookup(b *testing.B) {
	t, dir := bench(b)
	mk(b, t, dir, "file", honeyant.ModeFile|0o644)
	eval(b, t, func(int) meta.Op { return &meta.Lookup{Volume: 1, Parent: dir, Name: "file"} })
}

func BenchmarkCommitInline(b *testing.B) {
	t, dir := bench(b)
	ino := mk(b, t, dir, "file", honeyant.ModeFile|0o644)
	data := make([]byte, 4096)
	eval(b, t, func(int) meta.Op {
		return &meta.Commit{Volume: 1, Ino: ino, Extents: []honeyant.Extent{{Length: 4096, Inline: data}}}
	})
}

func BenchmarkCommitChunk(b *testing.B) {
	t, dir := bench(b)
	ino := mk(b, t, dir, "file", honeyant.ModeFile|0o644)
	size := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		ref := honeyant.ChunkRef{ID: honeyant.NewChunkID(1, 1, uint64(n)), Sum: honeyant.ChunkSum{Length: honeyant.ChunkSize},
			Replicas: []honeyant.Replica{{Store: t.Stores[0], Generation: 1}}}
		do(b, t, &meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{ref},
			Extents: []honeyant.Extent{{Offset: size, Length: honeyant.ChunkSize, Chunk: ref.ID}}})
		size += honeyant.ChunkSize
	}
}

func BenchmarkUnlinkReap(b *testing.B) {
	t, dir := bench(b)
	b.ReportAllocs()
	for n := range b.N {
		b.StopTimer()
		ino := mk(b, t, dir, fmt.Sprint(n), honeyant.ModeFile|0o644)
		do(b, t, &meta.Commit{Volume: 1, Ino: ino, Extents: []honeyant.Extent{{Length: 4096, Inline: make([]byte, 4096)}}})
		b.StartTimer()
		do(b, t, &meta.Unlink{Volume: 1, Parent: dir, Name: fmt.Sprint(n)})
		if n%100 == 0 || n == b.N-1 {
			do(b, t, &meta.Reap{Volume: 1})
		}
	}
}

func BenchmarkReadDirPlus(b *testing.B) {
	t, dir := bench(b)
	const files = 20000
	for n := range files {
		mk(b, t, dir, fmt.Sprint("file", n), honeyant.ModeFile|0o644)
	}
	o := &meta.ReadDir{Volume: 1, Dir: dir, Plus: true}
	b.ReportAllocs()
	b.ResetTimer()
	seen := 0
	for range b.N {
		r := do(b, t, o)
		seen += len(r.Entries)
		if o.Cookie, o.After = r.Entries[len(r.Entries)-1].Cookie, ""; r.EOF {
			o.Cookie = 0
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(seen), "ns/entry")
}

// BenchmarkOverwrite writes 4 KiB at random places of a file with 10,000 extents.
func BenchmarkOverwrite(b *testing.B) {
	t, dir := bench(b)
	ino := mk(b, t, dir, "file", honeyant.ModeFile|0o644)
	rng := rand.New(rand.NewPCG(1, 1))
	write := func(n, block uint64) {
		c := ref(t, n, 4096)
		do(b, t, &meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{c}, Extents: []honeyant.Extent{{Offset: block << 12, Length: 4096, Chunk: c.ID}}})
	}
	for n := range uint64(10000) {
		write(n+1, n)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		write(uint64(20000+n), rng.Uint64N(10000))
	}
}
