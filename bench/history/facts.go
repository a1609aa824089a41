package history

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// Axis is in what respect the sides of a comparison are meant to differ.
type Axis string

// The axes. By time the machine is the same; by machine the plan and the system are the same; by
// os the hardware and the plan are the same; by plan the system is the same.
const (
	ByTime    Axis = "time"
	ByMachine Axis = "machine"
	ByOS      Axis = "os"
	ByPlan    Axis = "plan"
)

// Axes lists them, the narrowest first.
func Axes() []Axis { return []Axis{ByTime, ByMachine, ByOS, ByPlan} }

// aspect is what a fact belongs to.
type aspect string

const (
	aspectMachine aspect = "machine"
	aspectHard    aspect = "hardware"
	aspectPlan    aspect = "plan"
	aspectOS      aspect = "system"
	aspectTool    aspect = "tool"
	aspectWay     aspect = "way"
)

// may tells what may differ along an axis.
func (a Axis) may(what aspect) bool {
	switch a {
	case ByMachine:
		return what == aspectMachine
	case ByOS:
		return what == aspectMachine || what == aspectOS
	case ByPlan:
		return what == aspectMachine || what == aspectPlan || what == aspectHard
	}
	return false
}

// Fact is something that is known of each side. An empty value is unknown and equals everything.
type Fact struct {
	Name    string   `json:"name"`
	Values  []string `json:"values"` // one a side
	Differs bool     `json:"differs"`
	aspect  aspect
}

// circumstance is a fact of one run.
type circumstance struct {
	aspect      aspect
	name, value string
}

// factsOf are the circumstances of a run that make figures unlike.
func factsOf(r *bench.Run) []circumstance {
	h := r.Host
	gib, cores, gentle := "", "", ""
	if h.MemoryBytes > 0 {
		gib = fmt.Sprintf("%.1f GiB", float64(h.MemoryBytes)/(1<<30))
	}
	if h.Cores > 0 {
		cores = fmt.Sprint(h.Cores)
	}
	if r.Gentle {
		gentle = "gentle"
	}
	limit := ""
	if h.MemoryLimit > 0 || h.CPUQuota > 0 {
		limit = fmt.Sprintf("%.1f GiB, %.1f processors", float64(h.MemoryLimit)/(1<<30), h.CPUQuota)
	}
	return []circumstance{
		{aspectMachine, "machine", h.Name},
		{aspectPlan, "plan", strings.TrimSpace(h.Cloud + " " + h.Plan)},
		{aspectPlan, "region", h.Region},
		{aspectHard, "processor", h.CPU},
		{aspectHard, "processors", cores},
		{aspectHard, "architecture", h.Arch},
		{aspectHard, "memory", gib},
		{aspectHard, "limits", limit},
		{aspectHard, "virtualisation", h.Virtualisation},
		{aspectHard, "disk", strings.TrimSpace(h.Disk.Type + " " + h.Disk.Model)},
		{aspectOS, "distribution", first(h.OSID, h.OS)},
		{aspectOS, "kernel", series(h.Kernel)},
		{aspectOS, "libc", h.Libc},
		{aspectOS, "file system", h.Disk.FileSystem},
		{aspectTool, "measured by", strings.TrimSpace(r.Tool.Name + " " + r.Tool.Version)},
		{aspectTool, "built with", r.Tool.Go},
		{aspectWay, "pace", gentle},
	}
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// series is the first two numbers of a kernel release: within a series figures are alike.
func series(kernel string) string {
	parts := strings.SplitN(kernel, ".", 3)
	if len(parts) < 2 {
		return kernel
	}
	minor := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if minor > 0 {
		parts[1] = parts[1][:minor]
	}
	return parts[0] + "." + parts[1]
}

// gatherFacts puts the facts of all sides beside one another. Runs of one side are of one
// machine; the last one speaks for it.
func gatherFacts(sides []Side) []Fact {
	var all []Fact
	for s, side := range sides {
		for i, f := range factsOf(side.Runs[len(side.Runs)-1]) {
			if s == 0 {
				all = append(all, Fact{Name: f.name, Values: make([]string, len(sides)), aspect: f.aspect})
			}
			all[i].Values[s] = f.value
		}
	}
	for i := range all {
		known := slices.DeleteFunc(slices.Clone(all[i].Values), func(v string) bool { return v == "" })
		slices.Sort(known)
		all[i].Differs = len(slices.Compact(known)) > 1
		if all[i].aspect == aspectWay { // here empty is a value
			same := slices.Clone(all[i].Values)
			slices.Sort(same)
			all[i].Differs = len(slices.Compact(same)) > 1
		}
	}
	return slices.DeleteFunc(all, func(f Fact) bool { return strings.Join(f.Values, "") == "" })
}

// axisOf is the axis along which the facts differ. Asked for none it finds the narrowest that
// explains every difference. Errors: Conflict, naming what differs besides.
func axisOf(facts []Fact, asked Axis, force bool) (Axis, error) {
	const op = "history.Compare"
	tried := Axes()
	if asked != "" {
		if !slices.Contains(tried, asked) {
			return "", honeyant.E(op, honeyant.Invalid, string(asked), errors.New("known are time, machine, os and plan"))
		}
		tried = []Axis{asked}
	}
	var besides []string
	for _, axis := range tried {
		besides = besides[:0]
		for _, f := range facts {
			if f.Differs && !axis.may(f.aspect) {
				besides = append(besides, f.Name+" ("+strings.Join(orUnknown(f.Values), " / ")+")")
			}
		}
		if len(besides) == 0 {
			return axis, nil
		}
	}
	if force {
		return asked, nil
	}
	if asked == "" {
		besides = besides[:0]
		for _, f := range facts {
			if f.Differs && f.aspect != aspectMachine {
				besides = append(besides, f.Name+" ("+strings.Join(orUnknown(f.Values), " / ")+")")
			}
		}
		return "", honeyant.E(op, honeyant.Conflict, "", fmt.Errorf("unlike in several respects, so nobody could tell what a difference comes from: %s; --force compares all the same", strings.Join(besides, ", ")))
	}
	return "", honeyant.E(op, honeyant.Conflict, "", fmt.Errorf("by %s only, yet these differ too: %s; --force compares all the same", asked, strings.Join(besides, ", ")))
}

func orUnknown(values []string) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = first(v, "?")
	}
	return all
}
