package remote

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var systemBoot = bootClock{clocks: goClocks, ask: askBootTime}

// bootClock tells CLOCK_BOOTTIME, which goes on while the machine sleeps, without a system call for most questions: there is
// one for each answer that a lease covers, and Go reads only the other two clocks without one. When the kernel adds the time of
// a sleep to CLOCK_BOOTTIME it adds it to CLOCK_REALTIME, too, and not to CLOCK_MONOTONIC. As long as these two agree, and for
// a moment only, the last answer plus CLOCK_MONOTONIC is right. Safe for concurrent use.
//
// Source: timekeeping_inject_sleeptime64 in kernel/time/timekeeping.c of Linux.
type bootClock struct {
	clocks func() (wall, mono time.Duration) // CLOCK_REALTIME and CLOCK_MONOTONIC, from any beginning
	ask    func() time.Duration              // CLOCK_BOOTTIME
	last   atomic.Pointer[bootLook]
}

// bootLook is all three clocks at one moment.
type bootLook struct{ wall, mono, boot time.Duration }

const (
	bootError  = 200 * time.Microsecond // how far the three may have been read from each other
	bootApart  = time.Millisecond       // how far CLOCK_REALTIME may go astray, since it is set and slewed
	bootLasts  = 20 * time.Millisecond  // how long a look is good for
	bootChance = 4                      // looks at which this thread may lose the processor
)

func (c *bootClock) now() time.Duration { return c.at(c.clocks()) }

// at is now, which is wall and mono by the other two.
func (c *bootClock) at(wall, mono time.Duration) time.Duration {
	if l := c.last.Load(); l != nil {
		on := mono - l.mono
		if apart := wall - l.wall - on; on >= 0 && on < bootLasts && -bootApart < apart && apart < bootApart {
			return l.boot + on
		}
	}
	return c.look()
}

// look asks the kernel.
func (c *bootClock) look() time.Duration {
	var boot time.Duration
	for range bootChance {
		wall, mono := c.clocks()
		boot = c.ask()
		if _, after := c.clocks(); after-mono < bootError {
			c.last.Store(&bootLook{wall, mono, boot})
			break
		}
	}
	return boot
}

var goBegan = time.Now()

func goClocks() (wall, mono time.Duration) { return goClocksAt(time.Now()) }

func goClocksAt(now time.Time) (wall, mono time.Duration) {
	return time.Duration(now.UnixNano()), now.Sub(goBegan)
}

func askBootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("remote: no CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}
