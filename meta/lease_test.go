package meta_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// leaser is a session that holds leases, right at the leader, without a memory of its own.
type leaser struct {
	t    *testing.T
	l    *meta.Leader
	id   honeyant.SessionID
	term uint64
	ack  uint64
	seq  uint64
}

func newLeaser(t *testing.T, l *meta.Leader) *leaser {
	s := &leaser{t: t, l: l, id: openSession(t, l)}
	s.renew()
	return s
}

func (s *leaser) renew() {
	s.t.Helper()
	epoch, _ := s.l.Epoch()
	r, err := s.l.RenewLeases(s.t.Context(), s.id, epoch, true)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.LeaseTerm != s.term {
		s.term, s.ack = r.LeaseTerm, 0
	}
}

// read asks with a lease and tells whether everything was granted.
func (s *leaser) read(op meta.Op) (granted bool, err error) {
	_, g, err := s.l.DoLeased(s.t.Context(), meta.Call{Session: s.id, Lease: true, Op: op})
	return g.Term != 0 && g.Term == s.term && len(g.Except) == 0, err
}

func (s *leaser) mustRead(op meta.Op) {
	s.t.Helper()
	if ok, err := s.read(op); !ok || err != nil && !errors.Is(err, honeyant.NotExist) {
		s.t.Fatalf("granted %v, %v", ok, err)
	}
}

// poll takes recalls and acknowledges what it took before.
func (s *leaser) poll() []meta.OpenFile {
	s.t.Helper()
	r, err := s.l.Recalls(s.t.Context(), s.id, s.term, s.ack, time.Millisecond)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ack = r.Seq
	return r.Files
}

func (s *leaser) change(op meta.Op, cover ...honeyant.Ino) (granted bool, err error) {
	s.seq++
	call := meta.Call{Session: s.id, Slot: 1, Seq: s.seq, Lease: true, Op: op}
	for _, ino := range cover {
		call.Cover = append(call.Cover, meta.OpenFile{Volume: 1, Ino: ino})
	}
	_, g, err := s.l.DoLeased(s.t.Context(), call)
	return g.Term != 0 && len(g.Except) == 0, err
}

// background starts a call and tells when it is over.
func background(run func() error) (over func() (bool, error)) {
	var done atomic.Bool
	var err error
	go func() {
		err = run()
		done.Store(true)
	}()
	return func() (bool, error) {
		synctest.Wait()
		if !done.Load() {
			return false, nil
		}
		return true, err
	}
}

func wantOver(t *testing.T, over func() (bool, error), want bool) {
	t.Helper()
	got, err := over()
	if got != want || err != nil {
		t.Fatalf("over %v (%v), want %v", got, err, want)
	}
}

// leaseRig is a leader with a directory d and a file f in it, in a bubble.
func leaseRig(t *testing.T, o meta.LeaderOptions, run func(t *testing.T, r *metatest.Replicas, l *meta.Leader, stop func())) {
	synctest.Test(t, func(t *testing.T) {
		r := metatest.NewReplicas(t)
		l, stop := r.Lead(t, 0, o)
		bootstrap(t, l)
		mustDo(t, l.Direct(), create("f"))
		run(t, r, l, stop)
	})
}

// M12: a change is told only after those who remember what it changed have forgotten it; a read meanwhile that shows
// it waits as well and gets no lease; one of something else does not wait.
func TestChangeWaitsForRecalls(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b, c := newLeaser(t, l), newLeaser(t, l), newLeaser(t, l)
		mustDo(t, l.Direct(), &meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: "other", Mode: honeyant.ModeDir | 0o755, Exclusive: true})
		a.mustRead(lookup("nothing")) // negative: the root
		changed := background(func() error { _, err := b.change(create("nothing")); return err })
		wantOver(t, changed, false)
		var granted bool
		read := background(func() (err error) { granted, err = c.read(lookup("nothing")); return err })
		wantOver(t, read, false)
		exist := background(func() error { // its error shows the change
			if _, err := c.change(create("nothing")); !errors.Is(err, honeyant.Exist) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		})
		wantOver(t, exist, false)
		c.mustRead(&meta.GetAttr{Volume: 1, Ino: 2}) // f
		if files := a.poll(); len(files) != 1 || files[0].Ino != honeyant.RootIno {
			t.Fatal(files)
		}
		wantOver(t, changed, false) // told, not acknowledged
		a.poll()
		wantOver(t, changed, true)
		wantOver(t, read, true)
		wantOver(t, exist, true)
		if granted {
			t.Error("a lease was granted on what was changing")
		}
		c.mustRead(lookup("nothing"))
	})
}

