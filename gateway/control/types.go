package control

import (
	"context"
	"time"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

// Daemon is the process that is steered. Its methods are called from several goroutines at once.
type Daemon interface {
	// Status says what the process is and does.
	Status() Status
	// Reload takes a changed configuration into use. If it is bad the one before stays, and the error says the file and the line.
	Reload(ctx context.Context) (Reloaded, error)
	// Upgrade lets another process take over, running the given program ("" is the one that was started). If that
	// one is not ready in time this one serves on, and the error says why.
	Upgrade(ctx context.Context, program string) (life.Process, error)
}

// Status describes a gateway process.
type Status struct {
	life.Process
	PIDMax    int            `json:"pid_max"` // process numbers stay below it, and are used again
	Version   string         `json:"version"`
	Started   time.Time      `json:"started"`
	State     string         `json:"state"` // serving or draining
	Config    string         `json:"config"`
	Loaded    time.Time      `json:"config_loaded"`
	Addresses []string       `json:"addresses"`
	Counts    *ledger.Counts `json:"counts,omitempty"`
}

// The states.
const (
	Serving  = "serving"
	Draining = "draining"
)

// Reloaded says what a reload did.
type Reloaded struct {
	Config   string        `json:"config"`
	Changed  bool          `json:"changed"`
	Took     time.Duration `json:"took_ns"`
	Warnings []string      `json:"warnings,omitempty"`
}

// Row is an entry of the ledger of one process.
type Row struct {
	ledger.Entry
	PID   int    `json:"pid"`
	State string `json:"state"` // of the process
}

// Failure is an answer that is an error.
type Failure struct {
	Text string `json:"error"`
	Code string `json:"code,omitempty"`
	Kind string `json:"kind,omitempty"` // "gone": nothing by that number is there
}

const kindGone = "gone"
