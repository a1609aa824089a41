package main

import (
	"fmt"
	"os"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
)

// loadHistory reads the history named, or this machine's. Damaged lines are told on stderr and skipped.
func loadHistory(o *options, named string) (runs []*bench.Run, dir string, err error) {
	dir = historyDir(o, named)
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return nil, dir, command.Usagef("no history there: %s", err)
		}
	}
	runs, damage, err := history.Load(dir)
	for _, d := range damage {
		fmt.Fprintf(os.Stderr, "honeyant: %s line %d is skipped: %s\n", d.File, d.Line, d.Text)
	}
	return runs, dir, err
}

// loadOrSample is the same, with the sample figures of 2020 in place of an empty history.
func loadOrSample(o *options, named string, sample bool) (runs []*bench.Run, from string, err error) {
	if !sample {
		if runs, from, err = loadHistory(o, named); err != nil || len(runs) > 0 {
			return runs, from, err
		}
		fmt.Fprintf(os.Stderr, "honeyant: nothing is measured yet in %s (honeyant bench does it): the sample figures of 2020 are shown\n", from)
	}
	return history.Sample(), "the sample figures of 2020", nil
}
