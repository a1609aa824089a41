package clustertest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
)

// history records what concurrent clients asked and were told, for porcupine.
type history struct {
	clients atomic.Int64

	mu  sync.Mutex // guards ops
	ops []porcupine.Operation
}

// recorder is one client of a history. A client whose operation had no answer is a new one
// afterwards: the old operation may take effect at any later time.
type recorder struct {
	h  *history
	id int
}

func (h *history) recorder() *recorder { return &recorder{h, int(h.clients.Add(1))} }

// unknown tells whether an error leaves open what was done.
func unknown(err error) bool {
	return errors.Is(err, honeyant.Unavailable) || errors.Is(err, honeyant.Interrupted) || errors.Is(err, honeyant.Fenced)
}

// op runs one operation; a read without an answer is left out.
func (r *recorder) op(input any, read bool, do func() (output any, known bool)) {
	call := time.Now().UnixNano()
	output, known := do()
	back := time.Now().UnixNano()
	if !known {
		if read {
			return
		}
		output, back = nil, math.MaxInt64
	}
	r.h.mu.Lock()
	r.h.ops = append(r.h.ops, porcupine.Operation{ClientId: r.id, Input: input, Call: call, Output: output, Return: back})
	r.h.mu.Unlock()
	if !known {
		r.id = int(r.h.clients.Add(1))
	}
}

// check fails the test if there is no order of the operations that explains all answers.
func (h *history) check(t testing.TB, model porcupine.Model) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	open := 0
	for _, op := range h.ops {
		if op.Return == math.MaxInt64 {
			open++
		}
	}
	t.Logf("%d operations, %d of them without an answer", len(h.ops), open)
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, time.Hour)
	if result == porcupine.Ok {
		return
	}
	t.Error("the history is not linearizable; the longest order that explains answers ends with, and can not go on with:")
	parts := [][]porcupine.Operation{h.ops}
	if model.Partition != nil {
		parts = model.Partition(h.ops)
	}
	for i, orders := range info.PartialLinearizationsOperations() {
		var longest []porcupine.Operation
		for _, o := range orders {
			if len(o) > len(longest) {
				longest = o
			}
		}
		if len(longest) < len(parts[i]) {
			h.explain(t, model, longest, parts[i])
		}
	}
}

// explain logs where an order breaks off.
func (h *history) explain(t testing.TB, model porcupine.Model, order, all []porcupine.Operation) {
	line := func(op porcupine.Operation) string {
		back := "never"
		if op.Return != math.MaxInt64 {
			back = fmt.Sprint((op.Return - all[0].Call) / 1000)
		}
		return fmt.Sprintf("client %3d  %9d .. %9s us  %s", op.ClientId, (op.Call-all[0].Call)/1000, back, model.DescribeOperation(op.Input, op.Output))
	}
	type key struct {
		client int
		call   int64
	}
	placed := map[key]bool{}
	for i, op := range order {
		placed[key{op.ClientId, op.Call}] = true
		if i >= len(order)-25 {
			t.Log("    ", line(op))
		}
	}
	left := slices.DeleteFunc(slices.Clone(all), func(op porcupine.Operation) bool { return placed[key{op.ClientId, op.Call}] })
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for i, op := range left {
		if i < 8 || op.Return == math.MaxInt64 {
			t.Log("left ", line(op))
		}
	}
}

// trouble kills leaders and cuts links at random for a while, then lets all be well.
func trouble(c *clustertest.Cluster, rounds int) {
	c.TB.Helper()
	for range rounds {
		clustertest.Sleep(time.Duration(500+c.Rand.IntN(3000)) * time.Millisecond)
		a := honeyant.NodeID(1 + c.Rand.IntN(3))
		b := a%3 + 1
		hold := time.Duration(200+c.Rand.IntN(12_000)) * time.Millisecond
		switch kind := c.Rand.IntN(6); kind {
		case 0:
			a = c.Leader().ID
			c.Kill(a)
			clustertest.Sleep(hold)
			c.Start(a)
		case 1:
			c.PowerOff(a)
			clustertest.Sleep(hold)
			c.Start(a)
		case 2:
			c.World.Isolate(c.Leader().ID)
		case 3:
			c.World.Isolate(a)
		case 4:
			c.World.CutOneWay(a, b)
		case 5:
			for _, h := range c.Hosts() {
				if h.ID != a {
					c.World.Delay(a, h.ID, 200*time.Millisecond)
				}
			}
		}
		clustertest.Sleep(hold)
		c.Heal()
	}
	c.Settle()
}

// clients run do on each node, n on each, until disturb returns.
func clients(c *clustertest.Cluster, n int, do func(h *clustertest.Host, rng *rand.Rand, number int), disturb func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	number := 0
	for _, h := range c.Hosts() {
		for range n {
			number++
			number := number
			rng := rand.New(rand.NewPCG(c.Seed, uint64(number)))
			wg.Go(func() {
				for !done.Load() {
					if h.Node() != nil {
						do(h, rng, number)
					}
					clustertest.Sleep(time.Duration(20+rng.IntN(400)) * time.Millisecond)
				}
			})
		}
	}
	disturb()
	done.Store(true)
	wg.Wait()
}

// patience bounds each operation of these clients. Most outlast the troubles: each operation
// without an answer makes the check of the history longer by a factor.
func patience(rng *rand.Rand) (context.Context, context.CancelFunc) {
	d := 30 * time.Second
	if rng.IntN(8) == 0 {
		d = time.Second
	}
	return context.WithTimeout(context.Background(), d)
}
