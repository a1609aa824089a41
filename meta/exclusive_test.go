package meta_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func file(ino honeyant.Ino) meta.OpenFile { return meta.OpenFile{Volume: 1, Ino: ino} }

// take asks for an exclusive lease.
func (s *leaser) take(ino honeyant.Ino, children bool) *meta.TakeReply {
	s.t.Helper()
	s.seq++
	reply, _, err := s.l.DoLeased(s.t.Context(), meta.Call{
		Session: s.id, Stamp: s.seq, Lease: true, Op: &meta.Take{Volume: 1, Ino: ino, Children: children}})
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.(*meta.TakeReply)
}

func (s *leaser) mustTake(ino honeyant.Ino) {
	s.t.Helper()
	if r := s.take(ino, false); !r.Granted || r.Held[0] != ino {
		s.t.Fatalf("not granted: %+v", s.l.Holders(file(ino)))
	}
}

// returns gives leases back.
func (s *leaser) returns(inos ...honeyant.Ino) {
	s.t.Helper()
	s.seq++
	var files []meta.OpenFile
	for _, ino := range inos {
		files = append(files, file(ino))
	}
	if err := s.l.Return(s.t.Context(), s.id, s.seq, files); err != nil {
		s.t.Fatal(err)
	}
}

// flush sends a journal.
func (s *leaser) flush(records ...meta.JournalRecord) (*meta.FlushReply, error) {
	s.seq++
	reply, err := s.l.Do(s.t.Context(), meta.Call{Session: s.id, Slot: 2, Seq: s.seq, Op: &meta.Flush{Volume: 1, Records: records}})
	if err != nil {
		return nil, err
	}
	return reply.(*meta.FlushReply), nil
}

func (s *leaser) mustFlush(records ...meta.JournalRecord) {
	s.t.Helper()
	if r, err := s.flush(records...); err != nil || len(r.Refused) > 0 || r.Rest {
		s.t.Fatalf("%+v, %v", r, err)
	}
}

func (s *leaser) reserve(count uint32) honeyant.Ino {
	s.t.Helper()
	s.seq++
	reply, err := s.l.Do(s.t.Context(), meta.Call{Session: s.id, Slot: 3, Seq: s.seq, Op: &meta.ReserveInodes{Count: count}})
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.(*meta.ReservedReply).First
}

