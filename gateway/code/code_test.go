package code_test

import (
	"regexp"
	"testing"

	"github.com/honeyant/honeyant/gateway/code"
)

func TestCodesAreWellFormedAndDistinct(t *testing.T) {
	form := regexp.MustCompile(`^GW[1-7][0-9]{3}$`)
	seen := map[code.ID]bool{}
	for _, e := range code.All() {
		if !form.MatchString(string(e.ID)) {
			t.Errorf("%s is not of the form GWnnnn", e.ID)
		}
		if seen[e.ID] {
			t.Errorf("%s is there twice", e.ID)
		}
		seen[e.ID] = true
		if e.Meaning == "" || e.Do == "" || e.Source == "" {
			t.Errorf("%s is not explained: %+v", e.ID, e)
		}
		switch e.Level {
		case "debug", "info", "warn", "error":
		default:
			t.Errorf("%s has level %q", e.ID, e.Level)
		}
	}
}

func TestFindIgnoresCase(t *testing.T) {
	e, ok := code.Find("gw2104")
	if !ok || e.ID != code.OriginBodyIdle {
		t.Fatalf("gw2104 is %+v, %v", e, ok)
	}
	if _, ok := code.Find("GW9999"); ok {
		t.Fatal("GW9999 was found")
	}
}
