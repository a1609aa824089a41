package clustertest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
)

// Rules 3 and 4: of two machines the one with the metadata dies, the other is promoted, the first comes
// back. It puts its metadata aside and becomes the mirror; nothing that was acknowledged is lost, and both
// have the same state.
func TestOldVoterComesBackAfterPromotion(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 2}, func(c *clustertest.Cluster) {
		ctx := context.Background()
		want := map[string][]byte{}
		write := func(on honeyant.NodeID, name string) {
			t.Helper()
			data := bytes.Repeat([]byte(name), 20_000)
			if err := (clustertest.Files{Host: c.Host(on)}).Create(ctx, name, data); err != nil {
				t.Fatal(err)
			}
			want[name] = data
		}
		for i := range 4 {
			write(honeyant.NodeID(1+i%2), fmt.Sprintf("before%d", i))
		}
		old := c.Leader().ID
		other := 3 - old
		c.Kill(old, other)
		c.Promote(other)
		c.Promote(other) // interrupted and repeated
		c.Start(other)
		write(other, "promoted")
		// It comes back as a voter of the old life.
		back := c.Start(old).Node()
		select {
		case <-back.Failed():
		case <-time.After(20 * time.Second):
			t.Fatal("the old voter goes on")
		}
		if honeyant.KindOf(back.Fault()) != honeyant.Stale {
			t.Errorf("it failed with %v", back.Fault())
		}
		c.Stop(old)
		c.Start(old)
		c.Settle()
		write(old, "together")
		if m := c.Host(old).Node().Map(); m.Incarnation != 2 || m.Leader != other {
			t.Errorf("incarnation %d, leader %v", m.Incarnation, m.Leader)
		}
		for name, data := range want {
			for _, h := range c.Hosts() {
				got, err := clustertest.Files{Host: h}.Get(ctx, name)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s on %v: %d of %d bytes, %v", name, h.ID, len(got), len(data), err)
				}
			}
		}
		fsck(c)
		// And the other way round: the mirror has all of it.
		c.Kill(other, old)
		c.Promote(old)
		c.Start(old)
		for name, data := range want {
			got, err := clustertest.Files{Host: c.Host(old)}.Get(ctx, name)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s after the second promotion: %d of %d bytes, %v", name, len(got), len(data), err)
			}
		}
		c.Eventually("the third incarnation", time.Minute, func() bool { return c.Host(old).Node().Map().Incarnation == 3 })
	})
}
