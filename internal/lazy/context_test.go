package lazy_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant/internal/lazy"
)

var errLate = errors.New("late")

type keyOf struct{}

// Whoever waits, before or after the end: the same end, of it and of what was made from it.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *lazy.Context, parent context.CancelFunc)
		err  error
	}{
		{"End", func(c *lazy.Context, _ context.CancelFunc) { c.End() }, context.Canceled},
		{"Parent", func(_ *lazy.Context, parent context.CancelFunc) { parent() }, context.Canceled},
		{"Time", func(*lazy.Context, context.CancelFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded},
	} {
		for _, waits := range []string{"Before", "After", "Never"} {
			t.Run(test.name+waits, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, stop := context.WithCancel(context.WithValue(t.Context(), keyOf{}, 7))
					defer stop()
					c := lazy.WithTimeoutCause(parent, time.Second, errLate)
					defer c.End()
					if c.Err() != nil || c.Value(keyOf{}) != 7 {
						t.Fatalf("at first %v, value %v", c.Err(), c.Value(keyOf{}))
					}
					var child context.Context
					if waits == "Before" {
						ctx, cancel := context.WithCancel(c)
						defer cancel()
						child = ctx
						if child.Err() != nil {
							t.Fatal("the child has ended")
						}
					}
					test.end(c, stop)
					synctest.Wait()
					if c.Err() != test.err {
						t.Errorf("ended with %v, not %v", c.Err(), test.err)
					}
					if waits == "Never" {
						return
					}
					<-c.Done()
					if child != nil {
						<-child.Done()
						if child.Err() != test.err {
							t.Errorf("the child with %v", child.Err())
						}
					}
					cause := test.err
					if test.name == "Time" {
						cause = errLate
					}
					if c.Err() != test.err || context.Cause(c) != cause || c.Value(keyOf{}) != 7 {
						t.Errorf("%v, cause %v, value %v", c.Err(), context.Cause(c), c.Value(keyOf{}))
					}
				})
			})
		}
	}
}

// The earlier one of two limits counts.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, ok := lazy.New(t.Context()).Deadline(); ok {
			t.Error("a limit without one")
		}
		outer := lazy.WithTimeoutCause(t.Context(), time.Minute, errLate)
		defer outer.End()
		for _, c := range []*lazy.Context{lazy.New(outer), lazy.WithTimeoutCause(outer, time.Hour, errLate)} {
			if at, ok := c.Deadline(); !ok || time.Until(at) != time.Minute {
				t.Errorf("ends at %v, %v", at, ok)
			}
			c.End()
		}
	})
}

// Children need no goroutine each.
func TestChildrenAreRegistered(t *testing.T) {
	c := lazy.New(t.Context())
	before := runtime.NumGoroutine()
	for range 100 {
		_, cancel := context.WithCancel(c)
		defer cancel()
	}
	if more := runtime.NumGoroutine() - before; more > 10 {
		t.Errorf("%d goroutines", more)
	}
	c.End()
}

func BenchmarkContext(b *testing.B) {
	parent, stop := context.WithCancel(b.Context())
	defer stop()
	b.Run("Lazy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lazy.WithTimeoutCause(parent, time.Second, errLate).End()
		}
	})
	b.Run("Standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, cancel := context.WithTimeoutCause(parent, time.Second, errLate)
			cancel()
		}
	})
}
