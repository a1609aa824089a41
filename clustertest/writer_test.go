package clustertest_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/clustertest"
)

// writer is a program that makes, overwrites, links, renames and removes files in a directory of its
// own and remembers what it was told.
type writer struct {
	t       testing.TB
	c       *clustertest.Cluster
	files   clustertest.Files
	dir     string
	rng     *rand.Rand
	largest int  // bytes
	pause   int  // ms at most, between two operations
	life    int  // of the node
	cut     bool // its node can not reach all others: operations may fail, with an errno in time

	mu      sync.Mutex // guards all below
	present map[string][]byte
	unknown map[string]doubt   // names an operation was under way on when its node died
	recent  []map[string]doubt // effects of operations since the last sync, which a death of the node may undo
	ops     int
	stall   time.Duration // the longest that an operation took
	stalled string
	number  int
}

// doubt is what may be found under a name after an operation without an answer.
type doubt struct {
	before, after []byte // nil: nothing
	writing       bool   // any part of after may be there
	also          []doubt
}

// allows tells whether bytes, or nothing if there is false, may be found.
func (d *doubt) allows(got []byte, there bool) bool {
	if !there && (d.before == nil || d.after == nil) {
		return true
	}
	if there && (d.before != nil && bytes.Equal(got, d.before) || d.after != nil && bytes.Equal(got, d.after) || d.writing && bytes.HasPrefix(d.after, got)) {
		return true
	}
	for i := range d.also {
		if d.also[i].allows(got, there) {
			return true
		}
	}
	return false
}

func newWriter(c *clustertest.Cluster, id honeyant.NodeID, dir string, largest int) *writer {
	w := &writer{t: c.TB, c: c, files: clustertest.Files{Host: c.Host(id), Unsynced: true}, rng: rand.New(rand.NewPCG(c.Seed, uint64(id))),
		largest: largest, pause: 100, present: map[string][]byte{}, unknown: map[string]doubt{}}
	w.dir, w.life = dir, w.files.Host.Lives()
	if err := (clustertest.Files{Host: w.files.Host}).Mkdir(context.Background(), w.dir); err != nil {
		c.TB.Fatal(err)
	}
	return w
}

// run works until stop is closed or its node dies. While the node lives each operation must
// succeed: whatever happens to others is only slow.
func (w *writer) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if !w.step() {
			return
		}
		clustertest.Sleep(time.Duration(w.rng.IntN(w.pause)) * time.Millisecond)
	}
}

func (w *writer) content() []byte {
	n := w.rng.IntN(6000)
	if w.rng.IntN(4) == 0 {
		n = w.rng.IntN(w.largest)
	}
	b := make([]byte, n+1)
	seed := w.rng.Uint64()
	for i := 0; i < len(b); i += 8 {
		seed = seed*6364136223846793005 + 1442695040888963407
		for j := range min(8, len(b)-i) {
			b[i+j] = byte(seed >> (8 * j))
		}
	}
	return b
}

func (w *writer) fresh() string {
	w.number++
	return fmt.Sprintf("%s/%05d", w.dir, w.number)
}

func (w *writer) some() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.present) == 0 {
		return ""
	}
	names := make([]string, 0, len(w.present))
	for name := range w.present {
		names = append(names, name)
	}
	slices.Sort(names)
	return names[w.rng.IntN(len(names))]
}

// step does one operation; it says no when the node is dead.
func (w *writer) step() bool {
	ctx := context.Background()
	name, kind := w.some(), w.rng.IntN(10)
	if name == "" {
		kind = 0
	}
	switch kind {
	default:
		name, data := w.fresh(), w.content()
		return w.try("create", func() error { return w.files.Create(ctx, name, data) }, map[string]doubt{name: {before: nil, after: data, writing: true}})
	case 5, 6:
		data := w.content()
		return w.try("put", func() error { return w.files.Put(ctx, name, data) }, map[string]doubt{name: {before: w.present[name], after: data, writing: true}})
	case 7:
		to := w.fresh()
		data := w.present[name]
		return w.try("rename", func() error { return w.files.Rename(ctx, name, to, false) }, map[string]doubt{name: {before: data, after: nil, writing: false}, to: {before: nil, after: data, writing: false}})
	case 8:
		return w.try("remove", func() error { return w.files.Remove(ctx, name) }, map[string]doubt{name: {before: w.present[name], after: nil, writing: false}})
	case 9:
		to := w.some()
		data := w.present[name]
		if to == name {
			return true
		}
		return w.try("rename over", func() error { return w.files.Rename(ctx, name, to, true) }, map[string]doubt{name: {before: data, after: nil, writing: false}, to: {before: w.present[to], after: data, writing: false}})
	}
}

func (w *writer) try(what string, do func() error, effect map[string]doubt) bool {
	began := time.Now()
	err := do()
	took := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	if took > w.stall {
		w.stall, w.stalled = took, what
	}
	if err == nil && w.files.Unsynced {
		w.recent = append(w.recent, effect)
	}
	for name, d := range effect {
		switch {
		case err != nil:
			w.doubts(name, d)
		case d.after == nil:
			delete(w.present, name)
		default:
			w.present[name] = d.after
		}
	}
	if err == nil {
		w.ops++
		return w.sync()
	}
	if w.cut && took < maxWait {
		return true
	}
	if w.files.Host.Node() == nil || w.files.Host.Lives() != w.life {
		w.died()
		return false
	}
	w.t.Errorf("%s on %v after %v: %v", what, w.files.Host.ID, took, err)
	return false
}

