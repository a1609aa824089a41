package replica

import (
	"log/slog"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// Options of a Client and of the Server that shares it. Network and Map must be set; zero
// values of the others mean the defaults.
type Options struct {
	Network rpc.Network
	Map     func() *honeyant.Map
	Local   Local // default: no stores here
	Self    honeyant.NodeID
	Log     *slog.Logger

	// OnBad is told of a replica whose bytes failed their checksum. It must not block.
	OnBad func(honeyant.ChunkID, honeyant.Replica)

	// Fresh tells why this node may serve no peer at present: what it knows of the members is too old
	// (rule 33). Default: it may.
	Fresh func() error

	Silence  time.Duration // a node of which nothing comes for so long is given up (2 s)
	First    time.Duration // the same for a read while other replicas are left to try (1 s)
	Patience time.Duration // the longest a store may work on one chunk (10 s)
	Avoid    time.Duration // how long a node that was given up is avoided (5 s)

	Conns   int // connections to one node at most (16)
	Idle    int // of them kept when idle (16); they hold no buffers
	Streams int // reads and puts served at once, each; half as many puts that forward (16, up to 5 MiB)
	Chain   int // bytes from which a chunk goes through a chain instead of to all in parallel (256 KiB)
}

func (o Options) withDefaults() Options {
	setDefault(&o.Silence, 2*time.Second)
	setDefault(&o.First, time.Second)
	setDefault(&o.Patience, 10*time.Second)
	setDefault(&o.Avoid, 5*time.Second)
	setDefault(&o.Conns, 16)
	setDefault(&o.Idle, o.Conns)
	setDefault(&o.Streams, 16)
	setDefault(&o.Chain, 256<<10)
	if o.Fresh == nil {
		o.Fresh = func() error { return nil }
	}
	if o.Local == nil {
		o.Local = nowhere{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnBad == nil {
		o.OnBad = func(honeyant.ChunkID, honeyant.Replica) {}
	}
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// nowhere is a process without stores.
type nowhere struct{}

func (nowhere) Store(honeyant.StoreID) (ChunkStore, bool) { return nil, false }
