package remote

import (
	"testing"
	"time"

	"github.com/honeyant/honeyant/meta"
)

// A session that gets no leases, since it does not give back what somebody waits for, is in one era all that time: each new
// one had it say what it holds, and renew at once, thousands of times a second.
func TestNoLeasesAreOneEra(t *testing.T) {
	now := moment{at: time.Now()}
	l := leases{epoch: 1, declared: 1}
	renewed := func(term uint64) uint64 {
		l.renewed(&meta.Renewal{Epoch: 1, LeaseTerm: term, LeaseTTL: time.Second}, now, now, true)
		return l.era
	}
	first := renewed(7)
	if got := renewed(7); got != first {
		t.Errorf("era %d after %d, though the term went on", got, first)
	}
	dismissed := renewed(0)
	if dismissed == first {
		t.Error("the same era, though the term was over")
	}
	for range 3 {
		if got := renewed(0); got != dismissed {
			t.Errorf("era %d after %d, without leases in between", got, dismissed)
		}
	}
	if got := renewed(8); got == dismissed {
		t.Error("the same era in a new term")
	}
	now.at = now.at.Add(2 * time.Second)
	again := l.era
	l.renewed(&meta.Renewal{Epoch: 1, LeaseTerm: 8, LeaseTTL: time.Second}, now, now, true)
	if l.era == again {
		t.Error("the same era, though leases had run out")
	}
}