// doubts notes that a name may be in either state.
func (w *writer) doubts(name string, d doubt) {
	delete(w.present, name)
	if old, ok := w.unknown[name]; ok {
		d.also = append(d.also, old)
	}
	w.unknown[name] = d
}

// sync makes what was done durable now and then; it says no if the node is dead.
func (w *writer) sync() bool {
	if w.rng.IntN(4) > 0 {
		return true
	}
	if err := w.files.Sync(context.Background()); err == nil {
		w.recent = nil
	} else if w.files.Host.Node() == nil || w.files.Host.Lives() != w.life {
		w.died()
		return false
	} else if w.cut {
		w.died() // who is cut off for long counts as crashed
	} else {
		w.t.Errorf("sync on %v: %v", w.files.Host.ID, err)
	}
	return true
}

// died leaves open what was not synced when the node died.
func (w *writer) died() {
	for _, effect := range w.recent {
		for name, d := range effect {
			d.writing = true // names and bytes are not committed together
			w.doubts(name, d)
		}
	}
	w.recent = nil
}

// maxWait is the longest that a call may take whatever happens: its deadline and what it takes to give up.
const maxWait = 40 * time.Second

// verify compares what is there, seen from another node, with what was acknowledged.
func (w *writer) verify(from honeyant.NodeID) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx := context.Background()
	f := clustertest.Files{Host: w.c.Host(from)}
	names, err := f.List(ctx, w.dir)
	if err != nil {
		w.t.Fatalf("list %s on %v: %v", w.dir, from, err)
	}
	there := map[string]bool{}
	for _, name := range names {
		name = w.dir + "/" + name
		if there[name] {
			w.t.Errorf("%s is listed twice", name)
		}
		there[name] = true
		_, known := w.present[name]
		d, doubtful := w.unknown[name]
		if !known && !doubtful {
			w.t.Errorf("%s is there and should not be", name)
		}
		if !doubtful {
			continue
		}
		got, err := f.Get(ctx, name)
		if err != nil || !d.allows(got, true) {
			w.t.Errorf("%s: %d bytes that are neither the old %d nor the new %d: %v", name, len(got), len(d.before), len(d.after), err)
		}
	}
	for name, d := range w.unknown {
		if !there[name] && !d.allows(nil, false) {
			w.t.Errorf("%s is gone", name)
		}
	}
	for name, want := range w.present {
		if got, err := f.Get(ctx, name); err != nil || !bytes.Equal(got, want) {
			w.t.Errorf("%s was acknowledged with %d bytes, there are %d: %v", name, len(want), len(got), err)
		}
	}
	w.t.Logf("%s: %d operations, %d files, %d in doubt, longest %v (%s)", w.dir, w.ops, len(w.present), len(w.unknown), w.stall.Round(time.Millisecond), w.stalled)
}

// writersOn makes a writer on each node.
func writersOn(c *clustertest.Cluster, name string, largest int) (list []*writer) {
	c.TB.Helper()
	for _, h := range c.Hosts() {
		list = append(list, newWriter(c, h.ID, fmt.Sprintf("%s-%v", name, h.ID), largest))
	}
	return list
}

// noLonger checks that no operation on a node that was neither dead nor cut off took longer.
func noLonger(writers []*writer, most time.Duration) {
	for _, w := range writers {
		if w.stall > most && !w.cut && w.files.Host.Lives() == w.life {
			w.t.Errorf("%s on %v took %v", w.stalled, w.files.Host.ID, w.stall)
		}
	}
}

// work runs writers while disturb runs, then verifies them from all running nodes in turn.
func work(c *clustertest.Cluster, writers []*writer, disturb func()) {
	c.TB.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { w.run(stop) })
	}
	disturb()
	close(stop)
	wg.Wait()
	for _, w := range writers { // somebody may die before the next ones work
		w.mu.Lock()
		if w.files.Host.Node() == nil || w.files.Host.Lives() != w.life || w.cut {
			w.died() // who is cut off for long counts as crashed
		}
		if w.files.Host.Node() == nil {
			w.mu.Unlock()
			continue
		}
		if err := w.files.Sync(context.Background()); err != nil && !w.cut {
			w.t.Errorf("sync on %v: %v", w.files.Host.ID, err)
		}
		w.mu.Unlock()
	}
}

// verify compares what is there with what was acknowledged, and checks the metadata; see fsck.
func verify(c *clustertest.Cluster, writers []*writer, expected ...string) {
	c.TB.Helper()
	var from []honeyant.NodeID
	for _, h := range c.Hosts() {
		if h.Node() != nil {
			from = append(from, h.ID)
		}
	}
	for i, w := range writers {
		w.verify(from[i%len(from)])
	}
	fsck(c, expected...)
}

// fsck checks the metadata in themselves and against what the stores hold. Faults may only be those expected.
func fsck(c *clustertest.Cluster, expected ...string) {
	c.TB.Helper()
	var r admin.FsckReport
	if err := c.Leader().Command("fsck", nil, &r); err != nil {
		c.TB.Fatalf("fsck: %v", err)
	}
	r.Faults = slices.DeleteFunc(r.Faults, func(fault string) bool {
		return slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(fault, e) })
	})
	if len(r.Faults) > 0 || r.Missing > 0 || !r.OK && len(expected) == 0 {
		c.TB.Errorf("fsck: %+v", r)
	}
}
