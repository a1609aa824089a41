package posix

import (
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

func lockCases() []testCase {
	return []testCase{
		{"fcntl between processes", false, func(c *check) {
			p := c.write("f", "0123456789", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 5), "lock 0-4")
			c.elsewhere(func() {
				c.oneOf(taken, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 4, 1), "write lock 4")
				c.oneOf(taken, fcntlLock(fd, unix.F_SETLK, unix.F_RDLCK, 0, 0), "read lock all")
				c.want(0, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 5, 5), "write lock 5-9")
				l, err := lockedBy(fd, unix.F_RDLCK, 0, 0)
				c.ok(err, "F_GETLK")
				equal(c, l.Type, int16(unix.F_WRLCK), "type in the way")
				equal(c, [2]int64{l.Start, l.Len}, [2]int64{0, 5}, "range in the way")
			})
			// The other "process" has ended and its locks with it.
			c.eventually("lock 5-9 is free", func() bool { return fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 5, 5) == nil })
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK, 0, 0), "unlock")
			c.elsewhere(func() { c.want(0, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "lock all") })
		}},
		{"fcntl readers share", false, func(c *check) {
			fd := c.open(c.write("f", "x", 0o644), unix.O_RDWR, 0)
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_RDLCK, 0, 0), "read lock")
			c.elsewhere(func() {
				c.want(0, fcntlLock(fd, unix.F_SETLK, unix.F_RDLCK, 0, 0), "second read lock")
				c.oneOf(taken, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "write lock")
			})
		}},
		{"fcntl splits and merges", false, func(c *check) {
			fd := c.open(c.write("f", "0123456789", 0o644), unix.O_RDWR, 0)
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 10), "lock 0-9")
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK, 4, 2), "unlock 4-5")
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_RDLCK, 8, 2), "downgrade 8-9")
			c.elsewhere(func() {
				for at, want := range []int16{unix.F_WRLCK, unix.F_WRLCK, unix.F_WRLCK, unix.F_WRLCK, unix.F_UNLCK, unix.F_UNLCK,
					unix.F_WRLCK, unix.F_WRLCK, unix.F_RDLCK, unix.F_RDLCK, unix.F_UNLCK} {
					l, err := lockedBy(fd, unix.F_WRLCK, int64(at), 1)
					c.ok(err, "F_GETLK")
					equal(c, l.Type, want, "byte ", at)
				}
			})
		}},
		{"fcntl: closing any descriptor of the file unlocks", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "lock")
			c.ok(unix.Close(c.open(p, unix.O_RDONLY, 0)), "close another descriptor")
			c.elsewhere(func() { c.want(0, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "lock elsewhere") })
		}},
		{"fcntl waits", false, func(c *check) {
			fd := c.open(c.write("f", "x", 0o644), unix.O_RDWR, 0)
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "lock")
			started, got := make(chan struct{}), make(chan time.Time, 1)
			go c.elsewhere(func() {
				close(started)
				c.want(0, fcntlLock(fd, unix.F_SETLKW, unix.F_WRLCK, 0, 0), "wait")
				got <- time.Now()
			})
			<-started
			select {
			case <-got:
				c.Errorf("the lock was granted while another held it")
			case <-time.After(100 * time.Millisecond):
			}
			unlocked := time.Now()
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK, 0, 0), "unlock")
			select {
			case at := <-got:
				c.Logf("granted %v after the unlock", at.Sub(unlocked).Round(time.Millisecond))
			case <-time.After(10 * time.Second):
				c.Fatalf("the lock was not granted within 10 s of the unlock")
			}
		}},
		{"fcntl needs the access", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			c.want(unix.EBADF, fcntlLock(c.open(p, unix.O_RDONLY, 0), unix.F_SETLK, unix.F_WRLCK, 0, 0), "write lock read-only")
			c.want(unix.EBADF, fcntlLock(c.open(p, unix.O_WRONLY, 0), unix.F_SETLK, unix.F_RDLCK, 0, 0), "read lock write-only")
			c.want(unix.EINVAL, fcntlLock(c.open(p, unix.O_RDWR, 0), unix.F_SETLK, unix.F_RDLCK, -5, 1), "negative start")
		}},
		{"fcntl: as many as a file may have", false, func(c *check) {
			const most = 3000 // Linux itself has no limit, others do
			p := c.write("f", "x", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			var held int64
			for ; held < most; held++ {
				if err := fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 2*held, 1); err != nil {
					c.want(unix.ENOLCK, err, "one lock too many")
					c.want(unix.ENOLCK, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 2*held+2, 1), "and one more")
					break
				}
			}
			c.Logf("%d locks of one file", held)
			c.elsewhere(func() {
				c.oneOf(taken, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 2*(held-1), 1), "the last one granted")
				c.want(0, fcntlLock(c.open(c.write("g", "x", 0o644), unix.O_RDWR, 0), unix.F_SETLK, unix.F_WRLCK, 0, 0), "another file")
			})
			c.ok(fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK, 0, 0), "unlock all")
			c.elsewhere(func() { c.want(0, fcntlLock(fd, unix.F_SETLK, unix.F_WRLCK, 0, 0), "lock all") })
		}},
		{"flock", false, func(c *check) {
			p := c.write("f", "x", 0o644)
			a, b := c.open(p, unix.O_RDWR, 0), c.open(p, unix.O_RDONLY, 0)
			c.ok(unix.Flock(a, unix.LOCK_SH|unix.LOCK_NB), "share a")
			c.ok(unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), "share b")
			c.want(unix.EWOULDBLOCK, unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB), "upgrade a")
			c.ok(unix.Flock(b, unix.LOCK_UN), "unlock b")
			c.want(0, unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB), "exclusive a")
			c.want(unix.EWOULDBLOCK, unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), "share b")
			c.want(0, fcntlLock(b, unix.F_SETLK, unix.F_RDLCK, 0, 0), "fcntl does not see flock")
			c.ok(unix.Close(a), "close a")
			c.eventually("flock is free after close", func() bool { return unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB) == nil })
		}},
		{"a waiter can be killed", false, func(c *check) {
			flock := c.program("flock")
			p := c.write("f", "x", 0o644)
			fd := c.open(p, unix.O_RDWR, 0)
			c.ok(unix.Flock(fd, unix.LOCK_EX), "lock")
			cmd := exec.Command(flock, p, "true")
			c.ok(cmd.Start(), "start a waiter")
			time.AfterFunc(200*time.Millisecond, func() { _ = cmd.Process.Signal(os.Kill) }) // it may be too late
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = cmd.Wait() // killed: not a success
			}()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				c.Fatalf("a killed waiter is still there after 10 s")
			}
			c.ok(unix.Flock(fd, unix.LOCK_UN), "unlock")
			c.eventually("the killed waiter holds nothing", func() bool {
				other := c.open(p, unix.O_RDWR, 0)
				defer unix.Close(other)
				return unix.Flock(other, unix.LOCK_EX|unix.LOCK_NB) == nil
			})
		}},
	}
}

// taken is what POSIX allows a lock that somebody else holds to answer.
var taken = []unix.Errno{unix.EAGAIN, unix.EACCES}

// eventually waits for something that happens soon after a call returned.
func (c *check) eventually(what string, ok func() bool) {
	c.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			c.Fatalf("%s: not within 10 s", what)
		}
	}
}
