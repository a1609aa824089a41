package daemon

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/caddyserver/caddy/v2"
)

// metrics serves what the running configuration's modules count, in Prometheus' text form.
func metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running := caddy.ActiveContext()
		registry := running.GetMetricsRegistry()
		if registry == nil {
			http.Error(w, "no configuration is loaded", http.StatusServiceUnavailable)
			return
		}
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}
