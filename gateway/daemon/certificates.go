package daemon

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// certificateLimit is how long a process whose sockets were open before it waits for its certificates: its predecessor had them, and
// they lie in storage. Those that have yet to be issued need a serving process, so it does not wait for ever.
const certificateLimit = 3 * time.Second

// awaitCertificates waits until there is a certificate for each of the names. Caddy loads them beside
// its start, and refuses handshakes until then.
func awaitCertificates(ctx context.Context, names []string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	running := caddy.ActiveContext()
	app, err := running.AppIfConfigured("tls")
	if err != nil {
		return // nothing over TLS
	}
	tlsApp, ok := app.(*caddytls.TLS)
	if !ok {
		return
	}
	const step = 5 * time.Millisecond
	for _, name := range names {
		for !tlsApp.HasCertificateForSubject(name) {
			if pause(ctx, step) != nil {
				return
			}
		}
	}
}

// hostNames are the hosts that the routes of a configuration name, except on servers for plain HTTP.
func hostNames(config []byte) []string {
	var parsed struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Listen []string `json:"listen"`
					Routes []struct {
						Match []struct {
							Host []string `json:"host"`
						} `json:"match"`
					} `json:"routes"`
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil // Caddy says so better
	}
	var names []string
	for _, server := range parsed.Apps.HTTP.Servers {
		plain := !slices.ContainsFunc(server.Listen, func(address string) bool { return !strings.HasSuffix(address, ":80") })
		for _, route := range server.Routes {
			for _, match := range route.Match {
				if !plain {
					names = append(names, match.Host...)
				}
			}
		}
	}
	return names
}