func (s *leaser) reclaim(claims ...meta.ReclaimedFile) []meta.OpenFile {
	s.t.Helper()
	s.seq++
	epoch, _ := s.l.Epoch()
	lost, err := s.l.Reclaim(s.t.Context(), s.id, meta.Claim{Epoch: epoch, Stamp: s.seq, Files: claims, Last: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return lost
}

// recalls polls, without acknowledging, for exclusive leases to be given back.
func (s *leaser) recalls() []honeyant.Ino {
	s.t.Helper()
	r, err := s.l.Recalls(s.t.Context(), s.id, s.term, s.ack, time.Millisecond)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ack = r.Seq
	var inos []honeyant.Ino
	for _, f := range r.Exclusive {
		inos = append(inos, f.Ino)
	}
	return inos
}

func makeIn(dir honeyant.Ino, name string, ino honeyant.Ino) meta.JournalRecord {
	return meta.JournalRecord{Now: honeyant.Time{Sec: 7}, Ino: ino, Op: &meta.Make{
		Volume: 1, Parent: dir, Name: name, Mode: honeyant.ModeFile | 0o644, Exclusive: true}}
}

func record(op meta.Op) meta.JournalRecord {
	return meta.JournalRecord{Now: honeyant.Time{Sec: 8}, Op: op}
}

func chmod(ino honeyant.Ino, mode uint32) *meta.SetAttr {
	return &meta.SetAttr{Volume: 1, Ino: ino, Valid: meta.SetMode, Mode: mode}
}

func makeDir(t *testing.T, l *meta.Leader, name string) honeyant.Ino {
	t.Helper()
	return mustDo(t, l.Direct(), &meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: name, Mode: honeyant.ModeDir | 0o755, Exclusive: true}).Attr.Ino
}

func inoOf(t *testing.T, l *meta.Leader, name string) honeyant.Ino {
	t.Helper()
	return mustDo(t, l.Direct(), lookup(name)).Attr.Ino
}

// What a session holds, others see only after it was given back: their reads and changes wait aside, also an
// administrator's, and all else goes on.
func TestOthersWaitForExclusiveLeases(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d, e := makeDir(t, l, "d"), makeDir(t, l, "e")
		a, b := newLeaser(t, l), newLeaser(t, l)
		a.mustTake(d)
		a.mustTake(d) // again
		ino := a.reserve(10)
		seen := func(run func(op meta.Op) error) func() (bool, error) {
			return background(func() error {
				err := run(&meta.Lookup{Volume: 1, Parent: d, Name: "x"})
				if errors.Is(err, honeyant.NotExist) { // the change came first
					err = nil
				}
				return err
			})
		}
		read := seen(func(op meta.Op) error { _, err := l.Do(t.Context(), meta.Call{Session: b.id, Op: op}); return err })
		admin := seen(func(op meta.Op) error { _, err := l.Direct().Do(t.Context(), op); return err })
		change := background(func() error {
			_, err := l.Do(t.Context(), meta.Call{Session: b.id, Slot: 1, Seq: 1, Op: &meta.Unlink{Volume: 1, Parent: d, Name: "x"}})
			return err
		})
		for _, over := range []func() (bool, error){read, admin, change} {
			wantOver(t, over, false)
		}
		b.mustRead(&meta.GetAttr{Volume: 1, Ino: e})
		if got := a.recalls(); !slices.Equal(got, []honeyant.Ino{d}) {
			t.Fatal(got)
		}
		if got := a.recalls(); got != nil { // once is enough
			t.Fatal(got)
		}
		if h := l.Holders(file(d)); len(h) != 1 || h[0] != (meta.Holder{Session: a.id, Exclusive: true, Recalled: true}) {
			t.Fatal(h)
		}
		a.mustFlush(makeIn(d, "x", ino))
		a.mustFlush(record(chmod(ino, 0o600))) // born under the lease
		wantOver(t, read, false)
		a.returns(d)
		for range 200 { // the change waits for x, which is held as well
			if got := a.recalls(); len(got) > 0 {
				if !slices.Equal(got, []honeyant.Ino{ino}) {
					t.Fatal(got)
				}
				break
			}
		}
		a.returns(ino)
		wantOver(t, read, true)
		wantOver(t, admin, true)
		wantOver(t, change, true)
		if s := l.Leases(); s.Exclusive != 0 || s.Taken != 0 || s.ExclusiveRecalled != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// After a conflict an inode stays where it is for a while, longer each time.
func TestHysteresis(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		a := newLeaser(t, l)
		for _, pause := range []time.Duration{1, 2, 4, 8, 8} {
			a.renew()
			a.mustTake(d)
			over := background(func() error { _, err := l.Direct().Do(t.Context(), chmod(d, 0o700)); return err })
			wantOver(t, over, false)
			a.returns(d)
			wantOver(t, over, true)
			time.Sleep(pause*time.Second - time.Millisecond)
			a.renew()
			if a.take(d, false).Granted {
				t.Fatalf("granted within %v s", int64(pause))
			}
			time.Sleep(time.Millisecond)
		}
		a.renew()
		time.Sleep(17 * time.Second)
		a.renew()
		a.mustTake(d)
		over := background(func() error { _, err := l.Direct().Do(t.Context(), chmod(d, 0o700)); return err })
		wantOver(t, over, false)
		a.returns(d)
		wantOver(t, over, true)
		time.Sleep(time.Second)
		a.renew()
		a.mustTake(d)
	})
}

