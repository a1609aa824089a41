package advice

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/placement"
)

// Way is where a colony puts its data.
type Way string

// Spread over equal workers; a first copy on the writer's own machine; on a few fat machines,
// the honeypots; in a bucket, with the machines as its clients.
const (
	WaySpread Way = "spread"
	WayLocal  Way = "local"
	WayPinned Way = "pinned"
	WayBucket Way = "bucket"
)

// Bucket is a store behind the colony. Its speed is assumed unless it was measured.
type Bucket struct {
	Offer   Offer
	Stream  Figure // MB/s of one request
	Latency Figure // ms until the first byte, or until a small write is kept
}

// Colony is a set of machines and a way to use them.
type Colony struct {
	Machines []Machine
	Way      Way
	Copies   int   // full copies; 0 with an erasure code
	K, M     int   // erasure code: any K of K+M parts suffice
	Pots     []int // WayPinned: which machines store
	Bucket   *Bucket
	StoredGB float64 // how much is kept in it, for healing and for buckets; 0: as much as fits
}

// Validate reports everything that makes a colony impossible, in one error of kind Invalid.
func (c *Colony) Validate() error {
	var faults []error
	say := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Machines) == 0 {
		say("no machines")
	}
	switch c.Way {
	case WaySpread, WayLocal, WayPinned:
	case WayBucket:
		if c.Bucket == nil {
			say("no bucket is named")
		}
	default:
		say("no such placement: %q", c.Way)
	}
	if stores := len(c.stores()); c.Way != WayBucket && c.parts() > stores {
		say("%d copies or parts want as many machines that store, and there are %d", c.parts(), stores)
	}
	if c.K < 0 || c.M < 0 || c.K == 0 && c.M > 0 || c.K > 0 && c.M == 0 {
		say("an erasure code wants k and m of at least 1")
	}
	if c.K == 0 && c.Copies < 1 && c.Way != WayBucket {
		say("at least one copy is needed")
	}
	if c.StoredGB < 0 || math.IsNaN(c.StoredGB) {
		say("the amount of data is negative")
	}
	for _, m := range c.Machines {
		for name, f := range map[string]Figure{"disk": m.DiskGB, "net": m.Net, "disk writing": m.DiskWrite, "disk reading": m.DiskRead, "fsync": m.Fsync, "round trip": m.RTT, "processors": m.Cores} {
			if f.Value < 0 || math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Value == 0 && name != "disk" && name != "fsync" && name != "round trip" {
				say("%s: %s of %g is no figure", m.Name, name, f.Value)
			}
		}
	}
	if len(faults) > 0 {
		return honeyant.E("advice.Plan", honeyant.Invalid, "", errors.Join(faults...))
	}
	return nil
}

// parts is on how many machines something of each chunk is.
func (c *Colony) parts() int {
	if c.K > 0 {
		return c.K + c.M
	}
	return c.Copies
}

// perByte is how many bytes are stored for each byte of a file.
func (c *Colony) perByte() float64 {
	if c.K > 0 {
		return float64(c.K+c.M) / float64(c.K)
	}
	return float64(c.Copies)
}

// tolerance is how many stores can be lost at once.
func (c *Colony) tolerance() int {
	if c.K > 0 {
		return c.M
	}
	return c.Copies - 1
}

// stores are the machines that keep data.
func (c *Colony) stores() []int {
	if c.Way == WayBucket {
		return nil
	}
	var all []int
	for i, m := range c.Machines {
		if m.DiskGB.Value > 0 && (c.Way != WayPinned || slices.Contains(c.Pots, i)) {
			all = append(all, i)
		}
	}
	return all
}

// voters is how many machines keep the metadata: 3 from three machines on, else 1.
func (c *Colony) voters() int {
	if len(c.Machines) >= 3 {
		return 3
	}
	return 1
}

// usable is how many GB of files fit on some of the stores, by the rule that placement itself uses.
func (c *Colony) usable(stores []int) float64 {
	m := &honeyant.Map{}
	for _, i := range stores {
		id := uint64(i + 1)
		m.Nodes = append(m.Nodes, honeyant.Node{ID: honeyant.NodeID(id), State: honeyant.NodeUp})
		m.Stores = append(m.Stores, honeyant.Store{ID: honeyant.StoreID(id), Node: honeyant.NodeID(id), State: honeyant.StoreActive,
			Capacity: int64(c.Machines[i].DiskGB.Value * (1 - reserveOfStore) * 1e9)})
	}
	if len(stores) < c.parts() {
		return 0
	}
	total, _ := placement.Usable(m, c.parts())
	return float64(total) / 1e9 * float64(c.parts()) / c.perByte()
}

// shares is the part of each byte written by machine w that each machine gets to keep; the sum
// is perByte. Stores fill in proportion to their size, at most one copy each (rule L3 of package placement).
func (c *Colony) shares(w int) []float64 {
	share := make([]float64, len(c.Machines))
	if c.Way == WayBucket {
		return share
	}
	open, left := c.stores(), float64(c.parts())
	if c.Way == WayLocal && slices.Contains(open, w) {
		share[w] = 1
		left--
		open = slices.DeleteFunc(open, func(i int) bool { return i == w })
	}
	for len(open) > 0 && left > 1e-12 {
		sum := 0.0
		for _, i := range open {
			sum += c.Machines[i].DiskGB.Value
		}
		full := slices.IndexFunc(open, func(i int) bool { return left*c.Machines[i].DiskGB.Value/sum >= 1 })
		if full >= 0 { // this one gets a part of every chunk
			share[open[full]] = 1
			left--
			open = slices.Delete(open, full, full+1)
			continue
		}
		for _, i := range open {
			share[i] = left * c.Machines[i].DiskGB.Value / sum
		}
		break
	}
	if c.K > 0 {
		for i := range share {
			share[i] /= float64(c.K)
		}
	}
	return share
}

// usableAfterLoss is how much still fits, in all copies, when any one store is gone: what can be
// kept so that the colony heals by itself.
func (c *Colony) usableAfterLoss() float64 {
	stores := c.stores()
	least := math.Inf(1)
	for k := range stores {
		least = min(least, c.usable(slices.Concat(stores[:k], stores[k+1:])))
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}
