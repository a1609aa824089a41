package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a real metadata leader and three nodes with a real store each, on disks in memory.
type rig struct {
	t      *testing.T
	log    *metatest.Replicas
	leader *meta.Leader
	disks  []*disk.Memory
	o      backup.Options

	mu     sync.Mutex // guards the fields below
	stores []*chunk.Store
	down   map[honeyant.StoreID]bool
	fail   func(step string) error // asked before each change of a setting, write, verification, read and deletion; nil: all succeed
}

func run(t *testing.T, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, log: metatest.NewReplicas(t), down: map[honeyant.StoreID]bool{}}
		r.leader, _ = r.log.Lead(t, 0, meta.LeaderOptions{DeadAfter: 1000 * time.Hour})
		metatest.Found(t, r.leader.Direct(), "c0ffee", 3, 1<<30)
		for range 3 {
			r.disks = append(r.disks, disk.NewMemory(4<<30))
		}
		r.ok(&meta.PutSetting{Name: "secret.key", Value: []byte("a key")})
		r.reopen()
		r.o = backup.Options{Meta: r, Chunks: r, Map: r.log.MapUp, PartSize: 2000,
			Copy: func(use func(kv.Reader) error) error { return use(r.log.States[0].View()) }}
		t.Cleanup(func() {
			for _, s := range r.stores {
				s.Close()
			}
		})
		test(r)
	})
}

// reopen opens the stores as a restart does.
func (r *rig) reopen() {
	r.t.Helper()
	for _, s := range r.stores {
		s.Close()
	}
	r.stores = nil
	for _, d := range r.disks {
		s, err := chunk.Open(d, chunk.Options{Capacity: 1 << 30})
		if err != nil {
			r.t.Fatal(err)
		}
		r.stores = append(r.stores, s)
	}
}

func (r *rig) ok(op meta.Op) meta.Reply {
	r.t.Helper()
	return metatest.OK(r.t, r.leader.Direct(), op)
}

// files makes n more files.
func (r *rig) files(prefix string, n int) {
	r.t.Helper()
	for i := range n {
		r.ok(&meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: fmt.Sprintf("%s%d", prefix, i), Mode: honeyant.ModeFile | 0o644})
	}
}

func (r *rig) step(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		return nil
	}
	return r.fail(fmt.Sprintf(format, args...))
}

func (r *rig) store(id honeyant.StoreID) (*chunk.Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down[id] {
		return nil, honeyant.E("test", honeyant.Unavailable, id.String(), nil)
	}
	return r.stores[id-1], nil
}

// Do implements meta.Doer.
func (r *rig) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	if _, ok := op.(*meta.PutSetting); ok {
		if err := r.step("setting"); err != nil {
			return nil, err
		}
	}
	return r.leader.Direct().Do(ctx, op)
}

func (r *rig) Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID, _ func([]honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	ref := honeyant.ChunkRef{ID: id}
	for _, t := range targets {
		s, err := r.store(t)
		if err == nil {
			err = r.step("write %v %v", id, t)
		}
		if err != nil {
			continue
		}
		w, err := s.Create(id, uint32(len(data)))
		if err != nil {
			return ref, err
		}
		if _, err := w.Write(data); err != nil {
			return ref, err
		}
		gen, sum, err := w.Commit(ctx)
		if err != nil {
			return ref, err
		}
		ref.Sum = sum
		ref.Replicas = append(ref.Replicas, honeyant.Replica{Store: t, Generation: gen})
	}
	if len(ref.Replicas) == 0 {
		return ref, honeyant.E("test", honeyant.Unavailable, id.String(), nil)
	}
	return ref, nil
}

