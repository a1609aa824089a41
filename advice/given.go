package advice

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Given is the origin of figures that a person wrote down.
const Given Origin = "given"

// ReadMachines reads machines with figures that a person knows: a header and rows of
// comma-separated values. Only name must be there; what is missing comes from the plan, else it
// is assumed. Columns: name, plan, monthly, currency, disk_gb, net_mb_per_s (of data, both
// directions), disk_write_mb_per_s, disk_read_mb_per_s, fsync_ms, rtt_ms, cpu_speed (of one processor; 1 is cpu.score.1 = 1000),
// processors, memory_gb, cpu_baseline_percent. Errors: Invalid, naming the line.
func ReadMachines(in io.Reader, t *Table) ([]Machine, error) {
	var all []Machine
	err := eachRow(in, []string{"name"}, func(get func(string) string) error {
		name := get("name")
		if name == "" || slices.ContainsFunc(all, func(m Machine) bool { return m.Name == name }) {
			return fmt.Errorf("each machine needs a name of its own, not %q", name)
		}
		m := assumedMachine(name)
		if plan := get("plan"); plan != "" {
			o, err := t.Find(plan)
			if err != nil {
				return err
			}
			m = FromOffer(name, o)
		}
		for _, f := range []struct {
			column string
			to     *Figure
			zero   bool // may be zero
			scale  float64
		}{
			{"disk_gb", &m.DiskGB, true, 1}, {"net_mb_per_s", &m.Net, false, 1}, {"disk_write_mb_per_s", &m.DiskWrite, false, 1}, {"disk_read_mb_per_s", &m.DiskRead, false, 1},
			{"fsync_ms", &m.Fsync, true, 1}, {"rtt_ms", &m.RTT, true, 1}, {"cpu_speed", &m.Speed, false, 1}, {"processors", &m.Cores, false, 1}, {"memory_gb", &m.MemoryGB, false, 1},
			{"cpu_baseline_percent", &m.Baseline, false, 0.01},
		} {
			v, given, err := positive(f.column, get(f.column), f.zero)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if given {
				*f.to = Figure{v * f.scale, Given, ""}
			}
		}
		v, given, err := positive("monthly", get("monthly"), true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if given {
			if get("currency") == "" {
				return fmt.Errorf("%s: the price has no currency", name)
			}
			m.Monthly = &Money{v, get("currency")}
		}
		all = append(all, m)
		return nil
	})
	return all, err
}

func positive(column, text string, zero bool) (v float64, given bool, err error) {
	if text == "" {
		return 0, false, nil
	}
	v, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v == 0 && !zero {
		return 0, false, fmt.Errorf("%s can not be %q", column, text)
	}
	return v, true, nil
}
