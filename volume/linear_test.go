package volume_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/rpctest"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// linearOp is an operation on a name, or on the size of the file "reg".
type linearOp struct {
	name  string
	op    string // create, unlink, lookup; set, get
	value uint64
}

var linearModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range all {
			name := op.Input.(linearOp).name
			by[name] = append(by[name], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	// The state of a name is its inode number, 0 if it is not there; that of the register its value.
	// An output is an inode number or a value, or a Kind if it failed.
	Step: func(state, input, output any) (bool, any) {
		at, in := state.(uint64), input.(linearOp)
		kind, failed := output.(honeyant.Kind)
		value, _ := output.(uint64)
		switch in.op {
		case "create":
			if failed {
				return at != 0 && kind == honeyant.Exist, at
			}
			return at == 0, value
		case "unlink":
			if failed {
				return at == 0 && kind == honeyant.NotExist, at
			}
			return at != 0, uint64(0)
		case "lookup":
			if failed {
				return at == 0 && kind == honeyant.NotExist, at
			}
			return at == value, at
		case "set":
			return !failed, in.value
		}
		return !failed && value == at, at
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

// Names and attributes are linearizable over three nodes that remember them, over slow and broken ways to the
// leader, and changes of the epoch.
func TestNamesAreLinearizable(t *testing.T) {
	for range 3 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) { linearRun(t, seed) })
	}
}

func linearRun(t *testing.T, seed uint64) {
	t.Logf("seed %d", seed)
	c := volumetest.NewCluster(t, 1, 1<<30)
	var volumes []*volume.Volume
	var roads []*rpctest.Road
	for i := range 3 {
		v, _, r := openOverRoad(t, c, [2]uint64{seed, uint64(i)}, func(o *volume.Options) { o.TakeNames = i }) // 0: as many as fit
		r.Bound(20*time.Millisecond, 20)
		volumes, roads = append(volumes, v), append(roads, r)
	}
	reg, err := volumes[0].Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: "reg", Mode: honeyant.ModeFile | 0o644})
	if err != nil {
		t.Fatal(err)
	}
	if err := volumes[0].Sync(bg); err != nil { // the others get its number from nobody that the leader knows of
		t.Fatal(err)
	}
	var mu sync.Mutex
	var ops []porcupine.Operation
	var clients sync.WaitGroup
	for id := range 9 {
		v, rng := volumes[id%3], rand.New(rand.NewPCG(seed, uint64(id)+100))
		clients.Go(func() {
			for n := range 80 {
				in := linearOp{name: string(rune('a' + rng.IntN(3))), op: []string{"create", "unlink", "lookup", "lookup", "lookup", "lookup", "set", "get", "get", "get"}[rng.IntN(10)]}
				if in.op == "set" || in.op == "get" {
					in.name, in.value = "reg", uint64(id*1000+n+1)
				}
				call := time.Now().UnixNano()
				out, err := linearDo(v, reg.Ino, in)
				if err != nil {
					out = honeyant.KindOf(err)
				}
				op := porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: time.Now().UnixNano()}
				if honeyant.KindOf(err) == honeyant.Unavailable && err != nil {
					t.Error("no answer: ", err) // troubles are shorter than deadlines
				}
				mu.Lock()
				ops = append(ops, op)
				mu.Unlock()
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(10*time.Millisecond)))
			}
		})
	}
	// Cuts shorter than leases last. Who is out of touch for longer may keep what it changed though others have looked meanwhile
	// and seen the state before (decision 0015): then the history would not be one.
	end := trouble(c, roads, seed, 500*time.Millisecond, 400*time.Millisecond)
	clients.Wait()
	end()
	hits, misses, recalls, local, lost := uint64(0), uint64(0), uint64(0), uint64(0), uint64(0)
	for _, v := range volumes {
		st := v.Stats()
		hits, misses, recalls = hits+st.Names.Hits, misses+st.Names.Misses, recalls+st.Names.Recalls
		local, lost = local+st.Journal.Local, lost+st.Journal.Lost
	}
	t.Logf("%d operations, %d hits, %d misses, %d recalls, %d local, %d lost", len(ops), hits, misses, recalls, local, lost)
	if lost > 0 {
		t.Errorf("%d changes were lost, though nobody was cut off for longer than leases last", lost)
	}
	if hits == 0 || recalls == 0 {
		t.Error("nothing was remembered or recalled")
	}
	if result, _ := porcupine.CheckOperationsVerbose(linearModel, ops, 0); result != porcupine.Ok {
		t.Errorf("seed %d: not linearizable", seed)
		for _, part := range linearModel.Partition(ops) {
			if porcupine.CheckOperations(linearModel, part) {
				continue
			}
			first := part[0].Call
			for _, op := range part {
				first = min(first, op.Call)
			}
			slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
			for _, op := range part {
				t.Logf("%6d-%6d ms client %d (node %d) %s", (op.Call-first)/1e6, (op.Return-first)/1e6, op.ClientId, op.ClientId%3, linearModel.DescribeOperation(op.Input, op.Output))
			}
		}
	}
}

func linearDo(v *volume.Volume, reg honeyant.Ino, in linearOp) (any, error) {
	switch in.op {
	case "create":
		a, err := v.Make(bg, volume.NewNode{Parent: honeyant.RootIno, Name: in.name, Mode: honeyant.ModeFile | 0o644})
		return uint64(a.Ino), err
	case "unlink":
		return uint64(0), v.Unlink(bg, honeyant.RootIno, in.name)
	case "lookup":
		a, err := v.Lookup(bg, honeyant.RootIno, in.name)
		return uint64(a.Ino), err
	case "set":
		_, err := v.SetAttr(bg, &meta.SetAttr{Ino: reg, Valid: meta.SetUID, UID: uint32(in.value)})
		return in.value, err
	}
	a, err := v.GetAttr(bg, reg)
	return uint64(a.UID), err
}
