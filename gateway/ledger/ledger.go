package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
)

// ErrGone is the answer for an ID that is not in the ledger (any more).
var ErrGone = errors.New("no such connection or request; it may have ended")

// recentKept is how many ended requests Recent remembers.
const recentKept = 512

// Observer is told what happens. Each function may be nil, is called on the goroutine where it
// happens with no lock held, and must return soon.
type Observer struct {
	Fired func(e Entry, why *Ending) // a deadline fired; e is as it was then
	Ended func(e Entry)              // a connection or request left the ledger; e.Done says how
}

// row is a live connection or request.
type row interface {
	snapshot(now time.Time) Entry
	kill(why *Ending)
}

// Ledger holds the live connections and requests of one process. All methods are safe for
// concurrent use. Made by New; it starts no goroutine.
type Ledger struct {
	next    atomic.Uint64
	observe atomic.Pointer[Observer]

	mu     sync.Mutex // guards the rest
	live   map[ID]row
	recent []Entry // ring of ended requests
	at     int     // where the next one goes
	fired  map[Name]uint64
	ended  map[string]uint64 // by code, "" a plain end
	total  uint64            // requests ended
	quics  []*QUIC           // that follow sockets now
}

// New makes an empty ledger. The first ID is above base, for a successor of a running process
// whose IDs should not repeat.
func New(base ID) *Ledger {
	l := &Ledger{live: map[ID]row{}, fired: map[Name]uint64{}, ended: map[string]uint64{}}
	l.next.Store(uint64(base))
	l.observe.Store(&Observer{})
	return l
}

// Observe replaces the observer.
func (l *Ledger) Observe(o Observer) { l.observe.Store(&o) }

// Last is the highest ID given so far: what a successor passes to New.
func (l *Ledger) Last() ID { return ID(l.next.Load()) }

// Filter chooses entries. Zero fields choose everything.
type Filter struct {
	Kind   Kind
	Side   Side
	Phase  Phase
	Origin string        // exactly
	Route  string        // exactly
	Older  time.Duration // at least so old
	Idle   time.Duration // without progress for at least so long
}

// takes tells whether e is chosen. What began or went on while the list was made is younger than
// nothing.
func (f Filter) takes(e Entry) bool {
	return (f.Kind == "" || e.Kind == f.Kind) &&
		(f.Side == "" || e.Side == f.Side) &&
		(f.Phase == "" || e.Phase == f.Phase) &&
		(f.Origin == "" || e.Origin == f.Origin) &&
		(f.Route == "" || e.Route == f.Route) &&
		(f.Older == 0 || e.AgeSeconds >= f.Older.Seconds()) && (f.Idle == 0 || e.IdleSeconds >= f.Idle.Seconds())
}

// List answers what lives now and passes the filter, oldest first.
func (l *Ledger) List(f Filter) []Entry {
	l.mu.Lock()
	rows := make([]row, 0, len(l.live))
	for _, r := range l.live {
		rows = append(rows, r)
	}
	l.mu.Unlock()
	now := time.Now()
	entries := make([]Entry, 0, len(rows))
	for _, r := range rows {
		if e := r.snapshot(now); f.takes(e) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return entries
}

// Get answers one entry, live or recently ended. The error is ErrGone.
func (l *Ledger) Get(id ID) (Entry, error) {
	l.mu.Lock()
	r, ok := l.live[id]
	if !ok {
		defer l.mu.Unlock()
		for _, e := range l.recent {
			if e.ID == id {
				return e, nil
			}
		}
		return Entry{}, fmt.Errorf("%s: %w", id, ErrGone)
	}
	l.mu.Unlock()
	return r.snapshot(time.Now()), nil
}

// Kill ends one connection or request, both its sides, and answers what it was. The end of a
// connection ends its requests. The error is ErrGone.
func (l *Ledger) Kill(id ID, reason string) (Entry, error) {
	l.mu.Lock()
	r, ok := l.live[id]
	l.mu.Unlock()
	if !ok {
		return Entry{}, fmt.Errorf("%s: %w", id, ErrGone)
	}
	e := r.snapshot(time.Now())
	text := "killed by the operator"
	if reason != "" {
		text += ": " + reason
	}
	r.kill(&Ending{Code: code.ClientKilled, Text: text, By: "operator"})
	return e, nil
}

// Recent answers the requests that ended last, oldest first.
func (l *Ledger) Recent() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(slices.Clone(l.recent[l.at:]), l.recent[:l.at]...)
}

// Counts are sums since the process started.
type Counts struct {
	Requests    uint64            `json:"requests"`               // ended
	Connections int               `json:"connections"`            // live
	Running     int               `json:"running"`                // live requests
	Fired       map[Name]uint64   `json:"deadlines_fired"`        // every name, also those at 0
	Ended       map[string]uint64 `json:"requests_ended_by_code"` // "" a plain end
}

// Counts answers the sums.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Counts{Requests: l.total, Fired: map[Name]uint64{}, Ended: map[string]uint64{}}
	for _, i := range LimitTable() {
		c.Fired[i.Name] = l.fired[i.Name]
	}
	for k, v := range l.ended {
		c.Ended[k] = v
	}
	for _, r := range l.live {
		if _, ok := r.(*Req); ok {
			c.Running++
		} else {
			c.Connections++
		}
	}
	return c
}

// newID answers the next ID.
func (l *Ledger) newID() ID { return ID(l.next.Add(1)) }

// enter puts a row in.
func (l *Ledger) enter(id ID, r row) {
	l.mu.Lock()
	l.live[id] = r
	l.mu.Unlock()
}

// remove takes a row out; e is its last snapshot, with Done. Twice is harmless.
func (l *Ledger) remove(e Entry) {
	l.mu.Lock()
	if _, ok := l.live[e.ID]; !ok {
		l.mu.Unlock()
		return
	}
	delete(l.live, e.ID)
	if e.Kind == Request {
		l.total++
		l.ended[e.Done.Code]++
		if len(l.recent) < recentKept {
			l.recent = append(l.recent, e)
		} else {
			l.recent[l.at] = e
			l.at = (l.at + 1) % recentKept
		}
	}
	l.mu.Unlock()
	if f := l.observe.Load().Ended; f != nil {
		f(e)
	}
}

// noteFired counts a deadline and tells the observer.
func (l *Ledger) noteFired(e Entry, why *Ending) {
	l.mu.Lock()
	l.fired[why.Name]++
	l.mu.Unlock()
	if f := l.observe.Load().Fired; f != nil {
		f(e, why)
	}
}

// Ending is why something was ended by the gateway or by an operator. It is the cause of the
// contexts that it cancels and the error of the reads and writes that it breaks.
type Ending struct {
	Code  code.ID
	Name  Name          // of the limit that fired, "" if none did
	Limit time.Duration // its value
	Text  string
	By    string // gateway, operator, client, origin
}

// Error is the text.
func (e *Ending) Error() string { return e.Text }

// Timeout tells users of net.Error whether a limit fired.
func (e *Ending) Timeout() bool { return e.Name != "" }

// Temporary makes it a net.Error.
func (e *Ending) Temporary() bool { return false }
