package gateway

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// shared is what all modules of a process have in common, over all configurations.
type shared struct {
	ledger *ledger.Ledger
	log    atomic.Pointer[slog.Logger] // of the newest configuration
}

func newShared(p Parts) *shared {
	s := &shared{ledger: p.Ledger}
	s.log.Store(slog.New(slog.DiscardHandler))
	p.Ledger.Observe(ledger.Observer{Fired: s.fired})
	return s
}

// fired logs a deadline with its code, at the level that the code has.
func (s *shared) fired(e ledger.Entry, why *ledger.Ending) {
	s.log.Load().LogAttrs(context.Background(), levelOf(why.Code), why.Text,
		slog.String("code", string(why.Code)), slog.String("deadline", string(why.Name)), slog.Float64("limit_seconds", why.Limit.Seconds()),
		slog.Uint64("id", uint64(e.ID)), slog.String("kind", string(e.Kind)), slog.String("side", string(e.Side)), slog.String("phase", string(e.Phase)),
		slog.String("client", e.Client), slog.String("origin", e.Origin), slog.String("route", e.Route), slog.String("host", e.Host),
		slog.String("path", e.Path), slog.Float64("age_seconds", e.AgeSeconds), slog.Int64("out_bytes", e.OutBytes))
}

func levelOf(id code.ID) slog.Level {
	e, _ := code.Find(string(id))
	switch e.Level {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
