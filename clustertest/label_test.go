package clustertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/node"
)

// A command about a name that two machines have does nothing: it could mean the wrong one. Machines of one image have one
// host name, so this happens by itself.
func TestCommandsRefuseAmbiguousNames(t *testing.T) {
	same := func(c *config.Config) { c.Name = "debian" }
	clustertest.Run(t, clustertest.Options{Nodes: 2, Tune: same}, func(c *clustertest.Cluster) {
		var show node.ShowReply
		if err := c.Leader().Command("node.show", node.Target{Node: "debian"}, &show); !errors.Is(err, honeyant.Conflict) {
			t.Errorf("node show of two: %v, %+v", err, show)
		}
		if err := c.Leader().Command("node.label", node.LabelRequest{Node: "n2", Name: "attic"}, nil); err != nil {
			t.Fatal(err)
		}
		clustertest.Sleep(3 * time.Second)
		for name, id := range map[string]string{"attic": "n2", "debian": "n1"} {
			if err := c.Leader().Command("node.show", node.Target{Node: name}, &show); err != nil || show.Node.ID != id {
				t.Errorf("node show %s: %v, %+v", name, err, show.Node)
			}
		}
	})
}

// A label is shown on terminals and in tables: it is a name as in the configuration, or refused.
func TestLabelsAreNames(t *testing.T) {
	zone := func(c *config.Config) {
		if c.Name == "n2" {
			c.Zone = "cellar"
		}
	}
	clustertest.Run(t, clustertest.Options{Nodes: 2, Tune: zone}, func(c *clustertest.Cluster) {
		for _, tc := range []struct {
			label node.LabelRequest
			kind  honeyant.Kind
		}{
			{node.LabelRequest{Node: "n1", Name: "x y"}, honeyant.Invalid},
			{node.LabelRequest{Node: "n1", Zone: "\x1b[31m"}, honeyant.Invalid},
			{node.LabelRequest{Node: "n2", Zone: "attic"}, honeyant.Conflict}, // its configuration would win
		} {
			if err := c.Leader().Command("node.label", tc.label, nil); !errors.Is(err, tc.kind) {
				t.Errorf("%+v: %v, want %v", tc.label, err, tc.kind)
			}
		}
		if err := c.Leader().Command("node.label", node.LabelRequest{Node: "n1", Zone: "attic"}, nil); err != nil {
			t.Error(err)
		}
	})
}
