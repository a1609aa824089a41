package rpc

import (
	"log/slog"
	"time"

	"github.com/honeyant/honeyant"
)

// Options tunes networks, clients and servers; each reads the fields that concern it.
// Zero values mean the defaults.
type Options struct {
	Log *slog.Logger // default: nothing is logged

	// Network.
	Handshake time.Duration // longest handshake of an incoming connection (5 s)
	Keepalive time.Duration // a peer that answers no probe for so long is gone (10 s)

	// Calls.
	Dial        time.Duration // longest time to make a connection (3 s)
	Silence     time.Duration // a connection with calls waiting and nothing received is given up (2 s)
	MaxMessage  int           // bytes of the largest request or answer (4 MiB)
	Concurrency int           // calls at once on one connection; more wait (256)

	// Self and Local are the fast path: a client's calls to Self go straight to Local,
	// in the caller's goroutine and without a network.
	Self  honeyant.NodeID
	Local Handler
}

const (
	defaultHandshake   = 5 * time.Second
	defaultKeepalive   = 10 * time.Second
	defaultDial        = 3 * time.Second
	defaultSilence     = 2 * time.Second
	defaultMaxMessage  = 4 << 20
	defaultConcurrency = 256
)

// withDefaults fills what was left zero.
func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.Handshake, defaultHandshake)
	setDefault(&o.Keepalive, defaultKeepalive)
	setDefault(&o.Dial, defaultDial)
	setDefault(&o.Silence, defaultSilence)
	setDefault(&o.MaxMessage, defaultMaxMessage)
	setDefault(&o.Concurrency, defaultConcurrency)
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
