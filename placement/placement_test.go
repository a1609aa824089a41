package placement_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/placement"
)

// cluster makes nodes 1, 2, ... with one store each, numbered ten times the node.
func cluster(available ...int64) *honeyant.Map {
	m := &honeyant.Map{}
	for i, a := range available {
		id := honeyant.NodeID(i + 1)
		m.Nodes = append(m.Nodes, honeyant.Node{ID: id, State: honeyant.NodeUp})
		m.Stores = append(m.Stores, honeyant.Store{ID: honeyant.StoreID(10 * id), Node: id, State: honeyant.StoreActive, Capacity: a, Available: a})
	}
	return m
}

func TestChooseCases(t *testing.T) {
	down := cluster(100, 100, 100)
	down.Nodes[1].State = honeyant.NodeDown
	failing := cluster(100, 100)
	failing.Stores[0].State = honeyant.StoreFailing
	draining := cluster(100, 100)
	draining.Stores[1].State = honeyant.StoreDraining
	pinned := honeyant.Policy{Placement: honeyant.PlacePinned, Pinned: []honeyant.StoreID{20, 30}}
	local := honeyant.Policy{Placement: honeyant.PlaceLocal}
	for name, tc := range map[string]struct {
		m    *honeyant.Map
		p    honeyant.Policy
		want int
		o    placement.Options
		any  []honeyant.StoreID // the sorted answer; nil: NoSpace
	}{
		"down node":           {down, honeyant.Policy{}, 3, placement.Options{}, []honeyant.StoreID{10, 30}},
		"failing store":       {failing, honeyant.Policy{}, 2, placement.Options{}, []honeyant.StoreID{20}},
		"draining store":      {draining, honeyant.Policy{}, 2, placement.Options{}, []honeyant.StoreID{10}},
		"too small":           {cluster(100, 10), honeyant.Policy{}, 2, placement.Options{Size: 11}, []honeyant.StoreID{10}},
		"all too small":       {cluster(100, 10), honeyant.Policy{}, 2, placement.Options{Size: 101}, nil},
		"full":                {cluster(0, 0), honeyant.Policy{}, 2, placement.Options{}, nil},
		"excluded":            {cluster(100, 100), honeyant.Policy{}, 2, placement.Options{Exclude: []honeyant.StoreID{20}}, []honeyant.StoreID{10}},
		"pinned":              {cluster(100, 100, 100), pinned, 3, placement.Options{Local: 1}, []honeyant.StoreID{20, 30}},
		"pinned is full":      {cluster(100, 0, 0), pinned, 1, placement.Options{}, nil},
		"local":               {cluster(1, 1e6, 1e6), local, 1, placement.Options{Local: 1}, []honeyant.StoreID{10}},
		"local full":          {cluster(0, 100), local, 1, placement.Options{Local: 1}, []honeyant.StoreID{20}},
		"local without store": {cluster(100), local, 1, placement.Options{Local: 9}, []honeyant.StoreID{10}},
		"no map":              {nil, honeyant.Policy{}, 1, placement.Options{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := placement.Choose(tc.m, tc.p, tc.want, tc.o)
			if tc.any == nil {
				if !errors.Is(err, honeyant.NoSpace) {
					t.Fatalf("%v, %v", got, err)
				}
				return
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, tc.any) {
				t.Errorf("%v, %v; want %v", got, err, tc.any)
			}
		})
	}
}

