package remote_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/rpctest"
)

// jotterOp is an operation on a name in one of two directories, or on the owner of the file "reg".
type jotterOp struct {
	name  string
	op    string // create, unlink, lookup, move; set, get
	at    int    // the directory
	value uint64
}

// jotterModel has the inode numbers that a name stands for in the two directories, or the register's value.
var jotterModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, op := range all {
			name := op.Input.(jotterOp).name
			by[name] = append(by[name], op)
		}
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return [2]uint64{} },
	Step: func(state, input, output any) (bool, any) {
		s, in := state.([2]uint64), input.(jotterOp)
		kind, failed := output.(honeyant.Kind)
		value, _ := output.(uint64)
		there := s[in.at]
		switch in.op {
		case "create":
			if failed {
				return there != 0 && kind == honeyant.Exist, s
			}
			s[in.at] = value
			return there == 0, s
		case "unlink":
			s[in.at] = 0
			return failed == (there == 0) && (!failed || kind == honeyant.NotExist), s
		case "lookup":
			return failed == (there == 0) && (!failed || kind == honeyant.NotExist) && value == there, s
		case "move":
			if !failed {
				s[1-in.at], s[in.at] = there, 0
			}
			return failed == (there == 0) && (!failed || kind == honeyant.NotExist), s
		case "set":
			s[0] = in.value
			return !failed, s
		}
		return !failed && value == s[0], s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

// jotters is a run of several jotters over a colony in trouble.
type jotters struct {
	t    *testing.T
	c    *colony
	dirs [2]honeyant.Ino
	reg  honeyant.Ino
	all  []*jotter

	roads []*rpctest.Road // of the sessions

	mu  sync.Mutex // guards below
	ops []porcupine.Operation
}

func newJotters(t *testing.T, seed uint64) *jotters {
	r := &jotters{t: t, c: founded(t)}
	l := r.c.leaders[0].Direct()
	for i := range r.dirs {
		r.dirs[i] = must(t, l, &meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: fmt.Sprint("d", i), Mode: honeyant.ModeDir | 0o755}).Attr.Ino
	}
	r.reg = must(t, l, create("reg")).Attr.Ino
	for n := range 3 {
		road := rpctest.NewRoad(r.c, 2*time.Millisecond, 10, seed, uint64(n))
		road.Most = 20 * time.Millisecond
		r.roads = append(r.roads, road)
		o := r.c.options()
		o.Caller, o.Clock = road, func() time.Duration { return 0 }
		r.all = append(r.all, newJotter(t, r.c.open(o), seed+uint64(n)))
	}
	return r
}

// do carries out one operation and remembers it.
func (r *jotters) do(client int, j *jotter, in jotterOp) {
	var op meta.Op
	switch in.op {
	case "create":
		op = &meta.Make{Volume: 1, Parent: r.dirs[in.at], Name: in.name, Mode: honeyant.ModeFile | 0o644, Exclusive: true}
	case "unlink":
		op = &meta.Unlink{Volume: 1, Parent: r.dirs[in.at], Name: in.name}
	case "lookup":
		op = &meta.Lookup{Volume: 1, Parent: r.dirs[in.at], Name: in.name}
	case "move":
		op = &meta.Rename{Volume: 1, OldParent: r.dirs[in.at], OldName: in.name, NewParent: r.dirs[1-in.at], NewName: in.name}
	case "set":
		op = &meta.SetAttr{Volume: 1, Ino: r.reg, Valid: meta.SetUID, UID: uint32(in.value)}
	case "get":
		op = &meta.GetAttr{Volume: 1, Ino: r.reg}
	}
	call := time.Now().UnixNano()
	reply, err := j.do(op)
	var out any
	switch re := reply.(type) {
	case *meta.EntryReply:
		out = uint64(re.Attr.Ino)
	case *meta.AttrReply:
		out = uint64(re.Attr.UID)
	}
	if err != nil {
		out = honeyant.KindOf(err)
		if errors.Is(err, honeyant.Unavailable) || errors.Is(err, honeyant.Interrupted) {
			r.t.Errorf("%+v: no answer: %v", in, err) // troubles are shorter than deadlines
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: time.Now().UnixNano()})
}

