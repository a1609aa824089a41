package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

func begin(l *ledger.Ledger, change func(*ledger.Limits)) (*ledger.Req, context.Context) {
	limits := ledger.Defaults()
	if change != nil {
		change(&limits)
	}
	return l.Begin(context.Background(), ledger.About{Message: ledger.Message{Method: "GET", Host: "example.org", Path: "/a"}, Client: "192.0.2.1:1", Limits: limits})
}

// endedBy fails unless the limit has ended the context.
func endedBy(t *testing.T, ctx context.Context, limit ledger.Name) {
	t.Helper()
	synctest.Wait()
	if why := ledger.EndingOf(context.Cause(ctx)); why == nil || why.Name != limit || why.Code != ledger.Describe(limit).Code {
		t.Fatalf("ended with %v, want %s", context.Cause(ctx), limit)
	}
}

// Every phase that waits has a limit which fires at its time, is counted under its name,
// carries its code, and says so (L1).
func TestEveryPhaseHasALimitThatFires(t *testing.T) {
	for _, phase := range ledger.Phases() {
		switch phase {
		case ledger.Handling, ledger.Active, ledger.Ended:
			continue
		}
		t.Run(string(phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ledger.New(0)
				var seen []*ledger.Ending
				l.Observe(ledger.Observer{Fired: func(_ ledger.Entry, why *ledger.Ending) { seen = append(seen, why) }})
				req, ctx := begin(l, nil)
				g := req.Gate(phase, nil)
				// Enough bytes first, so that the idle limit and not the least rate fires.
				g.Enter()
				g.Leave(1 << 20)
				begun := time.Now()
				g.Enter()
				<-ctx.Done()
				synctest.Wait()
				if len(seen) != 1 {
					t.Fatalf("fired %d times, want once", len(seen))
				}
				why := seen[0]
				info := ledger.Describe(why.Name)
				if took := time.Since(begun); took != why.Limit || took != ledger.Defaults().Get(why.Name) {
					t.Errorf("%s fired after %s, its limit is %s", why.Name, took, why.Limit)
				}
				if why.Code != info.Code || why.Code == "" {
					t.Errorf("%s has code %q, want %q", why.Name, why.Code, info.Code)
				}
				if e, ok := code.Find(string(why.Code)); !ok {
					t.Errorf("code %s is not explained: %+v", why.Code, e)
				}
				if !strings.Contains(why.Text, phase.Words()) || !strings.Contains(why.Text, string(why.Name)) {
					t.Errorf("text %q does not say phase and limit", why.Text)
				}
				if l.Counts().Fired[why.Name] != 1 {
					t.Errorf("%s was not counted: %v", why.Name, l.Counts().Fired)
				}
				if cause := context.Cause(ctx); ledger.EndingOf(cause) != why {
					t.Errorf("the context ended with %v", cause)
				}
				req.End(ledger.Outcome{})
			})
		})
	}
}

func TestProgressPostponesTheIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(0)
		req, ctx := begin(l, nil)
		g := req.Gate(ledger.OriginRead, nil)
		for range 10 {
			g.Enter()
			time.Sleep(59 * time.Second)
			g.Leave(100_000)
		}
		if ctx.Err() != nil {
			t.Fatalf("ended although it made progress: %v", context.Cause(ctx))
		}
		g.Enter()
		time.Sleep(61 * time.Second)
		endedBy(t, ctx, ledger.LimitOriginBodyIdle)
		req.End(ledger.Outcome{})
	})
}

// A drip of one byte a second is never idle, but too slow after 30 s of waiting.
func TestDripIsEndedByTheLeastRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(0)
		req, ctx := begin(l, nil)
		g := req.Gate(ledger.OriginRead, nil)
		begun := time.Now()
		for ctx.Err() == nil {
			g.Enter()
			time.Sleep(time.Second)
			g.Leave(1)
			synctest.Wait()
		}
		if took := time.Since(begun); took < 30*time.Second || took > 32*time.Second {
			t.Errorf("ended after %s, want 30 s", took)
		}
		endedBy(t, ctx, ledger.LimitOriginBodyRate)
		req.End(ledger.Outcome{})
	})
}

// Time counts against the side that is waited for (L2): the client takes a minute for each
// piece, the origin is quick, so the origin's rate is never found too small.
func TestSlowClientIsNotTheOriginsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(0)
		req, ctx := begin(l, nil)
		read, send := req.Gate(ledger.OriginRead, nil), req.Gate(ledger.ClientSend, nil)
		for range 30 {
			read.Enter()
			time.Sleep(100 * time.Millisecond)
			read.Leave(20_000)
			send.Enter()
			time.Sleep(50 * time.Second)
			send.Leave(20_000)
		}
		if ctx.Err() != nil {
			t.Fatalf("ended: %v", context.Cause(ctx))
		}
		req.End(ledger.Outcome{})
	})
}

func TestStreamsHaveOnlyTheTunnelLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(0)
		req, ctx := begin(l, nil)
		g := req.Gate(ledger.OriginRead, nil)
		g.Stream(ledger.Defaults())
		for range 5 {
			g.Enter()
			time.Sleep(50 * time.Minute)
			g.Leave(10)
		}
		if ctx.Err() != nil {
			t.Fatalf("ended: %v", context.Cause(ctx))
		}
		g.Enter()
		time.Sleep(time.Hour)
		endedBy(t, ctx, ledger.LimitTunnelIdle)
		req.End(ledger.Outcome{})
	})
}

func TestTotalIsOffUnlessSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(0)
		req, ctx := begin(l, nil)
		time.Sleep(24 * time.Hour)
		if ctx.Err() != nil {
			t.Fatalf("ended: %v", context.Cause(ctx))
		}
		req.End(ledger.Outcome{})

		req, ctx = begin(l, func(l *ledger.Limits) { l.Total = time.Minute })
		time.Sleep(30 * time.Second)
		// A route with a longer total: it counts from the request's start.
		longer := ledger.Defaults()
		longer.Total = 2 * time.Minute
		req.SetRoute("slow", longer)
		time.Sleep(60 * time.Second)
		if ctx.Err() != nil {
			t.Fatalf("ended: %v", context.Cause(ctx))
		}
		time.Sleep(31 * time.Second)
		endedBy(t, ctx, ledger.LimitTotal)
		req.End(ledger.Outcome{})
	})
}

func TestListShowsPhaseAgeAndDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ledger.New(41)
		req, _ := begin(l, nil)
		if req.ID() != 42 {
			t.Errorf("the first ID is %s, want 42", req.ID())
		}
		req.SetOrigin("127.0.0.1:9000")
		g := req.Gate(ledger.OriginRead, nil)
		g.Enter()
		time.Sleep(time.Second)
		g.Leave(1 << 20)
		g.Enter()
		time.Sleep(42 * time.Second)
		list := l.List(ledger.Filter{Phase: ledger.OriginRead, Idle: 40 * time.Second})
		if len(list) != 1 {
			t.Fatalf("%d entries", len(list))
		}
		e := list[0]
		if e.AgeSeconds != 43 || e.IdleSeconds != 42 || e.Origin != "127.0.0.1:9000" {
			t.Errorf("age %v idle %v origin %q", e.AgeSeconds, e.IdleSeconds, e.Origin)
		}
		if e.Deadline == nil || e.Deadline.Name != "origin_body_idle" || e.Deadline.LimitSeconds != 60 || e.Deadline.LeftSeconds != 18 {
			t.Errorf("deadline %+v", e.Deadline)
		}
		if l.List(ledger.Filter{Idle: 43 * time.Second}) == nil || len(l.List(ledger.Filter{Idle: 43 * time.Second})) != 0 {
			t.Error("the filter let through what was not idle so long")
		}
		req.End(ledger.Outcome{Status: 200, Text: "done"})
		if n := len(l.List(ledger.Filter{})); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if e, err := l.Get(42); err != nil || e.Phase != ledger.Ended || e.Done.Status != 200 {
			t.Errorf("recent: %+v, %v", e, err)
		}
	})
}

func TestKillEndsARequestOnceAndBreaksItsWaits(t *testing.T) {
	l := ledger.New(0)
	req, ctx := begin(l, nil)
	broken := 0
	req.OnKill(func() { broken++ })
	if _, err := l.Kill(req.ID(), "test"); err != nil {
		t.Fatal(err)
	}
	l.Kill(req.ID(), "again")
	if broken != 1 {
		t.Errorf("broken %d times", broken)
	}
	if why := ledger.EndingOf(context.Cause(ctx)); why == nil || why.Code != code.ClientKilled || why.By != "operator" || !strings.Contains(why.Text, "test") {
		t.Errorf("cause %v", context.Cause(ctx))
	}
	req.End(ledger.Outcome{Code: string(code.ClientKilled)})
	if _, err := l.Kill(req.ID(), ""); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("killing what has ended: %v", err)
	}
	if n := l.Counts().Ended[string(code.ClientKilled)]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

func TestLimitsByName(t *testing.T) {
	var l ledger.Limits
	for _, i := range ledger.LimitTable() {
		if strings.HasSuffix(string(i.Name), "_rate") {
			if l.Set(i.Name, time.Second) {
				t.Errorf("%s was set, but has no value of its own", i.Name)
			}
			continue
		}
		if !l.Set(i.Name, time.Minute) || l.Get(i.Name) != time.Minute {
			t.Errorf("%s was not set", i.Name)
		}
	}
	if l.Set("nonsense", time.Second) {
		t.Error("nonsense was set")
	}
	l.Set(ledger.LimitTotal, -5)
	if l = l.Or(ledger.Defaults()); l.Total != ledger.Never || l.MinRate != 256 || l.OriginConnect != time.Minute {
		t.Errorf("%+v", l)
	}
	l.Close = 5
	if err := l.Validate(); err == nil || !strings.Contains(err.Error(), "unit") {
		t.Errorf("a limit of 5ns was taken: %v", err)
	}
}
