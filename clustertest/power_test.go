package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
)

// Power goes off everywhere at one moment and comes back: what was closed, renamed and
// removed is as it was acknowledged (promise 2).
func TestPowerOffAll(t *testing.T) {
	for _, nodes := range []int{1, 2, 3} {
		if testing.Short() && nodes == 1 {
			continue
		}
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Nodes: nodes}, func(c *clustertest.Cluster) {
				var all []*writer
				for round := range 3 {
					writers := writersOn(c, fmt.Sprintf("r%d", round), 5_000_000)
					all = append(all, writers...)
					work(c, writers, func() {
						clustertest.Sleep(time.Duration(c.Rand.IntN(3_000_000)) * time.Microsecond)
						var ids []honeyant.NodeID
						for _, h := range c.Hosts() {
							ids = append(ids, h.ID)
						}
						c.PowerOff(ids...)
					})
					for _, h := range c.Hosts() {
						if nodes == 1 || c.Rand.IntN(2) == 0 {
							clustertest.Sleep(time.Duration(c.Rand.IntN(3000)) * time.Millisecond)
						}
						c.Start(h.ID)
					}
					c.Settle()
					for _, w := range all {
						w.verify(honeyant.NodeID(1 + c.Rand.IntN(nodes)))
					}
				}
				fsck(c)
			})
		})
	}
}

// A node that is no leader loses its power, while others write to its store and it writes to
// theirs, and comes back before or after it was called down.
func TestPowerOffFollower(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		var all []*writer
		rounds := 4
		if testing.Short() {
			rounds = 1
		}
		for round := range rounds {
			writers := writersOn(c, fmt.Sprintf("r%d", round), 2_000_000)
			all = append(all, writers...)
			victim := c.Leader().ID%3 + 1
			work(c, writers, func() {
				clustertest.Sleep(time.Duration(c.Rand.IntN(1_000_000)) * time.Microsecond)
				c.PowerOff(victim)
				clustertest.Sleep(time.Duration(c.Rand.IntN(15_000)) * time.Millisecond)
				c.Start(victim)
				clustertest.Sleep(5 * time.Second)
			})
			noLonger(writers, 8*time.Second)
			c.Settle()
		}
		verify(c, all)
	})
}