// What stands in the way of an exclusive lease: a lease, an open, a change, a grace; nobody is asked to go.
func TestTakeIsRefused(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, _ func()) {
		f := inoOf(t, l, "f")
		a, b := newLeaser(t, l), newLeaser(t, l)
		b.mustRead(&meta.GetAttr{Volume: 1, Ino: f})
		if a.take(f, false).Granted {
			t.Fatal("granted although another remembers it")
		}
		b.mustTake(f) // its own shared one is no obstacle, and becomes part of it
		if a.take(f, false).Granted {
			t.Fatal("granted twice")
		}
		if got := b.recalls(); got != nil {
			t.Fatal("a Take recalls: ", got)
		}
		b.returns(f)
		if _, err := b.read(&meta.Open{Volume: 1, Ino: f}); err != nil {
			t.Fatal(err)
		}
		b.returns(f)
		if _, err := l.RenewLeases(t.Context(), b.id, 0, false); err != nil { // gives its lease back, not its open
			t.Fatal(err)
		}
		if a.take(f, false).Granted {
			t.Fatal("granted although another has it open")
		}
		mustDo(t, l.Direct(), create("g"))
		hold := make(chan struct{})
		r.SetBefore(func() { <-hold })
		g := inoOf(t, l, "g")
		change := background(func() error { _, err := l.Direct().Do(t.Context(), chmod(g, 0o600)); return err })
		wantOver(t, change, false)
		if a.take(g, false).Granted {
			t.Fatal("granted while it changes")
		}
		close(hold)
		wantOver(t, change, true)
		if reply, err := l.Do(t.Context(), meta.Call{Session: a.id, Op: &meta.Take{Volume: 1, Ino: g}}); err != nil || reply.(*meta.TakeReply).Granted {
			t.Fatal("granted without being asked for", err)
		}
		a.mustTake(g)
	})
}

// Children come along if they are nobody's.
func TestTakeChildren(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		in := func(name string, mode uint32) honeyant.Ino {
			return mustDo(t, l.Direct(), &meta.Make{Volume: 1, Parent: d, Name: name, Mode: mode, Target: "target", Exclusive: true}).Attr.Ino
		}
		free, sym := in("free", honeyant.ModeFile|0o644), in("sym", honeyant.ModeSymlink)
		read, open, linked, attr := in("read", honeyant.ModeFile), in("open", honeyant.ModeFile), in("linked", honeyant.ModeFile), in("attr", honeyant.ModeFile)
		in("dir", honeyant.ModeDir|0o755)
		a, b := newLeaser(t, l), newLeaser(t, l)
		mustDo(t, l.Direct(), &meta.Link{Volume: 1, Ino: linked, Parent: honeyant.RootIno, Name: "second"})
		mustDo(t, l.Direct(), &meta.SetXattr{Volume: 1, Ino: attr, Name: "user.a", Value: []byte("b")})
		b.mustRead(&meta.GetAttr{Volume: 1, Ino: read})
		if _, err := l.Do(t.Context(), meta.Call{Session: b.id, Stamp: 1, Op: &meta.Open{Volume: 1, Ino: open}}); err != nil {
			t.Fatal(err)
		}
		r := a.take(d, true)
		got := slices.Clone(r.Held)
		slices.Sort(got)
		if !r.Granted || r.Held[0] != d || !slices.Equal(got, []honeyant.Ino{d, free, sym}) {
			t.Fatalf("%+v", r.Held)
		}
		if len(r.Records) != 1+7+2 { // the directory, its names, two children
			t.Errorf("%d records", len(r.Records))
		}
		for _, ino := range got {
			if h := l.Holders(file(ino)); len(h) != 1 || h[0].Session != a.id || !h[0].Exclusive {
				t.Errorf("%d: %+v", ino, h)
			}
		}
	})
}

// holderOfTwo is a session that holds two directories and may make ten inodes, the first of which is ino.
func holderOfTwo(t *testing.T, l *meta.Leader) (a *leaser, d, e, ino honeyant.Ino) {
	t.Helper()
	d, e = makeDir(t, l, "d"), makeDir(t, l, "e")
	a = newLeaser(t, l)
	a.mustTake(d)
	a.mustTake(e)
	return a, d, e, a.reserve(10)
}

