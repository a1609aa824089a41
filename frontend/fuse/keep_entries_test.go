package fuse_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestListingsBringNames walks a tree now and then, names and attributes: each walk asks for listings, not for names.
func TestListingsBringNames(t *testing.T) {
	d := serve(t, 1, keepEnv+"=1")
	prepare(t, d.paths[0])
	names := 0
	walk := func() (asked map[string]int) {
		return d.requests(func() {
			names = 0
			all, err := os.ReadDir(filepath.Join(d.paths[0], "many"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				if info, err := e.Info(); err != nil || info.Size() != 10 {
					t.Errorf("%s: %v", e.Name(), err)
				}
				names++
			}
		})
	}
	calm()
	first := walk() // perhaps what was made is still known
	<-time.After(2100 * time.Millisecond)
	second := walk() // the listing is kept, and the names have run out
	<-time.After(2100 * time.Millisecond)
	third := walk()
	soon := walk()
	t.Log(first, second, third, soon, d.ask("kept"))
	if names != 100 {
		t.Errorf("%d names, want 100", names)
	}
	if third["READDIRPLUS"] == 0 || third["LOOKUP"] > 3 || third["GETATTR"] > 3 {
		t.Errorf("a walk asks for %v, want listings alone", third)
	}
	if soon["LOOKUP"]+soon["READDIRPLUS"] > 3 {
		t.Errorf("a walk right after another asks for %v, want nothing of it", soon)
	}
}
