package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/honeyant/honeyant/gateway"
)

// network is the name under which Caddy asks for sockets that are handed on; see listen.go.
const network = "honeyant"

// tunnelsOutliveReload is how long an upgraded connection (a WebSocket) lives on after a reload at most; the deadline tunnel_idle
// and the drain limit end it earlier. Caddy itself would cut it at once.
const tunnelsOutliveReload = 24 * time.Hour

// finish adds to an adapted configuration what makes it the gateway's, each only where the author has said nothing:
// listening on sockets that are handed on, the gate before all routes, HTTP/1.1 and 2, upgraded connections that
// outlive a reload, a limit for old configurations, no administration.
func finish(config []byte, drain time.Duration) ([]byte, error) {
	if string(bytes.TrimSpace(config)) == "null" {
		config = []byte("{}") // which Caddy takes for the same
	}
	config, err := gateway.Complete(config)
	if err != nil {
		return nil, err
	}
	var root map[string]any
	if err := json.Unmarshal(config, &root); err != nil {
		return nil, fmt.Errorf("the configuration is no JSON object: %w", err)
	}
	if root == nil {
		root = map[string]any{}
	}
	if root["admin"] == nil {
		root["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	}
	http := object(object(root, "apps"), "http")
	if servers, ok := http["servers"].(map[string]any); ok {
		if http["grace_period"] == nil {
			http["grace_period"] = int64(drain)
		}
		for name, v := range servers {
			server, ok := v.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("server %s of the configuration is no object", name)
			}
			if err := finishServer(server); err != nil {
				return nil, fmt.Errorf("server %s: %w", name, err)
			}
		}
	}
	keepTunnels(root)
	if needsAuthority(root) {
		leaveTrustAlone(root)
	}
	return json.Marshal(root)
}

func object(in map[string]any, key string) map[string]any {
	o, ok := in[key].(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return o
}

func finishServer(server map[string]any) error {
	addresses, _ := server["listen"].([]any)
	for i, a := range addresses {
		text, _ := a.(string)
		addr, err := caddy.ParseNetworkAddress(text)
		if err != nil {
			return err
		}
		if addr.Network != "tcp" {
			continue
		}
		port := strconv.FormatUint(uint64(addr.StartPort), 10)
		if addr.EndPort != addr.StartPort {
			port += "-" + strconv.FormatUint(uint64(addr.EndPort), 10)
		}
		addresses[i] = caddy.JoinNetworkAddress(network, addr.Host, port)
	}
	if server["protocols"] == nil && server["listen_protocols"] == nil {
		// A UDP socket can not be shared with a successor without losing packets of both.
		server["protocols"] = []any{"h1", "h2"}
	}
	gate := map[string]any{"handle": []any{map[string]any{"handler": gateHandler}}}
	routes, _ := server["routes"].([]any)
	// Behind the ledger, which gateway.Complete put first: so the gate knows which request it is.
	server["routes"] = slices.Insert(routes, min(1, len(routes)), any(gate))
	return nil
}

// keepTunnels goes through the whole configuration, since proxies stand at any depth.
func keepTunnels(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["handler"] == "reverse_proxy" && v["stream_close_delay"] == nil {
			v["stream_close_delay"] = int64(tunnelsOutliveReload)
		}
		for _, inner := range v {
			keepTunnels(inner)
		}
	case []any:
		for _, inner := range v {
			keepTunnels(inner)
		}
	}
}

// needsAuthority tells if some certificate will come from an authority made here: by request, or because no public one
// would give a certificate for that name.
func needsAuthority(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["module"] == "internal" {
			return true
		}
		if hosts, ok := v["host"].([]any); ok {
			for _, h := range hosts {
				if name, ok := h.(string); ok && !certmagic.SubjectQualifiesForPublicCert(name) {
					return true
				}
			}
		}
		for _, inner := range v {
			if needsAuthority(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, needsAuthority)
	}
	return false
}

// leaveTrustAlone keeps Caddy from writing the authority made here into the machine's trust store, and from asking for passwords
// and missing programs in doing so, unless the configuration says that it should.
func leaveTrustAlone(root map[string]any) {
	within := root
	for _, key := range []string{"apps", "pki", "certificate_authorities", "local"} {
		inner, ok := within[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			within[key] = inner
		}
		within = inner
	}
	if within["install_trust"] == nil {
		within["install_trust"] = false
	}
}
