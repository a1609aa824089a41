// Package admin is how people and scripts talk to a daemon: a small JSON API over a Unix
// socket beside the node's files, its client, and the shapes of what is said.
//
// A call is a POST of a JSON value to /v1/<method>; the answer is a JSON value, or an
// error with the Kind's number, so that errors.Is works at the caller. What the methods do
// is the node's affair: it hands in a table of them.
//
// Invariants:
//
//	A1  The socket is mode 0600: only the daemon's user (root) may command it.
//	A2  Names of JSON keys are a contract with scripts: only ever added, unit in the name.
//	A3  Every call ends with its context or CallDeadline.
package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/honeyant/honeyant"
)

// SocketName is the file name of the socket in the node's directory.
const SocketName = "honeyant.sock"

// CallDeadline ends a call whose context has no earlier one.
const CallDeadline = 2 * time.Minute

// Method answers one call. Params is the JSON the caller sent, possibly empty.
type Method func(ctx context.Context, params json.RawMessage) (any, error)

// Methods is the table of what a daemon answers.
type Methods map[string]Method

// Typed makes a Method of a function over structures. Unknown keys in params are refused.
func Typed[P, R any](f func(ctx context.Context, p P) (R, error)) Method {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var p P
		if len(raw) > 0 {
			if err := strictUnmarshal(raw, &p); err != nil {
				return nil, honeyant.E("admin.Call", honeyant.Invalid, "parameters", err)
			}
		}
		return f(ctx, p)
	}
}

// None is for methods without parameters or without an answer.
type None struct{}
