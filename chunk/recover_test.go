package chunk_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
)

// place is where a generation lies (doc/format/segment.md).
func place(gen honeyant.Generation) (segment string, offset int64) {
	const digits = "0123456789abcdef"
	name := make([]byte, 12)
	for i, n := 11, uint64(gen)>>24; i >= 0; i, n = i-1, n>>4 {
		name[i] = digits[n&15]
	}
	return string(name), int64(gen&(1<<24-1)) * 4096
}

func raw(t testing.TB, fs disk.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, _ := f.Size()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func scribble(t testing.TB, fs disk.FS, name string, off int64, b []byte) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func removeSidecars(t testing.TB, fs disk.FS) (n int) {
	t.Helper()
	names, err := fs.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".idx") {
			n++
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

// Killed, restarted, asked again, and only then without power: what the second process
// acknowledged is durable [C1].
func TestKillThenPowerCut(t *testing.T) {
	for cut := int64(1); cut < 120; cut++ {
		fs := disk.NewMemory(0)
		fs.CutPower(cut)
		h := newHistory()
		if s, err := chunk.Open(fs, small); err == nil {
			_ = h.work(s, rng(uint64(cut)), 12)
		}
		fs = fs.Kill()
		s := open(t, fs, small)
		if err := h.verify(s); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		if err := h.settle(s); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		s = open(t, fs.Crash(rng(uint64(cut))), small)
		if err := h.verify(s); err != nil {
			t.Fatalf("cut %d after the power cut: %v", cut, err)
		}
	}
}

// A record of a slow writer, begun before and never ended, does not hide the ones behind it [C4; rule 7].
func TestUnfinishedNeighbourHidesNothing(t *testing.T) {
	for _, wrote := range []int{0, 10, 100_000, 600_000} {
		for seed := range uint64(20) {
			fs := disk.NewMemory(0)
			s := open(t, fs, chunk.Options{})
			mustPut(t, s, idOf(1), content(1, 300_000))
			slow, err := s.Create(idOf(2), 800_000)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := slow.Write(content(2, wrote)); err != nil {
				t.Fatal(err)
			}
			gen := mustPut(t, s, idOf(3), content(3, 300_000))
			s2 := open(t, fs.Crash(rng(seed)), chunk.Options{})
			check(t, s2, idOf(1), 0, content(1, 300_000))
			check(t, s2, idOf(3), gen, content(3, 300_000))
			if _, err := s2.Stat(idOf(2), 0); !errors.Is(err, honeyant.NotExist) && !errors.Is(err, honeyant.Corrupt) {
				t.Fatalf("the unfinished one: %v", err)
			}
			slow.Abort()
		}
	}
}

// A user keeps a copy of the very segment inside a chunk of the same segment; its record is then
// damaged so that the scan walks over the copy [C4; rule 7].
func TestCopyOfTheSegmentIsNotParsed(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, chunk.Options{})
	for i := range 5 {
		mustPut(t, s, idOf(i), content(i, 300_000))
	}
	names, _ := fs.List()
	var copied []byte
	for _, name := range names {
		if strings.HasSuffix(name, ".seg") {
			copied = raw(t, fs, name)
		}
	}
	if err := s.Delete(ctx, idOf(2), 0); err != nil {
		t.Fatal(err)
	}
	gen := mustPut(t, s, idOf(100), copied)
	after := mustPut(t, s, idOf(101), content(101, 300_000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeSidecars(t, fs)
	segment, off := place(gen)
	scribble(t, fs, segment+".seg", off, make([]byte, 8192))
	s = open(t, fs, chunk.Options{})
	if u := s.Usage(); u.Chunks != 5 {
		t.Fatalf("%d chunks, want 5", u.Chunks)
	}
	for _, i := range []int{0, 1, 3, 4} {
		check(t, s, idOf(i), 0, content(i, 300_000))
	}
	check(t, s, idOf(101), after, content(101, 300_000))
	if _, err := s.Stat(idOf(2), 0); !errors.Is(err, honeyant.NotExist) {
		t.Fatalf("a deleted chunk came back out of user data: %v", err)
	}
}

func TestGenerationsNeverReturn(t *testing.T) {
	fs := disk.NewMemory(0)
	seen := map[honeyant.Generation]bool{}
	for round := range 30 {
		s := open(t, fs, small)
		for i := range 3 {
			gen := mustPut(t, s, idOf(i), content(i, 100_000))
			if seen[gen] {
				t.Fatalf("round %d: generation %x again", round, gen)
			}
			seen[gen] = true
		}
		for i := range 3 {
			if err := s.Delete(ctx, idOf(i), 0); err != nil {
				t.Fatal(err)
			}
		}
		if round%2 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			fs = fs.Crash(rng(uint64(round)))
		}
	}
	names, _ := fs.List()
	if len(names) > 3 {
		t.Fatalf("empty segments stay: %v", names)
	}
}

func TestSidecarIsOnlyAHint(t *testing.T) {
	fill := func(t *testing.T) (*disk.Memory, map[int]honeyant.Generation) {
		fs := disk.NewMemory(0)
		s := open(t, fs, small)
		gens := map[int]honeyant.Generation{}
		for i := range 40 {
			gens[i] = mustPut(t, s, idOf(i), content(i, 1000*i))
		}
		for i := 0; i < 40; i += 3 {
			if err := s.Delete(ctx, idOf(i), gens[i]); err != nil {
				t.Fatal(err)
			}
			delete(gens, i)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return fs, gens
	}
	for name, damage := range map[string]func(t *testing.T, fs *disk.Memory){
		"whole":   func(*testing.T, *disk.Memory) {},
		"missing": func(t *testing.T, fs *disk.Memory) { removeSidecars(t, fs) },
		"bad bytes": func(t *testing.T, fs *disk.Memory) {
			names, _ := fs.List()
			for _, n := range names {
				if strings.HasSuffix(n, ".idx") {
					scribble(t, fs, n, 70, []byte{0xff, 0xff})
				}
			}
		},
		"cut": func(t *testing.T, fs *disk.Memory) {
			names, _ := fs.List()
			for _, n := range names {
				if strings.HasSuffix(n, ".idx") {
					f, _ := fs.Open(n)
					size, _ := f.Size()
					if err := f.Truncate(size - 32); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"of another segment": func(t *testing.T, fs *disk.Memory) {
			names, _ := fs.List()
			last := ""
			for _, n := range names {
				if strings.HasSuffix(n, ".idx") {
					if last != "" {
						b := raw(t, fs, last)
						f, _ := fs.Open(n)
						_ = f.Truncate(0)
						scribble(t, fs, n, 0, b)
					}
					last = n
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs, gens := fill(t)
			damage(t, fs)
			s := open(t, fs, small)
			used := s.Usage()
			for i, gen := range gens {
				check(t, s, idOf(i), gen, content(i, 1000*i))
			}
			if used.Chunks != len(gens) {
				t.Fatalf("%d chunks, want %d", used.Chunks, len(gens))
			}
			if fs.Used() > used.Used+100_000 || used.Used > fs.Used() {
				t.Fatalf("counts %d bytes, the disk has %d", used.Used, fs.Used())
			}
		})
	}
}

// An old sidecar lists a record that is dead: the record's own word counts.
func TestStaleSidecar(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gen := mustPut(t, s, idOf(1), content(1, 5000))
	mustPut(t, s, idOf(2), content(2, 5000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segment, _ := place(gen)
	old := raw(t, fs, segment+".idx")
	s = open(t, fs, small)
	if err := s.Delete(ctx, idOf(1), gen); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, _ := fs.Open(segment + ".idx")
	_ = f.Truncate(0)
	scribble(t, fs, segment+".idx", 0, old)
	s = open(t, fs, small)
	if _, err := s.ReadAt(idOf(1), 0, make([]byte, 1), 0); !errors.Is(err, honeyant.NotExist) {
		t.Fatal(err)
	}
	if u := s.Usage(); u.Chunks != 1 {
		t.Fatalf("%+v", u)
	}
	fresh := mustPut(t, s, idOf(1), content(1, 5000))
	check(t, s, idOf(1), fresh, content(1, 5000))
	check(t, s, idOf(2), 0, content(2, 5000))
}

func TestDamage(t *testing.T) {
	noise := content(9, 4096)
	for name, c := range map[string]struct {
		sectors map[int64][]byte // relative to the record
		read    error            // nil: the bytes are still right
	}{
		"header":           {map[int64][]byte{0: noise}, nil},
		"header zero":      {map[int64][]byte{0: make([]byte, 4096)}, nil},
		"state":            {map[int64][]byte{1: noise}, honeyant.Corrupt},
		"header and state": {map[int64][]byte{0: noise, 1: noise}, honeyant.NotExist},
		"body":             {map[int64][]byte{2: noise}, honeyant.Corrupt},
		"one bit of state": {map[int64][]byte{1: {0: 'H', 1: 'N', 2: 'Z'}}, honeyant.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			fs := disk.NewMemory(0)
			s := open(t, fs, small)
			before := mustPut(t, s, idOf(1), content(1, 50_000))
			gen := mustPut(t, s, idOf(2), content(2, 50_000))
			after := mustPut(t, s, idOf(3), content(3, 50_000))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			removeSidecars(t, fs)
			segment, off := place(gen)
			for sector, b := range c.sectors {
				scribble(t, fs, segment+".seg", off+sector*4096, b)
			}
			s = open(t, fs, small)
			check(t, s, idOf(1), before, content(1, 50_000))
			check(t, s, idOf(3), after, content(3, 50_000))
			_, err := s.ReadAt(idOf(2), gen, make([]byte, 50_000), 0)
			if !errors.Is(err, c.read) {
				t.Fatalf("read: %v, want %v", err, c.read)
			}
			if _, err := s.Verify(ctx, idOf(2), gen); !errors.Is(err, c.read) {
				t.Fatalf("verify: %v, want %v", err, c.read)
			}
			// The same content put again heals it, whatever was wrong.
			fresh := mustPut(t, s, idOf(2), content(2, 50_000))
			check(t, s, idOf(2), fresh, content(2, 50_000))
			if c.read == nil && fresh != gen {
				t.Fatal("a good record was replaced")
			}
			if err := s.Delete(ctx, idOf(2), fresh); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs, small)
			if _, err := s.Stat(idOf(2), 0); !errors.Is(err, honeyant.NotExist) {
				t.Fatal(err)
			}
		})
	}
}

// A suspect record is listed, gives no bytes and can be deleted [8].
func TestSuspectIsListedAndDeleted(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gen := mustPut(t, s, idOf(2), content(2, 50_000))
	mustPut(t, s, idOf(3), content(3, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeSidecars(t, fs)
	segment, off := place(gen)
	scribble(t, fs, segment+".seg", off+4096, content(9, 4096))
	s = open(t, fs, small)
	list := s.Bucket(chunk.BucketOf(idOf(2)))
	if len(list) != 1 || !list[0].Suspect || list[0].Generation != gen || list[0].ID != idOf(2) {
		t.Fatalf("%+v", list)
	}
	before := s.Usage().Used
	if err := s.Delete(ctx, idOf(2), gen); err != nil {
		t.Fatal(err)
	}
	if s.Usage().Used >= before {
		t.Fatal("no space came back")
	}
	s = open(t, fs.Crash(rng(1)), small)
	if len(s.Bucket(chunk.BucketOf(idOf(2)))) != 0 {
		t.Fatal("it came back")
	}
}

func TestFilesThatAreNoSegmentsStay(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	gen := mustPut(t, s, idOf(1), content(1, 5000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segment, _ := place(gen)
	for name, b := range map[string][]byte{
		"0000000000ff.seg": content(4, 20_000),             // noise
		"0000000000fe.seg": raw(t, fs, segment+".seg"),     // under another number
		"0000000000fd.seg": {},                             // made and never synced
		"notes.txt":        []byte("somebody else's file"), // not ours
		"0000000000fc.idx": raw(t, fs, segment+".idx"),     // a sidecar without a segment
	} {
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, fs, small)
	check(t, s, idOf(1), gen, content(1, 5000))
	if n := s.Usage().Chunks; n != 1 {
		t.Fatal(n)
	}
	fresh := mustPut(t, s, idOf(2), content(2, 5000))
	if uint64(fresh)>>24 <= 0xff {
		t.Fatalf("a number that was in use: %x", fresh)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := fs.List()
	have := strings.Join(names, " ")
	for _, want := range []string{"0000000000ff.seg", "0000000000fe.seg", "notes.txt"} {
		if !strings.Contains(have, want) {
			t.Fatalf("%s is gone: %s", want, have)
		}
	}
	if strings.Contains(have, "0000000000fd") {
		t.Fatal("the empty one stays:", have)
	}
}

func TestIdentity(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	key := s.Key()
	if err := s.RaiseIncarnation(7); err != nil {
		t.Fatal(err)
	}
	if err := s.RaiseIncarnation(7); err != nil {
		t.Fatal(err)
	}
	if err := s.RaiseIncarnation(6); !errors.Is(err, honeyant.Stale) {
		t.Fatal(err)
	}
	mustPut(t, s, idOf(1), content(1, 100))
	if _, err := chunk.Open(fs, small); !errors.Is(err, honeyant.Conflict) {
		t.Fatalf("a second process: %v", err)
	}
	crashed := fs.Crash(rng(1))
	s = open(t, crashed, small)
	if s.Key() != key || len(key) != 32 || s.Incarnation() != 7 {
		t.Fatal(s.Key(), s.Incarnation())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good := raw(t, crashed, "STORE")
	scribble(t, crashed, "STORE", 20, []byte{good[20] ^ 1})
	if _, err := chunk.Open(crashed, small); !errors.Is(err, honeyant.Corrupt) {
		t.Fatal(err)
	}
	if err := crashed.Remove("STORE"); err != nil {
		t.Fatal(err)
	}
	if _, err := chunk.Open(crashed, small); !errors.Is(err, honeyant.Corrupt) {
		t.Fatalf("segments without STORE: %v", err)
	}
}

// Flags of a later version make the store read-only, and nothing is deleted [C9].
func TestLaterVersionIsReadOnly(t *testing.T) {
	fs := disk.NewMemory(0)
	s := open(t, fs, small)
	mustPut(t, s, idOf(1), content(1, 100))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := raw(t, fs, "STORE")
	binary.BigEndian.PutUint16(b[10:], 1)
	binary.BigEndian.PutUint32(b[12:], 0)
	binary.BigEndian.PutUint32(b[12:], chunk.CRC(b))
	scribble(t, fs, "STORE", 0, b)
	s = open(t, fs, small)
	check(t, s, idOf(1), 0, content(1, 100))
	if _, err := put(s, idOf(2), content(2, 100)); !errors.Is(err, honeyant.Unsupported) {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, idOf(1), 0); !errors.Is(err, honeyant.Unsupported) {
		t.Fatal(err)
	}
	if err := s.RaiseIncarnation(9); !errors.Is(err, honeyant.Unsupported) {
		t.Fatal(err)
	}
	if u := s.Usage(); !u.ReadOnly || u.Available != 0 {
		t.Fatalf("%+v", u)
	}
}
