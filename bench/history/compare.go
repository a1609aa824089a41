package history

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// Side is one of the things compared: the runs of one machine under one label.
type Side struct {
	Label string       `json:"label"`
	IDs   []string     `json:"runs"`
	Runs  []*bench.Run `json:"-"`
}

// Comparison is what Compare found. Sides[0] is the reference.
type Comparison struct {
	By      Axis      `json:"by"`
	Forced  bool      `json:"forced,omitempty"`
	Sides   []Side    `json:"sides"`
	Facts   []Fact    `json:"facts"`
	Rows    []Row     `json:"rows"`
	LeftOut []LeftOut `json:"left_out,omitempty"`
	Notes   []string  `json:"notes,omitempty"`
}

// Row is one measurement over all sides.
type Row struct {
	Key    string       `json:"key"`
	Title  string       `json:"title"`
	Unit   string       `json:"unit"`
	Better bench.Better `json:"better"`
	Cells  []Cell       `json:"cells"` // one a side
}

// Cell is one side of a row. Change and what follows compare with the first side.
type Cell struct {
	Median  float64   `json:"median"`
	MAD     float64   `json:"mad"`
	N       int       `json:"n"`                  // 0: not measured on this side
	RatioTo float64   `json:"ratio_to,omitempty"` // the median as a multiple of that of the first side, which has 1
	Change  *Interval `json:"change,omitempty"`
	Sense   Sense     `json:"sense,omitempty"`
	Verdict string    `json:"verdict,omitempty"`
	Hidden  []string  `json:"hidden,omitempty"` // what the figure alone does not show
}

// LeftOut is a measurement that was not compared.
type LeftOut struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// Options of Compare. The zero value finds the axis itself and refuses unlike things.
type Options struct {
	By    Axis
	Force bool
}

// Compare sets measurements of two or more sides side by side. Errors: Conflict if the sides
// are unlike in more than one respect, Invalid if there is nothing to compare.
func Compare(sides []Side, o Options) (*Comparison, error) {
	const op = "history.Compare"
	if len(sides) < 2 {
		return nil, honeyant.E(op, honeyant.Invalid, "", errors.New("two runs or machines are needed"))
	}
	for i := range sides {
		if len(sides[i].Runs) == 0 {
			return nil, honeyant.E(op, honeyant.Invalid, sides[i].Label, errors.New("it has no runs"))
		}
		sides[i].IDs = nil
		for _, r := range sides[i].Runs {
			sides[i].IDs = append(sides[i].IDs, r.ID)
		}
	}
	c := &Comparison{Sides: sides, Facts: gatherFacts(sides)}
	axis, err := axisOf(c.Facts, o.By, o.Force)
	if err != nil {
		return nil, err
	}
	c.By, c.Forced = axis, axis == "" || o.Force && o.By == axis && differsBeyond(c.Facts, axis)
	groups := make([]map[string][]*bench.Result, len(sides))
	for i, s := range sides {
		groups[i] = byKey(s.Runs)
		for _, r := range s.Runs {
			if r.Tainted {
				c.Notes = append(c.Notes, fmt.Sprintf("%s was not idle in run %s: %s", s.Label, r.ID, strings.Join(r.Why, "; ")))
			}
		}
	}
	for _, key := range keysOf(groups) {
		row, reason := c.row(key, groups, o.Force)
		if reason != "" {
			c.LeftOut = append(c.LeftOut, LeftOut{key, reason})
			continue
		}
		c.Rows = append(c.Rows, row)
	}
	if len(c.Rows) == 0 {
		return nil, honeyant.E(op, honeyant.Invalid, "", errors.New("no measurement was made on all sides"))
	}
	return c, nil
}

func differsBeyond(facts []Fact, axis Axis) bool {
	return slices.ContainsFunc(facts, func(f Fact) bool { return f.Differs && !axis.may(f.aspect) })
}

func byKey(runs []*bench.Run) map[string][]*bench.Result {
	all := map[string][]*bench.Result{}
	for _, r := range runs {
		for i := range r.Results {
			all[r.Results[i].Key()] = append(all[r.Results[i].Key()], &r.Results[i])
		}
	}
	return all
}

// keysOf lists all keys in the order of the catalogue, others after it.
func keysOf(groups []map[string][]*bench.Result) []string {
	rank := map[string]int{}
	for i, s := range bench.Catalogue() {
		rank[s.Name] = i
	}
	seen := map[string]int{}
	for _, g := range groups {
		for key, results := range g {
			place, ok := rank[results[0].Name]
			if !ok {
				place = len(rank)
			}
			seen[key] = place
		}
	}
	keys := slices.Collect(maps.Keys(seen))
	slices.SortFunc(keys, func(a, b string) int {
		if seen[a] != seen[b] {
			return seen[a] - seen[b]
		}
		return strings.Compare(a, b)
	})
	return keys
}

// row compares one measurement; reason says why it can not be.
func (c *Comparison) row(key string, groups []map[string][]*bench.Result, force bool) (row Row, reason string) {
	base := groups[0][key]
	if len(base) == 0 {
		return row, "not measured on " + c.Sides[0].Label
	}
	row = Row{Key: key, Title: title(base[0]), Unit: base[0].Unit, Better: base[0].Better}
	others := 0
	for i, g := range groups {
		results := g[key]
		if len(results) == 0 {
			row.Cells = append(row.Cells, Cell{})
			continue
		}
		for _, r := range results {
			switch {
			case r.Unit != row.Unit:
				return row, fmt.Sprintf("in %s here and in %s there", row.Unit, r.Unit)
			case !maps.Equal(r.Params, base[0].Params) && !force:
				return row, "measured in another way: " + unlikeParams(base[0].Params, r.Params)
			}
		}
		samples := samplesOf(results)
		cell := Cell{Median: bench.Median(samples), MAD: bench.MAD(samples), N: len(samples), Hidden: hiddenTimes(base, results, i == 0)}
		if i > 0 {
			others++
			judge(&cell, row, samplesOf(base), samples)
		}
		row.Cells = append(row.Cells, cell)
		if reference := row.Cells[0].Median; reference > 0 {
			row.Cells[i].RatioTo = cell.Median / reference
		}
	}
	if others == 0 {
		return row, "measured on " + c.Sides[0].Label + " only"
	}
	return row, ""
}

func title(r *bench.Result) string {
	name := r.Name
	if s, ok := bench.Lookup(r.Name); ok {
		name = s.Title
	}
	if r.Peer != nil {
		name += ", " + r.Peer.From + " to " + r.Peer.To
	}
	return name
}

func unlikeParams(a, b map[string]string) string {
	keys := slices.Sorted(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	var words []string
	for _, k := range keys {
		if a[k] != b[k] {
			words = append(words, fmt.Sprintf("%s %s / %s", k, first(a[k], "?"), first(b[k], "?")))
		}
	}
	return strings.Join(words, ", ")
}

// samplesOf are the values that stand for a side. Repeats within a run share the hour and the
// neighbours, so with enough runs each counts once, by its median.
func samplesOf(results []*bench.Result) []float64 {
	var all []float64
	if len(results) >= leastProof {
		for _, r := range results {
			all = append(all, r.Median)
		}
		return all
	}
	for _, r := range results {
		if len(r.Samples) == 0 {
			all = append(all, r.Median)
		}
		all = append(all, r.Samples...)
	}
	return all
}
