package history_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

func result(name string, better bench.Better, samples ...float64) bench.Result {
	return bench.Result{Name: name, Group: "disk", Unit: "MB/s", Better: better, Samples: samples,
		Median: bench.Median(samples), MAD: bench.MAD(samples)}
}

func sides(runs ...*bench.Run) []history.Side {
	var all []history.Side
	for _, r := range runs {
		all = append(all, history.Side{Label: r.Host.Name, Runs: []*bench.Run{r}})
	}
	return all
}

// The compile times of 2020: one run each proves nothing about the wall clock, and hides that
// the processor time differs and that one machine waited.
func TestWhatNoDifferenceHid(t *testing.T) {
	compile := func(host string, real, user, sys float64) *bench.Run {
		r := aRun(host, host, day(1), bench.Result{Name: "compile.c", Group: "compile", Unit: "s", Better: bench.Lower, Samples: []float64{real}, Median: real,
			Also: []bench.Also{{Name: "user", Value: user, Unit: "s"}, {Name: "sys", Value: sys, Unit: "s"}}})
		r.Host.OSID, r.Host.Machine = host, ""
		return r
	}
	c, err := history.Compare(sides(compile("ubuntu 16.04", 100.285, 87.472, 5.472), compile("ubuntu 18.04", 108.868, 98.127, 9.352),
		compile("amazon linux 2", 102.834, 93.446, 8.052)), history.Options{By: history.ByOS})
	if err != nil {
		t.Fatal(err)
	}
	cells := c.Rows[0].Cells
	for _, want := range []struct{ got, part string }{
		{cells[1].Verdict, "+8.6 %, N=1: not proven"},
		{cells[2].Verdict, "+2.5 %, N=1: not proven"},
		{strings.Join(cells[0].Hidden, "|"), "processor time (user+sys) 92.9 s"},
		{strings.Join(cells[0].Hidden, "|"), "waited 7.34 s"},
		{strings.Join(cells[1].Hidden, "|"), "107.5 s (+16 %)"},
		{strings.Join(cells[2].Hidden, "|"), "101.5 s (+9.2 %)"},
	} {
		if !strings.Contains(want.got, want.part) {
			t.Errorf("%q lacks %q", want.got, want.part)
		}
	}
}

func TestVerdicts(t *testing.T) {
	base := []float64{100, 101, 99, 100.5, 99.5, 100.2}
	times := func(f float64, noise ...float64) []float64 {
		all := make([]float64, len(base))
		for i, v := range base {
			all[i] = v * f
			if len(noise) > 0 {
				all[i] *= noise[i%len(noise)]
			}
		}
		return all
	}
	for _, c := range []struct {
		name   string
		better bench.Better
		b      []float64
		sense  history.Sense
		words  string
	}{
		{"much faster", bench.Higher, times(1.5), history.SenseBetter, "+50 %, better ("},
		{"four times", bench.Higher, times(4), history.SenseBetter, "4.0×, better ("},
		{"more of what is bad", bench.Lower, times(1.5), history.SenseWorse, "+50 %, worse ("},
		{"less of what is bad", bench.Lower, times(0.5), history.SenseBetter, "-50 %, better ("},
		{"the same", bench.Higher, times(1.001), history.SenseSame, "equal within 3 %"},
		{"noise", bench.Higher, times(1.09, 0.6, 1.5, 0.9), history.SenseOpen, "not proven ("},
		{"too few", bench.Higher, []float64{200, 201, 202}, history.SenseOpen, "2.0×, N=3: not proven"},
		{"zeros", bench.Higher, []float64{0, 0, 0, 0, 0}, history.SenseWorse, "-100 MB/s, worse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := history.Compare(sides(aRun("a", "1", day(1), result("x", c.better, base...)), aRun("a", "2", day(2), result("x", c.better, c.b...))), history.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if cell := got.Rows[0].Cells[1]; cell.Sense != c.sense || !strings.Contains(cell.Verdict, c.words) {
				t.Errorf("%q (%s), want %q (%s)", cell.Verdict, cell.Sense, c.words, c.sense)
			}
		})
	}
}

func TestUnlikeThingsAreRefused(t *testing.T) {
	like := func(change func(*bench.Run)) *bench.Run {
		r := aRun("a", "x", day(2), result("x", bench.Higher, 1, 2, 3, 4, 5))
		r.Host.CPU, r.Host.OSID, r.Host.Kernel, r.Host.Plan, r.Tool.Go = "E5", "debian 12", "6.1.0-18-amd64", "nano", "go1.26"
		change(r)
		return r
	}
	same := func(*bench.Run) {}
	for _, c := range []struct {
		name   string
		change func(*bench.Run)
		by     history.Axis
		axis   history.Axis // found; empty: refused
	}{
		{"nothing differs", same, "", history.ByTime},
		{"a patch of the kernel", func(r *bench.Run) { r.Host.Kernel = "6.1.0-29-amd64" }, "", history.ByTime},
		{"another machine", func(r *bench.Run) { r.Host.Name = "b" }, "", history.ByMachine},
		{"another system", func(r *bench.Run) { r.Host.OSID, r.Host.Kernel = "ubuntu 18.04", "4.15.0" }, "", history.ByOS},
		{"another plan and its processor", func(r *bench.Run) { r.Host.Plan, r.Host.CPU = "large", "EPYC" }, "", history.ByPlan},
		{"plan and system", func(r *bench.Run) { r.Host.Plan, r.Host.OSID = "large", "ubuntu 18.04" }, "", ""},
		{"by system, yet the plan too", func(r *bench.Run) { r.Host.Plan, r.Host.OSID = "large", "ubuntu 18.04" }, history.ByOS, ""},
		{"another Go in the tool", func(r *bench.Run) { r.Tool.Go = "go1.20" }, "", ""},
		{"paced", func(r *bench.Run) { r.Gentle = true }, "", ""},
		{"by time on another machine", func(r *bench.Run) { r.Host.Name = "b" }, history.ByTime, ""},
		{"unknown is not unlike", func(r *bench.Run) { r.Host.Plan, r.Host.CPU = "", "" }, "", history.ByTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			two := sides(like(same), like(c.change))
			got, err := history.Compare(two, history.Options{By: c.by})
			if c.axis == "" {
				if !errors.Is(err, honeyant.Conflict) || !strings.Contains(err.Error(), "--force") {
					t.Errorf("not refused: %v", err)
				}
				if forced, err := history.Compare(two, history.Options{By: c.by, Force: true}); err != nil || !forced.Forced {
					t.Errorf("forced: %v", err)
				}
				return
			}
			if err != nil || got.By != c.axis {
				t.Errorf("%+v, %v, want by %s", got, err, c.axis)
			}
		})
	}
}

