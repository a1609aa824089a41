package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// Chunks is what a Maker does to stores; replica.Client implements it. Safe for concurrent use.
type Chunks interface {
	// Write returns when data are on stable storage in every store of the answer, which may be fewer than targets.
	Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
		next func(bad []honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error)
	// Read fills p with the chunk's bytes from off on.
	Read(ctx context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error
	// Verify reads a replica back from its disk.
	Verify(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error)
	// Delete removes exactly that generation; absent is not an error.
	Delete(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error
}

// Options of a Maker. Zero values mean the defaults in parentheses.
type Options struct {
	Meta   meta.Doer // the leader's own
	Chunks Chunks
	Map    func() *honeyant.Map
	// Copy calls use with a private copy of the state of one moment, on which others do not wait.
	Copy func(use func(kv.Reader) error) error
	// Before is called before each backup, to put into the state what belongs into it. Default: nothing.
	Before func(ctx context.Context)
	Log    *slog.Logger

	Every    time.Duration // (1 h)
	First    time.Duration // after this leader began, at the soonest (5 min)
	Deadline time.Duration // of one backup (30 min)
	PartSize int           // bytes of a chunk (honeyant.ChunkSize, which is the most)
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Every, time.Hour)
	def(&o.First, 5*time.Minute)
	def(&o.Deadline, 30*time.Minute)
	if o.PartSize <= 0 || o.PartSize > partSize {
		o.PartSize = partSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// mostCopies is on how many nodes a backup is at most: it is small, and any one of them is enough.
const mostCopies = 5

// Maker makes backups while this node leads. Safe for concurrent use.
type Maker struct {
	o    Options
	turn sync.Mutex // held while a backup is made

	mu   sync.Mutex // guards next
	next time.Time  // when the next one is due; zero: not known yet
}

// NewMaker makes a Maker for one leadership.
func NewMaker(o Options) *Maker { return &Maker{o: o.withDefaults()} }

// Job is the background job that makes a backup when one is due.
func (m *Maker) Job() worker.Job {
	return worker.Job{Name: "backup", Every: min(time.Minute, m.o.Every), Pace: 1, Backoff: time.Minute, MaxBackoff: 10 * time.Minute, Run: m.step}
}

func (m *Maker) step(ctx context.Context, p *worker.Pace) (bool, error) {
	due, err := m.due(ctx)
	if err != nil || !due {
		return false, err
	}
	made, err := m.make(ctx, p, false)
	if err != nil {
		return false, err
	}
	if made != nil {
		p.Count("made", 1)
		p.Progress(fmt.Sprintf("%d files and directories kept %d times", made.Holds.Inodes, made.Copies()), 0, 0)
	}
	return false, nil
}

// due tells whether it is time. The clock of the leader that made the last backup is believed only within what Every
// and First allow.
func (m *Maker) due(ctx context.Context) (bool, error) {
	now := time.Now()
	m.mu.Lock()
	next := m.next
	m.mu.Unlock()
	if next.IsZero() {
		list, err := Load(ctx, m.o.Meta)
		if err != nil {
			return false, err
		}
		rest := m.o.First
		if k := list.Newest(); k != nil {
			rest = max(m.o.First, min(m.o.Every, m.o.Every-now.Sub(k.Made)))
		}
		next = now.Add(rest)
		m.later(next)
	}
	return !now.Before(next), nil
}

func (m *Maker) later(next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = next
}

// Make makes a backup now. smaller accepts one that holds much less than the one before. Kinds: Conflict (one is
// being made; or refused since the metadata have shrunk), NoSpace, Unavailable (too few stores answer).
func (m *Maker) Make(ctx context.Context, smaller bool) (*Kept, error) {
	k, err := m.make(ctx, nil, smaller)
	if err == nil && k == nil {
		var list *List
		if list, err = Load(ctx, m.o.Meta); err == nil {
			err = honeyant.E("backup.Make", honeyant.Conflict, "", errors.New(list.Alarm))
		}
	}
	return k, err
}

// make answers nil without an error if the backup was refused: an alarm tells why. life is that of the caller.
func (m *Maker) make(life context.Context, p *worker.Pace, smaller bool) (*Kept, error) {
	const op = "backup.Make"
	if !m.turn.TryLock() {
		return nil, honeyant.E(op, honeyant.Conflict, "", errors.New("a backup is being made; wait until it is through"))
	}
	defer m.turn.Unlock()
	ctx, cancel := context.WithTimeout(life, m.o.Deadline)
	defer cancel()
	list, err := Load(ctx, m.o.Meta)
	if err != nil {
		return nil, err
	}
	if m.o.Before != nil {
		m.o.Before(ctx)
	}
	w, err := m.begin(ctx, p, list)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Other, "", err)
	}
	alarm := ""
	err = m.o.Copy(func(db kv.Reader) error {
		holds, err := meta.Export(db, func(_, _ []byte) error { return ctx.Err() })
		if err != nil {
			return err
		}
		if alarm = shrunk(list.Newest(), &holds); alarm != "" && !smaller {
			return nil
		}
		alarm, w.kept.Holds = "", holds
		return w.write(db)
	})
	switch {
	case err == nil && alarm != "":
		m.later(time.Now().Add(m.o.Every))
		m.o.Log.Error("no backup of the metadata was made", "why", alarm)
		list.Alarm = alarm
		return nil, list.save(ctx, m.o.Meta)
	case err == nil:
		err = w.verify()
	}
	if err != nil {
		m.discard(life, w.kept.Refs) // nothing names it
		return nil, honeyant.E(op, honeyant.Other, fmt.Sprintf("backup %d", w.kept.Number), err)
	}
	gone, err := m.take(w, list)
	m.discard(life, gone)
	if err != nil {
		return nil, err
	}
	return &w.kept, nil
}

// take makes the backup the newest one, and answers the chunks that nothing names any more: those of older ones, or with
// an error its own.
func (m *Maker) take(w *writer, list *List) (unnamed []honeyant.ChunkRef, err error) {
	stay, gone := thin(append([]Kept{w.kept}, list.Kept...))
	list.Kept, list.Alarm = stay, ""
	err = list.save(w.ctx, m.o.Meta)
	for errors.Is(err, honeyant.TooLarge) && len(list.Kept) > 1 { // rather fewer backups than none
		last := len(list.Kept) - 1
		gone = append(gone, list.Kept[last])
		list.Kept = list.Kept[:last]
		err = list.save(w.ctx, m.o.Meta)
	}
	switch {
	case errors.Is(err, honeyant.Conflict), errors.Is(err, honeyant.TooLarge):
		return w.kept.Refs, err
	case err != nil: // it may have been taken: what is not listed in the end, the inventory finds
		return nil, err
	}
	m.later(time.Now().Add(m.o.Every))
	m.o.Log.Info("the metadata were backed up", "number", w.kept.Number, "inodes", w.kept.Holds.Inodes, "bytes", w.kept.Length, "copies", w.kept.Copies())
	for _, k := range gone {
		unnamed = append(unnamed, k.Refs...)
	}
	return unnamed, nil
}

// discardDeadline bounds the deletion of what is not wanted any more: what remains, the inventory finds.
const discardDeadline = time.Minute

// discard deletes chunks that nothing names any more, the manifest first, so that a scan does not take the rest for a
// backup. It has a deadline of its own: a backup that was not through at its deadline is to leave nothing either.
func (m *Maker) discard(life context.Context, refs []honeyant.ChunkRef) {
	ctx, cancel := context.WithTimeout(life, discardDeadline)
	defer cancel()
	for _, ref := range refs {
		for _, r := range ref.Replicas {
			if err := m.o.Chunks.Delete(ctx, r.Store, ref.ID, r.Generation); err != nil {
				m.o.Log.Debug("a chunk of an old backup stays for now", "chunk", ref.ID, "store", r.Store, "error", err)
			}
		}
	}
}

// begin takes a number that was never used, and chooses the stores.
func (m *Maker) begin(ctx context.Context, p *worker.Pace, list *List) (*writer, error) {
	now := m.o.Map()
	if now == nil || now.Incarnation == 0 {
		return nil, honeyant.E("backup.begin", honeyant.Unavailable, "", errors.New("no cluster map yet"))
	}
	members := 0
	for _, n := range now.Nodes {
		if n.State != honeyant.NodeRemoved {
			members++
		}
	}
	copies, least := honeyant.Policy{}.Effective(members)
	stores, err := placement.Choose(now, honeyant.Policy{}, max(copies, min(members, mostCopies)), placement.Options{Size: 2 * partSize})
	if err != nil {
		return nil, err
	}
	if len(stores) < least {
		return nil, honeyant.E("backup.begin", honeyant.Unavailable, "", fmt.Errorf("%d stores can take it, and it needs %d", len(stores), least))
	}
	list.Last++
	if err := list.save(ctx, m.o.Meta); err != nil {
		return nil, err
	}
	return &writer{m: m, ctx: ctx, pace: p, stores: stores, least: least,
		kept: Kept{Number: list.Last, Made: time.Now().UTC().Truncate(time.Second)}}, nil
}
