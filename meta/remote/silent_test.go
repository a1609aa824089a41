package remote_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// firstIsSilent makes calls to the first node end after 2 s without an answer.
func firstIsSilent(node honeyant.NodeID, _ rpc.Method, after bool) error {
	if node != 1 || after {
		return nil
	}
	time.Sleep(2 * time.Second) // fake
	return honeyant.E("test", honeyant.Unavailable, node.String(), errors.New("silence"))
}

// TestSilentLeaderIsAskedOnce: while the others still name a leader that has fallen silent, it is not asked
// again and again, which would cost a silence each time.
func TestSilentLeaderIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		must(t, s, create("before"))
		c.setCut(firstIsSilent)
		go func() {
			time.Sleep(2500 * time.Millisecond)
			c.stop(0)
			c.lead(1)
		}()
		began := time.Now()
		must(t, s, create("after"))
		if took := time.Since(began); took > 3500*time.Millisecond { // the renewal that the new leader waits for may be under way to the old one
			t.Errorf("a leader that is there after 2.5 s was found after %s", took)
		}
	})
}

// TestSilenceIsKnownToAll: an operation does not ask a leader whose silence the renewals have met already.
func TestSilenceIsKnownToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		s := c.open(c.options())
		must(t, s, create("before"))
		c.setCut(firstIsSilent)
		c.stop(0)
		c.lead(1)
		time.Sleep(3500 * time.Millisecond)
		began := time.Now()
		must(t, s, create("after"))
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("with a leader that the renewals have found, an operation took %s", took)
		}
	})
}
