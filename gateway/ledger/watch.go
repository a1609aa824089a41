package ledger

import (
	"fmt"
	"sync"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
)

// watch runs the deadlines of one connection or request with one timer. The timer is set for
// the earliest deadline and only ever brought forward: when it fires too early it is set
// again, so that a busy transfer costs no timer operations.
type watch struct {
	mu      sync.Mutex // guards all of it and the gates' running state
	gates   []*Gate    // those that wait now
	timer   *time.Timer
	timerAt time.Time // zero: not set
	stopped bool
	phase   Phase // shown while no gate waits
	phaseAt time.Time

	progress time.Time
	old, new mark // for the rate
	bytes    int64

	over func(g *Gate, e *Ending) // told of a deadline that fired, without the lock
}

// mark is a number of bytes at a time.
type mark struct {
	at    time.Time
	bytes int64
}

// markEvery is how far marks are apart: the rate is that of the last one to two of them.
const markEvery = 2 * time.Second

func newWatch(phase Phase, now time.Time) watch {
	return watch{phase: phase, phaseAt: now, progress: now, old: mark{at: now}, new: mark{at: now}}
}

// Gate is one direction in which something waits again and again: Enter before the wait,
// Leave after it. Its methods are safe for concurrent use; it is one wait at a time.
type Gate struct {
	w     *watch
	phase Phase
	idle  Name
	limit time.Duration        // of idle
	rate  Name                 // "" none
	least int64                // bytes a second
	span  time.Duration        // of waiting over which least is measured
	fire  func(*Ending)        // breaks the wait
	taken func() (int64, bool) // bytes the other end has taken from the system's buffers; nil: not known

	fired     bool
	running   bool
	begun     time.Time // of this wait
	rateBegun time.Time // from when this wait counts for the rate
	due       time.Time // zero: never
	waited    time.Duration
	bytes     int64
	sampled   bool // lastTaken holds, as of tick
	lastTaken int64
	tick      time.Time
}

// enter starts a wait of g.
func (w *watch) enter(g *Gate) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || g.running || g.fired {
		return
	}
	g.running, g.begun, g.rateBegun, g.sampled, g.tick = true, now, now, false, now
	g.plan()
	w.gates = append(w.gates, g)
	w.arm(now)
}

// leave ends a wait of g in which n bytes came through. Only then the least rate is judged: a
// stall is the idle limit's affair.
func (w *watch) leave(g *Gate, n int) {
	now := time.Now()
	w.mu.Lock()
	if g.running {
		w.drop(g)
		g.waited += now.Sub(g.rateBegun)
	}
	var slow *Ending
	if n > 0 {
		g.bytes += int64(n)
		w.noteBytes(now, n)
		if !w.stopped && !g.fired {
			slow = g.slow(g.waited)
			g.fired = slow != nil
		}
	}
	w.mu.Unlock()
	if slow != nil {
		w.over(g, slow)
		g.fire(slow)
	}
}

// drop takes g out of the waiting gates.
func (w *watch) drop(g *Gate) {
	g.running = false
	for i, other := range w.gates {
		if other == g {
			w.gates = append(w.gates[:i], w.gates[i+1:]...)
			break
		}
	}
}

// noteBytes counts progress; the caller holds mu.
func (w *watch) noteBytes(now time.Time, n int) {
	w.bytes += int64(n)
	w.progress = now
	if now.Sub(w.new.at) >= markEvery {
		w.old, w.new = w.new, mark{now, w.bytes}
	}
}

// samples is how often within a limit the system is asked whether the other end took bytes.
const samples = 4

// plan sets when g is looked at if nothing happens before.
func (g *Gate) plan() {
	g.due = time.Time{}
	if g.limit <= 0 {
		return
	}
	g.due = g.begun.Add(g.limit)
	if g.taken != nil {
		if at := g.tick.Add(g.limit / samples); at.Before(g.due) {
			g.due = at
		}
	}
}

// slow judges the least rate over the time that was waited, and begins a new stretch if it is
// kept.
func (g *Gate) slow(waited time.Duration) *Ending {
	if g.rate == "" || g.least <= 0 || waited < g.span {
		return nil
	}
	if float64(g.bytes) < float64(g.least)*waited.Seconds() {
		return &Ending{Code: Describe(g.rate).Code, Name: g.rate, Limit: g.span, By: "gateway",
			Text: fmt.Sprintf("%s: %d bytes in %s of waiting, less than min_rate %d bytes a second", g.words(), g.bytes, short(waited), g.least)}
	}
	g.waited, g.bytes, g.rateBegun = 0, 0, time.Now()
	return nil
}