// A session that does not give back what somebody waits for keeps it for the limit, and then until nobody can think
// that it still uses its leases: it can not renew them.
func TestTakenByForce(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, d, e, ino := holderOfTwo(t, l)
		b := newLeaser(t, l)
		began := time.Now()
		over := background(func() error {
			_, err := l.Direct().Do(t.Context(), chmod(d, 0o700))
			return err
		})
		for time.Since(began) < 5*time.Second {
			a.renew()
			b.renew()
			a.recalls() // heard, but not done
			wantOver(t, over, false)
			time.Sleep(250 * time.Millisecond)
		}
		old := a.term
		a.renew()
		if a.term != 0 {
			t.Fatal("its leases were renewed")
		}
		time.Sleep(1250 * time.Millisecond)
		wantOver(t, over, true)
		if s := l.Leases(); s.Taken != 1 || s.Exclusive != 1 {
			t.Errorf("%+v", s)
		}
		a.renew()
		if a.term == 0 || a.term == old {
			t.Fatal("no new term")
		}
		version := mustDo(t, l.Direct(), &meta.GetAttr{Volume: 1, Ino: d}).Attr.Version
		if lost := a.reclaim(meta.ReclaimedFile{OpenFile: file(d), Version: version - 1}, meta.ReclaimedFile{OpenFile: file(e), Version: 1}); !slices.Equal(lost, []meta.OpenFile{file(d)}) {
			t.Error(lost)
		}
		r, err := a.flush(makeIn(d, "x", ino), record(chmod(ino, 0o600)), makeIn(e, "y", ino+1), record(chmod(ino+1, 0o600)))
		if err != nil || !slices.Equal(r.Refused, []meta.Refusal{{Index: 0, Kind: honeyant.Stale}, {Index: 1, Kind: honeyant.Stale}}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Rule 18: a session that is out of touch is suspect. What somebody wants is taken at once, the rest is still its own
// when it comes back, also what it has in its journal.
func TestSuspects(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, d, e, ino := holderOfTwo(t, l)
		b := newLeaser(t, l)
		began := time.Now()
		time.Sleep(1400 * time.Millisecond)
		b.renew()
		over := background(func() error { _, err := b.read(&meta.GetAttr{Volume: 1, Ino: d}); return err })
		wantOver(t, over, false)
		time.Sleep(100 * time.Millisecond)
		wantOver(t, over, true) // as soon as a's leases have lapsed
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Error(took)
		}
		time.Sleep(5 * time.Second)
		if s := l.Leases(); s.Taken != 1 || s.Exclusive != 1 {
			t.Fatalf("%+v", s)
		}
		if _, err := b.change(chmod(d, 0o700)); err != nil {
			t.Fatal(err)
		}
		a.renew()
		lost := a.reclaim(meta.ReclaimedFile{OpenFile: file(d), Version: 1}, meta.ReclaimedFile{OpenFile: file(e), Version: 1})
		if !slices.Equal(lost, []meta.OpenFile{file(d)}) {
			t.Error(lost)
		}
		a.mustFlush(makeIn(e, "y", ino))
		time.Sleep(3 * time.Second)
		b.renew()
		if _, err := b.change(chmod(e, 0o700)); err != nil { // at once
			t.Fatal(err)
		}
		mustDo(t, l.Direct(), &meta.CloseSession{Session: a.id})
		if s := l.Leases(); s.Exclusive != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The asking session's other operations are evaluated under its own lease. What they change it has to give back,
// unless it says that it knows.
func TestOwnOperationsOnOwnLeases(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		a := newLeaser(t, l)
		a.mustTake(d)
		a.mustRead(&meta.GetAttr{Volume: 1, Ino: d})
		if ok, err := a.change(chmod(d, 0o700), d); !ok || err != nil {
			t.Fatal(ok, err)
		}
		over := background(func() error { _, err := a.change(chmod(d, 0o750)); return err })
		wantOver(t, over, false)
		if got := a.recalls(); !slices.Equal(got, []honeyant.Ino{d}) {
			t.Fatal(got)
		}
		a.recalls()
		wantOver(t, over, false) // heard of
		a.returns(d)
		wantOver(t, over, true)
		a.mustTake(d) // no conflict with anybody
	})
}