func (r *rig) Read(_ context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error {
	if err := r.step("read %v", ref.ID); err != nil {
		return err
	}
	var err error
	for _, rep := range ref.Replicas {
		var s *chunk.Store
		if s, err = r.store(rep.Store); err == nil {
			if _, err = s.ReadAt(ref.ID, rep.Generation, p, off); err == nil {
				return nil
			}
		}
	}
	return err
}

func (r *rig) Verify(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error) {
	s, err := r.store(store)
	if err == nil {
		err = r.step("verify %v %v", id, store)
	}
	if err != nil {
		return honeyant.ChunkSum{}, err
	}
	return s.Verify(ctx, id, gen)
}

func (r *rig) Delete(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error {
	s, err := r.store(store)
	if err == nil {
		err = errors.Join(ctx.Err(), r.step("delete %v %v", id, store))
	}
	if err != nil {
		return err
	}
	return s.Delete(ctx, id, gen)
}

func (r *rig) list() *backup.List {
	r.t.Helper()
	l, err := backup.Load(context.Background(), r.o.Meta)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// find looks through some of the stores, through all without a number.
func (r *rig) find(only ...int) []*backup.Found {
	var list []backup.Store
	for i, s := range r.stores {
		if len(only) == 0 || slices.Contains(only, i+1) {
			list = append(list, s)
		}
	}
	return backup.Find(list)
}

// backups lists the whole and readable ones that a scan finds, newest first.
func (r *rig) backups(only ...int) (numbers []uint32) {
	for _, f := range r.find(only...) {
		if f.Missing == 0 && f.Read(nil) == nil {
			numbers = append(numbers, f.Number)
		}
	}
	return numbers
}

// state is what a backup of the present state holds.
func (r *rig) state() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	if _, err := meta.Export(r.log.States[0].View(), func(k, v []byte) error { all[string(k)] = string(v); return nil }); err != nil {
		r.t.Fatal(err)
	}
	return all
}

// What a scan of one store finds is the state that was there, without secrets, and nothing of what came later.
func TestBackupHoldsTheState(t *testing.T) {
	run(t, func(r *rig) {
		r.files("a", 300)
		made, err := backup.NewMaker(r.o).Make(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		if made.Copies() != 3 || made.Holds.Inodes != 301 || len(made.Refs) < 4 {
			t.Errorf("%d copies, %d parts of %+v", made.Copies(), len(made.Refs), made.Holds)
		}
		want := r.state() // but for the list of backups itself, which was shorter
		r.files("b", 10)
		r.reopen()
		for only := 1; only <= 3; only++ {
			found := r.find(only)
			if len(found) != 1 || found[0].Missing != 0 {
				t.Fatalf("in store %d: %d backups", only, len(found))
			}
			got := map[string]string{}
			err := found[0].Read(func(k, v []byte) error { got[string(k)] = string(v); return nil })
			if err != nil {
				t.Fatal(err)
			}
			list := string(meta.SettingKey("backups"))
			delete(got, list)
			delete(want, list)
			if len(got) != len(want) {
				t.Errorf("%d pairs instead of %d", len(got), len(want))
			}
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%q is %q instead of %q", k, got[k], v)
				}
			}
			if _, ok := got[string(meta.SettingKey("secret.key"))]; ok {
				t.Error("a secret is in the backup")
			}
		}
	})
}

// Whatever fails at whichever step, the backup before stays whole and the newest; the one that failed is never taken
// for one, neither by the list nor by a scan after power cuts; and the next one succeeds.
func TestBackupFailsAtEachStep(t *testing.T) {
	fault := honeyant.E("test", honeyant.Unavailable, "", errors.New("injected"))
	for step := 0; ; step++ {
		reached := false
		run(t, func(r *rig) {
			maker := backup.NewMaker(r.o)
			r.files("a", 60)
			if _, err := maker.Make(context.Background(), false); err != nil {
				t.Fatal(err)
			}
			r.files("b", 60)
			n := 0
			r.fail = func(string) error { // everything from that step on
				if n++; n <= step {
					return nil
				}
				reached = true
				return fault
			}
			_, err := maker.Make(context.Background(), false)
			r.fail = nil
			r.crash()
			switch got := r.backups(); {
			case err != nil && (len(r.list().Kept) != 1 || !slices.Contains(got, 1)):
				t.Errorf("step %d: after %v the list has %d, a scan finds %v", step, err, len(r.list().Kept), got)
			case err == nil && (len(r.list().Kept) != 2 || got[0] != r.list().Kept[0].Number):
				t.Errorf("step %d: the list has %d, a scan finds %v", step, len(r.list().Kept), got)
			}
			next, err := maker.Make(context.Background(), false)
			if err != nil || r.backups()[0] != next.Number {
				t.Errorf("step %d: the next one: %v, a scan finds %v", step, err, r.backups())
			}
			r.tidy()
		})
		if !reached {
			if step < 10 {
				t.Errorf("only %d steps", step)
			}
			return
		}
	}
}

// crash cuts the power of all machines at once.
func (r *rig) crash() {
	r.t.Helper()
	for i, d := range r.disks {
		r.stores[i].Close()
		r.disks[i] = d.Crash(rand.New(rand.NewPCG(uint64(i), 7)))
	}
	r.reopen()
}

// tidy fails if a chunk of a backup would stay for ever: neither listed nor garbage.
func (r *rig) tidy() {
	r.t.Helper()
	list := r.list()
	named := map[honeyant.ChunkID]bool{}
	for _, k := range list.Kept {
		for _, ref := range k.Refs {
			named[ref.ID] = true
			if list.Garbage(ref.ID, 0) && ref.ID.Counter()>>16 == uint64(list.Kept[0].Number) {
				r.t.Errorf("%v of the newest backup counts as garbage", ref.ID)
			}
		}
	}
	for _, s := range r.stores {
		for n := range chunk.Buckets {
			for _, i := range s.Bucket(n) {
				if i.ID.IsBackup() && !named[i.ID] && !list.Garbage(i.ID, 0) {
					r.t.Errorf("%v is neither listed nor garbage", i.ID)
				}
			}
		}
	}
}

// A damaged replica is not counted; with too few good ones the backup does not count.
func TestBackupIsReadBack(t *testing.T) {
	run(t, func(r *rig) {
		maker := backup.NewMaker(r.o)
		r.files("a", 100)
		r.fail = func(step string) error {
			if strings.HasPrefix(step, "verify") && strings.HasSuffix(step, "s2") {
				return honeyant.E("test", honeyant.Corrupt, "", nil)
			}
			return nil
		}
		made, err := maker.Make(context.Background(), false)
		if err != nil || made.Copies() != 2 {
			t.Errorf("%+v, %v", made, err)
		}
		inner := r.fail
		r.fail = func(step string) error {
			if strings.HasPrefix(step, "verify") && strings.HasSuffix(step, "s3") {
				return honeyant.E("test", honeyant.Corrupt, "", nil)
			}
			return inner(step)
		}
		if _, err := maker.Make(context.Background(), false); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("with two damaged replicas of three: %v", err)
		}
		r.fail = nil
		r.down[1], r.down[3] = true, true
		if _, err := maker.Make(context.Background(), false); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("with one store of three: %v", err)
		}
		if l := r.list(); len(l.Kept) != 1 || l.Kept[0].Number != made.Number {
			t.Errorf("%+v", l)
		}
	})
}

