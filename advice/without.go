package advice

import (
	"fmt"
	"slices"
)

// Without says what a colony would be without one of its machines.
type Without struct {
	Machine string `json:"machine"`
	Drop    bool   `json:"drop"`    // it costs more than it is worth
	Verdict string `json:"verdict"` // in words, with the figures
}

// WithoutEach looks at a fleet without each of its machines in turn, used in the way of best. A machine is
// to be dropped if without it everything wanted still fits on copies that survive a loss, no rate falls, and a GB gets no dearer. Of
// fleets of two or less nothing is said. Errors: those of Evaluate.
func WithoutEach(fleet []Machine, best *Outcome, wish Wish, s Setting) ([]Without, error) {
	if len(fleet) < 3 || best == nil {
		return nil, nil
	}
	var all []Without
	for i, m := range fleet {
		rest := slices.Delete(slices.Clone(fleet), i, i+1)
		var o *Outcome
		for _, w := range waysOf(rest, wish) {
			if w.title != best.Title || w.colony.Validate() != nil {
				continue
			}
			var err error
			if o, err = Evaluate(w.title, w.colony, s); err != nil {
				return nil, err
			}
		}
		if o == nil {
			all = append(all, Without{m.Name, false, "keep: without it this way is impossible"})
			continue
		}
		all = append(all, judgeWithout(m, best, o, wish))
	}
	return all, nil
}

func judgeWithout(m Machine, was, is *Outcome, wish Wish) Without {
	words := fmt.Sprintf("%.0f → %.0f GB fit, %.0f → %.0f MB/s written in sum, one writer %.0f → %.0f MB/s", was.UsableGB, is.UsableGB, was.WriteAll.MBps, is.WriteAll.MBps, was.Write.MBps, is.Write.MBps)
	priced := was.Monthly != nil && is.Monthly != nil
	if priced {
		words += fmt.Sprintf(", %s → %s a month, %s → %s a GB", was.Monthly, is.Monthly, was.PerGB, is.PerGB)
	}
	drop := priced && is.UsableGB > 0 && is.UsableGB >= wish.GB && is.Risk.Tolerates >= 1 && is.WriteAll.MBps >= was.WriteAll.MBps && is.Write.MBps >= was.Write.MBps &&
		is.monthlyUS < was.monthlyUS && is.monthlyUS/is.UsableGB <= was.monthlyUS/was.UsableGB
	if drop {
		return Without{m.Name, true, "drop: " + words}
	}
	return Without{m.Name, false, "keep: " + words}
}
