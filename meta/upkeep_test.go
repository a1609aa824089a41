package meta_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func lockOp(ino honeyant.Ino, owner uint64) *meta.Lock {
	return &meta.Lock{Volume: honeyant.MainVolume, Ino: ino, Lock: meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: owner, End: 1<<63 - 1}}
}

// Rule 18: past the TTL a session is suspect; a real conflict ends it, and nothing else does for 10 min.
func TestSuspectSessionLosesItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := metatest.NewReplicas(t)
		l, _ := r.Lead(t, 0, meta.LeaderOptions{})
		bootstrap(t, l)
		a, b := openSession(t, l), openSession(t, l)
		do := func(s honeyant.SessionID, seq uint64, op meta.Op) (meta.Reply, error) {
			return l.Do(t.Context(), meta.Call{Session: s, Seq: seq, Op: op})
		}
		rep, err := do(a, 1, create("f"))
		if err != nil {
			t.Fatal(err)
		}
		ino := rep.(*meta.EntryReply).Attr.Ino
		granted := func(s honeyant.SessionID, seq uint64) bool {
			t.Helper()
			rep, err := do(s, seq, lockOp(ino, 1))
			if err != nil {
				t.Fatal(err)
			}
			return rep.(*meta.LockReply).Granted
		}
		if !granted(a, 2) || granted(b, 1) {
			t.Fatal("a must have the lock, b not")
		}
		time.Sleep(3 * time.Second)
		if _, err := l.Renew(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if granted(b, 2) {
			t.Fatal("a was renewed 3 s ago")
		}
		time.Sleep(2 * time.Second)
		if !granted(b, 3) {
			t.Fatal("a has been silent for more than the TTL")
		}
		_, err = do(a, 3, create("g"))
		wantKind(t, err, honeyant.Fenced)
		_, err = do(a, 0, lookup("f"))
		wantKind(t, err, honeyant.Fenced)
		_, err = l.Renew(t.Context(), a)
		wantKind(t, err, honeyant.Fenced)
		time.Sleep(9 * time.Minute)
		if n := len(l.Sessions()); n != 1 {
			t.Fatalf("%d sessions before 10 min", n)
		}
		time.Sleep(2 * time.Minute)
		if n := len(l.Sessions()); n != 0 {
			t.Fatalf("%d sessions after 10 min", n)
		}
		if n := len(mustDo(t, l.Direct(), &meta.ListSessions{}).Sessions); n != 0 {
			t.Fatalf("%d sessions in the state", n)
		}
		r.Stop()
		r.CheckEqual(t)
		faults, err := meta.Check(r.DBs[0])
		if err != nil || len(faults) > 0 {
			t.Fatal(faults, err)
		}
	})
}

func orphans(t *testing.T, l *meta.Leader) uint64 {
	return mustDo(t, l.Direct(), &meta.Counts{Volume: honeyant.MainVolume}).Orphans
}

// Rule 22: an unlinked file that is open lives until its last user releases it, also across a change of the
// leader, and nothing is deleted before all sessions have said what they have open.
func TestOrphansOutliveTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := metatest.NewReplicas(t)
		l, stop := r.Lead(t, 0, meta.LeaderOptions{})
		bootstrap(t, l)
		a, b := openSession(t, l), openSession(t, l)
		mk := create("f")
		mk.Open = true
		rep, err := l.Do(t.Context(), meta.Call{Session: a, Seq: 1, Stamp: 1, Op: mk})
		if err != nil {
			t.Fatal(err)
		}
		f := meta.OpenFile{Volume: honeyant.MainVolume, Ino: rep.(*meta.EntryReply).Attr.Ino}
		if _, err := l.Do(t.Context(), meta.Call{Session: b, Seq: 1, Op: unlink("f")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := orphans(t, l); n != 1 {
			t.Fatalf("%d orphans", n)
		}
		stop()
		l, _ = r.Lead(t, 1, meta.LeaderOptions{})
		epoch, _ := l.Epoch()
		time.Sleep(time.Minute)
		if l.OpensKnown() || orphans(t, l) != 1 {
			t.Fatal("deleted before the sessions have said what they have open")
		}
		if err := l.Reassert(a, meta.Reasserted{Epoch: epoch, Stamp: 2}, []meta.OpenFile{f}, true); err != nil {
			t.Fatal(err)
		}
		wantKind(t, l.Reassert(b, meta.Reasserted{Epoch: epoch - 1, Stamp: 2}, nil, true), honeyant.Stale)
		if l.OpensKnown() {
			t.Fatal("b has not said anything")
		}
		if err := l.Reassert(b, meta.Reasserted{Epoch: epoch, Stamp: 2}, nil, true); err != nil || !l.OpensKnown() {
			t.Fatal(err)
		}
		for _, s := range []honeyant.SessionID{a, b} { // and that they hold nothing exclusively
			if _, err := l.Renew(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := orphans(t, l); n != 1 {
			t.Fatalf("%d orphans", n)
		}
		open := &meta.Open{Volume: f.Volume, Ino: f.Ino}
		if _, err := l.Do(t.Context(), meta.Call{Session: b, Stamp: 3, Op: open}); err != nil {
			t.Fatal(err)
		}
		release := func(s honeyant.SessionID, stamp uint64) {
			t.Helper()
			if err := l.ReleaseOpens(s, []meta.ReleasedFile{{OpenFile: f, Stamp: stamp}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		release(a, 3)
		release(b, 2) // late: the open came after it
		if n := orphans(t, l); n != 1 {
			t.Fatalf("%d orphans", n)
		}
		release(b, 4)
		if n := orphans(t, l); n != 0 {
			t.Fatalf("%d orphans", n)
		}
		_, err = l.Do(t.Context(), meta.Call{Session: b, Stamp: 5, Op: open})
		wantKind(t, err, honeyant.Stale)
	})
}

// A session that dies with its opens lets its orphans go, and its locks and slots.
func TestClosedSessionLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := metatest.NewReplicas(t)
		l, _ := r.Lead(t, 0, meta.LeaderOptions{})
		bootstrap(t, l)
		before := len(metatest.Dump(t, r.DBs[0]))
		_ = before
		s := openSession(t, l)
		seq := uint64(0)
		do := func(op meta.Op) meta.Reply {
			t.Helper()
			seq++
			rep, err := l.Do(t.Context(), meta.Call{Session: s, Slot: uint32(seq % meta.MaxSlots), Seq: seq, Op: op})
			if err != nil {
				t.Fatal(err)
			}
			return rep
		}
		for i := range 1200 { // more locks than one step drops
			mk := create(string(rune('a'+i%26)) + string(rune('a'+i/26)))
			ino := do(mk).(*meta.EntryReply).Attr.Ino
			do(lockOp(ino, 1))
		}
		mk := create("open")
		mk.Open = true
		do(mk)
		do(unlink("open"))
		mustDo(t, l.Direct(), &meta.CloseSession{Session: s})
		_, err := l.Do(t.Context(), meta.Call{Session: s, Slot: 1, Seq: seq + 1, Op: mkdir("x")})
		wantKind(t, err, honeyant.Fenced)
		synctest.Wait()
		if n := orphans(t, l); n != 0 {
			t.Fatalf("%d orphans", n)
		}
		if list := mustDo(t, l.Direct(), &meta.ListSessions{}); len(list.Sessions) != 0 || list.Next != s+1 {
			t.Fatal(list)
		}
		faults, err := meta.Check(r.DBs[0])
		if err != nil || len(faults) > 0 {
			t.Fatal(faults, err)
		}
	})
}
