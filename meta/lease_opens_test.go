package meta_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

// settle waits until the reaper has done what it can.
func settle() {
	synctest.Wait()
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// says tells the leader that files are open, of many or all of them.
func (s *leaser) says(stamp uint64, last bool, files ...meta.OpenFile) {
	s.t.Helper()
	as := meta.Reasserted{Stamp: stamp}
	if last {
		as.Epoch, _ = s.l.Epoch()
		as.Term = s.term
	}
	if err := s.l.Reassert(s.id, as, files, last); err != nil {
		s.t.Fatal(err)
	}
}

func fileOf(t *testing.T, l *meta.Leader, name string) meta.OpenFile {
	t.Helper()
	return meta.OpenFile{Volume: honeyant.MainVolume, Ino: mustDo(t, l.Direct(), lookup(name)).Attr.Ino}
}

// What a session may have open under a lease is not deleted before the session has said that it has not (rule 22).
func TestLeaseStandsForOpen(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b := newLeaser(t, l), newLeaser(t, l)
		for _, open := range []bool{false, true} {
			if _, err := b.change(create("file"), honeyant.RootIno); err != nil {
				t.Fatal(err)
			}
			a.poll()
			a.poll()
			a.mustRead(lookup("file"))
			f := fileOf(t, l, "file")
			over := background(func() error { _, err := b.change(unlink("file"), honeyant.RootIno, f.Ino); return err })
			settle()
			if n := orphans(t, l); n != 1 {
				t.Fatalf("open %v: %d orphans before the recall is acknowledged", open, n)
			}
			if files := a.poll(); len(files) != 2 { // with the directory
				t.Fatal(files)
			}
			if open {
				a.says(10, false, f)
			}
			a.poll()
			wantOver(t, over, true)
			b.poll() // it has a lease as well
			b.poll()
			settle()
			want := uint64(0)
			if open {
				want = 1
			}
			if n := orphans(t, l); n != want {
				t.Fatalf("open %v: %d orphans when nobody has a lease", open, n)
			}
			if granted, _ := a.read(&meta.GetAttr{Volume: 1, Ino: f.Ino}); granted && open {
				t.Fatal("a lease on what is to be deleted")
			}
			if err := l.ReleaseOpens(a.id, []meta.ReleasedFile{{OpenFile: f, Stamp: 11}}); err != nil {
				t.Fatal(err)
			}
			settle()
			if n := orphans(t, l); n != 0 {
				t.Fatalf("open %v: %d orphans after the release", open, n)
			}
		}
	})
}

// Who deletes a file vouches for itself by Cover; its lease on what it does not cover counts like anybody's.
func TestOwnLeaseStandsForOpen(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a := newLeaser(t, l)
		for _, name := range []string{"covered", "not"} {
			if _, err := a.change(create(name), honeyant.RootIno); err != nil {
				t.Fatal(err)
			}
			a.mustRead(lookup(name))
		}
		f, g := fileOf(t, l, "covered"), fileOf(t, l, "not")
		if _, err := a.change(unlink("covered"), honeyant.RootIno, f.Ino); err != nil {
			t.Fatal(err)
		}
		if n := orphans(t, l); n != 0 {
			t.Fatalf("%d orphans", n)
		}
		over := background(func() error { _, err := a.change(unlink("not"), honeyant.RootIno); return err })
		settle()
		a.says(10, false, g)
		a.poll()
		a.poll()
		wantOver(t, over, true)
		settle()
		if n := orphans(t, l); n != 1 {
			t.Fatalf("%d orphans", n)
		}
	})
}

