package chunk_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

var ctx = context.Background()

func idOf(n int) honeyant.ChunkID { return honeyant.NewChunkID(1, 7, uint64(n)) }

// content is the same for the same n and length.
func content(n, length int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), 42})
	b := make([]byte, length)
	_, _ = rng.Read(b)
	return b
}

func open(t testing.TB, fs disk.FS, o chunk.Options) *chunk.Store {
	t.Helper()
	s, err := chunk.Open(fs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(s *chunk.Store, id honeyant.ChunkID, data []byte) (honeyant.Generation, error) {
	w, err := s.Create(id, uint32(len(data)))
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return 0, err
	}
	gen, sum, err := w.Commit(ctx)
	if err == nil && sum != chunk.SumOf(id, data) {
		return 0, errors.New("Commit and SumOf disagree")
	}
	return gen, err
}

func mustPut(t testing.TB, s *chunk.Store, id honeyant.ChunkID, data []byte) honeyant.Generation {
	t.Helper()
	gen, err := put(s, id, data)
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

func check(t testing.TB, s *chunk.Store, id honeyant.ChunkID, gen honeyant.Generation, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := s.ReadAt(id, gen, got, 0); len(want) > 0 && (err != nil || n != len(want)) {
		t.Fatalf("ReadAt %v: %d, %v", id, n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("ReadAt %v: wrong bytes", id)
	}
}

func TestPutReadDeleteReopen(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{})
	lengths := []int{0, 1, 4096, 5000, 65535, 65536, 65537, 256 << 10, 256<<10 + 1, 1 << 20, 4 << 20}
	gens := map[int]honeyant.Generation{}
	for i, n := range lengths {
		gens[i] = mustPut(t, s, idOf(i), content(i, n))
		check(t, s, idOf(i), gens[i], content(i, n))
	}
	if err := s.Delete(ctx, idOf(3), gens[3]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, chunk.Options{})
	for i, n := range lengths {
		if i == 3 {
			if _, err := s.Stat(idOf(i), 0); !errors.Is(err, honeyant.NotExist) {
				t.Fatalf("deleted chunk: %v", err)
			}
			continue
		}
		check(t, s, idOf(i), gens[i], content(i, n))
		if _, err := s.Verify(ctx, idOf(i), gens[i]); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Chunks != len(lengths)-1 {
		t.Fatalf("%+v", u)
	}
}

// More writers than buffers: nobody waits for anybody.
func TestWritersWithoutBuffers(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{Streams: 1})
	var writers []*chunk.Writer
	length := func(i int) int { return []int{10, 5000, 300_000, 700_000}[i%4] }
	for i := range 8 {
		w, err := s.Create(idOf(i), uint32(length(i)))
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	for part := range 7 {
		for i, w := range writers {
			data := content(i, length(i))
			n := len(data) / 7
			from, to := part*n, (part+1)*n
			if part == 6 {
				to = len(data)
			}
			if _, err := w.Write(data[from:to]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := len(writers) - 1; i >= 0; i-- {
		_, sum, err := writers[i].Commit(ctx)
		if err != nil || sum != chunk.SumOf(idOf(i), content(i, length(i))) {
			t.Fatal(i, sum, err)
		}
	}
	for i := range writers {
		check(t, s, idOf(i), 0, content(i, length(i)))
	}
	crashed := open(t, fs.Crash(rng(3)), chunk.Options{})
	for i := range writers {
		check(t, crashed, idOf(i), 0, content(i, length(i)))
	}
}
