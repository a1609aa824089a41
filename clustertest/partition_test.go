package clustertest_test

import (
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
)

// Links are cut in every direction while all nodes write. Nodes that can reach a majority go on;
// those that can not get an errno in time; nothing that was acknowledged is lost, on either side.
func TestPartitions(t *testing.T) {
	cases := []struct {
		name string
		cut  func(c *clustertest.Cluster, lead, a, b honeyant.NodeID)
		may  []int // who may fail: 0 the leader, 1 a, 2 b
		most time.Duration
	}{
		{"leader isolated", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) { c.World.Isolate(lead) }, []int{0}, 6 * time.Second},
		{"follower isolated", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) { c.World.Isolate(a) }, []int{1}, 6 * time.Second},
		{"all apart", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.Isolate(lead)
			c.World.Cut(a, b)
		}, []int{0, 1, 2}, 0},
		{"followers apart", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) { c.World.Cut(a, b) }, nil, 15 * time.Second},
		{"client cut from leader", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) { c.World.Cut(a, lead) }, []int{1}, 15 * time.Second},
		{"leader deaf", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(a, lead)
			c.World.CutOneWay(b, lead)
		}, []int{0}, 15 * time.Second},
		{"leader mute", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(lead, a)
			c.World.CutOneWay(lead, b)
		}, []int{0}, 15 * time.Second},
		{"follower deaf", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(lead, a)
			c.World.CutOneWay(b, a)
		}, []int{1}, 15 * time.Second},
		{"follower mute", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(a, lead)
			c.World.CutOneWay(a, b)
		}, []int{1}, 15 * time.Second},
		{"follower mute to leader", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(a, lead)
		}, []int{1}, 15 * time.Second},
		{"leader mute to follower", func(c *clustertest.Cluster, lead, a, b honeyant.NodeID) {
			c.World.CutOneWay(lead, a)
		}, []int{1}, 15 * time.Second},
	}
	for i, one := range cases {
		if testing.Short() && i%10 != 0 {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
				lead := c.Leader().ID
				roles := []honeyant.NodeID{lead, lead%3 + 1, (lead+1)%3 + 1}
				writers := writersOn(c, "w", 300_000)
				for _, i := range one.may {
					writers[roles[i]-1].cut = true
				}
				work(c, writers, func() {
					clustertest.Sleep(time.Duration(c.Rand.IntN(200_000)) * time.Microsecond)
					one.cut(c, roles[0], roles[1], roles[2])
					clustertest.Sleep(35 * time.Second)
					c.Heal()
					clustertest.Sleep(10 * time.Second)
				})
				noLonger(writers, one.most)
				c.Settle()
				verify(c, writers)
				for _, w := range writers { // all go on afterwards
					w.cut = false
				}
				work(c, writers, func() { clustertest.Sleep(3 * time.Second) })
				verify(c, writers)
			})
		})
	}
}
