package consensus_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

func inBubble(t *testing.T, run func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stopAll()
		run(c)
	})
}

func TestThreeNodes(t *testing.T) {
	inBubble(t, func(c *cluster) {
		c.found(3)
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			c.propose(want[i])
		}
		c.agree(20)
		for _, m := range c.nodes {
			if got := m.machine.commands(c.t); !slices.Equal(got, want) {
				c.t.Errorf("%v has %v", m.id, got)
			}
		}
	})
}
