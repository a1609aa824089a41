package remote

import (
	"testing"
	"time"
)

// A clock of which a test turns the hands.
type hands struct {
	wall, mono, boot time.Duration
	slow             time.Duration // how long asking the kernel takes
	asked            int
}

func (h *hands) on(d time.Duration) { h.wall, h.mono, h.boot = h.wall+d, h.mono+d, h.boot+d }

func (h *hands) clock() *bootClock {
	return &bootClock{clocks: func() (time.Duration, time.Duration) { return h.wall, h.mono }, ask: func() time.Duration {
		h.asked++
		boot := h.boot
		h.on(h.slow)
		return boot
	}}
}

// The time that a machine slept counts at once, whatever else happens to its clocks; and the kernel is seldom asked.
func TestBootTimeCountsSleep(t *testing.T) {
	h := &hands{wall: 1e9 * time.Second, mono: 50 * time.Second, boot: 80 * time.Second}
	c := h.clock()
	check := func(what string) {
		t.Helper()
		if got := c.now(); got != h.boot {
			t.Errorf("%s: %v, not %v", what, got, h.boot)
		}
	}
	check("at first")
	for range 1000 {
		h.on(10 * time.Microsecond)
		check("soon after")
	}
	if h.asked > 1 {
		t.Errorf("asked %d times in 10 ms", h.asked)
	}
	h.wall, h.boot = h.wall+2*time.Millisecond, h.boot+2*time.Millisecond
	check("after a short sleep")
	h.wall, h.boot = h.wall+time.Hour, h.boot+time.Hour
	check("after a long sleep")
	h.wall -= time.Hour
	check("after somebody has set the clock back")
	h.boot += time.Hour // and the clock was set back by as much at once
	h.on(bootLasts)
	check("after a while")
	before := h.asked
	h.slow = time.Second // the thread loses the processor between the clocks: nothing is to be kept of that
	h.wall += time.Hour
	if got, want := c.now(), h.boot-time.Second; got != want {
		t.Errorf("on a busy machine: %v, not %v", got, want)
	}
	if h.asked != before+bootChance {
		t.Errorf("asked %d times on a busy machine", h.asked-before)
	}
	h.slow = 0
	check("on a machine that is idle again")
}

func TestBootTimeIsTheKernels(t *testing.T) {
	for range 1000 {
		from := askBootTime()
		got := systemBoot.now()
		if to := askBootTime(); got < from-bootError || got > to+bootError {
			t.Fatalf("%v, not from %v to %v", got, from, to)
		}
	}
}

func BenchmarkBootTime(b *testing.B) {
	b.Run("kernel", func(b *testing.B) {
		for b.Loop() {
			askBootTime()
		}
	})
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			systemBoot.now()
		}
	})
}