// verdict tells whether g is over a limit at now, and which.
func (g *Gate) verdict(now time.Time) *Ending {
	if g.taken != nil {
		// The system wakes a writer only when a good part of its buffer is free. A slow reader
		// makes progress all the same, and the system knows.
		n, ok := g.taken()
		progress := ok && g.sampled && n > g.lastTaken
		if progress {
			g.bytes += n - g.lastTaken
			g.begun, g.w.progress = now, now
		}
		g.sampled, g.lastTaken, g.tick = ok, n, now
		if progress {
			return g.slow(g.waited + now.Sub(g.rateBegun))
		}
	}
	if now.Sub(g.begun) < g.limit {
		return nil
	}
	return &Ending{Code: Describe(g.idle).Code, Name: g.idle, Limit: g.limit, By: "gateway",
		Text: fmt.Sprintf("%s for %s, limit %s is %s", g.words(), short(now.Sub(g.begun)), g.idle, short(g.limit))}
}

func (g *Gate) words() string {
	if g.phase == "" {
		return "running"
	}
	return g.phase.Words()
}

// arm sets the timer for the earliest deadline; the caller holds mu.
func (w *watch) arm(now time.Time) {
	var first time.Time
	for _, g := range w.gates {
		if !g.due.IsZero() && (first.IsZero() || g.due.Before(first)) {
			first = g.due
		}
	}
	if first.IsZero() || !w.timerAt.IsZero() && !first.Before(w.timerAt) {
		return
	}
	w.timerAt = first
	if w.timer == nil {
		w.timer = time.AfterFunc(max(0, first.Sub(now)), w.check)
		return
	}
	w.timer.Reset(max(0, first.Sub(now)))
}

// check is the timer: it ends what is over its deadline.
func (w *watch) check() {
	now := time.Now()
	type firing struct {
		g *Gate
		e *Ending
	}
	var fired []firing
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.timerAt = time.Time{}
	for _, g := range append([]*Gate(nil), w.gates...) {
		if g.due.IsZero() || g.due.After(now) {
			continue
		}
		if e := g.verdict(now); e != nil {
			fired = append(fired, firing{g, e})
			g.due, g.fired = time.Time{}, true
		} else {
			g.plan()
		}
	}
	w.arm(now)
	w.mu.Unlock()
	for _, f := range fired {
		w.over(f.g, f.e)
		f.g.fire(f.e)
	}
}

// stop ends all deadlines.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// note counts bytes that came or went outside a gate.
func (w *watch) note(n int) {
	if n <= 0 {
		return
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteBytes(now, n)
}

// setPhase is for what no gate shows.
func (w *watch) setPhase(p Phase) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase != p {
		w.phase, w.phaseAt, w.progress = p, now, now
	}
}

// fill writes phase, times and deadline into e; the caller holds mu.
func (w *watch) fill(e *Entry, now time.Time) {
	e.Phase, e.PhaseSeconds = w.phase, now.Sub(w.phaseAt).Seconds()
	for _, g := range w.gates {
		if g.phase != "" {
			e.Phase, e.PhaseSeconds = g.phase, now.Sub(g.begun).Seconds()
		}
		if at := g.begun.Add(g.limit); g.limit > 0 && (e.Deadline == nil || at.Before(e.Deadline.At)) {
			e.Deadline = &Limit{Name: string(g.idle), LimitSeconds: g.limit.Seconds(), At: at, LeftSeconds: at.Sub(now).Seconds()}
		}
	}
	e.LastProgress, e.IdleSeconds = w.progress, now.Sub(w.progress).Seconds()
	if d := now.Sub(w.old.at).Seconds(); d > 0 {
		e.Rate = float64(w.bytes-w.old.bytes) / d
	}
}

// Enter starts a wait. If one runs already nothing changes.
func (g *Gate) Enter() { g.w.enter(g) }

// Leave ends the wait, in which n bytes came through.
func (g *Gate) Leave(n int) { g.w.leave(g, n) }

