package gateway

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Parts are what the modules share as long as the process lives, over all configurations.
type Parts struct {
	Ledger *ledger.Ledger
}

// Register makes the modules and directives known to Caddy. Caddy keeps them in tables of the
// process without a way back, and panics at the second time: call it once.
func Register(p Parts) {
	shared := newShared(p)
	for _, m := range []caddy.Module{
		&listenerModule{shared: shared},
		&framingModule{},
		&packetConnModule{shared: shared},
		&ledgerModule{shared: shared},
		&deadlinesModule{},
		&contentTypeModule{},
		&mountModule{},
		&headerLogModule{},
		&transportModule{shared: shared},
		&jsonEncoder{},
		&clfEncoder{},
		&fsModule{},
		&storageModule{},
	} {
		caddy.RegisterModule(m)
	}
	for _, d := range []struct {
		name   string
		parse  httpcaddyfile.UnmarshalHandlerFunc
		before string
	}{
		{"ledger", parseLedger, "tracing"},
		{"deadlines", parseDeadlines, "tracing"},
		{"log_headers", parseHeaderLog, "tracing"},
		{"content_type", parseContentType, "redir"},
	} {
		httpcaddyfile.RegisterHandlerDirective(d.name, d.parse)
		httpcaddyfile.RegisterDirectiveOrder(d.name, httpcaddyfile.Before, d.before)
	}
	httpcaddyfile.RegisterDirective("mount", parseMount)
	httpcaddyfile.RegisterDirectiveOrder("mount", httpcaddyfile.Before, "abort")
}

// The names of the modules.
const (
	listenerName  = "honeyant" // also the packet conn wrapper's
	framingName   = "honeyant_framing"
	ledgerName    = "honeyant_ledger"
	deadlinesName = "honeyant_deadlines"
	transportName = "honeyant"

	contentTypeName = "honeyant_content_type"
	mountName       = "honeyant_mount"
	headerLogName   = "honeyant_header_log"
)