// [L1, L2] for any map.
func TestChooseAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &honeyant.Map{}
		for i := range rapid.IntRange(0, 6).Draw(t, "nodes") {
			id := honeyant.NodeID(i + 1)
			m.Nodes = append(m.Nodes, honeyant.Node{ID: id, State: honeyant.NodeState(rapid.IntRange(1, 4).Draw(t, "node state"))})
			for range rapid.IntRange(0, 3).Draw(t, "stores") {
				m.Stores = append(m.Stores, honeyant.Store{
					ID: honeyant.StoreID(len(m.Stores) + 1), Node: id, State: honeyant.StoreState(rapid.IntRange(1, 4).Draw(t, "state")),
					Available: rapid.Int64Range(0, 1000).Draw(t, "available"),
				})
			}
		}
		want := rapid.IntRange(1, 5).Draw(t, "want")
		o := placement.Options{Size: rapid.Int64Range(0, 500).Draw(t, "size"), Local: honeyant.NodeID(rapid.IntRange(0, 6).Draw(t, "local"))}
		got, err := placement.Choose(m, honeyant.Policy{Placement: honeyant.PlacementKind(2 * rapid.IntRange(0, 1).Draw(t, "local policy"))}, want, o)
		eligible := map[honeyant.NodeID]bool{}
		for _, s := range m.Stores {
			if n, _ := m.Node(s.Node); n.State == honeyant.NodeUp && s.State == honeyant.StoreActive && s.Available >= max(o.Size, 1) {
				eligible[s.Node] = true
			}
		}
		if len(got) != min(want, len(eligible)) || (err != nil) != (len(got) == 0) {
			t.Fatalf("%v, %v with %d eligible nodes", got, err, len(eligible))
		}
		used := map[honeyant.NodeID]bool{}
		for i, id := range got {
			s, ok := m.Store(id)
			if !ok || used[s.Node] || !eligible[s.Node] || s.State != honeyant.StoreActive || s.Available < o.Size {
				t.Fatalf("%v: %+v", got, s)
			}
			if s.Node == o.Local && i > 0 {
				t.Fatalf("%v: the local store is not the first", got)
			}
			used[s.Node] = true
		}
	})
}

// [L3] stores of unlike size are full at the same time, and all that Usable promised fitted.
func TestFillsInProportion(t *testing.T) {
	for _, tc := range []struct {
		sizes  []int64
		copies int
	}{
		{[]int64{1000, 1000, 1000}, 2}, {[]int64{1000, 2000, 3000}, 2}, {[]int64{1000, 1000, 9000}, 2},
		{[]int64{500, 1000, 2000, 4000}, 3}, {[]int64{1000, 3000}, 1}, {[]int64{700, 800, 900, 1000, 5000}, 2},
	} {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		m := cluster(tc.sizes...)
		total, available := placement.Usable(m, tc.copies)
		if total != available {
			t.Fatalf("an empty cluster: total %d, available %d", total, available)
		}
		var done int64
		for {
			got, err := placement.Choose(m, honeyant.Policy{}, tc.copies, placement.Options{Size: 1, Rand: r.Uint64})
			if err != nil || len(got) < tc.copies {
				break
			}
			done++
			for _, id := range got {
				m.Stores[id/10-1].Available--
			}
			if done == total/2 { // half full: those that are not capped are equally full
				least, most := math.Inf(1), 0.0
				for i, s := range m.Stores {
					if s.Capacity < total {
						fill := 1 - float64(s.Available)/float64(tc.sizes[i])
						least, most = min(least, fill), max(most, fill)
					}
				}
				if most-least > 0.12 {
					t.Errorf("sizes %v, seed %d: fill from %.2f to %.2f", tc.sizes, seed, least, most)
				}
			}
		}
		if float64(done) < 0.98*float64(total) || done > total {
			t.Errorf("sizes %v, copies %d, seed %d: %d fitted of %d promised", tc.sizes, tc.copies, seed, done, total)
		}
	}
}

func TestUsable(t *testing.T) {
	for _, tc := range []struct {
		sizes  []int64
		copies int
		want   int64
	}{
		{nil, 2, 0}, {[]int64{100}, 1, 100}, {[]int64{100}, 2, 100}, {[]int64{100, 100}, 2, 100},
		{[]int64{100, 50}, 2, 50}, {[]int64{100, 50, 50}, 2, 100}, {[]int64{1000, 50, 50}, 2, 100},
		{[]int64{1000, 1000, 50}, 3, 50}, {[]int64{1000, 1000, 50, 50}, 3, 100}, {[]int64{90, 60, 30}, 2, 90},
	} {
		if total, available := placement.Usable(cluster(tc.sizes...), tc.copies); total != tc.want || available != tc.want {
			t.Errorf("%v, %d copies: %d, %d; want %d", tc.sizes, tc.copies, total, available, tc.want)
		}
	}
	m := cluster(100, 100, 100)
	m.Nodes[2].State = honeyant.NodeDown
	m.Stores[0].Available = 30
	if total, available := placement.Usable(m, 2); total != 150 || available != 30 {
		t.Errorf("one node down: %d, %d", total, available)
	}
}

func BenchmarkChoose(b *testing.B) {
	m := cluster(1000, 2000, 3000, 4000, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := placement.Choose(m, honeyant.Policy{}, 2, placement.Options{Size: 10}); err != nil {
			b.Fatal(err)
		}
	}
}
