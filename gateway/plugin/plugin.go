// Package plugin makes the gateway's modules known to a build of Caddy that somebody else
// makes, as Caddy's plugins do: by being imported.
//
//	xcaddy build --with github.com/honeyant/honeyant/gateway/plugin
//
// It is the one place where importing has an effect: Caddy's builds know no other way. The
// project's own binary does not import it.
package plugin

import (
	"github.com/honeyant/honeyant/gateway"
	"github.com/honeyant/honeyant/gateway/ledger"
)

func init() { gateway.Register(gateway.Parts{Ledger: ledger.New(0)}) }
