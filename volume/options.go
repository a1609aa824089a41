package volume

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/buffers"
)

// Meta is a session with the metadata leader.
type Meta interface {
	meta.Doer
	// ID is the session's number, unique for ever.
	ID() honeyant.SessionID
	// Incarnation is the cluster's, as of the session's opening.
	Incarnation() uint32
}

// Chunks reads and writes one chunk over its stores. Safe for concurrent use.
type Chunks interface {
	// Write puts data (at most honeyant.ChunkSize bytes, read only until Write returns) into all
	// targets; for each one that fails, next names another, given all bad ones so far. The answer
	// lists the stores that hold the chunk on stable storage, which may be fewer than targets but
	// at least one. Writing an ID again with the same bytes is allowed.
	Write(ctx context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
		next func(bad []honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error)
	// Read fills p with the chunk's bytes from off on, verified. Stale or NotExist: the replicas
	// named are gone, newer extents may know better.
	Read(ctx context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error
}

// Options of a Volume. Zero values mean the defaults named.
type Options struct {
	Volume honeyant.VolumeID // default honeyant.MainVolume
	Meta   Meta
	Chunks Chunks
	Map    func() *honeyant.Map // the cluster as this node knows it; may answer nil at first
	Node   honeyant.NodeID      // this node, 0 if it has no store; for placement near the writer

	WriteMemory   int64         // bytes written and not yet committed; default 8 MiB
	ReadMemory    int64         // bytes read ahead; default 8 MiB
	NameMemory    int64         // names and attributes remembered under leases; default 3 MiB
	NoLeases      bool          // remember none, though Meta is a Leaser
	JournalMemory int64         // what is held under exclusive leases; default 4 MiB
	TakeNames     int           // names of a directory asked for at a time; default 4096
	NoJournal     bool          // make no changes under exclusive leases, though Meta is a Holder
	FlushInterval time.Duration // what a crash of this machine may lose: dirty bytes and changes are sent before they are so old; default 1 s
	Deadline      time.Duration // "volume-call": the longest any call waits for others; default 30 s
	MapAge        time.Duration // how old the sizes of stores that Map tells may be; default 3 s
	SpaceWait     time.Duration // "no-space": how long a flush looks for room before ENOSPC; default 5 s

	// OnFenced is called once for each session that turns out to be dead, from a goroutine of its
	// own. Its owner opens a new session and hands it to Reset. Calls made in between wait for
	// that until their deadline. Close waits for it as long as its context allows.
	OnFenced func(dead Meta)
	Log      *slog.Logger // default: discards
}

func (o *Options) setDefaults() {
	setDefault(&o.Volume, honeyant.MainVolume)
	setDefault(&o.WriteMemory, 8<<20)
	setDefault(&o.ReadMemory, 8<<20)
	setDefault(&o.NameMemory, 3<<20)
	setDefault(&o.JournalMemory, 4<<20)
	setDefault(&o.TakeNames, 4096)
	setDefault(&o.FlushInterval, time.Second)
	setDefault(&o.Deadline, 30*time.Second)
	setDefault(&o.MapAge, 3*time.Second)
	setDefault(&o.SpaceWait, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports everything that is wrong at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Meta == nil {
		faults = append(faults, errors.New("no Meta"))
	}
	if o.Chunks == nil {
		faults = append(faults, errors.New("no Chunks"))
	}
	if o.Map == nil {
		faults = append(faults, errors.New("no Map"))
	}
	if o.WriteMemory < 0 || o.WriteMemory > 0 && o.WriteMemory < buffers.MinPool {
		faults = append(faults, errors.New("less than 64 KiB of WriteMemory"))
	}
	if o.ReadMemory < 0 || o.NameMemory < 0 || o.TakeNames < 0 || o.FlushInterval < 0 || o.Deadline < 0 || o.MapAge < 0 || o.SpaceWait < 0 {
		faults = append(faults, errors.New("negative size or duration"))
	}
	if len(faults) == 0 {
		return nil
	}
	return honeyant.E("volume.Validate", honeyant.Invalid, "options", errors.Join(faults...))
}
