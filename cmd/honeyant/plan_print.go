package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/cmd/command"
)

func (p *planOptions) show(w io.Writer, a *planAnswer) {
	fmt.Fprintf(w, "Machines: %s\n", a.Machines)
	showFleet(w, a.Fleet)
	fmt.Fprintln(w)
	p.showWays(w, a.Outcomes, a.Advice)
	if len(a.Without) > 0 {
		fmt.Fprintln(w, "\nWithout each of the machines, used in the same way:")
		for _, m := range a.Without {
			fmt.Fprintf(w, "  %s: %s\n", m.Machine, m.Verdict)
		}
	}
	if a.WhatIf == "" {
		return
	}
	fmt.Fprintf(w, "\n%s\nWhat if: %s\n\n", strings.Repeat("─", 60), a.WhatIf)
	showFleet(w, a.WhatFleet)
	fmt.Fprintln(w)
	p.showWays(w, a.WhatWays, *a.WhatAdvice)
	showDifference(w, a)
}

func showFleet(w io.Writer, fleet []advice.Machine) {
	if len(fleet) == 0 || len(fleet) > 12 {
		return
	}
	mark := func(f advice.Figure) string {
		text := fmt.Sprintf("%.3g", f.Value)
		if f.Value >= 1000 {
			text = fmt.Sprintf("%.0f", f.Value)
		}
		if f.Origin == advice.Assumed {
			text += "?"
		}
		return text
	}
	var rows [][]string
	for _, m := range fleet {
		price := "?"
		if m.Monthly != nil {
			price = m.Monthly.String()
		}
		rows = append(rows, []string{m.Name, m.Offer, mark(m.DiskGB), mark(m.Net), mark(m.DiskWrite), mark(m.DiskRead), mark(m.Fsync), mark(m.RTT), mark(m.Speed), price})
	}
	command.PrintTable(w, []string{"machine", "plan", "GB", "net MB/s", "write MB/s", "read MB/s", "fsync ms", "rtt ms", "cpu", "a month"}, rows)
	fmt.Fprintln(w, "? assumed, not measured")
}

func (p *planOptions) showWays(w io.Writer, ways []*advice.Outcome, r advice.Recommendation) {
	var rows [][]string
	for _, o := range ways {
		name := o.Title
		if o == r.Best {
			name = "→ " + name
		}
		if o.NotBuilt != "" {
			name += " ‡"
		}
		usable := fmt.Sprintf("%.0f", o.UsableGB)
		if o.Unlimited {
			usable = "any"
		}
		month, perGB := "?", "?"
		if o.Monthly != nil {
			month = o.Monthly.String()
		}
		if o.PerGB != nil {
			perGB = o.PerGB.String()
		}
		rows = append(rows, []string{name, strings.Join(o.Made, ", "), o.Keep, usable, fmt.Sprintf("%.0f / %.0f", o.Write.MBps, o.WriteAll.MBps),
			fmt.Sprintf("%.0f / %.0f", o.Read.MBps, o.ReadAll.MBps), fmt.Sprintf("%.0f / %.0f", o.Create.Alone.PerSecond, o.Create.Shared.PerSecond),
			fmt.Sprint(o.Risk.Tolerates), advice.Probability(o.Risk.EitherYear), month, perGB})
	}
	if len(ways) > 0 && len(ways[0].Made) < 4 && p.sameMade(ways) {
		for i := range rows {
			rows[i] = append(rows[i][:1], rows[i][2:]...)
		}
		command.PrintTable(w, []string{"way", "keeps", "GB fit", "write MB/s 1/all", "read MB/s 1/all", "4 KiB files/s alone/shared", "survives", "loss a year", "a month", "a GB"}, rows)
	} else {
		command.PrintTable(w, []string{"way", "machines", "keeps", "GB fit", "write MB/s 1/all", "read MB/s 1/all", "4 KiB files/s alone/shared", "survives", "loss a year", "a month", "a GB"}, rows)
	}
	p.showCredits(w, ways)
	for _, o := range ways {
		if o.NotBuilt != "" {
			fmt.Fprintf(w, "‡ %s: %s\n", o.Title, o.NotBuilt)
		}
	}
	fmt.Fprintln(w)
	if r.Best == nil {
		fmt.Fprintln(w, "Recommended: none.", r.Why)
	} else {
		fmt.Fprintf(w, "Recommended: %s. %s\n", r.Title, r.Why)
	}
	for _, line := range r.Against {
		fmt.Fprintln(w, "  not", line)
	}
	for _, o := range ways {
		if o == r.Best || p.explain || r.Best == nil && o == ways[0] {
			fmt.Fprintf(w, "\nArithmetic of %s:\n", o.Title)
			for _, s := range o.Steps {
				fmt.Fprintln(w, "  "+s)
			}
		}
	}
	if len(ways) > 0 && len(ways[0].Assumed) > 0 {
		fmt.Fprintf(w, "\nAssumed, because nothing was measured (honeyant bench does it): %s.\n", strings.Join(ways[0].Assumed, "; "))
	}
	fmt.Fprintf(w, "Assumed: a machine is lost for good with %.2g %% a year. What hits all at once (provider, region, a wrong command) is not in these chances: keep a backup elsewhere.\n", 100*p.setting.Hazards.LossPerYear)
}

// sameMade tells that all ways use the same machines: then the column says nothing.
func (p *planOptions) sameMade(ways []*advice.Outcome) bool {
	for _, o := range ways {
		if strings.Join(o.Made, ",") != strings.Join(ways[0].Made, ",") {
			return false
		}
	}
	return true
}

// showCredits tells what remains on machines whose processors live on credits.
func (p *planOptions) showCredits(w io.Writer, ways []*advice.Outcome) {
	for _, o := range ways {
		if s := o.Spent; s.Applies && (s.WriteMBps < 0.9*o.Write.MBps || s.CreateFiles < 0.9*o.Create.Alone.PerSecond) {
			fmt.Fprintf(w, "%s, after the processors' credits are spent: one writer %.0f MB/s, one reader %.0f MB/s, %.0f files of 4 KiB a second\n",
				o.Title, s.WriteMBps, s.ReadMBps, s.CreateFiles)
		}
	}
}

// showDifference compares the two recommendations.
func showDifference(w io.Writer, a *planAnswer) {
	was, is := a.Advice.Best, a.WhatAdvice.Best
	if was == nil || is == nil {
		return
	}
	fmt.Fprintf(w, "\nFrom %s on %d machines to %s on %d: ", was.Title, was.Machines, is.Title, is.Machines)
	var words []string
	if was.Monthly != nil && is.Monthly != nil && was.Monthly.Currency == is.Monthly.Currency {
		words = append(words, fmt.Sprintf("%s → %s a month", was.Monthly, is.Monthly))
	}
	words = append(words, fmt.Sprintf("%.0f → %.0f GB fit", was.UsableGB, is.UsableGB),
		fmt.Sprintf("%.0f → %.0f MB/s written in sum", was.WriteAll.MBps, is.WriteAll.MBps),
		fmt.Sprintf("loss within a year %s → %s", advice.Probability(was.Risk.EitherYear), advice.Probability(is.Risk.EitherYear)))
	fmt.Fprintln(w, strings.Join(words, ", ")+".")
}
