package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// Chunks is what the jobs do to replicas; replica.Client implements it. Safe for concurrent use.
type Chunks interface {
	// Copy makes a replica in store to from a good one of ref, and reads it back there.
	Copy(ctx context.Context, ref honeyant.ChunkRef, to honeyant.StoreID) (honeyant.Generation, honeyant.ChunkSum, error)
	// Verify reads a replica back from its disk.
	Verify(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) (honeyant.ChunkSum, error)
	// Delete removes exactly that generation; durable on return; absent is not an error.
	Delete(ctx context.Context, store honeyant.StoreID, id honeyant.ChunkID, gen honeyant.Generation) error
	// Buckets is the inventory in sums, Bucket one bucket of it in full.
	Buckets(ctx context.Context, store honeyant.StoreID) ([]uint64, error)
	Bucket(ctx context.Context, store honeyant.StoreID, n int) ([]chunk.Info, error)
}

// Options of a Service. Zero durations mean the defaults in parentheses.
type Options struct {
	Meta   meta.Doer // the leader's own
	Chunks Chunks
	// Data moves the bytes of sparse chunks; nil: these are not rewritten.
	Data Data
	Map  func() *honeyant.Map
	// Policies is a number that changes whenever a changed policy has been moved down its tree. Default: never.
	Policies func() uint64
	Volume   honeyant.VolumeID
	Log      *slog.Logger

	DeadDelay      time.Duration // how long dead chunks stay (60 s)
	SparseDelay    time.Duration // how long chunks are sparse before they are rewritten (5 min)
	Quarantine     time.Duration // how long unknown replicas stay (24 h)
	InventoryEvery time.Duration // (10 min)
	ScrubPeriod    time.Duration // everything is read within it (30 days)
	StepTimeout    time.Duration // one copy, verification or deletion (2 min)
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.DeadDelay, time.Minute)
	def(&o.SparseDelay, 5*time.Minute)
	def(&o.Quarantine, 24*time.Hour)
	def(&o.InventoryEvery, 10*time.Minute)
	def(&o.ScrubPeriod, 30*24*time.Hour)
	def(&o.StepTimeout, 2*time.Minute)
	if o.Volume == 0 {
		o.Volume = honeyant.MainVolume
	}
	if o.Policies == nil {
		o.Policies = func() uint64 { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Service runs the jobs while this node leads. Made by Start, ended by Close.
type Service struct {
	o     Options
	group worker.Group
	ctx   context.Context
	stop  context.CancelFunc

	heal      *healer
	reclaim   *reclaimer
	repack    *repacker
	inventory *inventory
	scrub     *scrubber

	mu    sync.Mutex // guards state
	state State
}

// State is what the jobs know, for status. The counts follow from a whole scan and what was done since.
type State struct {
	Scanned      bool   // a whole scan has been made under this leader
	Total        uint64 // chunks alive
	Short        uint64 // with fewer copies on nodes that are up than their policy wants
	Lost         uint64 // with no readable copy on a node that is up
	Pending      uint64 // copies to be made, those of Stuck too
	PendingBytes int64
	ETA          time.Duration
	Stuck        string                     // why some can not be made, or what a drain waits for
	Draining     map[honeyant.NodeID]uint64 // replicas still on draining stores
	Inventory    InventoryState
	Packs        PackState

	waits string // what drains wait for
}

// Start begins all jobs; they end with ctx or Close.
func Start(ctx context.Context, o Options) (*Service, error) {
	s := &Service{o: o.withDefaults()}
	s.ctx, s.stop = context.WithCancel(ctx)
	s.heal = newHealer(s)
	s.reclaim = &reclaimer{s: s, seen: newSightings[corpse](reclaimKept)}
	s.repack = &repacker{s: s, seen: newSightings[sparse](repackKept)}
	s.inventory = &inventory{s: s, quarantine: map[suspect]time.Time{}}
	s.scrub = &scrubber{s: s}
	for _, job := range []worker.Job{
		{Name: "heal", Every: time.Second, Run: s.heal.step},
		{Name: "reclaim", Every: 5 * time.Second, Pace: 0.2, Run: s.reclaim.step},
		{Name: "repack", Every: 15 * time.Second, Pace: 4, Run: s.repack.step},
		{Name: "inventory", Every: s.o.InventoryEvery, Delay: min(time.Minute, s.o.InventoryEvery), Pace: 1, Run: s.inventory.step},
		{Name: "scrub", Every: time.Minute, Delay: time.Minute, Pace: 9, Run: s.scrub.step},
	} {
		if err := s.group.Start(s.ctx, job); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close ends the jobs and waits for them. Twice is harmless.
func (s *Service) Close() error {
	s.stop()
	return s.group.Close()
}

// Workers is the group of jobs, to list, pause and pace.
func (s *Service) Workers() *worker.Group { return &s.group }

// State is what the jobs know at present.
func (s *Service) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	st.Draining = maps.Clone(st.Draining)
	return st
}

func (s *Service) update(change func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
}

// MapChanged tells that the map has changed: if states of nodes or stores did, all chunks are looked at now.
func (s *Service) MapChanged() { _ = s.group.Wake("heal") } // it fails only when the service is closed

// ScrubNow starts a scrub at once.
func (s *Service) ScrubNow(ctx context.Context) error {
	if err := s.scrub.reset(ctx); err != nil {
		return err
	}
	return s.group.Wake("scrub")
}

// step bounds one piece of work on a chunk.
func (s *Service) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.o.StepTimeout)
}

// chunks goes through the chunks of the volume that match list, in ID order: those that are alive, or with
// list.Dead the dead ones.
func (s *Service) chunks(ctx context.Context, list meta.ListChunks, each func(meta.ChunkInfo) error) error {
	list.Volume = s.o.Volume
	for {
		r, err := meta.Do(ctx, s.o.Meta, &list)
		if err != nil {
			return err
		}
		for _, c := range r.Chunks {
			list.After = c.ID
			if (c.Count == 0) != list.Dead {
				continue // without Dead, the list has both
			}
			if err := each(c); err != nil {
				return err
			}
		}
		if r.EOF || len(r.Chunks) == 0 {
			return nil
		}
	}
}

// CountOn counts the replicas that metadata list on the stores of a node, dead chunks
// included: the proof at the end of a drain.
func (s *Service) CountOn(ctx context.Context, node honeyant.NodeID) (uint64, error) {
	m := s.o.Map()
	if m == nil {
		return 0, honeyant.E("maintenance.CountOn", honeyant.Unavailable, node.String(), errors.New("no cluster map yet"))
	}
	var held uint64
	for _, dead := range []bool{false, true} {
		err := s.chunks(ctx, meta.ListChunks{Dead: dead}, func(c meta.ChunkInfo) error {
			for _, r := range c.Replicas {
				if st, ok := m.Store(r.Store); ok && st.Node == node {
					held++
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return held, nil
}
