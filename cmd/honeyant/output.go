package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/honeyant/honeyant/cmd/command"
)

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

// confirm shows the plan and asks, unless yes. Without a terminal it refuses.
func confirm(plan string, yes bool) error {
	fmt.Fprintln(os.Stderr, plan)
	if yes {
		return nil
	}
	if !command.IsTerminal(os.Stdin) {
		return command.Usagef("not done: add --yes to go ahead without being asked")
	}
	fmt.Fprint(os.Stderr, "Go ahead? [y/N] ")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return command.Usagef("not done")
	}
	return nil
}