// Rule 14: crossing operations of sessions that hold what the other needs come to an end, and flushes go through
// while they wait.
func TestCrossingOperations(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d, e := makeDir(t, l, "d"), makeDir(t, l, "e")
		a, b := newLeaser(t, l), newLeaser(t, l)
		a.mustTake(d)
		b.mustTake(e)
		in, ib := a.reserve(1), b.reserve(1)
		move := func(s *leaser, from, to honeyant.Ino, name string) func() (bool, error) {
			return background(func() error {
				s.seq++
				_, err := l.Do(t.Context(), meta.Call{Session: s.id, Slot: 7, Seq: s.seq, Cover: []meta.OpenFile{file(from)},
					Op: &meta.Rename{Volume: 1, OldParent: from, OldName: name, NewParent: to, NewName: name + "2"}})
				return err
			})
		}
		a.mustFlush(makeIn(d, "a", in))
		b.mustFlush(makeIn(e, "b", ib))
		first, second := move(a, d, e, "a"), move(b, e, d, "b")
		wantOver(t, first, false)
		wantOver(t, second, false)
		a.mustFlush(record(chmod(in, 0o600)))
		b.mustFlush(record(chmod(ib, 0o600)))
		a.returns(d, in)
		b.returns(e, ib)
		wantOver(t, first, true)
		wantOver(t, second, true)
	})
}

// Rule 17: before a new leader knows who holds what it evaluates nothing that looks at an inode. A flush waits until
// its session has said what it holds; then the session is served as before.
func TestGraceKeepsExclusiveLeases(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, stop func()) {
		d := makeDir(t, l, "d")
		a, b := newLeaser(t, l), newLeaser(t, l)
		a.mustTake(d)
		ino := a.reserve(10)
		stop()
		l, _ = r.Lead(t, 1, meta.LeaderOptions{})
		a.l, b.l = l, l
		read := background(func() error {
			_, err := meta.Do(t.Context(), l.Direct(), &meta.Lookup{Volume: 1, Parent: d, Name: "x"})
			return err
		})
		flush := background(func() error {
			reply, err := a.flush(makeIn(d, "x", ino))
			if err == nil && len(reply.Refused) > 0 {
				err = fmt.Errorf("refused %+v", reply.Refused)
			}
			return err
		})
		b.renew()
		wantOver(t, read, false)
		wantOver(t, flush, false)
		if lost := a.reclaim(meta.ReclaimedFile{OpenFile: file(d), Version: 1}, meta.ReclaimedFile{OpenFile: file(ino)}); lost != nil {
			t.Fatal(lost)
		}
		wantOver(t, flush, true)
		a.renew()
		wantOver(t, read, false) // recalled from its holder
		if got := a.recalls(); !slices.Equal(got, []honeyant.Ino{d, ino}) {
			t.Fatal(got)
		}
		a.returns(d, ino)
		wantOver(t, read, true)
	})
}

// A session that comes after the grace keeps what nobody has touched.
func TestLateClaim(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, stop func()) {
		d, e, f := makeDir(t, l, "d"), makeDir(t, l, "e"), makeDir(t, l, "g")
		a, b := newLeaser(t, l), newLeaser(t, l)
		for _, ino := range []honeyant.Ino{d, e, f} {
			a.mustTake(ino)
		}
		ino := a.reserve(10)
		stop()
		l, _ = r.Lead(t, 1, meta.LeaderOptions{})
		a.l, b.l = l, l
		b.renew()
		time.Sleep(time.Second)
		b.renew()
		time.Sleep(time.Second)
		b.renew()
		if _, err := b.change(chmod(e, 0o700)); err != nil {
			t.Fatal(err)
		}
		b.mustRead(&meta.GetAttr{Volume: 1, Ino: f})
		flush := background(func() error {
			reply, err := a.flush(makeIn(d, "x", ino), makeIn(e, "x", ino+1))
			if err == nil && !slices.Equal(reply.Refused, []meta.Refusal{{Index: 1, Kind: honeyant.Stale}}) {
				err = fmt.Errorf("refused %+v", reply.Refused)
			}
			return err
		})
		wantOver(t, flush, false)
		var claims []meta.ReclaimedFile
		for _, ino := range []honeyant.Ino{d, e, f} {
			claims = append(claims, meta.ReclaimedFile{OpenFile: file(ino), Version: 1})
		}
		if lost := a.reclaim(claims...); !slices.Equal(lost, []meta.OpenFile{file(e), file(f)}) {
			t.Fatal(lost)
		}
		wantOver(t, flush, true)
	})
}