// A change that depends on one that is not complete is not complete either, whatever it changes itself.
func TestCompletionIsTransitive(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b, c := newLeaser(t, l), newLeaser(t, l), newLeaser(t, l)
		d := mustDo(t, l.Direct(), &meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: "d", Mode: honeyant.ModeDir | 0o755, Exclusive: true}).Attr.Ino
		f := mustDo(t, l.Direct(), lookup("f")).Attr.Ino
		a.mustRead(lookup("none"))
		first := background(func() error { // touches root and f
			_, err := b.change(&meta.Link{Volume: 1, Ino: f, Parent: honeyant.RootIno, Name: "f2"})
			return err
		})
		wantOver(t, first, false)
		second := background(func() error { // touches f and d, and shows f's links
			_, err := c.change(&meta.Link{Volume: 1, Ino: f, Parent: d, Name: "f3"})
			return err
		})
		wantOver(t, second, false)
		third := background(func() error { // reads only d
			_, err := c.read(&meta.Lookup{Volume: 1, Parent: d, Name: "none"})
			if errors.Is(err, honeyant.NotExist) {
				err = nil
			}
			return err
		})
		wantOver(t, third, false)
		a.poll()
		a.poll()
		for _, over := range []func() (bool, error){first, second, third} {
			wantOver(t, over, true)
		}
	})
}

// The asking session keeps what it says it covers, and must give up the rest like everybody.
func TestOwnChanges(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a := newLeaser(t, l)
		a.mustRead(lookup("f"))
		f := mustDo(t, l.Direct(), lookup("f")).Attr.Ino
		if ok, err := a.change(create("g"), honeyant.RootIno); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n := l.Leases(); n.Held != 3 || n.Recalled != 0 { // root, f, g
			t.Fatalf("%+v", n)
		}
		over := background(func() error { _, err := a.change(unlink("f"), honeyant.RootIno); return err })
		wantOver(t, over, false)
		if files := a.poll(); len(files) != 1 || files[0].Ino != f {
			t.Fatal(files)
		}
		a.poll()
		wantOver(t, over, true)
		if n := l.Leases(); n.Held != 2 {
			t.Fatalf("%+v", n)
		}
	})
}

// A session that says nothing holds a change up for one and a half TTL after it was last heard of, one that goes on
// renewing as long as it does not acknowledge; its later term knows nothing of the earlier one.
func TestSilentLeaser(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b := newLeaser(t, l), newLeaser(t, l)
		a.mustRead(lookup("none"))
		time.Sleep(600 * time.Millisecond)
		a.renew()
		b.renew()
		began := time.Now()
		if _, err := b.change(create("g")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Error(took)
		}
		old := a.term
		if files := a.poll(); files != nil {
			t.Error("recalls of a term that is over: ", files)
		}
		a.renew()
		if a.term == old {
			t.Error("same term after everything was lost")
		}
		a.mustRead(lookup("none"))
	})
}