// Progress says that n bytes came through while the wait goes on: it begins anew.
func (g *Gate) Progress(n int) {
	if n <= 0 {
		return
	}
	now := time.Now()
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	g.w.noteBytes(now, n)
	if g.running {
		g.begun = now
		g.plan()
	}
}

// change ends the wait of g and shows phase p from now on, and waits if the phase has a limit.
func (w *watch) change(g *Gate, p Phase, limits *Limits, fire func(*Ending), taken func() (int64, bool)) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.running {
		w.drop(g)
	}
	if w.phase != p {
		w.phase, w.phaseAt, w.progress = p, now, now
	}
	if idle, _ := limitsOf(p); idle == "" || w.stopped {
		return
	}
	g.set(p, limits)
	g.fire, g.taken, g.fired = fire, taken, false
	g.running, g.begun, g.rateBegun, g.sampled, g.tick = true, now, now, false, now
	g.waited, g.bytes = 0, 0
	g.plan()
	w.gates = append(w.gates, g)
	w.arm(now)
}

// Turn goes on to the next phase: it leaves, and enters with the limits of p.
func (g *Gate) Turn(p Phase, limits *Limits) {
	g.Leave(0)
	g.w.mu.Lock()
	g.set(p, limits)
	g.waited, g.bytes = 0, 0
	g.w.mu.Unlock()
	g.Enter()
}

// WatchTaken lets the gate, one that sends, see what the other end took from the system's
// buffers of c. Not for connections that several requests share.
func (g *Gate) WatchTaken(c *Conn) {
	if c == nil {
		return
	}
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	g.taken = c.calls.taken
}

// Stream makes the gate one of a long-lived stream: only the limit tunnel_idle, no least rate.
func (g *Gate) Stream(limits Limits) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	g.idle, g.limit, g.rate = LimitTunnelIdle, limits.TunnelIdle, ""
	if g.running {
		g.plan()
	}
}

// limitsOf says which limits bound the waits of a phase.
func limitsOf(p Phase) (idle, rate Name) {
	switch p {
	case ClientTLS:
		return LimitClientTLS, ""
	case ClientHeader:
		return LimitClientHeader, ""
	case ClientBody:
		return LimitClientBodyIdle, LimitClientBodyRate
	case ClientSend:
		return LimitClientSendIdle, LimitClientSendRate
	case OriginConnect:
		return LimitOriginConnect, ""
	case OriginTLS:
		return LimitOriginTLS, ""
	case OriginSend:
		return LimitOriginSendIdle, LimitOriginSendRate
	case OriginHeader:
		return LimitOriginHeader, ""
	case OriginRead:
		return LimitOriginBodyIdle, LimitOriginBodyRate
	case Tunnel:
		return LimitTunnelIdle, ""
	case FileRead:
		return LimitFileRead, ""
	case Closing:
		return LimitClose, ""
	case Idle:
		return LimitClientIdle, ""
	}
	return "", ""
}

// gate makes a gate of w for a phase with the limits that belong to it.
func (w *watch) gate(p Phase, limits *Limits, fire func(*Ending)) *Gate {
	g := new(Gate)
	w.set(g, p, limits, fire)
	return g
}

// set makes a new gate of w of g.
func (w *watch) set(g *Gate, p Phase, limits *Limits, fire func(*Ending)) {
	g.w, g.fire = w, fire
	g.set(p, limits)
}

// set changes phase and limits of a gate that does not wait, or whose w.mu is held.
func (g *Gate) set(p Phase, limits *Limits) {
	g.phase = p
	g.idle, g.rate = limitsOf(p)
	g.limit = 0
	if f := limits.field(g.idle); f != nil {
		g.limit = *f
	}
	g.least, g.span = limits.MinRate, limits.RateAfter
}

// adopt changes the limits of a gate; a stream stays one.
func (g *Gate) adopt(limits *Limits) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if g.idle == LimitTunnelIdle {
		g.limit = limits.TunnelIdle
	} else {
		g.set(g.phase, limits)
	}
	if g.running {
		g.plan()
		g.w.arm(time.Now())
	}
}

// short prints a duration as people write it.
func short(d time.Duration) string {
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	} else {
		d = d.Round(10 * time.Millisecond)
	}
	return d.String()
}

// endingOf makes the ending of a code without a limit.
func endingOf(id code.ID, by, text string) *Ending { return &Ending{Code: id, By: by, Text: text} }
