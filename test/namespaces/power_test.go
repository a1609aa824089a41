package namespaces_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// volatileColony is a colony whose disks have write caches.
func volatileColony(t *testing.T) (*colony, map[string]*volatile) {
	disks := map[string]*volatile{}
	c := newColony(t, plan{diskMiB: 512, disk: func(m *machine) (err error) {
		disks[m.name], err = m.volatile()
		return err
	}})
	return c, disks
}

// TestPowerCut: what was not flushed is lost on one machine, then on all at once; what was
// acknowledged is there.
func TestPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	c, disks := volatileColony(t)
	var written []*traffic
	whole := func(through *machine) {
		for _, w := range written {
			w.whole(t, through)
		}
	}
	c.sub("one machine", func(t *testing.T) {
		victim := c.leader(c.machines[0])
		w := startTraffic(c.other(victim), "one", 512<<10)
		w.progress(c, 60*time.Second)
		lost := disks[victim.name].cut(chance)
		victim.black()
		w.progress(c, 60*time.Second)
		w.unharmed(t)
		written = append(written, w)
		victim.relight(disks[victim.name])
		victim.back()
		c.healthy(w.on, 60*time.Second)
		t.Logf("%d blocks of %s were lost", lost, victim.name)
		whole(victim)
	})
	for _, name := range []string{"all machines", "all machines again"} {
		c.sub(name, func(t *testing.T) {
			var busy []*traffic
			for _, m := range c.machines {
				busy = append(busy, startTraffic(m, name+" "+m.name, 512<<10))
			}
			for _, w := range busy {
				w.progress(c, 60*time.Second)
			}
			for _, m := range c.machines {
				t.Logf("%d blocks of %s were lost", disks[m.name].cut(chance), m.name)
			}
			var group sync.WaitGroup
			for _, m := range c.machines {
				group.Go(m.kill)
			}
			group.Wait()
			for _, m := range c.machines {
				m.black()
			}
			for _, w := range busy {
				w.end(t) // with errors, of course
			}
			written = append(written, busy...)
			for _, m := range c.machines {
				m.relight(disks[m.name])
			}
			for _, m := range c.machines {
				t.Logf("%s answered after %s", m.name, m.back().Round(100*time.Millisecond))
			}
			c.healthy(c.machines[0], 90*time.Second)
			for _, m := range c.machines {
				whole(m)
			}
			if r, err := c.machines[0].call(callLimit, "fsck"); err != nil || r.code != 0 {
				t.Errorf("fsck says: exit %d, %v: %s%s", r.code, err, r.out, r.errs)
			}
		})
	}
}

// TestSlowDisk: a disk that takes long for everything makes nobody wait for long.
func TestSlowDisk(t *testing.T) {
	c, disks := volatileColony(t)
	for _, part := range []struct {
		name   string
		slow   time.Duration // for each write and each flush
		limit  time.Duration
		victim func() *machine
	}{
		{"of a store", 100 * time.Millisecond, stallLimit, func() *machine { return c.other(c.leader(c.machines[0])) }},
		{"of the leader", 100 * time.Millisecond, stallLimit, func() *machine { return c.leader(c.machines[0]) }},
		// A store that lives but does not end is given 10 s (replica.Options.Patience).
		{"that hangs", 6 * time.Second, 12 * time.Second, func() *machine { return c.other(c.leader(c.machines[0])) }},
	} {
		c.sub(part.name, func(t *testing.T) {
			victim := part.victim()
			w := startTraffic(c.other(victim), "slow "+part.name, 256<<10)
			w.progress(c, 60*time.Second)
			disks[victim.name].drag(part.slow)
			c.pass(8 * time.Second)
			w.progress(c, 60*time.Second)
			w.unharmedWithin(t, part.limit)
			disks[victim.name].drag(0)
			c.healthy(w.on, 60*time.Second)
			w.whole(t, victim)
		})
	}
}
