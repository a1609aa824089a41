package chunk_test

import (
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/chunk/chunktest"
	"github.com/honeyant/honeyant/disk"
)

// expectFS notes what its files are told to expect.
type expectFS struct {
	disk.FS
	told *[][2]int64
}

type expectFile struct {
	disk.File
	told *[][2]int64
}

func (f expectFS) Create(name string) (disk.File, error) {
	file, err := f.FS.Create(name)
	return expectFile{file, f.told}, err
}

func (f expectFile) Expect(off, n int64) error {
	*f.told = append(*f.told, [2]int64{off, n})
	return f.File.Expect(off, n)
}

// What is expected is the frames asked for, as far as the chunk has them, and nothing of a chunk that is not there.
func TestExpect(t *testing.T) {
	var told [][2]int64
	s := chunktest.Open(t, expectFS{disk.NewMemory(0), &told}, chunk.Options{})
	const length = 5*honeyant.FrameSize + 100
	gen := chunktest.Put(t, s, chunktest.ID(1), chunktest.Bytes(1, length))
	for _, c := range []struct {
		gen      honeyant.Generation
		first, n uint32
		want     int64 // bytes
	}{
		{gen, 0, 6, length}, {gen, 1, 2, 2 * honeyant.FrameSize}, {gen, 4, 100, honeyant.FrameSize + 100}, {gen, 5, 1, 100},
		{gen, 6, 1, 0}, {gen, ^uint32(0), ^uint32(0), 0}, {gen, 2, 0, 0}, {gen + 1, 0, 6, 0},
	} {
		told = nil
		s.Expect(chunktest.ID(1), c.gen, c.first, c.n)
		var got int64
		for _, r := range told {
			got += r[1]
		}
		if got != c.want || len(told) > 1 {
			t.Errorf("frames from %d, %d of them: told %v, want %d bytes", c.first, c.n, told, c.want)
		}
	}
	told = nil
	s.Expect(chunktest.ID(2), 0, 0, 6)
	if len(told) != 0 {
		t.Errorf("told %v of a chunk that is not there", told)
	}
}

// The frames are where they were expected.
func TestExpectIsWhereTheFramesAre(t *testing.T) {
	var told [][2]int64
	mem := disk.NewMemory(0)
	s := chunktest.Open(t, expectFS{mem, &told}, chunk.Options{})
	data := chunktest.Bytes(1, 3*honeyant.FrameSize)
	gen := chunktest.Put(t, s, chunktest.ID(1), data)
	s.Expect(chunktest.ID(1), gen, 1, 1)
	names, err := mem.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 {
		t.Fatalf("told %v", told)
	}
	for _, name := range names {
		f, err := mem.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, told[0][1])
		if n, _ := f.ReadAt(p, told[0][0]); n == len(p) && string(p) == string(data[honeyant.FrameSize:2*honeyant.FrameSize]) {
			return
		}
	}
	t.Errorf("no file has frame 1 at %d", told[0][0])
}
