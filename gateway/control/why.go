package control

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// Why says in one line what an entry waits for, since when, and how long it may: "waiting for origin body, idle 42 s, limit 60 s".
func Why(e ledger.Entry) string {
	if e.Done != nil {
		text := e.Done.Text
		if text == "" {
			text = "complete"
		}
		line := fmt.Sprintf("ended: %s (status %d)", text, e.Done.Status)
		if e.Done.Code != "" {
			line += ", " + e.Done.Code
		}
		return line
	}
	line := fmt.Sprintf("%s, idle %s", e.Phase.Words(), Seconds(e.IdleSeconds))
	if e.Deadline == nil {
		return line + ", no limit set"
	}
	return line + ", limit " + Seconds(e.Deadline.LimitSeconds)
}

// Explain tells all that is known of an entry, a line each, the answer to "why does it not go on" first.
func Explain(e ledger.Entry) []string {
	lines := []string{Why(e)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if e.Deadline != nil {
		add("ends by itself in %s, when %s (%s) runs out", Seconds(e.Deadline.LeftSeconds), e.Deadline.Name, ledger.Describe(ledger.Name(e.Deadline.Name)).Text)
	}
	if e.Kind == ledger.Request {
		add("request: %s %s%s over %s", e.Method, e.Host, e.Path, e.Proto)
	} else {
		add("connection of the %s's side", e.Side)
	}
	for _, pair := range [][2]string{{"client", e.Client}, {"origin", e.Origin}, {"route", e.Route}, {"content type", e.Type}} {
		if pair[1] != "" {
			add("%s: %s", pair[0], pair[1])
		}
	}
	add("age %s, in this phase for %s, last progress %s ago", Seconds(e.AgeSeconds), Seconds(e.PhaseSeconds), Seconds(e.IdleSeconds))
	size := "length not announced"
	if e.SizeBytes >= 0 {
		size = "of " + Bytes(e.SizeBytes)
	}
	if e.Kind == ledger.Request {
		add("received %s, sent %s %s, %s/s", Bytes(e.InBytes), Bytes(e.OutBytes), size, Bytes(int64(e.Rate)))
	} else {
		add("received %s, sent %s", Bytes(e.InBytes), Bytes(e.OutBytes))
	}
	if e.Done != nil {
		if entry, ok := code.Find(e.Done.Code); ok {
			add("%s: %s %s", entry.ID, entry.Meaning, entry.Do)
		}
	} else {
		add("to end it now: honeyant gateway kill %s", e.ID)
	}
	return lines
}

// Seconds is a time as people read it.
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case math.Abs(s) < 10:
		return fmt.Sprintf("%.1f s", s)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", s)
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%.0f d", s/86400)
}

// Bytes is a size as people read it.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		v /= unit
		if v < unit || suffix == "TiB" {
			if v < 10 {
				return fmt.Sprintf("%.1f %s", v, suffix)
			}
			return fmt.Sprintf("%.0f %s", v, suffix)
		}
	}
	return ""
}
