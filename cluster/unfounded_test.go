package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant/cluster"
)

// A machine that leads before its cluster is founded makes no map: its agent would keep it on
// disk, and refuse it as corrupt at the next start.
func TestNoMapBeforeTheFounding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetadata()
		tracker := cluster.NewTracker(cluster.TrackerOptions{Self: 1, Doer: s.local(1)})
		defer tracker.Close()
		tracker.Lead(1)
		<-time.After(3 * time.Second)
		if m := tracker.Map(); m != nil {
			t.Errorf("a map of cluster %q", m.Cluster)
		}
	})
}
