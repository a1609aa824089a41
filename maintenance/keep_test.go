package maintenance_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// unlink makes all chunks dead.
func (r *rig) unlink() {
	r.t.Helper()
	r.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: "f"})
	for end := time.Now().Add(time.Minute); r.ok(&meta.Counts{Volume: 1}).(*meta.CountsReply).Chunks > 0; {
		if time.Now().After(end) {
			r.t.Fatalf("the extents were not freed: %+v", r.ok(&meta.Counts{Volume: 1}))
		}
		<-time.After(100 * time.Millisecond)
	}
}

func (r *rig) dead() int {
	return int(r.ok(&meta.Counts{Volume: 1}).(*meta.CountsReply).Dead)
}

// Rule 25: dead chunks stay a minute of this leader's time, and then go quickly; one whose store is down stays
// listed, and its other replicas are deleted once.
func TestReclaim(t *testing.T) {
	run(t, 3, func(r *rig) {
		const n = 2000
		for range n {
			r.write(1, 2)
		}
		away := r.write(1, 3)
		r.unlink()
		r.set(3, honeyant.NodeDown)
		r.start()
		<-time.After(55 * time.Second)
		if got := r.dead(); got != n+1 {
			t.Fatalf("%d dead chunks left before their time", got)
		}
		began := time.Now()
		r.eventually("all but one deleted", 15*time.Second, func() bool { return r.dead() == 1 })
		t.Logf("%d chunks, 2 ms a sync, in %v", n, time.Since(began))
		if r.stores.has(1, away) || !r.stores.has(3, away) {
			t.Error("the replica that could be reached should be gone, the other not")
		}
		deletes := func() (count int) {
			r.stores.mu.Lock()
			defer r.stores.mu.Unlock()
			for _, op := range r.stores.calls {
				if op == "delete" {
					count++
				}
			}
			return count
		}
		before := deletes()
		<-time.After(time.Minute)
		if after := deletes(); after != before {
			t.Errorf("%d more deletes while the store was away", after-before)
		}
		r.set(3, honeyant.NodeUp)
		r.eventually("the last one", 10*time.Second, func() bool { return r.dead() == 0 && !r.stores.has(3, away) })
	})
}

// A new leader counts the delay anew.
func TestReclaimDelayStartsAgain(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.write(1, 2)
		r.unlink()
		r.start()
		<-time.After(50 * time.Second)
		r.stop()
		r.start()
		<-time.After(50 * time.Second)
		if r.dead() != 1 {
			t.Error("deleted before this leader saw it dead for a minute")
		}
		r.eventually("deleted", 20*time.Second, func() bool { return r.dead() == 0 })
	})
}

// Rule 10: what metadata do not list goes after a day of this leader's time, if its session is dead.
func TestUnknownReplicas(t *testing.T) {
	run(t, 2, func(r *rig) {
		for range 10 {
			r.write(1, 2)
		}
		live := r.ok(&meta.OpenSession{Node: 1, Name: "live"}).(*meta.SessionReply).Session
		gone := r.ok(&meta.OpenSession{Node: 1, Name: "gone"}).(*meta.SessionReply).Session
		r.ok(&meta.CloseSession{Session: gone})
		pending := honeyant.NewChunkID(1, live, 3) // may still be committed
		over := honeyant.NewChunkID(1, gone, 3)
		never := honeyant.NewChunkID(1, gone+100, 3) // of a session that was not handed out yet
		for _, id := range []honeyant.ChunkID{pending, over, never} {
			r.stores.put(1, id)
		}
		r.start()
		<-time.After(23 * time.Hour)
		if st := r.jobs.State().Inventory; st.Quarantined != 1 || st.Unknown != 1 || !r.stores.has(1, over) {
			t.Errorf("%+v", st)
		}
		r.stop() // the quarantine begins again with a new leader
		r.start()
		<-time.After(23 * time.Hour)
		if !r.stores.has(1, over) {
			t.Error("deleted before its day was over")
		}
		<-time.After(90 * time.Minute)
		if r.stores.has(1, over) || !r.stores.has(1, pending) || !r.stores.has(1, never) {
			t.Error("wrong replicas are gone")
		}
		if !r.well(2) {
			t.Error("a listed replica is gone")
		}
	})
}

// Rule 10: too many unknown replicas, or some of another incarnation, and nothing is deleted.
func TestInventoryRefuses(t *testing.T) {
	for name, make := range map[string]func(r *rig){
		"too many": func(r *rig) {
			dead := r.ok(&meta.OpenSession{Node: 1, Name: "gone"}).(*meta.SessionReply).Session
			r.ok(&meta.CloseSession{Session: dead})
			for i := range 65 {
				r.stores.put(1, honeyant.NewChunkID(1, dead, uint64(i+1)))
			}
		},
		"another incarnation": func(r *rig) { r.stores.put(1, honeyant.NewChunkID(9, 1, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, func(r *rig) {
				r.write(1, 2)
				make(r)
				held := len(r.stores.held[1])
				r.o.Quarantine = time.Hour
				r.start()
				<-time.After(3 * time.Hour)
				if st := r.jobs.State().Inventory; st.Refused == "" {
					t.Errorf("%+v", st)
				}
				if now := len(r.stores.held[1]); now != held {
					t.Errorf("%d of %d replicas left", now, held)
				}
			})
		})
	}
}

