package maintenance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// A node that is down keeps its replicas, one that is out is replaced, one that returns has too many, which go
// after the others were read back; the counts follow.
func TestNodeGoesAndReturns(t *testing.T) {
	run(t, 4, func(r *rig) {
		var ids []honeyant.ChunkID
		for range 20 {
			ids = append(ids, r.write(1, 2))
		}
		r.start()
		r.eventually("scanned", 5*time.Second, func() bool { return r.jobs.State().Scanned })
		if st := r.jobs.State(); st.Total != 20 || st.Short != 0 || st.Lost != 0 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		r.set(2, honeyant.NodeDown)
		r.eventually("20 short", 3*time.Second, func() bool { st := r.jobs.State(); return st.Short == 20 && st.Pending == 0 && st.Lost == 0 })
		r.set(1, honeyant.NodeDown)
		r.eventually("20 lost", 3*time.Second, func() bool { return r.jobs.State().Lost == 20 })
		r.set(1, honeyant.NodeUp)
		if len(r.stores.copied) > 0 {
			t.Error("a node that is down was replaced")
		}
		r.set(2, honeyant.NodeOut)
		r.eventually("healed", 20*time.Second, func() bool { st := r.jobs.State(); return st.Short == 0 && st.Pending == 0 && st.Lost == 0 })
		for _, id := range ids {
			if on := r.on(id); len(on) != 3 || !slices.Contains(on, 2) { // its old one stays listed
				t.Errorf("%v on %v", id, on)
			}
		}
		r.set(2, honeyant.NodeUp)
		r.eventually("two copies each", 30*time.Second, func() bool { return r.well(2) })
		if !slices.Contains(r.stores.calls, "verify") {
			t.Error("dropped without reading the others back")
		}
	})
}

// J2, and chunks that can not be healed are in nobody's way.
func TestFewestCopiesFirst(t *testing.T) {
	run(t, 5, func(r *rig) {
		r.ok(&meta.SetPolicy{Volume: 1, Ino: honeyant.RootIno, Policy: honeyant.Policy{Copies: 3, MinCopies: 1}})
		r.eventuallyRetagged()
		lost := r.write(5)
		var two, one []honeyant.ChunkID
		for range 8 {
			two = append(two, r.write(1, 2))
		}
		for range 8 {
			one = append(one, r.write(1))
		}
		r.set(5, honeyant.NodeOut)
		r.start()
		r.eventually("healed", time.Minute, func() bool { st := r.jobs.State(); return st.Scanned && st.Short == 1 && st.Lost == 1 })
		for _, id := range one { // each of them gets two at once
			if i := slices.Index(r.stores.copied, id); i >= 2*len(one) {
				t.Errorf("%v, with one copy, was healed as number %d", id, i)
			}
		}
		for _, id := range two {
			if i := slices.Index(r.stores.copied, id); i < 2*len(one)-4 { // three are worked on at once
				t.Errorf("%v, with two copies, was healed as number %d", id, i)
			}
		}
		if slices.Contains(r.stores.copied, lost) {
			t.Error("a lost chunk was copied")
		}
	})
}