// One that is not through at its deadline leaves nothing in the stores: the next is tried minutes later, and they would fill up.
func TestBackupThatTakesTooLong(t *testing.T) {
	run(t, func(r *rig) {
		r.files("a", 100)
		writes := 0
		r.fail = func(step string) error {
			if !strings.HasPrefix(step, "write") {
				return nil
			}
			if writes++; writes <= 6 {
				return nil
			}
			<-time.After(time.Hour)
			return context.DeadlineExceeded
		}
		if _, err := backup.NewMaker(r.o).Make(context.Background(), false); err == nil {
			t.Error("it was made")
		}
		for i, s := range r.stores {
			for n := range chunk.Buckets {
				for _, info := range s.Bucket(n) {
					t.Errorf("%v is left in store %d", info.ID, i+1)
				}
			}
		}
	})
}

// scanned tells of each pair that is read.
type scanned struct {
	kv.Reader
	pair func()
}

func (s scanned) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	return s.Reader.Scan(lower, upper, func(key, value []byte) bool { s.pair(); return fn(key, value) })
}

// A leader that steps down waits for its jobs: a backup ends at once, and does not count the rest of a large state.
func TestBackupEndsWithItsLeader(t *testing.T) {
	run(t, func(r *rig) {
		r.files("a", 300)
		ctx, resign := context.WithCancel(context.Background())
		pairs, inner := 0, r.o.Copy
		r.o.Copy = func(use func(kv.Reader) error) error {
			return inner(func(db kv.Reader) error {
				return use(scanned{db, func() {
					if pairs++; pairs == 10 {
						resign()
					}
				}})
			})
		}
		if _, err := backup.NewMaker(r.o).Make(ctx, false); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if pairs > 20 {
			t.Errorf("%d pairs were read", pairs)
		}
	})
}

