package namespaces_test

import (
	"math/rand/v2"
	"testing"
)

// TestDeadDisk: the disk of the leader answers every request with an error while its daemon
// lives: another machine leads within the time that a death may cost.
func TestDeadDisk(t *testing.T) {
	c, disks := volatileColony(t)
	victim := c.leader(c.machines[0])
	w := startTraffic(c.other(victim), "dead", 256<<10)
	w.progress(c, stallLimit*6)
	disks[victim.name].cut(rand.New(rand.NewPCG(1, 1)))
	w.progress(c, stallLimit*6)
	w.unharmed(t)
	c.until(stallLimit*5, "status to say what is wrong", func() bool {
		s, err := w.on.status()
		return err == nil && s.Health == "degraded" && c.state(w.on, victim) == "down"
	})
	w.whole(t, w.on)
}