// run has nine clients, three a session, do what they like while trouble goes on beside them.
func (r *jotters) run(seed uint64, each int, trouble func(rng *rand.Rand)) {
	began := time.Now()
	var clients sync.WaitGroup
	for id := range 9 {
		j, rng := r.all[id%3], rand.New(rand.NewPCG(seed, uint64(id)+100))
		clients.Go(func() {
			home := rng.IntN(3) // it stays with one name most of the time
			for n := range each {
				if rng.IntN(20) == 0 {
					home = rng.IntN(4)
				}
				in := jotterOp{name: string(rune('a' + home)), at: rng.IntN(2), op: []string{"create", "create", "unlink", "lookup", "lookup", "move"}[rng.IntN(6)]}
				if home == 3 {
					in = jotterOp{name: "reg", op: []string{"set", "get"}[rng.IntN(2)], value: uint64(id*1000 + n + 1)}
				}
				r.do(id, j, in)
				pause := 2 * time.Second
				if time.Since(began)/(4*time.Second)%3 == time.Duration(id%3) { // one session after another is busy
					pause = 10 * time.Millisecond
				}
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(pause)))
			}
		})
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		rng := rand.New(rand.NewPCG(seed, 99))
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rng.ExpFloat64() * float64(500*time.Millisecond))):
				trouble(rng)
			}
		}
	}()
	clients.Wait()
	close(over)
	<-ended
}

// end gives everything back and looks at what is left.
func (r *jotters) end() (local, asked, refused int64, lost int) {
	for _, j := range r.all {
		var files []meta.OpenFile
		j.work.Wait()
		for _, f := range j.held() {
			files = append(files, f.OpenFile)
		}
		j.mu.Lock()
		j.leave(files)
		j.mu.Unlock()
		j.giveBack(files)
		j.work.Wait()
		local, asked, refused = local+j.local.Load(), asked+j.asked.Load(), refused+j.refused.Load()
		lost += j.lost
	}
	for n := range r.roads {
		r.do(100+n, r.all[n], jotterOp{name: "reg", op: "get"})
		for _, name := range []string{"a", "b", "c"} {
			for at := range r.dirs {
				r.do(100+n, r.all[n], jotterOp{name: name, op: "lookup", at: at})
			}
		}
	}
	if found, err := meta.Check(r.c.r.DBs[0]); err != nil || len(found) > 0 {
		r.t.Error(found, err)
	}
	return local, asked, refused, lost
}

// trouble cuts one of the three roads of so many ways to make trouble; the others make another node lead.
func (r *jotters) trouble(ways int, longest time.Duration) func(*rand.Rand) {
	return func(rng *rand.Rand) {
		n := rng.IntN(ways)
		if n >= len(r.roads) {
			r.change(rng)
			return
		}
		if time.Since(r.roads[n].CutUntil()) > time.Second { // it has had time to come back
			r.roads[n].CutFor(time.Duration(rng.Int64N(int64(longest))))
		}
	}
}

// change makes another node lead, or the same one again.
func (r *jotters) change(rng *rand.Rand) {
	for i := range 3 {
		if r.c.leaders[i] != nil {
			r.c.stop(i)
			time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
			r.c.lead((i + rng.IntN(3)) % 3)
			return
		}
	}
}

// What three sessions do under exclusive leases, at the leader, and through changes of the leader, is linearizable as
// long as nobody is out of touch for longer than leases last, and nothing of it is lost.
func TestExclusiveLeasesAreLinearizable(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			r := newJotters(t, seed)
			time.Sleep(time.Second)
			r.run(seed, 100, r.trouble(5, 300*time.Millisecond))
			local, asked, refused, lost := r.end()
			t.Logf("seed %d: %d operations, %d local, %d asked", seed, len(r.ops), local, asked)
			if refused > 0 || lost > 0 {
				t.Errorf("seed %d: %d refused, %d lost", seed, refused, lost)
			}
			if local == 0 || asked == 0 {
				t.Errorf("seed %d: nothing was tried", seed)
			}
			if result, _ := porcupine.CheckOperationsVerbose(jotterModel, r.ops, 0); result != porcupine.Ok {
				t.Errorf("seed %d: not linearizable", seed)
			}
		})
	}
}

// Sessions that are cut off for longer lose what others wanted meanwhile, and only that; everybody goes on, and the
// metadata are sound.
func TestLongCuts(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			r := newJotters(t, seed)
			time.Sleep(time.Second)
			r.run(seed, 100, r.trouble(4, 8*time.Second))
			time.Sleep(20 * time.Second)
			local, asked, refused, lost := r.end()
			t.Logf("seed %d: %d operations, %d local, %d asked, %d refused, %d lost", seed, len(r.ops), local, asked, refused, lost)
		})
	}
}
