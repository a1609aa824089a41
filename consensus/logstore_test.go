package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	hraft "github.com/hashicorp/raft"
)

func openTestLog(t *testing.T, fs vfs.FS) *logStore {
	t.Helper()
	o := Options{Dir: "d", Self: 1, FSM: nil, FS: fs, Limits: Limits{EntryCache: 1 << 10}}
	_ = o.check() // the FSM is not needed here
	s, err := openLogStore("log", &o, func(err error) { t.Errorf("halted: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The log against a model: appends, overwritten and trimmed ends, gaps behind a snapshot,
// restarts and power cuts; what was stored is there, byte for byte.
func TestLogStoreAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := vfs.NewCrashableMem()
	s := openTestLog(t, disk)
	model := map[uint64]hraft.Log{}
	first, last, term := uint64(0), uint64(0), uint64(1)
	for step := range 600 {
		switch rng.IntN(12) {
		case 0: // another leader overwrites the end
			if last > 0 {
				from := first + rng.Uint64N(last-first+1)
				if err := s.DeleteRange(from, last); err != nil {
					t.Fatal(err)
				}
				for i := from; i <= last; i++ {
					delete(model, i)
				}
				if last = from - 1; from == first {
					first, last = 0, 0
				}
				term++
			}
		case 1: // a snapshot makes the beginning superfluous
			if last > 0 {
				to := first + rng.Uint64N(last-first+1)
				if err := s.DeleteRange(first, to); err != nil {
					t.Fatal(err)
				}
				for i := first; i <= to; i++ {
					delete(model, i)
				}
				if first = to + 1; first > last {
					first, last = 0, 0
				}
			}
		case 2: // restart
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			s = openTestLog(t, disk)
		case 3: // power cut
			after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * 100, RNG: rng})
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			disk = after
			s = openTestLog(t, disk)
		default:
			next := last + 1
			if last > 0 && rng.IntN(20) == 0 {
				next += 1 + rng.Uint64N(50) // a snapshot was installed
				clear(model)
				first = 0
			}
			var logs []*hraft.Log
			for range 1 + rng.IntN(5) {
				l := &hraft.Log{Index: next, Term: term, Data: fmt.Appendf(nil, "%d %0*d", next, 1+rng.IntN(300), step)}
				logs = append(logs, l)
				model[next] = *l
				if first == 0 {
					first = next
				}
				last = next
				next++
			}
			if err := s.StoreLogs(logs); err != nil {
				t.Fatal(err)
			}
		}
		gotFirst, _ := s.FirstIndex()
		gotLast, _ := s.LastIndex()
		if gotFirst != first || gotLast != last {
			t.Fatalf("step %d: %d..%d, want %d..%d", step, gotFirst, gotLast, first, last)
		}
		if index, at := s.durable(); index != last || at != model[last].Term {
			t.Fatalf("step %d: durable %d in term %d, want %d in %d", step, index, at, last, model[last].Term)
		}
		for range 5 {
			i := rng.Uint64N(last + 5)
			var l hraft.Log
			err := s.GetLog(i, &l)
			want, ok := model[i]
			if ok != (err == nil) || err != nil && !errors.Is(err, hraft.ErrLogNotFound) {
				t.Fatalf("step %d: entry %d: %v", step, i, err)
			}
			if ok && fmt.Sprint(l) != fmt.Sprint(want) {
				t.Fatalf("step %d: entry %d is %v, want %v", step, i, l, want)
			}
		}
		if s.cache.bytes > 1<<10+512 || s.cache.bytes < 0 {
			t.Fatalf("the cache holds %d bytes", s.cache.bytes)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestStableStore(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openTestLog(t, disk)
	if n, err := s.GetUint64([]byte("CurrentTerm")); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if err := errors.Join(s.SetUint64([]byte("CurrentTerm"), 7), s.Set([]byte("LastVoteCand"), []byte("n2"))); err != nil {
		t.Fatal(err)
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = openTestLog(t, after)
	n, err := s.GetUint64([]byte("CurrentTerm"))
	v, err2 := s.Get([]byte("LastVoteCand"))
	if n != 7 || string(v) != "n2" || err != nil || err2 != nil {
		t.Error(n, v, err, err2)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
