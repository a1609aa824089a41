package life

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Step is one signal and how long it may take to work.
type Step struct {
	Signal unix.Signal
	Limit  time.Duration
}

// killLimit is how long KILL may take: a process in an uninterruptible wait outlasts even that.
const killLimit = 10 * time.Second

// DefaultSteps is TERM:10s,INT:5s,KILL.
func DefaultSteps() []Step {
	return []Step{{unix.SIGTERM, 10 * time.Second}, {unix.SIGINT, 5 * time.Second}, {unix.SIGKILL, killLimit}}
}

// ParseSteps reads "TERM:10s,INT:5s,KILL": signals by name with or without SIG, each but the last with the time it is
// given. At most eight steps, none longer than an hour.
func ParseSteps(text string) ([]Step, error) {
	const maxSteps, maxLimit = 8, time.Hour
	parts := strings.Split(text, ",")
	if len(parts) > maxSteps {
		return nil, fmt.Errorf("%d steps; at most %d make sense", len(parts), maxSteps)
	}
	var steps []Step
	for i, part := range parts {
		name, limit, timed := strings.Cut(strings.TrimSpace(part), ":")
		sig := signalNumber(name)
		if sig == 0 {
			return nil, fmt.Errorf("%q is no signal; write TERM:10s,INT:5s,KILL", name)
		}
		s := Step{Signal: sig, Limit: killLimit}
		switch {
		case timed:
			d, err := time.ParseDuration(limit)
			if err != nil || d <= 0 || d > maxLimit {
				return nil, fmt.Errorf("%q is no time between 0 and %s; write %s:10s", limit, maxLimit, name)
			}
			s.Limit = d
		case i < len(parts)-1:
			return nil, fmt.Errorf("how long may %s take? Write %s:10s; only the last step goes without", name, name)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func signalNumber(name string) unix.Signal {
	name = strings.ToUpper(strings.TrimSpace(name))
	return unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
}

// SignalName is TERM for SIGTERM.
func SignalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// Stopped says how a process was stopped.
type Stopped struct {
	By     string        `json:"by"` // the signal after which it ended, "" if it had ended before
	After  time.Duration `json:"after_ns"`
	Killed []Process     `json:"killed,omitempty"` // of its family, those that did not end with it
}

// Stop sends the steps' signals one after another until the process has ended, then kills what is left of its
// family (see Family). report, if not nil, hears each step. The error says that it is still there
// after the last step, or that it may not be signalled.
func Stop(ctx context.Context, p Process, steps []Step, report func(string)) (Stopped, error) {
	if report == nil {
		report = func(string) {}
	}
	began := time.Now()
	h, err := p.Hold()
	if errors.Is(err, ErrGone) {
		return Stopped{}, nil
	}
	if err != nil {
		return Stopped{}, err
	}
	defer h.Close()
	var family []Process
	for _, s := range steps {
		now, err := Family(p) // before each step, since nobody can be found by a parent that is gone
		if err != nil {
			return Stopped{}, err
		}
		family = append(family, now...)
		report(fmt.Sprintf("%s to pid %d, up to %s", SignalName(s.Signal), p.PID, s.Limit))
		if err := h.Signal(s.Signal); err != nil && !errors.Is(err, ErrGone) {
			return Stopped{}, err
		}
		limited, cancel := context.WithTimeout(ctx, s.Limit)
		err = h.Wait(limited)
		cancel()
		if err == nil {
			stopped := Stopped{By: SignalName(s.Signal), After: time.Since(began)}
			// Those that are killed may just have started others: look again until there are none.
			const rounds = 5
			for range rounds {
				stopped.Killed = append(stopped.Killed, killAll(family, report)...)
				if family, err = Family(p); err != nil || len(family) == 0 {
					return stopped, err
				}
			}
			return stopped, fmt.Errorf("pid %d has ended, but what it had started keeps starting more: %v", p.PID, family)
		}
		if ctx.Err() != nil {
			return Stopped{}, ctx.Err()
		}
	}
	return Stopped{}, fmt.Errorf("pid %d is still there after %s; it waits in the kernel (cat /proc/%d/stack)", p.PID, time.Since(began).Round(time.Second), p.PID)
}

// killAll kills what is left of a family whose head has ended.
func killAll(family []Process, report func(string)) []Process {
	var killed []Process
	seen := map[Process]bool{}
	for _, p := range family {
		if seen[p] {
			continue
		}
		seen[p] = true
		h, err := p.Hold()
		if err != nil {
			continue // ended with its parent
		}
		if err := h.Signal(unix.SIGKILL); err == nil {
			killed = append(killed, p)
			report(fmt.Sprintf("KILL to pid %d, which it had started", p.PID))
			ctx, cancel := context.WithTimeout(context.Background(), killLimit)
			_ = h.Wait(ctx) // one that outlasts KILL can not be helped from here
			cancel()
		}
		_ = h.Close() // nothing was written through it
	}
	return killed
}