// A session that misses one leader altogether has lost what others have changed under that one, whatever the next leader knows
// of it; what was not changed, or by its own flush of which it has no answer, it keeps.
func TestClaimAfterAMissedEpoch(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, r *metatest.Replicas, l *meta.Leader, stop func()) {
		d, e, g := makeDir(t, l, "d"), makeDir(t, l, "e"), makeDir(t, l, "g")
		a, b := newLeaser(t, l), newLeaser(t, l)
		for _, ino := range []honeyant.Ino{d, e, g} {
			a.mustTake(ino)
		}
		numbers := a.reserve(10)
		a.mustFlush(makeIn(g, "deleted", numbers+2), record(&meta.Unlink{Volume: 1, Parent: g, Name: "deleted"}), makeIn(g, "flushed", numbers)) // the answer does not arrive
		left := mustDo(t, l.Direct(), &meta.GetAttr{Volume: 1, Ino: honeyant.RootIno}).Attr
		stop()
		l, stop = r.Lead(t, 1, meta.LeaderOptions{})
		b.l = l
		for range 3 { // the grace ends without a
			b.renew()
			time.Sleep(time.Second)
		}
		if _, err := b.change(chmod(e, 0o700)); err != nil {
			t.Fatal(err)
		}
		stop()
		l, _ = r.Lead(t, 2, meta.LeaderOptions{})
		a.l, b.l = l, l
		lost := a.reclaim(
			meta.ReclaimedFile{OpenFile: file(d), Version: 1},
			meta.ReclaimedFile{OpenFile: file(e), Version: 1},
			meta.ReclaimedFile{OpenFile: file(g), Version: 1, InFlight: true, Next: 4, NextCtime: honeyant.Time{Sec: 7}},
			meta.ReclaimedFile{OpenFile: file(numbers), InFlight: true, Next: 1, NextCtime: honeyant.Time{Sec: 7}},
			meta.ReclaimedFile{OpenFile: file(numbers + 2), Version: 1, InFlight: true}, // held, and therefore an orphan still
			meta.ReclaimedFile{OpenFile: file(numbers + 1)},                             // not flushed yet
		)
		if !slices.Equal(lost, []meta.OpenFile{file(e)}) {
			t.Fatalf("lost %v, want %v alone (root is %+v)", lost, file(e), left)
		}
		if lost := a.reclaim(meta.ReclaimedFile{OpenFile: file(honeyant.RootIno), Version: 1, InFlight: true, Next: left.Version, NextCtime: honeyant.Time{Sec: 99}}); len(lost) != 1 {
			t.Error("what has the right version by chance, and another ctime, is kept")
		}
	})
}

// Rule 22: what is held counts as open. It is deleted when it is given back and nobody else has it open.
func TestHeldFilesOutliveTheirNames(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		a := newLeaser(t, l)
		a.mustTake(d)
		ino := a.reserve(2)
		a.mustFlush(makeIn(d, "x", ino), record(&meta.Unlink{Volume: 1, Parent: d, Name: "x"}),
			record(&meta.Commit{Volume: 1, Ino: ino, Extents: []honeyant.Extent{{Length: 3, Inline: []byte("abc")}}}))
		synctest.Wait()
		if n := orphans(t, l); n != 1 {
			t.Fatalf("%d orphans", n)
		}
		a.returns(ino)
		synctest.Wait()
		if n := orphans(t, l); n != 0 {
			t.Fatalf("%d orphans", n)
		}
	})
}

