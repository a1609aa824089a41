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
// clients of others nothing but time; each operation takes effect exactly once (rule 23).
func TestKillLeader(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		leaderDies(c, c.Kill, 3)
	})
}

// The same with the power of the machine.
func TestPowerOffLeader(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		leaderDies(c, c.PowerOff, 3)
	})
}

func leaderDies(c *clustertest.Cluster, fell func(...honeyant.NodeID), rounds int) {
	var all []*writer
	for round := range rounds {
		var writers []*writer
		for _, h := range c.Hosts() {
			writers = append(writers, newWriter(c, h.ID, fmt.Sprintf("r%d-%v", round, h.ID), 300_000))
		}
		all = append(all, writers...)
		var victim honeyant.NodeID
		work(c, writers, func() {
			clustertest.Sleep(time.Duration(c.Rand.IntN(3000)) * time.Microsecond * 100)
			victim = c.Leader().ID
			fell(victim)
			c.Leader()
			clustertest.Sleep(10 * time.Second)
		})
		c.Start(victim)
		c.Settle()
	}
	verify(c, all)
}
