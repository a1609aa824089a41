package clustertest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What was closed on one node, the next open on any other sees, whole (promise 1).
func TestWriteHereReadThere(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		ctx := context.Background()
		for i, size := range []int{0, 1, 4096, 4097, 70_000, 1 << 20, 4<<20 + 1, 9 << 20} {
			name := fmt.Sprintf("f%d", i)
			data := bytes.Repeat([]byte(name), size/2+1)[:size]
			if err := (clustertest.Files{Host: c.Host(honeyant.NodeID(1 + i%3))}).Create(ctx, name, data); err != nil {
				t.Fatal(err)
			}
			for _, h := range c.Hosts() {
				got, err := clustertest.Files{Host: h}.Get(ctx, name)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s on %v: %d of %d bytes, %v", name, h.ID, len(got), size, err)
				}
			}
		}
		fsck(c)
	})
}

// The death of the leader's process, at random points of a stream of operations, costs the
// clients of others nothing but less than 5 s (promise 4); each operation takes effect exactly once (rule 23).
func TestKillLeader(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		leaderDies(c, c.Kill, 5*time.Second)
	})
}

// The same with the power of the machine: nobody is told, so that a create with its write waits twice,
// for a new leader and for a store that is silent.
func TestPowerOffLeader(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		leaderDies(c, c.PowerOff, 8*time.Second)
	})
}

func leaderDies(c *clustertest.Cluster, fell func(...honeyant.NodeID), most time.Duration) {
	var all []*writer
	for round := range 3 {
		writers := writersOn(c, fmt.Sprintf("r%d", round), 300_000)
		all = append(all, writers...)
		var victim honeyant.NodeID
		work(c, writers, func() {
			clustertest.Sleep(time.Duration(c.Rand.IntN(300_000)) * time.Microsecond)
			victim = c.Leader().ID
			fell(victim)
			c.Leader()
			clustertest.Sleep(10 * time.Second)
		})
		noLonger(writers, most)
		c.Start(victim)
		c.Settle()
	}
	verify(c, all)
}
