package remote_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/metatest"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/rpc"
)

// colony is three nodes with a replica each, of which one leads, and a network between them.
type colony struct {
	t  *testing.T
	r  *metatest.Replicas
	mu sync.Mutex
	// leader is the Leader of node i+1, nil if it does not lead; hint is what the others say.
	leaders [3]*meta.Leader
	stops   [3]func()
	hint    honeyant.NodeID
	cut     func(node honeyant.NodeID, m rpc.Method, after bool) error // a call fails before or after it was served
}

// founded is a colony whose first node leads it.
func founded(t *testing.T) *colony {
	t.Helper()
	c := &colony{t: t, r: metatest.NewReplicas(t)}
	c.lead(0)
	c.found()
	return c
}

func (c *colony) lead(i int) {
	l, stop := c.r.Lead(c.t, i, meta.LeaderOptions{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaders[i], c.stops[i], c.hint = l, stop, honeyant.NodeID(i+1)
}

func (c *colony) stop(i int) {
	c.mu.Lock()
	stop := c.stops[i]
	c.leaders[i] = nil
	c.mu.Unlock()
	stop()
}

func (c *colony) setCut(f func(node honeyant.NodeID, m rpc.Method, after bool) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = f
}

// Call implements rpc.Caller as from node 9.
func (c *colony) Call(ctx context.Context, node honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
	c.mu.Lock()
	l, hint, cut := c.leaders[node-1], c.hint, c.cut
	c.mu.Unlock()
	if cut != nil {
		if err := cut(node, m, false); err != nil {
			return nil, err
		}
	}
	h := remote.NewServer(remote.ServerOptions{
		Leader: func() (*meta.Leader, bool) { return l, l != nil },
		Hint:   func() (honeyant.NodeID, bool) { return hint, hint != 0 },
	})
	resp, err := h(ctx, 1, m, req)
	if cut != nil {
		if err := cut(node, m, true); err != nil {
			return nil, err
		}
	}
	return resp, err
}

func (c *colony) options() remote.Options {
	return remote.Options{Caller: c, Candidates: func() []honeyant.NodeID { return []honeyant.NodeID{1, 2, 3} }, Node: 1, Name: "test"}
}

func (c *colony) found() {
	c.t.Helper()
	l := c.leaders[0].Direct()
	must(c.t, l, &meta.Bootstrap{Cluster: "x"})
	must(c.t, l, &meta.AddNode{Name: "one"})
}

func (c *colony) open(o remote.Options) *remote.Session {
	c.t.Helper()
	s, err := remote.Open(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

func must[R meta.Reply](t *testing.T, d meta.Doer, op meta.Request[R]) R {
	t.Helper()
	r, err := meta.Do(t.Context(), d, op)
	if err != nil {
		t.Fatalf("%v: %v", op.Code(), err)
	}
	return r
}

func create(name string) *meta.Make {
	return &meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: name, Mode: honeyant.ModeFile | 0o644, Exclusive: true}
}

func lookup(name string) *meta.Lookup {
	return &meta.Lookup{Volume: 1, Parent: honeyant.RootIno, Name: name}
}

func unlink(name string) *meta.Unlink {
	return &meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: name}
}

func TestSessionFollowsTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		for turn := range 6 {
			for i := range 20 {
				name := fmt.Sprint(turn, "-", i)
				must(t, s, create(name))
				must(t, s, lookup(name))
			}
			at := turn % 3
			c.stop(at)
			go func() {
				time.Sleep(300 * time.Millisecond)
				c.lead((at + 1) % 3)
			}()
		}
		if _, err := meta.Do(t.Context(), s, lookup("5-19")); err != nil {
			t.Fatal(err)
		}
	})
}

// W1: an answer that is lost is asked for again and comes from the slot; a change is done once.
func TestLostAnswersChangeNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		var n atomic.Int64
		c.setCut(func(_ honeyant.NodeID, m rpc.Method, after bool) error {
			if m == 1 && after && n.Add(1)%2 == 1 {
				return honeyant.E("test", honeyant.Unavailable, "", errors.New("connection broke"))
			}
			return nil
		})
		for i := range 30 {
			must(t, s, create(fmt.Sprint(i)))
		}
		for i := range 30 {
			must(t, s, unlink(fmt.Sprint(i)))
		}
		_, err := meta.Do(t.Context(), s, unlink("0"))
		if !errors.Is(err, honeyant.NotExist) {
			t.Fatal(err)
		}
	})
}

