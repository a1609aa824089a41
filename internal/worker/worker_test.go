package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
)

func one(t *testing.T, g *worker.Group) worker.Status {
	t.Helper()
	list := g.List()
	if len(list) != 1 {
		t.Fatalf("%d jobs listed, want 1", len(list))
	}
	return list[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a job in a fresh group that is closed at the end.
func start(t *testing.T, j worker.Job) *worker.Group {
	t.Helper()
	g := new(worker.Group)
	must(t, g.Start(t.Context(), j))
	t.Cleanup(func() { must(t, g.Close()); must(t, g.Close()) })
	return g
}

func TestPaceSleepsInProportion(t *testing.T) {
	for name, tc := range map[string]struct {
		pace  float64
		steps int64
	}{"full speed": {0, 100}, "half": {1, 50}, "a tenth": {9, 10}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var steps atomic.Int64
				start(t, worker.Job{Name: "scrub", Pace: tc.pace, Run: func(ctx context.Context, p *worker.Pace) (bool, error) {
					time.Sleep(100 * time.Millisecond) // the work, in fake time
					steps.Add(1)
					return true, ctx.Err()
				}})
				time.Sleep(10*time.Second + time.Millisecond)
				if got := steps.Load(); got < tc.steps-1 || got > tc.steps+1 {
					t.Errorf("%d steps in 10 s, want %d", got, tc.steps)
				}
			})
		})
	}
}

func TestWaitInsideAStepIsPacedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parts atomic.Int64
		g := start(t, worker.Job{Name: "heal", Pace: 3, Run: func(ctx context.Context, p *worker.Pace) (bool, error) {
			for {
				time.Sleep(100 * time.Millisecond)
				parts.Add(1)
				if err := p.Wait(ctx); err != nil {
					return false, err
				}
			}
		}})
		time.Sleep(4 * time.Second)
		if got := parts.Load(); got != 10 {
			t.Errorf("%d parts in 4 s at pace 3, want 10", got)
		}
		must(t, g.Pause("heal"))
		time.Sleep(time.Second)
		before := parts.Load()
		time.Sleep(time.Minute)
		if parts.Load() != before || one(t, g).State != worker.Paused {
			t.Errorf("a paused job worked, or says %v", one(t, g).State)
		}
		must(t, g.SetPace("heal", 0))
		must(t, g.Resume("heal"))
		time.Sleep(time.Second)
		if got := parts.Load() - before; got < 9 {
			t.Errorf("%d parts in a second after resume at full speed, want 10", got)
		}
	})
}

func TestIdleEveryWakeAndStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		g := start(t, worker.Job{Name: "reclaim", Every: time.Minute, Run: func(context.Context, *worker.Pace) (bool, error) {
			runs.Add(1)
			return false, nil
		}})
		synctest.Wait()
		if s := one(t, g); s.State != worker.Idle || s.Next.IsZero() || s.Steps != 1 {
			t.Errorf("after the first step: %+v", s)
		}
		time.Sleep(2*time.Minute + time.Second)
		if runs.Load() != 3 {
			t.Errorf("%d runs, want 3", runs.Load())
		}
		must(t, g.Wake("reclaim"))
		synctest.Wait()
		if runs.Load() != 4 {
			t.Errorf("%d runs after Wake, want 4", runs.Load())
		}
		must(t, g.Pause("reclaim"))
		must(t, g.Wake("reclaim"))
		synctest.Wait()
		time.Sleep(time.Hour)
		if n := runs.Load(); n > 4 || one(t, g).State != worker.Paused {
			t.Errorf("%d runs, state %v: a paused job woke", n, one(t, g).State)
		}
		must(t, g.Resume("reclaim"))
		synctest.Wait()
		if runs.Load() != 5 {
			t.Errorf("%d runs after Resume, want 5 (the kept Wake)", runs.Load())
		}
	})
}

func TestErrorsBackOffAndAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("disk on fire")
		var at []time.Duration
		begin := time.Now()
		g := start(t, worker.Job{Name: "tier", Backoff: time.Second, MaxBackoff: 4 * time.Second,
			Run: func(context.Context, *worker.Pace) (bool, error) {
				at = append(at, time.Since(begin))
				if len(at) <= 5 {
					return true, boom
				}
				return false, nil
			}})
		time.Sleep(time.Minute)
		must(t, g.Stop("tier"))
		want := []time.Duration{0, 1, 3, 7, 11, 15} // seconds: 1, 2, then 4 at most
		for i, w := range want {
			if i >= len(at) || at[i] != w*time.Second {
				t.Fatalf("steps at %v, want %v s", at, want)
			}
		}
		s := one(t, g)
		if s.Errors != 5 || s.Failing != 0 || !errors.Is(s.LastErr, boom) || s.LastAt.IsZero() || s.Steps != 6 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestProgressCountersAndETA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, worker.Job{Name: "drain", Run: func(ctx context.Context, p *worker.Pace) (bool, error) {
			for i := range uint64(5) {
				p.Progress("moving chunks", 100*i, 1000)
				p.Count("bytes", 7)
				time.Sleep(time.Second)
			}
			<-ctx.Done()
			return false, ctx.Err()
		}})
		time.Sleep(4500 * time.Millisecond)
		s := one(t, g)
		if s.Text != "moving chunks" || s.Done != 400 || s.Total != 1000 || s.ETA != 6*time.Second || s.Counters["bytes"] != 35 {
			t.Errorf("status %+v", s)
		}
		if s.State != worker.Busy {
			t.Errorf("state %v", s.State)
		}
	})
}

func TestOnceNamesAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(worker.Group)
		run := func(context.Context, *worker.Pace) (bool, error) { return false, nil }
		must(t, g.Start(t.Context(), worker.Job{Name: "a", Once: true, Run: run}))
		synctest.Wait()
		if one(t, g).State != worker.Done {
			t.Errorf("state %v, want done", one(t, g).State)
		}
		must(t, g.Start(t.Context(), worker.Job{Name: "a", Run: run})) // the name is free again
		if err := g.Start(t.Context(), worker.Job{Name: "a", Run: run}); !errors.Is(err, honeyant.Exist) {
			t.Errorf("second job of a name: %v", err)
		}
		for what, err := range map[string]error{
			"pause": g.Pause("b"), "resume": g.Resume("b"), "wake": g.Wake("b"), "stop": g.Stop("b"), "pace": g.SetPace("b", 1),
		} {
			if !errors.Is(err, honeyant.NotExist) {
				t.Errorf("%s of an unknown job: %v", what, err)
			}
		}
		if err := g.SetPace("a", -1); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("negative pace: %v", err)
		}
		must(t, g.Stop("a"))
		must(t, g.Close())
		if err := g.Start(t.Context(), worker.Job{Name: "c", Run: run}); !errors.Is(err, honeyant.Unavailable) {
			t.Errorf("start after Close: %v", err)
		}
	})
}

func TestCloseWaitsForTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(worker.Group)
		var ended atomic.Bool
		must(t, g.Start(t.Context(), worker.Job{Name: "slow", Run: func(ctx context.Context, _ *worker.Pace) (bool, error) {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // cleaning up
			ended.Store(true)
			return false, ctx.Err()
		}}))
		synctest.Wait()
		must(t, g.Close())
		if !ended.Load() {
			t.Error("Close did not wait")
		}
	})
}