// A session whose leases end by its silence keeps what it may have open until it has said what it has, of which what
// it began to say under leases that have ended as well does not count.
func TestLapsedLeaseStandsForOpen(t *testing.T) {
	for _, end := range []string{"says nothing open", "says open", "closed", "says late"} {
		t.Run(end, func(t *testing.T) {
			leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
				a, b := newLeaser(t, l), newLeaser(t, l)
				if _, err := b.change(create("file"), honeyant.RootIno); err != nil {
					t.Fatal(err)
				}
				a.poll()
				a.poll()
				a.mustRead(lookup("file"))
				f := fileOf(t, l, "file")
				old := a.term
				time.Sleep(2 * time.Second) // both lapse
				b.renew()
				b.says(1, true)
				if _, err := b.change(unlink("file"), honeyant.RootIno, f.Ino); err != nil {
					t.Fatal(err)
				}
				settle()
				if n := orphans(t, l); n != 1 {
					t.Fatalf("%d orphans while nobody knows what a has open", n)
				}
				a.renew()
				settle()
				if n := orphans(t, l); n != 1 {
					t.Fatalf("%d orphans before a has said what it has open", n)
				}
				want := uint64(0)
				switch end {
				case "says nothing open":
					a.says(10, true)
				case "says open":
					a.says(10, true, f)
					want = 1
				case "closed":
					mustDo(t, l.Direct(), &meta.CloseSession{Session: a.id})
				case "says late":
					a.term = old
					a.says(10, true)
					want = 1
				}
				b.poll()
				b.poll()
				settle()
				if n := orphans(t, l); n != want {
					t.Fatalf("%d orphans, should be %d", n, want)
				}
			})
		})
	}
}

// A session that has an orphan open can get a lease on it, which does not keep it for ever.
func TestLeaseOnOrphanEnds(t *testing.T) {
	leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
		a, b := newLeaser(t, l), newLeaser(t, l)
		if _, err := b.change(create("file"), honeyant.RootIno); err != nil {
			t.Fatal(err)
		}
		f := fileOf(t, l, "file")
		a.says(1, false, f)
		if _, err := b.change(unlink("file"), honeyant.RootIno, f.Ino); err != nil {
			t.Fatal(err)
		}
		a.mustRead(&meta.GetAttr{Volume: 1, Ino: f.Ino})
		if err := l.ReleaseOpens(a.id, []meta.ReleasedFile{{OpenFile: f, Stamp: 2}}); err != nil {
			t.Fatal(err)
		}
		settle()
		if files := a.poll(); len(files) != 1 || files[0] != f {
			t.Fatal("not recalled: ", files)
		}
		a.poll()
		b.poll()
		b.poll()
		settle()
		if n := orphans(t, l); n != 0 {
			t.Fatalf("%d orphans", n)
		}
	})
}

// A session that is closed while it may still use its leases, as a machine that was killed and is back at once, keeps its
// orphans only until it can not use them any more, whatever stands for its opens.
func TestOrphanOfClosedSessionGoesWithItsLeases(t *testing.T) {
	for name, open := range map[string]func(*leaser) (ino honeyant.Ino){
		"owned": func(a *leaser) honeyant.Ino {
			d, ino := makeDir(a.t, a.l, "d"), a.reserve(1)
			a.mustTake(d)
			a.mustFlush(makeIn(d, "x", ino))
			a.mustFlush(record(&meta.Unlink{Volume: 1, Parent: d, Name: "x"}))
			return ino
		},
		"remembered": func(a *leaser) honeyant.Ino {
			a.mustRead(lookup("f"))
			f := fileOf(a.t, a.l, "f")
			background(func() error { _, err := a.l.Direct().Do(a.t.Context(), unlink("f")); return err })
			return f.Ino
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaseRig(t, meta.LeaderOptions{}, func(t *testing.T, _ *metatest.Replicas, l *meta.Leader, _ func()) {
				a := newLeaser(t, l)
				ino := open(a)
				settle()
				if n := orphans(t, l); n != 1 {
					t.Fatalf("%d orphans of what is open", n)
				}
				a.renew()
				mustDo(t, l.Direct(), &meta.CloseSession{Session: a.id})
				settle()
				if n := orphans(t, l); n != 1 {
					t.Fatalf("%d orphans while the leases last: %+v", n, l.Holders(file(ino)))
				}
				time.Sleep(1500 * time.Millisecond)
				settle()
				if n := orphans(t, l); n != 0 {
					t.Fatalf("%d orphans although the leases are over", n)
				}
			})
		})
	}
}
