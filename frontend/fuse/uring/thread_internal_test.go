package uring

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A thread that works, however long, does not sleep; one that waits does.
func TestThreadsThatWaitAreKnown(t *testing.T) {
	var tid atomic.Int32
	var stop atomic.Bool
	done, wait := make(chan [2]int64), make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good
		tid.Store(int32(unix.Gettid()))
		before := sleeps()
		for !stop.Load() {
		}
		worked := sleeps() - before
		tid.Store(-int32(unix.Gettid()))
		before = sleeps()
		<-wait
		done <- [2]int64{worked, sleeps() - before}
	}()
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	eventually("a thread at work does not run", func() bool { return tid.Load() > 0 && runs(tid.Load()) })
	stop.Store(true)
	eventually("a thread that waits runs", func() bool { return tid.Load() < 0 && !runs(-tid.Load()) })
	close(wait)
	if n := <-done; n[1] == 0 {
		t.Errorf("slept %d times at work, %d in waiting", n[0], n[1])
	}
	if runs(1 << 30) {
		t.Error("a thread that is not there runs")
	}
}
