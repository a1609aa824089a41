// Package chunktest is the suite that a chunk store passes on every file system it is to run on.
package chunktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// Open opens a store that is closed at the end of the test.
func Open(t testing.TB, fs disk.FS, o chunk.Options) *chunk.Store {
	t.Helper()
	s, err := chunk.Open(fs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ID is the n-th chunk ID of a session of the tests.
func ID(n int) honeyant.ChunkID { return honeyant.NewChunkID(1, 7, uint64(n)) }

// Bytes gives length bytes that are always the same for the same n.
func Bytes(n, length int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), 42})
	b := make([]byte, length)
	_, _ = rng.Read(b) // never fails
	return b
}

// Put stores data and wants it acknowledged.
func Put(t testing.TB, s *chunk.Store, id honeyant.ChunkID, data []byte) honeyant.Generation {
	t.Helper()
	w, err := s.Create(id, uint32(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	gen, sum, err := w.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if want := chunk.SumOf(id, data); sum != want || gen == 0 {
		t.Fatalf("Commit: generation %v, sum %v; want %v", gen, sum, want)
	}
	return gen
}

// Suite runs every case on a store over a fresh file system of its own.
func Suite(t *testing.T, newFS func(t testing.TB) disk.FS) {
	for name, run := range map[string]func(t *testing.T, fs disk.FS){
		"ReadAt":           readAt,
		"ReadFrames":       readFrames,
		"WriteFrame":       writeFrame,
		"PutAgain":         putAgain,
		"PutAtOnce":        putAtOnce,
		"DeleteGeneration": deleteGeneration,
		"Limits":           limits,
		"Shorter":          shorter,
		"Reopen":           reopen,
	} {
		t.Run(name, func(t *testing.T) { run(t, newFS(t)) })
	}
}

func wantKind(t *testing.T, err error, kind honeyant.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want kind %v", err, kind)
	}
}

func readAt(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	data := Bytes(1, 300_000)
	gen := Put(t, s, ID(1), data)
	for _, c := range []struct{ off, n, want int }{
		{0, 300_000, 300_000}, {0, 1, 1}, {65_535, 2, 2}, {65_536, 65_536, 65_536}, {100, 200_000, 200_000},
		{262_144, 37_856, 37_856}, {299_999, 1, 1}, {299_999, 10, 1}, {0, 400_000, 300_000}, {300_000, 5, 0}, {1 << 30, 5, 0}, {7, 0, 0},
	} {
		p := make([]byte, c.n)
		n, err := s.ReadAt(ID(1), gen, p, uint32(c.off))
		if n != c.want || (n < c.n) != (err == io.EOF) || n == c.n && err != nil {
			t.Errorf("ReadAt(%d bytes at %d): %d, %v", c.n, c.off, n, err)
			continue
		}
		if n > 0 && !bytes.Equal(p[:n], data[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d bytes at %d): wrong bytes", c.n, c.off)
		}
	}
	_, err := s.ReadAt(ID(2), 0, make([]byte, 1), 0)
	wantKind(t, err, honeyant.NotExist)
	_, err = s.ReadAt(ID(1), gen+1, make([]byte, 1), 0)
	wantKind(t, err, honeyant.Stale)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Verify(ctx, ID(1), gen)
	wantKind(t, err, honeyant.Interrupted)
	sum, err := s.Verify(context.Background(), ID(1), 0)
	if err != nil || sum != chunk.SumOf(ID(1), data) {
		t.Fatal(sum, err)
	}
}

func readFrames(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	data := Bytes(1, 5*honeyant.FrameSize+100)
	gen := Put(t, s, ID(1), data)
	buf := make([]byte, 2*honeyant.FrameSize)
	var got []byte
	var crcs []uint32
	for first := uint32(0); ; {
		r, err := s.ReadFrames(ID(1), gen, first, buf)
		if err != nil {
			t.Fatal(err)
		}
		if r.Generation != gen || r.Sum != chunk.SumOf(ID(1), data) {
			t.Fatalf("%+v", r)
		}
		if r.N == 0 {
			break
		}
		for i, crc := range r.CRCs {
			frame := buf[i*honeyant.FrameSize : min(r.N, (i+1)*honeyant.FrameSize)]
			if chunk.FrameCRC(ID(1), first+uint32(i), frame) != crc {
				t.Fatalf("CRC of frame %d", first+uint32(i))
			}
		}
		got = append(got, buf[:r.N]...)
		crcs = append(crcs, r.CRCs...)
		first += uint32(len(r.CRCs))
	}
	if !bytes.Equal(got, data) || chunk.SumOfCRCs(uint32(len(data)), crcs) != chunk.SumOf(ID(1), data) {
		t.Fatal("frames do not make the chunk")
	}
	_, err := s.ReadFrames(ID(1), gen, 0, buf[:100])
	wantKind(t, err, honeyant.Invalid)
}

func writeFrame(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	data := Bytes(1, 700_000)
	w, err := s.Create(ID(1), honeyant.ChunkSize)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n*honeyant.FrameSize < len(data); n++ {
		frame := data[n*honeyant.FrameSize : min(len(data), (n+1)*honeyant.FrameSize)]
		if err := w.WriteFrame(frame, chunk.FrameCRC(ID(1), uint32(n), frame)); err != nil {
			t.Fatal(err)
		}
	}
	gen, sum, err := w.Commit(context.Background())
	if err != nil || sum != chunk.SumOf(ID(1), data) {
		t.Fatal(sum, err)
	}
	got := make([]byte, len(data))
	if _, err := s.ReadAt(ID(1), gen, got, 0); err != nil || !bytes.Equal(got, data) {
		t.Fatal(err)
	}
	// A frame of another chunk or place does not pass.
	for name, crc := range map[string]uint32{
		"other chunk": chunk.FrameCRC(ID(3), 0, data[:10]),
		"other place": chunk.FrameCRC(ID(2), 1, data[:10]),
		"other bytes": chunk.FrameCRC(ID(2), 0, data[1:11]),
	} {
		w, err := s.Create(ID(2), 100)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, w.WriteFrame(data[:10], crc), honeyant.Corrupt)
		_, _, err = w.Commit(context.Background())
		if !errors.Is(err, honeyant.Corrupt) {
			t.Fatalf("%s: committed: %v", name, err)
		}
	}
	w, err = s.Create(ID(2), 100)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.WriteFrame(data[:10], chunk.FrameCRC(ID(2), 0, data[:10])); err != nil {
		t.Fatal(err)
	}
	wantKind(t, w.WriteFrame(data[:10], 0), honeyant.Invalid) // after a short one
}