// A Return that arrives late does not give away what was taken since.
func TestLateReturn(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		a := newLeaser(t, l)
		a.mustTake(d)
		late := a.seq + 1
		a.returns(d)
		a.mustTake(d)
		if err := l.Return(t.Context(), a.id, late, []meta.OpenFile{file(d)}); err != nil || l.Leases().Exclusive != 1 {
			t.Fatal(err, l.Leases())
		}
	})
}

// Journal records are done in order, each over those before it; what depends on a refused one is refused, and
// nothing else. The answer is kept.
func TestFlush(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		d := makeDir(t, l, "d")
		f := inoOf(t, l, "f")
		a := newLeaser(t, l)
		a.mustTake(d)
		n := a.reserve(20)
		write := func(ino honeyant.Ino) meta.JournalRecord {
			return record(&meta.Commit{Volume: 1, Ino: ino, Extents: []honeyant.Extent{{Length: 1, Inline: []byte("x")}}})
		}
		rename := func(from, to string) meta.JournalRecord {
			return record(&meta.Rename{Volume: 1, OldParent: d, OldName: from, NewParent: d, NewName: to})
		}
		op := &meta.Flush{Volume: 1, Records: []meta.JournalRecord{
			makeIn(d, "a", n),
			write(n),
			rename("a", "b"),
			makeIn(d, "a", n+1),
			makeIn(d, "b", n+2), // 4: exists
			write(n + 2),        // 5: so this is not there
			write(f),            // 6: not held
			record(&meta.Link{Volume: 1, Ino: f, Parent: d, Name: "l"}), // 7: looks at f
			rename("a", "c"),
			makeIn(d, "d", n+1),   // 9: taken
			makeIn(d, "e", n+100), // 10: not reserved
			record(&meta.Make{Volume: 1, Parent: d, Name: "h", Mode: honeyant.ModeDir | 0o700}), // 11: no number
			{Now: honeyant.Time{Sec: 7}, Ino: n + 3, Op: &meta.Make{Volume: 1, Parent: d, Name: "dir", Mode: honeyant.ModeDir | 0o700}},
			makeIn(n+3, "in", n+4),
			record(&meta.Punch{Volume: 1, Ino: n}),                // 14: not for journals
			record(&meta.Unlink{Volume: 2, Parent: d, Name: "c"}), // 15: another volume
		}}
		want := []meta.Refusal{{4, honeyant.Exist}, {5, honeyant.Exist}, {6, honeyant.Stale}, {7, honeyant.Stale}, {9, honeyant.Invalid},
			{10, honeyant.Invalid}, {11, honeyant.Invalid}, {14, honeyant.Invalid}, {15, honeyant.Invalid}}
		for i := range 2 { // sent again
			call := meta.Call{Session: a.id, Slot: 5, Seq: 1, Retry: i > 0, Op: op}
			reply, err := l.Do(t.Context(), call)
			if err != nil || !slices.Equal(reply.(*meta.FlushReply).Refused, want) || reply.(*meta.FlushReply).Rest {
				t.Fatalf("%+v, %v", reply, err)
			}
		}
		a.returns(d, n, n+1, n+3, n+4)
		for name, ino := range map[string]honeyant.Ino{"b": n, "c": n + 1, "dir": n + 3} {
			e := mustDo(t, l.Direct(), &meta.Lookup{Volume: 1, Parent: d, Name: name})
			if e.Attr.Ino != ino || name == "b" && (e.Attr.Size != 1 || e.Attr.Mtime.Sec != 8) {
				t.Errorf("%s: %+v", name, e.Attr)
			}
		}
		if a := mustDo(t, l.Direct(), &meta.GetAttr{Volume: 1, Ino: d}).Attr; a.Nlink != 3 || a.Mtime.Sec != 7 {
			t.Errorf("%+v", a)
		}
		// A flood of refusals stops at as many as fit.
		var many []meta.JournalRecord
		for range 50 {
			many = append(many, write(f))
		}
		if r, err := a.flush(many...); err != nil || len(r.Refused) != 32 || !r.Rest {
			t.Errorf("%+v, %v", r, err)
		}
		_, err := l.Do(t.Context(), meta.Call{Op: op})
		wantKind(t, err, honeyant.Invalid)
	})
}

