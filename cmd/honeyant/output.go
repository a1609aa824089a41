package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable prints rows under a header, plainly, numbers to the right.
func printTable(w io.Writer, header []string, rows [][]string) {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatLower
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	t.SetStyle(style)
	head := table.Row{}
	for _, h := range header {
		head = append(head, h)
	}
	t.AppendHeader(head)
	for _, r := range rows {
		row := table.Row{}
		for _, c := range r {
			row = append(row, c)
		}
		t.AppendRow(row)
	}
	for _, line := range strings.Split(t.Render(), "\n") {
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, suffixes := float64(n), []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	for i, s := range suffixes {
		v /= unit
		if v < unit || i == len(suffixes)-1 {
			if v < 10 {
				return fmt.Sprintf("%.1f %s", v, s)
			}
			return fmt.Sprintf("%.0f %s", v, s)
		}
	}
	return ""
}

// durationText rounds for people.
func durationText(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// confirm shows the plan and asks, unless yes. Without a terminal it refuses.
func confirm(plan string, yes bool) error {
	fmt.Fprintln(os.Stderr, plan)
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) {
		return usagef("not done: add --yes to go ahead without being asked")
	}
	fmt.Fprint(os.Stderr, "Go ahead? [y/N] ")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return usagef("not done")
	}
	return nil
}
