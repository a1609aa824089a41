package volume_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/rpc/rpctest"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// openOverRoad opens a volume whose way to the leader is slow at times and can be cut, and waits for its leases.
func openOverRoad(t *testing.T, c *volumetest.Cluster, seed [2]uint64, change func(*volume.Options)) (*volume.Volume, *volumetest.Leased, *rpctest.Road) {
	t.Helper()
	h := remote.NewServer(remote.ServerOptions{Leader: func() (*meta.Leader, bool) { return c.Leader, true }})
	r := rpctest.NewRoad(rpctest.Within(1, h), 3*time.Millisecond, 100, seed[0], seed[1])
	s := c.NewLeased(t, func(o *remote.Options) {
		o.Local, o.Caller, o.Candidates = nil, r, func() []honeyant.NodeID { return []honeyant.NodeID{1} }
	})
	v := c.Open(t, func(o *volume.Options) {
		o.Meta, o.Deadline = s, 30*time.Second
		if change != nil {
			change(o)
		}
	})
	for range 1000 {
		if _, ok := s.Era(); ok {
			return v, s, r
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no leases")
	return nil, nil, nil
}

// trouble cuts three roads for a while or takes the quorum away, on average once in every, until end is called.
func trouble(c *volumetest.Cluster, roads []*rpctest.Road, seed uint64, every, longest time.Duration) (end func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	rng := rand.New(rand.NewPCG(seed, 99))
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rng.ExpFloat64() * float64(every))):
			}
			if n := rng.IntN(5); n < 3 {
				if time.Since(roads[n].CutUntil()) > time.Second { // it has had time to come back
					roads[n].CutFor(time.Duration(rng.Int64N(int64(longest))))
				}
			} else {
				c.CutQuorum(true)
				time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
				c.CutQuorum(false)
			}
		}
	}()
	return func() { close(over); <-ended }
}

// changeEpoch makes the leader begin again without what it had in memory.
func changeEpoch(c *volumetest.Cluster, _ *rpctest.Road) {
	before, _ := c.Leader.Epoch()
	c.CutQuorum(true)
	_, _ = meta.Do(bg, c.Leader.Direct(), &meta.PutSetting{Name: "x", Value: []byte("y")})
	c.CutQuorum(false)
	for {
		if now, ok := c.Leader.Epoch(); ok && now != before {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
