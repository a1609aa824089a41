package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Complete adds to a configuration of Caddy (JSON) what its author need not say, each only
// where nothing is said: the wrappers of listeners and packet conns and the ledger before every server's routes,
// completion of content types, our transport for every reverse proxy with Caddy's, an access
// log that knows how requests ended, and the limits of Caddy's that ours replace.
//
// It is for the gateway's own binary. In other builds of Caddy the same is written by hand.
func Complete(config []byte) ([]byte, error) {
	var root map[string]any
	if err := json.Unmarshal(config, &root); err != nil {
		return nil, fmt.Errorf("the configuration is no JSON object: %w", err)
	}
	apps, _ := root["apps"].(map[string]any)
	app, _ := apps["http"].(map[string]any)
	servers, _ := app["servers"].(map[string]any)
	for name, v := range servers {
		server, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("server %s of the configuration is no object", name)
		}
		completeServer(server)
	}
	completeProxies(app)
	completeLogs(root)
	return json.Marshal(root)
}

func completeServer(server map[string]any) {
	limits := ledger.Defaults()
	wrappers, _ := server["listener_wrappers"].([]any)
	if !slices.ContainsFunc(wrappers, func(w any) bool { return named(w, "wrapper", listenerName) }) {
		own := map[string]any{"wrapper": listenerName}
		at := slices.IndexFunc(wrappers, func(w any) bool { return named(w, "wrapper", "tls") })
		if at < 0 {
			wrappers = append([]any{own, map[string]any{"wrapper": "tls"}}, wrappers...)
		} else {
			wrappers = slices.Insert(wrappers, at, any(own))
		}
	}
	if !slices.ContainsFunc(wrappers, func(w any) bool { return named(w, "wrapper", framingName) }) {
		at := slices.IndexFunc(wrappers, func(w any) bool { return named(w, "wrapper", "tls") })
		wrappers = slices.Insert(wrappers, at+1, any(map[string]any{"wrapper": framingName}))
	}
	server["listener_wrappers"] = wrappers
	sockets, _ := server["packet_conn_wrappers"].([]any)
	if !slices.ContainsFunc(sockets, func(w any) bool { return named(w, "wrapper", listenerName) }) {
		server["packet_conn_wrappers"] = append([]any{map[string]any{"wrapper": listenerName}}, sockets...)
	}
	// net/http's limits stand a little beyond ours, which name what fired.
	for name, d := range map[string]time.Duration{"read_header_timeout": limits.ClientHeader + time.Second, "idle_timeout": limits.ClientIdle + 5*time.Second,
		"read_idle_timeout": -1, "write_idle_timeout": -1} {
		if server[name] == nil {
			server[name] = int64(d)
		}
	}
	own := []any{map[string]any{"handler": ledgerName}}
	if !mentions(server["routes"], contentTypeName) {
		own = append(own, map[string]any{"handler": contentTypeName})
	}
	routes, _ := server["routes"].([]any)
	server["routes"] = append([]any{map[string]any{"handle": own}}, routes...)
	if server["logs"] == nil {
		server["logs"] = map[string]any{}
	}
}

func named(v any, key, name string) bool {
	m, ok := v.(map[string]any)
	return ok && m[key] == name
}

// mentions tells whether a handler stands anywhere in v.
func mentions(v any, handler string) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["handler"] == handler {
			return true
		}
		for _, inner := range v {
			if mentions(inner, handler) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return mentions(inner, handler) })
	}
	return false
}

// completeProxies gives the proxies our transport; it has every setting of Caddy's.
func completeProxies(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["handler"] == "reverse_proxy" {
			transport, ok := v["transport"].(map[string]any)
			if !ok {
				transport = map[string]any{"protocol": "http"}
				v["transport"] = transport
			}
			if transport["protocol"] == "http" {
				transport["protocol"] = transportName
			}
		}
		for _, inner := range v {
			completeProxies(inner)
		}
	case []any:
		for _, inner := range v {
			completeProxies(inner)
		}
	}
}

// completeLogs gives logs without a format the one that knows how requests ended.
func completeLogs(root map[string]any) {
	logging, ok := root["logging"].(map[string]any)
	if !ok {
		logging = map[string]any{}
		root["logging"] = logging
	}
	logs, ok := logging["logs"].(map[string]any)
	if !ok {
		logs = map[string]any{}
		logging["logs"] = logs
	}
	if logs["default"] == nil {
		logs["default"] = map[string]any{}
	}
	for _, v := range logs {
		log, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if encoder, ok := log["encoder"].(map[string]any); log["encoder"] == nil || ok && encoder["format"] == "json" && len(encoder) == 1 {
			log["encoder"] = map[string]any{"format": encoderJSON}
		}
	}
}