func TestUnlikeMeasurementsAreLeftOut(t *testing.T) {
	a, b := result("x", bench.Higher, 1, 2, 3, 4), result("x", bench.Higher, 1, 2, 3, 4)
	a.Params, b.Params = map[string]string{"size": "1 GiB"}, map[string]string{"size": "4 GiB"}
	other := result("y", bench.Higher, 1, 2, 3, 4)
	c, err := history.Compare(sides(aRun("a", "1", day(1), a, other), aRun("a", "2", day(2), b, other)), history.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rows) != 1 || len(c.LeftOut) != 1 || !strings.Contains(c.LeftOut[0].Reason, "size 1 GiB / 4 GiB") {
		t.Errorf("%+v", c)
	}
}

// Four runs or more a side: then the runs count, not the repeats within them.
func TestRunsCountOnce(t *testing.T) {
	var was, is history.Side
	for i := range 5 {
		was.Runs = append(was.Runs, aRun("a", "w", day(i+1), result("x", bench.Higher, 10, 10, 10, 10, 10)))
		is.Runs = append(is.Runs, aRun("a", "i", day(i+10), result("x", bench.Higher, 12, 12, 12, 12, 12)))
	}
	c, err := history.Compare([]history.Side{was, is}, history.Options{})
	if err != nil || c.Rows[0].Cells[1].N != 5 || c.Rows[0].Cells[1].Sense != history.SenseBetter {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestOutliersAreExplained(t *testing.T) {
	var all []*bench.Run
	for i := range 5 {
		r := aRun("a", string(rune('0'+i)), day(i+1), result("random.crypto.1", bench.Higher, 100+float64(i)))
		r.Host.CPU = "Xeon 2.4"
		all = append(all, r)
	}
	now := aRun("a", "now", day(20), result("random.crypto.1", bench.Higher, 408))
	now.Host.CPU = "Xeon 3.0"
	all = append(all, now)
	found := history.Outliers(now, all)
	if len(found) != 1 || !strings.Contains(found[0].String(), "4.0× the median of 5 earlier runs") || !strings.Contains(found[0].String(), "CPU model changed from Xeon 2.4 to Xeon 3.0") {
		t.Errorf("%v", found)
	}
	if quiet := history.Outliers(all[4], all); len(quiet) != 0 {
		t.Errorf("an ordinary run: %v", quiet)
	}
	stolen := aRun("a", "later", day(21), result("random.crypto.1", bench.Higher, 40))
	stolen.Host.CPU, stolen.Results[0].During.StealPct = "Xeon 3.0", 55
	if found := history.Outliers(stolen, append(all, stolen)); len(found) != 1 || !strings.Contains(found[0].String(), "the host stole 55 %") {
		t.Errorf("%v", found)
	}
}

func TestPick(t *testing.T) {
	runs := []*bench.Run{aRun("a", "2026-aa", day(1)), aRun("b", "2026-ab", day(2)), aRun("a", "2026-ac", day(3)), aRun("a", "2026-ba", day(4))}
	file := filepath.Join(t.TempDir(), "one.json")
	if err := os.WriteFile(file, []byte(`{"schema":"honeyant-bench/1","id":"f","host":{"name":"z"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	several := filepath.Join(t.TempDir(), "several.json")
	if err := os.WriteFile(several, []byte(`[{"schema":"honeyant-bench/1","id":"f1","host":{"name":"y"}},{"schema":"honeyant-bench/1","id":"f2","host":{"name":"z","node":"n2"}}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old.json")
	if err := os.WriteFile(old, []byte(`{"schema":"honeyant-bench/0","id":"f"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{"a": "2026-ba", "b": "2026-ab", "a~0": "2026-ba", "a~2": "2026-aa", "a@2026-11-03": "2026-ac",
		"a@all": "2026-aa 2026-ac 2026-ba", "2026-b": "2026-ba", "2026-ab": "2026-ab", file: "f", several + "#y": "f1", several + "#n2": "f2"} {
		if s, err := history.Pick(runs, word); err != nil || ids(s.Runs) != want {
			t.Errorf("%s: %q, %v, want %q", word, ids(s.Runs), err, want)
		}
	}
	for word, kind := range map[string]honeyant.Kind{"c": honeyant.NotExist, "": honeyant.NotExist, "2026-a": honeyant.Invalid, "a~3": honeyant.NotExist, "a~x": honeyant.NotExist,
		"a@2026-12-01": honeyant.NotExist, "./none.json": honeyant.NotExist, old: honeyant.Unsupported, several: honeyant.Invalid, several + "#x": honeyant.NotExist} {
		if _, err := history.Pick(runs, word); !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", word, err, kind)
		}
	}
}
