package fuse_test

import (
	"testing"
	"testing/synctest"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// A system call for which the kernel asks three times waits for an unreachable cluster once; the next one waits again.
func TestOneWaitForACallThatAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deadline = 6 * time.Second
		c := volumetest.NewCluster(t, 1, 1<<30)
		fs := fuse.New(c.Open(t, func(o *volume.Options) { o.Deadline = deadline }), fuse.Options{})
		defer fs.OnUnmount()
		look := func(thread uint32, name string) time.Duration {
			began := time.Now()
			h := gofuse.InHeader{NodeId: 1}
			h.Pid = thread
			if code := fs.Lookup(nil, &h, name, new(gofuse.EntryOut)); code != gofuse.EIO {
				t.Errorf("%s: %v", name, code)
			}
			return time.Since(began)
		}
		c.CutQuorum(true)
		for round := range 3 {
			if took := look(7, "a"); took < deadline {
				t.Errorf("round %d: it gave up after %v", round, took)
			}
			if took := look(7, "a") + look(7, "a"); took > 0 {
				t.Errorf("round %d: asked again, it waited %v more", round, took)
			}
			time.Sleep(time.Second)
		}
		if took := look(8, "a"); took < deadline {
			t.Errorf("another thread waited only %v", took)
		}
		c.CutQuorum(false)
	})
}