func putAgain(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	for _, length := range []int{100, 500_000} {
		id := ID(length)
		gen := Put(t, s, id, Bytes(1, length))
		if again := Put(t, s, id, Bytes(1, length)); again != gen {
			t.Fatalf("the same again: generation %v, was %v", again, gen)
		}
		for _, other := range [][]byte{Bytes(2, length), Bytes(1, length-1), {}} {
			w, err := s.Create(id, uint32(length))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(other); err != nil {
				t.Fatal(err)
			}
			_, _, err = w.Commit(context.Background())
			wantKind(t, err, honeyant.Exist)
		}
		got := make([]byte, length)
		if _, err := s.ReadAt(id, gen, got, 0); err != nil || !bytes.Equal(got, Bytes(1, length)) {
			t.Fatal(err)
		}
	}
	if n := s.Usage().Chunks; n != 2 {
		t.Fatal(n)
	}
}

func putAtOnce(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	gens := make([]honeyant.Generation, 8)
	var wg sync.WaitGroup
	for i := range gens {
		wg.Go(func() { gens[i] = Put(t, s, ID(1), Bytes(1, 70_000)) })
	}
	wg.Wait()
	for _, gen := range gens {
		if gen != gens[0] {
			t.Fatalf("two records of one chunk: %v", gens)
		}
	}
}