// A new leader knows no leases: it answers when every live session has said that it knows of the epoch, or after
// one and a half TTL.
func TestGrace(t *testing.T) {
	for _, all := range []bool{false, true} {
		leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, stop func()) {
			a, b := newLeaser(t, l), newLeaser(t, l)
			a.mustRead(lookup("none"))
			stop()
			l, _ = r.Lead(t, 1, meta.LeaderOptions{})
			a.l, b.l = l, l
			epoch, _ := l.Epoch()
			changed := background(func() error {
				_, err := l.Do(t.Context(), meta.Call{Session: b.id, Slot: 1, Seq: 1, Op: create("g")})
				return err
			})
			read := background(func() error {
				_, err := meta.Do(t.Context(), l.Direct(), &meta.GetAttr{Volume: 1, Ino: honeyant.RootIno})
				return err
			})
			if _, err := l.RenewLeases(t.Context(), a.id, epoch-1, true); err != nil { // has not forgotten
				t.Fatal(err)
			}
			b.renew()
			wantOver(t, changed, false)
			wantOver(t, read, false)
			if all {
				a.renew()
			} else {
				time.Sleep(1400 * time.Millisecond)
				wantOver(t, changed, false)
				time.Sleep(100 * time.Millisecond)
			}
			wantOver(t, changed, true)
			wantOver(t, read, true)
		})
	}
}

// Over the cap the session gives its leases up one by one, and goes on getting others.
func TestLeasesAreBounded(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{MaxLeases: 20}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b := newLeaser(t, l), newLeaser(t, l)
		grants := 0
		for i := range 200 {
			mustDo(t, l.Direct(), create(fmt.Sprint(i)))
		}
		for i := range 200 {
			for _, s := range []*leaser{a, b} {
				granted, err := s.read(lookup(fmt.Sprint(i)))
				if err != nil {
					t.Fatal(err)
				}
				if granted {
					grants++
				}
				s.poll()
				s.renew()
			}
			if n := l.Leases().Held; n > 28 {
				t.Fatalf("%d leases", n)
			}
		}
		if grants < 200 { // the root's lease goes now and then
			t.Errorf("%d grants", grants)
		}
		for i := range 200 { // without acknowledging: never more than twice the cap
			if _, err := a.read(lookup(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.Leases().Held; n > 40 {
			t.Fatalf("%d leases", n)
		}
	})
}

// A read that was evaluated before a change was applied registers its lease in time for the change's recall.
func TestLeaseBeforeChangeIsApplied(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b := newLeaser(t, l), newLeaser(t, l)
		hold := make(chan struct{})
		r.SetBefore(func() { <-hold })
		changed := background(func() error { _, err := b.change(create("g")); return err })
		wantOver(t, changed, false)
		granted, err := a.read(lookup("g")) // does not see it, and does not wait
		if granted || !errors.Is(err, honeyant.NotExist) {
			t.Fatal(granted, err)
		}
		close(hold)
		wantOver(t, changed, true)
		a.mustRead(lookup("g"))
	})
}

// Only one poll of a session waits; it ends with its time.
func TestPolls(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a := newLeaser(t, l)
		poll := func() error {
			_, err := l.Recalls(context.Background(), a.id, a.term, 0, time.Second)
			return err
		}
		first := background(poll)
		wantOver(t, first, false)
		second := background(poll)
		wantOver(t, first, true)
		wantOver(t, second, false)
		time.Sleep(time.Second)
		wantOver(t, second, true)
		mustDo(t, l.Direct(), &meta.CloseSession{Session: a.id})
		if err := poll(); !errors.Is(err, honeyant.Fenced) {
			t.Error(err)
		}
	})
}

// A node that is removed has no leases when it is gone from the list of sessions.
func TestRemovedNodeHasNoLeases(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a := newLeaser(t, l)
		a.mustRead(lookup("f"))
		began := time.Now()
		if _, err := meta.Do(t.Context(), l.Direct(), &meta.RemoveNode{ID: 1}); err != nil {
			t.Logf("not removed: %v", err)
		}
		if n := l.Leases().Held; n != 0 || time.Since(began) < time.Second {
			t.Errorf("%d leases after %v", n, time.Since(began))
		}
	})
}