// Data under a lease are accepted although the policy wants more copies by now; without any they are refused.
func TestFlushTakesWhatIsShort(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		hash := make([]byte, 32)
		mustDo(t, l.Direct(), &meta.AddToken{Token: meta.Token{Hash: hash, Name: "t", Left: 2}})
		for _, name := range []string{"two", "three"} {
			mustDo(t, l.Direct(), &meta.AddNode{Name: name, Address: name + ":1", PublicKey: []byte(name), TokenHash: hash})
		}
		store := mustDo(t, l.Direct(), &meta.AddStore{Node: 1, Key: "s", Capacity: 1 << 40}).Store.ID
		f := inoOf(t, l, "f")
		a := newLeaser(t, l)
		chunk := func(n uint64, replicas ...honeyant.Replica) *meta.Commit {
			id := honeyant.NewChunkID(1, a.id, n)
			return &meta.Commit{Volume: 1, Ino: f, Chunks: []honeyant.ChunkRef{{ID: id, Sum: honeyant.ChunkSum{Length: 10}, Replicas: replicas}},
				Extents: []honeyant.Extent{{Length: 10, Chunk: id}}}
		}
		one := honeyant.Replica{Store: store, Generation: 1}
		if _, err := a.change(chunk(1, one)); !errors.Is(err, honeyant.Conflict) {
			t.Fatal(err)
		}
		a.mustTake(f)
		a.mustFlush(record(chunk(2, one)))
		if n := mustDo(t, l.Direct(), &meta.Counts{Volume: 1}); n.Short != 1 {
			t.Errorf("%+v", n)
		}
		r, err := a.flush(record(chunk(3)))
		if err != nil || !slices.Equal(r.Refused, []meta.Refusal{{0, honeyant.Stale}}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A directory is told in parts when the session asks so: each begins where the last one ended, and all together are all names.
// A whole one that is too large for an answer is not granted.
func TestTakeTellsADirectoryInParts(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		const files = 5000
		d := makeDir(t, l, "d")
		a := newLeaser(t, l)
		for n := range files {
			mustDo(t, l.Direct(), &meta.Make{Volume: 1, Parent: d, Name: fmt.Sprint("f", n), Mode: honeyant.ModeFile | 0o644})
		}
		if r := a.take(d, true); r.Granted {
			t.Fatalf("%d names in one answer", len(r.Records))
		}
		names, held := map[string]bool{}, map[honeyant.Ino]bool{}
		for from, parts := uint64(0), 0; from != meta.AllNames; parts++ {
			a.seq++
			reply, _, err := l.DoLeased(t.Context(), meta.Call{Session: a.id, Stamp: a.seq, Lease: true,
				Op: &meta.Take{Volume: 1, Ino: d, Children: true, From: from, Names: 700}})
			if err != nil {
				t.Fatal(err)
			}
			r := reply.(*meta.TakeReply)
			if !r.Granted || r.From != from || r.Until <= from || parts > files/300 {
				t.Fatalf("part %d from %x: granted %v, from %x to %x", parts, from, r.Granted, r.From, r.Until)
			}
			told := 0
			for _, rec := range r.Records {
				if rec.Key[0] != 'd' {
					continue
				}
				name := string(rec.Key[21:])
				if hash := meta.NameCookie(name); names[name] || hash < r.From || hash >= r.Until {
					t.Fatalf("%s (%x) in the part from %x to %x, told before: %v", name, hash, r.From, r.Until, names[name])
				}
				names[name] = true
				told++
			}
			if told > 700 || told < 600 && r.Until != meta.AllNames {
				t.Fatalf("%d names in a part", told)
			}
			for _, ino := range r.Held[1:] {
				held[ino] = true
			}
			from = r.Until
		}
		if len(names) != files || len(held) != files {
			t.Fatalf("%d names and %d files of %d", len(names), len(held), files)
		}
	})
}
