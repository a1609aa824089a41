package advice

import (
	"math"
	"testing"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

func host(name, plan string, figures map[string]float64) *bench.Run {
	r := &bench.Run{Schema: bench.Schema, ID: name, Host: bench.Host{Name: name, Plan: plan}}
	for n, v := range figures {
		s, _ := bench.Lookup(n)
		r.Results = append(r.Results, bench.Result{Name: n, Unit: s.Unit, Better: s.Better, Median: v})
	}
	return r
}

func TestRanking(t *testing.T) {
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	runs := []*bench.Run{
		host("cheap", "lightsail/nano", map[string]float64{"disk.write.seq": 100, "disk.fsync": 4, "disk.read.seq": 9999}),
		host("dear", "lightsail/small", map[string]float64{"disk.write.seq": 200, "disk.fsync": 2}),
		host("dearer", "lightsail/medium", map[string]float64{"disk.write.seq": 150, "disk.fsync": 2}),
		host("other", "lightsail/nano", map[string]float64{"cpu.score.all": 100}),
	}
	all, err := Rank(table, runs)
	if err != nil {
		t.Fatal(err)
	}
	r := all[0]
	if r.Use != "storage" || !r.Priced || len(r.Ranked) != 3 || len(r.Without) != 1 || r.Without[0] != "other" {
		t.Fatalf("%+v", r)
	}
	for i, want := range []Ranked{{Machine: "cheap", Score: 50, PerMoney: 10, Pareto: true}, {Machine: "dear", Score: 100, PerMoney: 100.0 / 12, Pareto: true},
		{Machine: "dearer", Score: 100 * math.Sqrt(0.75), PerMoney: 100 * math.Sqrt(0.75) / 24}} {
		got := r.Ranked[i]
		if got.Machine != want.Machine || math.Abs(got.Score-want.Score) > 1e-6 || math.Abs(got.PerMoney-want.PerMoney) > 1e-6 || got.Pareto != want.Pareto {
			t.Errorf("place %d: %+v, want %+v", i+1, got, want)
		}
	}
	if len(r.Ranked[0].Parts) != 2 {
		t.Errorf("counted %v: reading was measured on one machine only", r.Ranked[0].Parts)
	}
	build := all[len(all)-1]
	if build.Use != "build" || build.Ranked[0].Spent >= build.Ranked[0].Score {
		t.Errorf("a machine with credits: %+v", build)
	}
}

func TestSampleRanks(t *testing.T) {
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	all, err := Rank(table, history.Sample())
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	last := all[0].Ranked[len(all[0].Ranked)-1]
	if last.Machine != "azure" || last.Pareto {
		t.Errorf("the verdict of 2020 was: Azure out; last is %+v", last)
	}
}