// What a small store that was full has left over, more than a hundredth of it, goes by itself.
func TestInventoryClearsASmallStore(t *testing.T) {
	run(t, 2, func(r *rig) {
		for range 10 {
			r.write(1, 2)
		}
		dead := r.ok(&meta.OpenSession{Node: 1, Name: "gone"}).(*meta.SessionReply).Session
		r.ok(&meta.CloseSession{Session: dead})
		listed := len(r.stores.held[1])
		for i := range 64 {
			r.stores.put(1, honeyant.NewChunkID(1, dead, uint64(i+1)))
		}
		r.o.Quarantine = time.Hour
		r.start()
		r.eventually("cleared", 5*time.Hour, func() bool {
			r.stores.mu.Lock()
			defer r.stores.mu.Unlock()
			return len(r.stores.held[1]) == listed
		})
		if !r.well(2) {
			t.Error("a listed replica is gone")
		}
	})
}

// After a promotion unlisted replicas of the incarnation before stopped every deletion for ever: a
// person can now confirm them, for this promotion and not for a later one.
func TestConfirmedIncarnationGoes(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.write(1, 2)
		listed := len(r.stores.held[1])
		for i := range 100 {
			r.stores.put(1, honeyant.NewChunkID(0, 1, uint64(1000+i)))
		}
		later := honeyant.NewChunkID(9, 1, 1)
		r.o.Quarantine = time.Hour
		r.start()
		<-time.After(3 * time.Hour)
		if st := r.jobs.State().Inventory; st.Refused == "" || len(r.stores.held[1]) != listed+100 {
			t.Errorf("%d left, %+v", len(r.stores.held[1]), st)
		}
		if now, err := r.jobs.ConfirmIncarnation(context.Background()); err != nil || now != 1 {
			t.Error(now, err)
		}
		r.eventually("cleared", 5*time.Hour, func() bool {
			r.stores.mu.Lock()
			defer r.stores.mu.Unlock()
			return len(r.stores.held[1]) == listed
		})
		r.stores.put(1, later)
		<-time.After(3 * time.Hour)
		if st := r.jobs.State().Inventory; st.Refused == "" || !r.stores.has(1, later) {
			t.Errorf("what nobody confirmed: %+v", st)
		}
	})
}

// What is listed and not there is found, reported and replaced.
func TestMissingReplica(t *testing.T) {
	run(t, 3, func(r *rig) {
		for range 10 {
			r.write(1, 2)
		}
		id := r.write(1, 2)
		r.stores.mu.Lock()
		delete(r.stores.held[2], id)
		r.stores.mu.Unlock()
		r.start()
		r.eventually("replaced", 30*time.Minute, func() bool { return r.well(2) })
	})
}

// The scrub finds damage, is not held up by a store that does not answer, and goes on where it was.
func TestScrub(t *testing.T) {
	run(t, 3, func(r *rig) {
		var ids []honeyant.ChunkID
		for range 200 {
			ids = append(ids, r.write(1, 2))
		}
		r.stores.spoil(1, ids[150])
		r.stores.spoil(2, ids[10])
		verified := map[honeyant.StoreID][]honeyant.ChunkID{}
		r.stores.setHook(func(op string, s honeyant.StoreID, id honeyant.ChunkID) error {
			if op != "verify" {
				return nil
			}
			r.stores.mu.Lock()
			verified[s] = append(verified[s], id)
			n := len(verified[1]) + len(verified[2])
			r.stores.mu.Unlock()
			<-time.After(100 * time.Millisecond)
			if n%7 == 0 && id != ids[150] && id != ids[10] {
				return honeyant.E("test.verify", honeyant.Internal, "", nil)
			}
			return nil
		})
		r.start()
		r.eventually("half a round", time.Hour, func() bool {
			r.stores.mu.Lock()
			defer r.stores.mu.Unlock()
			return len(verified[1]) > 100
		})
		r.stop()
		r.stores.mu.Lock()
		clear(verified)
		r.stores.mu.Unlock()
		r.start()
		r.eventually("mended", 3*time.Hour, func() bool { return r.well(2) })
		<-time.After(time.Hour)
		r.stores.mu.Lock()
		defer r.stores.mu.Unlock()
		if slices.Contains(verified[1], ids[0]) {
			t.Error("the scrub began again after a restart")
		}
		if len(verified[1]) > 150 {
			t.Errorf("%d replicas of store 1 were read after the restart", len(verified[1]))
		}
	})
}