func (r *rig) eventuallyRetagged() {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); r.leader.Retags() == 0; {
		if time.Now().After(end) {
			r.t.Fatal("the policy was not moved down")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Rules 5 and 12: the service stops at any step of heal and drop, another goes on, and nothing is lost or left.
func TestCrashAtEachStep(t *testing.T) {
	for at := range 14 {
		run(t, 4, func(r *rig) {
			id := r.write(1, 2)
			extra := r.write(1, 2)
			r.set(2, honeyant.NodeOut)
			var calls atomic.Int64
			dies := make(chan struct{}, 1)
			broken := errors.New("the leader died")
			r.stores.setHook(func(op string, s honeyant.StoreID, _ honeyant.ChunkID) error {
				switch n := int(calls.Add(1)) - 1; {
				case n == at:
					dies <- struct{}{}
					return broken
				case n > at:
					return broken
				}
				return nil
			})
			r.start()
			if at >= 4 {
				r.eventually("healed", time.Minute, func() bool {
					return len(r.chunk(id).Chunk.Replicas)+len(r.chunk(extra).Chunk.Replicas) == 6 || len(dies) > 0
				})
				r.set(2, honeyant.NodeUp)
			}
			select {
			case <-dies:
			case <-time.After(time.Minute): // there were fewer steps
			}
			r.stop()
			r.stores.setHook(nil)
			// A copy whose end was not committed leaves an intent; the next service gives it up.
			r.set(2, honeyant.NodeUp)
			r.start()
			r.eventually("two copies each, no intents", time.Minute, func() bool {
				return r.well(2) && len(r.chunk(id).Intents)+len(r.chunk(extra).Intents) == 0
			})
		})
	}
}

// Intents of an earlier leader are given up.
func TestStaleIntents(t *testing.T) {
	run(t, 3, func(r *rig) {
		id := r.write(1, 2)
		r.ok(&meta.HealBegin{Volume: 1, Chunk: id, Store: 3})
		r.start()
		r.eventually("no intent", 10*time.Second, func() bool { return len(r.chunk(id).Intents) == 0 })
	})
}

// A drain ends with nothing on the store; while its node is down it says what it waits for, and the copies are
// made from the others.
func TestDrain(t *testing.T) {
	run(t, 3, func(r *rig) {
		for range 10 {
			r.write(1, 2)
		}
		r.set(1, honeyant.NodeDown)
		r.ok(&meta.UpdateStore{ID: 1, State: honeyant.StoreDraining})
		r.start()
		r.eventually("copies elsewhere, and why it waits", time.Minute, func() bool {
			st := r.jobs.State()
			return st.Pending == 0 && st.Short == 0 && st.Draining[1] == 10 && strings.Contains(st.Stuck, "n1")
		})
		r.set(1, honeyant.NodeUp)
		r.eventually("drained", time.Minute, func() bool { return r.jobs.State().Draining[1] == 0 })
		if n, err := r.jobs.CountOn(context.Background(), 1); n != 0 || err != nil {
			t.Errorf("%d left, %v", n, err)
		}
		if !r.well(2) {
			t.Error("not two copies each")
		}
		r.ok(&meta.RemoveNode{ID: 1})
		r.jobs.MapChanged()
		<-time.After(5 * time.Second)
		if st := r.jobs.State(); st.Short != 0 || len(st.Draining) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Removed by force: its replicas leave the lists, and others are made.
func TestRemovedStoreIsSweptOff(t *testing.T) {
	run(t, 4, func(r *rig) {
		for range 5 {
			r.write(1, 2)
		}
		r.start()
		r.ok(&meta.RemoveNode{ID: 2, Force: true})
		r.jobs.MapChanged()
		r.eventually("two copies each, none on the removed store", time.Minute, func() bool { return r.well(2) })
	})
}

// A damaged copy is replaced elsewhere; where there is no elsewhere, in its place.
func TestBadReplica(t *testing.T) {
	for _, n := range []int{2, 3} {
		run(t, n, func(r *rig) {
			id := r.write(1, 2)
			r.start()
			r.stores.spoil(2, id)
			bad := r.chunk(id).Chunk.Replicas[1].Replica
			r.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: bad})
			r.eventually("two good copies", time.Minute, func() bool { return r.well(2) })
		})
	}
}

// The last copy was reported by mistake: read back whole, it counts again.
func TestLastBadReplicaIsReadOnceMore(t *testing.T) {
	run(t, 1, func(r *rig) {
		id := r.write(1)
		r.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: r.chunk(id).Chunk.Replicas[0].Replica})
		r.start()
		r.eventually("good again", time.Minute, func() bool { return r.well(1) && r.jobs.State().Lost == 0 })
	})
}

// A target without room is given up for another one.
func TestFullTarget(t *testing.T) {
	run(t, 4, func(r *rig) {
		for range 10 {
			r.write(1, 2)
		}
		r.stores.full[3] = true
		r.set(2, honeyant.NodeOut)
		r.start()
		r.eventually("healed", 10*time.Second, func() bool { st := r.jobs.State(); return st.Scanned && st.Short == 0 })
	})
}

// A policy that wants fewer or more copies moves what is there, when it has been moved down.
func TestPolicyChange(t *testing.T) {
	run(t, 4, func(r *rig) {
		for range 5 {
			r.write(1, 2)
		}
		r.start()
		r.eventually("scanned", 5*time.Second, func() bool { return r.jobs.State().Scanned })
		r.ok(&meta.SetPolicy{Volume: 1, Ino: honeyant.RootIno, Policy: honeyant.Policy{Copies: 3}})
		r.eventually("three copies", 20*time.Second, func() bool { return r.well(3) })
		r.ok(&meta.SetPolicy{Volume: 1, Ino: honeyant.RootIno, Policy: honeyant.Policy{Copies: 1}})
		r.eventually("one copy", 20*time.Second, func() bool { return r.well(1) })
	})
}
