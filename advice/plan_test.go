package advice_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/advice"
)

func setting(t *testing.T) (*advice.Table, advice.Setting) {
	table := builtin(t)
	return table, advice.Setting{Hazards: advice.DefaultHazards(), Rates: table.Rates, Unit: advice.Unit{Rates: table.Rates}}
}

func fleet(t *testing.T, text string) []advice.Machine {
	t.Helper()
	f, err := advice.ParseFleet(text, builtin(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFleets(t *testing.T) {
	for text, n := range map[string]int{"3×lightsail/nano": 3, "3x lightsail/nano, large": 4, "2*nano": 2, "nano": 1} {
		if f := fleet(t, text); len(f) != n || f[0].Name != "w1" {
			t.Errorf("%s: %d machines from %s", text, len(f), f[0].Name)
		}
	}
	for _, text := range []string{"", "0xnano", "3x", "3xrocket", "999xnano", "2xlightsail/disk", "99999999999999999999xnano"} {
		if _, err := advice.ParseFleet(text, builtin(t), nil); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	f := fleet(t, "3xnano")
	less, err := advice.Remove(f, "w2")
	if err != nil || len(less) != 2 || len(f) != 3 {
		t.Errorf("%d of %d, %v", len(less), len(f), err)
	}
	one, err := advice.Replace(f, "w1,w2,w3=lightsail/large", builtin(t))
	if err != nil || len(one) != 1 || one[0].Offer != "lightsail/large" {
		t.Errorf("%+v, %v", one, err)
	}
	for _, text := range []string{"w1", "w9=large", "w1=rocket"} {
		if _, err := advice.Replace(f, text, builtin(t)); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("replace %q: %v", text, err)
		}
	}
}

// The question of the conversation: 200 GB for ten machines, equal workers or one honeypot?
func TestWorkersOrHoneypot(t *testing.T) {
	table, s := setting(t)
	all, err := advice.Cheapest(table, advice.Search{Nodes: 10, Wish: advice.Wish{GB: 200}}, s)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]*advice.Outcome{}
	for _, o := range all {
		by[o.Title] = o
		if o.UsableGB < 200 || o.Machines != 10 || o.Monthly == nil {
			t.Errorf("%s: %.0f GB on %d machines for %v", o.Title, o.UsableGB, o.Machines, o.Monthly)
		}
		provider := ""
		for _, m := range o.Made {
			_, name, _ := strings.Cut(m, "× ")
			p, _, _ := strings.Cut(name, "/")
			if provider != "" && p != provider {
				t.Errorf("%s mixes providers: %v", o.Title, o.Made)
			}
			provider = p
		}
	}
	workers, pot, two := by["equal workers"], by["one honeypot"], by["two honeypots"]
	if workers == nil || pot == nil || two == nil {
		t.Fatalf("only %d ways", len(all))
	}
	if workers.WriteAll.MBps <= two.WriteAll.MBps {
		t.Errorf("ten workers write %.0f MB/s in sum, two honeypots %.0f", workers.WriteAll.MBps, two.WriteAll.MBps)
	}
	r := advice.Recommend(all, 200)
	if r.Best == nil || r.Best.Risk.Tolerates < 1 || r.Best.NotBuilt != "" || r.Why == "" || len(r.Against) != len(all)-1 {
		t.Errorf("%+v", r)
	}
	for _, o := range all {
		if o.Title != r.Title && o.Risk.Tolerates > 0 && o.NotBuilt == "" && o.Monthly.Amount < 0.9*r.Best.Monthly.Amount {
			t.Errorf("%s for %s was taken, %s costs %s", r.Title, r.Best.Monthly, o.Title, o.Monthly)
		}
	}
}

func TestOutcomesSayEverything(t *testing.T) {
	table, s := setting(t)
	b2, err := table.Find("backblaze/b2")
	if err != nil {
		t.Fatal(err)
	}
	all, err := advice.Ways(fleet(t, "5xnano,lightsail/large"), advice.Wish{K: 3, M: 2, Bucket: advice.BucketOf(b2)}, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 6 {
		t.Errorf("%d ways", len(all))
	}
	for _, o := range all {
		text, err := json.Marshal(o) // no infinities
		if err != nil {
			t.Errorf("%s: %v", o.Title, err)
		}
		if len(o.Steps) < 8 || len(o.Assumed) == 0 || o.Monthly == nil || !strings.Contains(string(text), "arithmetic") {
			t.Errorf("%s: %d steps, assumed %v, %v", o.Title, len(o.Steps), o.Assumed, o.Monthly)
		}
		if built := o.Keep != "3+2" && o.Keep != "the bucket"; built != (o.NotBuilt == "") {
			t.Errorf("%s (%s): %q", o.Title, o.Keep, o.NotBuilt)
		}
	}
}

func TestImpossiblePlans(t *testing.T) {
	table, s := setting(t)
	for name, err := range map[string]error{
		"no machines":        second(advice.Ways(nil, advice.Wish{}, s)),
		"too many copies":    second(advice.Ways(fleet(t, "2xnano"), advice.Wish{Copies: 3}, s)),
		"too wide a code":    second(advice.Ways(fleet(t, "2xnano"), advice.Wish{K: 4, M: 2}, s)),
		"half a code":        second(advice.Ways(fleet(t, "4xnano"), advice.Wish{K: 4}, s)),
		"negative data":      second(advice.Ways(fleet(t, "4xnano"), advice.Wish{GB: -1}, s)),
		"nothing wanted":     second(advice.Cheapest(table, advice.Search{Nodes: 3}, s)),
		"more than there is": second(advice.Cheapest(table, advice.Search{Nodes: 3, Wish: advice.Wish{GB: 1}, Provider: "nobody"}, s)),
		"unknown worker":     second(advice.Cheapest(table, advice.Search{Nodes: 3, Wish: advice.Wish{GB: 1}, Worker: "rocket"}, s)),
	} {
		if !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestMoneyIsLeftOutWithoutAPrice(t *testing.T) {
	_, s := setting(t)
	f := fleet(t, "3xnano")
	f[1].Monthly = nil
	all, err := advice.Ways(f, advice.Wish{}, s)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].Monthly != nil || len(all[0].Unpriced) != 1 {
		t.Errorf("%v, %v", all[0].Monthly, all[0].Unpriced)
	}
	if r := advice.Recommend(all, 0); r.Best == nil || strings.Contains(r.Why, "costs") {
		t.Errorf("%+v", r)
	}
}

func TestGivenMachines(t *testing.T) {
	table, s := setting(t)
	all, err := advice.ReadMachines(strings.NewReader("name,plan,net_mb_per_s,disk_gb,fsync_ms,monthly,currency\na,lightsail/nano,50,100,0,,\nb,,25,0,1,3,EUR\nc,,,,,,\n"), table)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	if a := all[0]; a.Net != (advice.Figure{Value: 50, Origin: advice.Given}) || a.Monthly.Amount != 5 || a.Baseline.Origin != advice.Offered {
		t.Errorf("%+v", a)
	}
	if all[1].DiskGB.Value != 0 || all[1].Monthly.Currency != "EUR" || all[2].Net.Origin != advice.Assumed || all[2].Monthly != nil {
		t.Errorf("%+v", all[1:])
	}
	ways, err := advice.Ways(all, advice.Wish{}, s)
	if err != nil || len(ways[0].Each) != 3 || ways[0].Each[1].Write.MBps > 25 { // b has no disk: all it writes leaves it
		t.Errorf("%+v, %v", ways, err)
	}
	for _, text := range []string{"", "plan\nx\n", "name\na\na\n", "name\n\"\"\n", "name,plan\na,rocket\n", "name,net_mb_per_s\na,0\n", "name,rtt_ms\na,-1\n", "name,fsync_ms\na,NaN\n", "name,monthly\na,3\n"} {
		if _, err := advice.ReadMachines(strings.NewReader(text), table); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseFleet(f *testing.F) {
	table, err := advice.Builtin()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("3×lightsail/nano,1x large")
	f.Add("name,net_mb_per_s\na,1e308\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := advice.Setting{Hazards: advice.DefaultHazards(), Rates: table.Rates, Unit: advice.Unit{Rates: table.Rates}}
		fleet, err := advice.ParseFleet(text, table, nil)
		if err != nil || len(fleet) == 0 {
			if fleet, err = advice.ReadMachines(strings.NewReader(text), table); err != nil || len(fleet) == 0 || len(fleet) > 20 {
				return
			}
		}
		ways, err := advice.Ways(fleet, advice.Wish{}, s)
		if err != nil {
			return
		}
		if _, err := json.Marshal(ways); err != nil { // figures that are no numbers
			t.Fatal(err)
		}
	})
}
