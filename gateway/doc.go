// Package gateway is the HTTPS gateway's modules for Caddy: what makes a reverse proxy that
// never hangs, in a form that works in any build of Caddy.
//
// It holds the ledger of live connections and requests (gateway/ledger), a deadline for every
// phase and route, the completion of missing Content-Types, quirks of origins, detection of
// truncated responses, the header log, the path map, and the colony as file system and
// certificate storage.
//
// Register makes the modules known to Caddy; nothing happens by importing this package. What
// is written here is the joint between Caddy and the packages below it; they know net/http
// only. Complete adds to a configuration what its author need not say.
package gateway

import (
	_ "github.com/caddyserver/caddy/v2/modules/standard" // what a Caddy user expects to be there
)