// The chunks have the incarnation of the state that they hold, whatever the map says: a scan takes no other for a backup.
func TestBackupIsNamedAfterItsState(t *testing.T) {
	run(t, func(r *rig) {
		r.o.Map = func() *honeyant.Map {
			m := r.log.MapUp()
			m.Incarnation++
			return m
		}
		made, err := backup.NewMaker(r.o).Make(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.backups(); !slices.Equal(got, []uint32{made.Number}) {
			t.Errorf("a scan finds %v", got)
		}
	})
}

// One an hour, the first some minutes after the leader began, and a new leader goes on where the old one stopped; old
// ones are thinned out.
func TestBackupEveryHour(t *testing.T) {
	run(t, func(r *rig) {
		r.files("a", 30)
		lead := func() *worker.Group {
			g := &worker.Group{}
			if err := g.Start(context.Background(), backup.NewMaker(r.o).Job()); err != nil {
				t.Fatal(err)
			}
			return g
		}
		g := lead()
		for _, c := range []struct {
			wait time.Duration
			last uint32
		}{{4 * time.Minute, 0}, {2 * time.Minute, 1}, {50 * time.Minute, 1}, {15 * time.Minute, 2}} {
			<-time.After(c.wait)
			if l := r.list(); l.Last != c.last {
				t.Errorf("%d backups, not %d", l.Last, c.last)
			}
		}
		g.Close()
		g = lead()
		defer func() { g.Close() }()
		<-time.After(40 * time.Minute)
		if l := r.list(); l.Last != 2 {
			t.Errorf("the new leader made its backup number %d too early", l.Last)
		}
		<-time.After(20 * time.Minute)
		if l := r.list(); l.Last != 3 {
			t.Errorf("the new leader made none; the last was %d", l.Last)
		}
		<-time.After(72 * time.Hour)
		l := r.list()
		if len(l.Kept) != 4 || l.Kept[0].Made.Sub(l.Kept[1].Made) > 70*time.Minute || l.Kept[1].Made.Sub(l.Kept[3].Made) < 20*time.Hour {
			t.Errorf("kept: %d", len(l.Kept))
			for _, k := range l.Kept {
				t.Log(k.Number, k.Made)
			}
		}
		if got := r.backups(); len(got) != len(l.Kept) {
			t.Errorf("a scan finds %v", got)
		}
		r.tidy()
	})
}

// Rule 6 and B3: metadata that shrank replace nothing until a person accepts it.
func TestShrunkStateRaisesAnAlarm(t *testing.T) {
	run(t, func(r *rig) {
		maker := backup.NewMaker(r.o)
		r.files("a", 1100)
		if _, err := maker.Make(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		for i := range 700 {
			r.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: fmt.Sprintf("a%d", i)})
		}
		if _, err := maker.Make(context.Background(), false); !errors.Is(err, honeyant.Conflict) {
			t.Errorf("shrunk: %v", err)
		}
		if l := r.list(); l.Alarm == "" || len(l.Kept) != 1 || l.Kept[0].Number != 1 {
			t.Errorf("%+v", l)
		}
		if got := r.backups(); !slices.Equal(got, []uint32{1}) {
			t.Errorf("a scan finds %v", got)
		}
		made, err := maker.Make(context.Background(), true)
		if l := r.list(); err != nil || l.Alarm != "" || l.Kept[0].Number != made.Number || len(l.Kept) != 2 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// Find says which parts are missing, and takes none with damage for whole.
func TestFindTellsWhatIsMissing(t *testing.T) {
	run(t, func(r *rig) {
		r.files("a", 200)
		made, err := backup.NewMaker(r.o).Make(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		lose := func(part int) {
			for _, rep := range made.Refs[part].Replicas {
				if err := r.stores[rep.Store-1].Delete(context.Background(), made.Refs[part].ID, rep.Generation); err != nil {
					t.Fatal(err)
				}
			}
		}
		lose(1)
		if f := r.find(); len(f) != 1 || f[0].Missing != 1 || !errors.Is(f[0].Read(nil), honeyant.NotExist) {
			t.Errorf("%+v", f)
		}
		lose(0)
		if f := r.find(); len(f) != 0 {
			t.Errorf("a backup without a manifest: %+v", f[0].Manifest)
		}
	})
}
