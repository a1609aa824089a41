package daemon

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/honeyant/honeyant/gateway"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

// register makes the network and the gate known to Caddy, once in the life of the process: Caddy has no way back.
func register(sockets *life.Sockets, g *gate, l *ledger.Ledger) {
	gateway.Register(gateway.Parts{Ledger: l})
	caddy.RegisterNetwork(network, func(ctx context.Context, _, host, portRange string, offset uint, config net.ListenConfig) (any, error) {
		first, _, _ := strings.Cut(portRange, "-")
		port, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("port %q: %w", portRange, err)
		}
		return sockets.Listen(ctx, net.JoinHostPort(host, strconv.FormatUint(port+uint64(offset), 10)), config)
	})
	// Only for those whose configuration asks for HTTP/3: it gets sockets of its own, which are not handed on.
	caddyhttp.RegisterNetworkHTTP3(network, "udp")
	caddy.RegisterModule(&gateModule{gate: g})
}
