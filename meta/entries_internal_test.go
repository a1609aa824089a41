package meta

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv/pebblekv"
)

// TestAMillionEntries: a directory of a million names on a real disk is listed page by page while names go and come
// between the pages. A name that is there all the time comes exactly once, none comes twice, and one that is gone before
// its page does not come (rule 27).
func TestAMillionEntries(t *testing.T) {
	names := 1_000_000
	if testing.Short() {
		names = 20_000
	}
	db, err := pebblekv.Open(t.TempDir(), pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v := &volume{t, db}
	v.do(&Bootstrap{Cluster: "x"})
	const dir = honeyant.RootIno
	name := func(i int) string { return fmt.Sprintf("entry-%d", i) }
	for i := range names {
		v.do(&Make{Volume: 1, Parent: dir, Name: name(i), Mode: honeyant.ModeFile | 0o644})
	}
	const (
		stays = iota
		listed
		goes // removed before its page
		went // removed after its page
	)
	fate := make([]byte, names)
	random := rand.New(rand.NewPCG(1, 2))
	later := names // names that come meanwhile
	newcomers := map[string]bool{}
	o := &ReadDir{Volume: 1, Dir: dir}
	for pages := 0; ; pages++ {
		r := v.do(o).(*ReadDirReply)
		for _, e := range r.Entries {
			var i int
			if _, err := fmt.Sscanf(e.Name, "entry-%d", &i); err != nil {
				t.Fatalf("page %d has %q", pages, e.Name)
			}
			switch {
			case i >= names && newcomers[e.Name]:
				t.Fatalf("%s, which came meanwhile, is listed twice", e.Name)
			case i >= names:
				newcomers[e.Name] = true
			case fate[i] == listed || fate[i] == went:
				t.Fatalf("%s is listed twice", e.Name)
			case fate[i] == goes:
				t.Fatalf("%s is listed, which was removed before", e.Name)
			default:
				fate[i] = listed
			}
			o.Cookie, o.After = e.Cookie, e.Name
		}
		if r.EOF {
			break
		}
		for range 20 {
			i := random.IntN(names)
			switch fate[i] {
			case stays:
				fate[i] = goes
			case listed:
				fate[i] = went
			default:
				continue
			}
			v.do(&Unlink{Volume: 1, Parent: dir, Name: name(i)})
			v.do(&Make{Volume: 1, Parent: dir, Name: name(later), Mode: honeyant.ModeFile | 0o644})
			later++
		}
		// The last name seen goes, too: the next page begins behind it all the same.
		last := o.After
		var i int
		if _, err := fmt.Sscanf(last, "entry-%d", &i); err == nil && i < names && fate[i] == listed {
			fate[i] = went
			v.do(&Unlink{Volume: 1, Parent: dir, Name: last})
		}
	}
	gone := 0
	for i := range fate {
		switch fate[i] {
		case stays:
			t.Fatalf("%s was there all the time and is not listed", name(i))
		case goes, went:
			gone++
		}
	}
	if gone == 0 || later == names || len(newcomers) == 0 {
		t.Fatalf("nothing changed meanwhile: %d gone, %d came, %d of them listed", gone, later-names, len(newcomers))
	}
	t.Logf("%d names, %d went and %d came while they were listed", names, gone, later-names)
}