// W5, W1: with nobody to answer a call ends at its deadline; its slot is resolved when somebody is back, and the
// file it made is not left registered as open.
func TestDeadlineAndResolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		c.setCut(func(_ honeyant.NodeID, m rpc.Method, after bool) error {
			if m == 1 && after {
				return honeyant.E("test", honeyant.Unavailable, "", nil)
			}
			return nil
		})
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var g sync.WaitGroup
		g.Go(func() {
			if _, err := meta.Do(ctx, s, create("g")); !errors.Is(err, honeyant.Interrupted) {
				t.Error(err)
			}
		})
		mk := create("f")
		mk.Open = true
		_, err := meta.Do(t.Context(), s, mk)
		if !errors.Is(err, honeyant.Unavailable) || time.Since(begin) != 30*time.Second {
			t.Fatal(err, time.Since(begin))
		}
		g.Wait()
		if busy, _ := s.Status(); busy != 2 {
			t.Fatalf("%d slots busy", busy)
		}
		c.setCut(nil)
		time.Sleep(3 * time.Second)
		if busy, open := s.Status(); busy != 0 || open != 0 {
			t.Fatalf("%d slots busy, %d files open", busy, open)
		}
		must(t, s, lookup("f"))
		must(t, s, lookup("g"))
		must(t, s, unlink("f"))
		time.Sleep(3 * time.Second)
		if n := must(t, s, &meta.Counts{Volume: 1}).Orphans; n != 0 {
			t.Fatalf("%d orphans", n)
		}
	})
}

// W7: a program that was told EIO by an unlink and then makes the file anew must not lose it to the
// unlink's late repetition.
func TestLateChangesNeverOvertakeNewerOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		must(t, s, create("f"))
		c.setCut(func(honeyant.NodeID, rpc.Method, bool) error {
			return honeyant.E("test", honeyant.Unavailable, "", nil)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := meta.Do(ctx, s, unlink("f")); !errors.Is(err, honeyant.Unavailable) {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		c.setCut(nil) // the repetition comes a moment later
		if _, err := meta.Do(t.Context(), s, unlink("f")); err != nil && !errors.Is(err, honeyant.NotExist) {
			t.Error(err)
		}
		must(t, s, create("f"))
		time.Sleep(10 * time.Second)
		if _, err := meta.Do(t.Context(), s, lookup("f")); err != nil {
			t.Errorf("a file made after all that: %v", err)
		}
	})
}

// W2, W3.
func TestOpensFollowTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		mk := create("f")
		mk.Open = true
		ino := must(t, s, mk).Attr.Ino
		must(t, s, &meta.Open{Volume: 1, Ino: ino})
		must(t, s, unlink("f"))
		c.stop(0)
		c.lead(1)
		time.Sleep(5 * time.Second)
		if !c.leaders[1].OpensKnown() || c.leaders[1].Opens() != 1 {
			t.Fatal("the new leader does not know what is open")
		}
		must(t, s, &meta.Release{Volume: 1, Ino: ino})
		time.Sleep(5 * time.Second)
		if _, err := meta.Do(t.Context(), s, &meta.GetAttr{Volume: 1, Ino: ino}); err != nil {
			t.Fatal("gone although open: ", err)
		}
		must(t, s, &meta.Release{Volume: 1, Ino: ino})
		time.Sleep(5 * time.Second)
		if _, err := meta.Do(t.Context(), s, &meta.GetAttr{Volume: 1, Ino: ino}); !errors.Is(err, honeyant.Stale) {
			t.Fatal("not gone although released: ", err)
		}
	})
}

// W4.
func TestFencedSessionStaysFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		fenced := make(chan struct{})
		o := c.options()
		o.OnFenced = func() { close(fenced) }
		s := c.open(o)
		must(t, s, create("f"))
		c.setCut(func(_ honeyant.NodeID, _ rpc.Method, after bool) error {
			return honeyant.E("test", honeyant.Unavailable, "", nil)
		})
		time.Sleep(11 * time.Minute)
		c.setCut(nil)
		<-fenced
		if _, err := meta.Do(t.Context(), s, lookup("f")); !errors.Is(err, honeyant.Fenced) {
			t.Fatal(err)
		}
		again, err := s.Reopen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		must(t, again, lookup("f"))
		if again.ID() == s.ID() {
			t.Fatal("same number")
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// The leader in this process is asked without a network, and slots are enough for many callers.
func TestLocalLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		o := c.options()
		o.Caller = nil
		o.Local = func() (*meta.Leader, bool) { return c.leaders[0], true }
		s := c.open(o)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() { must(t, s, create(fmt.Sprint(i))) })
		}
		wg.Wait()
		must(t, remote.NewAdmin(o), lookup("199"))
	})
}