func deleteGeneration(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	ctx := context.Background()
	old := Put(t, s, ID(1), Bytes(1, 70_000))
	other := Put(t, s, ID(2), Bytes(2, 70_000))
	if err := s.Delete(ctx, ID(1), old); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, ID(1), old); err != nil {
		t.Fatalf("absent: %v", err)
	}
	fresh := Put(t, s, ID(1), Bytes(1, 70_000))
	if fresh == old {
		t.Fatal("the generation came back")
	}
	for _, late := range []honeyant.Generation{old, other} {
		if err := s.Delete(ctx, ID(1), late); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := s.Stat(ID(1), fresh); err != nil || info.Generation != fresh || info.ID != ID(1) {
		t.Fatalf("a late delete hit the new record: %+v, %v", info, err)
	}
	_, err := s.Stat(ID(1), old)
	wantKind(t, err, honeyant.Stale)
	if _, err := s.Verify(ctx, ID(2), other); err != nil {
		t.Fatal(err)
	}
}

func limits(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{})
	_, err := s.Create(honeyant.ChunkID{}, 1)
	wantKind(t, err, honeyant.Invalid)
	_, err = s.Create(ID(1), chunk.MaxLength+1)
	wantKind(t, err, honeyant.TooLarge)
	w, err := s.Create(ID(1), 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(make([]byte, 11))
	wantKind(t, err, honeyant.TooLarge)
	w.Abort()
	_, err = w.Write(nil)
	if err == nil {
		t.Fatal("writes after Abort")
	}
	Put(t, s, ID(1), Bytes(1, 10))
	Put(t, s, ID(2), nil)
	if _, err := s.ReadAt(ID(2), 0, make([]byte, 1), 0); err != io.EOF {
		t.Fatal(err)
	}
	if s.Bucket(-1) != nil || s.Bucket(chunk.Buckets) != nil {
		t.Fatal("buckets that are not there")
	}
}

func shorter(t *testing.T, fs disk.FS) {
	s := Open(t, fs, chunk.Options{Capacity: 1 << 30})
	Put(t, s, ID(0), nil)
	before := s.Usage().Used
	for i, length := range []int{0, 1, 5000, 300_000} {
		w, err := s.Create(ID(i+1), honeyant.ChunkSize)
		if err != nil {
			t.Fatal(err)
		}
		other := Put(t, s, ID(100+i), Bytes(i, 10)) // so that it is not the last
		if _, err := w.Write(Bytes(i, length)); err != nil {
			t.Fatal(err)
		}
		gen, _, err := w.Commit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, length)
		if _, err := s.ReadAt(ID(i+1), gen, got, 0); length > 0 && err != nil || !bytes.Equal(got, Bytes(i, length)) {
			t.Fatal(err)
		}
		if err := s.Delete(context.Background(), ID(100+i), other); err != nil {
			t.Fatal(err)
		}
	}
	if used := s.Usage().Used - before; punches(t, fs) && used > 305_001+13*12<<10 {
		t.Fatalf("what was not used was not given back: %d bytes", used)
	}
}

// punches tells whether the file system can free the middle of a file.
func punches(t *testing.T, fs disk.FS) bool {
	f, err := fs.Create("probe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return !errors.Is(f.Punch(0, disk.SectorSize), honeyant.Unsupported)
}

func reopen(t *testing.T, fs disk.FS) {
	s, err := chunk.Open(fs, chunk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gens := map[int]honeyant.Generation{}
	for i := range 50 {
		gens[i] = Put(t, s, ID(i), Bytes(i, i*3000))
	}
	for i := range 20 {
		if err := s.Delete(context.Background(), ID(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	buckets, usage, key := s.Buckets(), s.Usage(), s.Key()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = Open(t, fs, chunk.Options{})
	if s.Buckets() != buckets || s.Key() != key {
		t.Fatal("the inventory or the key changed")
	}
	if u := s.Usage(); u.Chunks != 30 || u.Used != usage.Used {
		t.Fatalf("%+v, was %+v", u, usage)
	}
	for i := 20; i < 50; i++ {
		if sum, err := s.Verify(context.Background(), ID(i), gens[i]); err != nil || sum != chunk.SumOf(ID(i), Bytes(i, i*3000)) {
			t.Fatal(i, sum, err)
		}
	}
}
