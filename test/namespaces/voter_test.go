package namespaces_test

import (
	"testing"
	"time"
)

// TestReplacedVoter: of four machines three vote; when one of them is out, the fourth takes its place, so that the colony
// survives the death of another one while the first is still away. The first does not vote again when it is back.
func TestReplacedVoter(t *testing.T) {
	c := newColony(t, plan{machines: 4, settings: quick})
	voters := c.voting(c.machines[0])
	var spare *machine
	for _, m := range c.machines {
		if !voters[m.name] {
			spare = m
		}
	}
	if len(voters) != 3 || spare == nil {
		t.Fatalf("of four machines these vote: %v", voters)
	}
	victim := c.other(spare, c.leader(spare))
	before := tree(victim, "before", 20, 200_000)
	c.flushed(victim)
	w := startTraffic(spare, "replaced", 256<<10)
	w.progress(c, 30*time.Second)
	victim.kill()
	took := c.until(60*time.Second, "the fourth to vote in place of the dead one", func() bool {
		now := c.voting(spare)
		return now[spare.name] && !now[victim.name] && len(now) == 3
	})
	t.Logf("%s votes in place of %s %s after its death", spare.name, victim.name, took.Round(100*time.Millisecond))
	w.unharmed(t)
	// Two of four have died now, one after the other; without the replacement this would be two of three voters.
	c.until(90*time.Second, "the heal", func() bool {
		s, err := spare.status()
		return err == nil && s.Chunks.UnderReplicated == 0 && s.Heal.Pending == 0
	})
	second := c.leader(spare)
	if second == spare {
		second = c.other(spare, victim)
	}
	w2 := startTraffic(spare, "second", 256<<10)
	w2.progress(c, 30*time.Second)
	second.kill()
	w2.progress(c, 30*time.Second)
	w2.unharmed(t)
	victim.start()
	second.start()
	t.Logf("all was well %s after both were back", c.healthy(spare, 120*time.Second).Round(100*time.Millisecond))
	if now := c.voting(spare); len(now) != 3 {
		t.Errorf("with all four back these vote: %v", now)
	}
	c.flushed(victim)
	for _, w := range []*traffic{before, w, w2} {
		w.whole(t, victim)
	}
}

// voting names the machines that vote, up or not.
func (c *colony) voting(ask *machine) map[string]bool {
	s, _ := ask.status()
	names := map[string]bool{}
	for _, n := range s.Nodes {
		if n.Voter {
			names[n.Name] = true
		}
	}
	return names
}
