package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/bench"
)

// derived are the tables of what follows from the figures; empty ones are left out.
func derived(hosts []string, byHost map[string][]*bench.Run, machines map[string]advice.Machine, o Options) ([]Table, error) {
	per, err := perUnit(hosts, byHost, machines, o.Unit)
	if err != nil {
		return nil, err
	}
	all := []Table{per, waysTable(o.Runs, byHost)}
	if t, ok := systemByPlan(hosts, byHost, machines); ok {
		all = append(all, t)
	}
	for i := range all {
		all[i].Open = true
	}
	return slices.DeleteFunc(all, func(t Table) bool { return len(t.Rows) == 0 }), nil
}

// perUnit relates figures to what was paid for: a processor, a GB of memory, a month's price. A
// single small machine looks slow; by the dollar it may be the fastest.
func perUnit(hosts []string, byHost map[string][]*bench.Run, machines map[string]advice.Machine, unit advice.Unit) (Table, error) {
	t := Table{Title: "Per processor, per GB, per money", Header: []string{"machine", "score per processor", "score per GB of memory", "score per money", "MB/s written per money", "GB of disk per money"},
		Note: "Score: cpu.score.all. Money: " + moneyName(unit) + " a month."}
	for _, h := range hosts {
		last := byHost[h][len(byHost[h])-1].Host
		m := machines[h]
		price := 0.0
		if m.Monthly != nil {
			p, err := asMoney(unit, *m.Monthly)
			if err != nil {
				return t, err
			}
			price = p
		}
		score, write := median(byHost[h], "cpu.score.all"), median(byHost[h], "disk.write.seq")
		row := []string{h, ratio(score, float64(last.Cores)), ratio(score, float64(last.MemoryBytes)/1e9), ratio(score, price), ratio(write, price), ""}
		if m.DiskGB.Origin != advice.Assumed {
			row[5] = ratio(m.DiskGB.Value, price)
		}
		if strings.Join(row[1:], "") != "" {
			t.Rows = append(t.Rows, row)
		}
	}
	return t, nil
}

func moneyName(unit advice.Unit) string {
	if unit.Month.Amount > 0 {
		return "VM-months"
	}
	return first(unit.Currency, "USD")
}

// asMoney is an amount in one currency for all, so that columns can be compared.
func asMoney(unit advice.Unit, m advice.Money) (float64, error) {
	if unit.Currency == "" && unit.Month.Amount <= 0 {
		unit.Currency = "USD"
	}
	p, err := unit.Of(m)
	return p.Amount, err
}

func median(runs []*bench.Run, name string) float64 {
	if r, _ := newest(runs, name); r != nil {
		return r.Median
	}
	return 0
}

func ratio(a, b float64) string {
	if a <= 0 || b <= 0 {
		return ""
	}
	return number(a / b)
}

// waysTable states each way between two machines beside the sender's own disk: from 1 on, another machine's
// memory is nearer than one's own disk.
func waysTable(runs []*bench.Run, byHost map[string][]*bench.Run) Table {
	t := Table{Title: "Ways between machines", Header: []string{"from", "to", "MB/s", "× the sender's disk", "round trip, ms", "ssh MB/s", "ssh connect, ms"},
		Note: "MB/s: 8 streams of TCP, else one, else TLS. To loopback: within the machine, the bound that no way beats."}
	type way struct{ from, to string }
	var order []way
	newest := map[way]map[string]float64{}
	for _, run := range runs {
		for i := range run.Results {
			r := &run.Results[i]
			var w way
			switch {
			case r.Peer != nil:
				w = way{r.Peer.From, r.Peer.To}
			case strings.HasPrefix(r.Name, "net.loopback."):
				w = way{run.Host.Name, "loopback"}
			default:
				continue
			}
			if newest[w] == nil {
				newest[w] = map[string]float64{}
				order = append(order, w)
			}
			newest[w][r.Name] = r.Median
		}
	}
	slices.SortFunc(order, func(a, b way) int {
		if c := strings.Compare(a.from, b.from); c != 0 {
			return c
		}
		return strings.Compare(a.to, b.to)
	})
	for _, w := range order {
		pick := func(names ...string) float64 {
			for _, n := range names {
				if v := newest[w][n]; v > 0 {
					return v
				}
			}
			return 0
		}
		rate, ssh := pick("net.tcp.8", "net.tcp.1", "net.tls.8", "net.tls.1", "net.loopback.tcp"), pick("ssh.system.aes128gcm", "ssh.own.aes128gcm", "ssh.system.aes256gcm", "ssh.system.chacha20")
		best := max(rate, ssh)
		t.Rows = append(t.Rows, []string{w.from, w.to, known(rate), ratio(best, median(byHost[w.from], "disk.write.seq")), known(cmp.Or(pick("net.rtt"), pick("net.loopback.rtt")/1e3)), known(ssh), known(pick("ssh.connect.system", "ssh.connect.own"))})
	}
	return t
}

func known(v float64) string {
	if v <= 0 {
		return ""
	}
	return number(v)
}

// systemByPlan is a matrix that tells apart what the plan does from what the distribution does: the same
// bundled work on each combination that was measured.
func systemByPlan(hosts []string, byHost map[string][]*bench.Run, machines map[string]advice.Machine) (Table, bool) {
	for _, name := range []string{"cpu.score.1", "compile.types", "compile.c"} {
		var plans, systems []string
		values := map[[2]string][]float64{}
		unit := ""
		for _, h := range hosts {
			r, run := newest(byHost[h], name)
			if r == nil {
				continue
			}
			plan, system := first(machines[h].Offer, "unknown plan"), first(run.Host.OSID, run.Host.OS, "unknown system")
			if !slices.Contains(plans, plan) {
				plans = append(plans, plan)
			}
			if !slices.Contains(systems, system) {
				systems = append(systems, system)
			}
			values[[2]string{system, plan}] = append(values[[2]string{system, plan}], r.Median)
			unit = r.Unit
		}
		if len(plans)+len(systems) < 3 {
			continue
		}
		spec, _ := bench.Lookup(name)
		t := Table{Title: "System by plan: " + spec.Title + ", " + unit, Header: append([]string{""}, plans...), Note: "Median over the machines of each kind."}
		for _, s := range systems {
			row := []string{s}
			for _, p := range plans {
				row = append(row, known(bench.Median(values[[2]string{s, p}])))
			}
			t.Rows = append(t.Rows, row)
		}
		return t, true
	}
	return Table{}, false
}
