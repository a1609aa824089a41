package clustertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
	"github.com/honeyant/honeyant/node"
)

// While one of three voters is down, the removal of another is refused: it is locked out at once, and the one that is left
// could not even commit that there are fewer voters now (rule 31).
func TestRemoveKeepsTheQuorum(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 3}, func(c *clustertest.Cluster) {
		made := fill(c, 1, "f", 3, 100_000)
		leader := c.Leader()
		down, other := leader.ID%3+1, (leader.ID+1)%3+1
		c.PowerOff(down)
		clustertest.Sleep(15 * time.Second)
		err := leader.Command("node.remove", node.RemoveRequest{Node: other.String(), Force: true}, nil)
		if !errors.Is(err, honeyant.Conflict) {
			t.Errorf("the removal of %v while %v is down: %v", other, down, err)
		}
		clustertest.Sleep(15 * time.Second)
		same(c, leader.ID, made)
		if err := leader.Command("node.remove", node.RemoveRequest{Node: down.String(), Force: true}, nil); err != nil {
			t.Errorf("the removal of the one that is down: %v", err)
		}
		clustertest.Sleep(15 * time.Second)
		same(c, leader.ID, made)
	})
}
