package bench

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// In fake time: the credits last 3 minutes, and a rest brings a part of them back.
func TestRestAfterTheCreditsAreSpent(t *testing.T) {
	for _, c := range []struct {
		name    string
		plateau float64
		want    float64
	}{{"spent", 20, 60}, {"never spent", 100, -1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, worked := time.Now(), time.Duration(0)
				work := func(ctx context.Context, d time.Duration) (float64, error) {
					rested := time.Since(began) - worked
					worked += d
					if err := Pause(ctx, d); err != nil {
						return 0, err
					}
					switch {
					case rested > time.Minute:
						return 60, nil
					case worked > 3*time.Minute:
						return c.plateau, nil
					}
					return 100, nil
				}
				s := &session{Options: Options{BurstFor: 12 * time.Minute, Progress: func(Event) {}}, run: &Run{}}
				if err := s.decay(t.Context(), "burst.cpu", nil, work); err != nil {
					t.Fatal(err)
				}
				if err := s.refill(t.Context(), nil, work); err != nil {
					t.Fatal(err)
				}
				r := s.run.Find("burst.refill")
				switch {
				case c.want < 0 && (r != nil || !slices.ContainsFunc(s.run.Skipped, func(k Skip) bool { return strings.Contains(k.Reason, "no credits were spent") })):
					t.Errorf("%+v, left out %+v", r, s.run.Skipped)
				case c.want >= 0 && (r == nil || r.Median != c.want):
					t.Errorf("%+v, left out %+v", r, s.run.Skipped)
				}
				if cpu := s.run.Find("burst.cpu"); cpu == nil || len(cpu.Series) != 72 || cpu.Median != c.plateau {
					t.Errorf("%+v", cpu)
				}
			})
		})
	}
}

// What a run of burst is said to last has the rest in it.
func TestBurstIsPlannedWithItsRest(t *testing.T) {
	p, err := MakePlan(t.Context(), Options{Groups: []string{"burst"}, BurstFor: 20 * time.Minute, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if least := (20 + 5 + 20) * time.Minute; p.Total.Lasts < least {
		t.Errorf("planned %s, takes at least %s", p.Total.Lasts, least)
	}
}
