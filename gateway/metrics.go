package gateway

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// collector shows the ledger's counts as Prometheus metrics. The ledger outlives
// configurations, so that the counters do, too.
type collector struct {
	ledger                                         *ledger.Ledger
	timeouts, ended, requests, connections, phases *prometheus.Desc
}

func newCollector(l *ledger.Ledger) *collector {
	return &collector{
		ledger:      l,
		timeouts:    prometheus.NewDesc("gw_timeouts_total", "Deadlines that fired, by name.", []string{"phase", "side"}, nil),
		ended:       prometheus.NewDesc("gw_requests_total", "Requests that ended, by the code of how; code is empty for a plain end.", []string{"code"}, nil),
		requests:    prometheus.NewDesc("gw_requests_running", "Requests that run now.", nil, nil),
		connections: prometheus.NewDesc("gw_connections", "Connections that are open now.", []string{"side"}, nil),
		phases:      prometheus.NewDesc("gw_requests_in_phase", "Requests that run now, by what they wait for.", []string{"phase"}, nil),
	}
}

// Describe is Prometheus's.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.timeouts, c.ended, c.requests, c.connections, c.phases} {
		to <- d
	}
}

// Collect is Prometheus's.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counts := c.ledger.Counts()
	for _, i := range ledger.LimitTable() {
		to <- prometheus.MustNewConstMetric(c.timeouts, prometheus.CounterValue, float64(counts.Fired[i.Name]), string(i.Name), i.Side())
	}
	for id, n := range counts.Ended {
		to <- prometheus.MustNewConstMetric(c.ended, prometheus.CounterValue, float64(n), id)
	}
	to <- prometheus.MustNewConstMetric(c.requests, prometheus.GaugeValue, float64(counts.Running))
	sides, phases := map[ledger.Side]int{ledger.Client: 0, ledger.Origin: 0}, map[ledger.Phase]int{}
	for _, e := range c.ledger.List(ledger.Filter{}) {
		if e.Kind == ledger.Connection {
			sides[e.Side]++
		} else {
			phases[e.Phase]++
		}
	}
	for side, n := range sides {
		to <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), string(side))
	}
	for phase, n := range phases {
		to <- prometheus.MustNewConstMetric(c.phases, prometheus.GaugeValue, float64(n), string(phase))
	}
}

// registerMetrics adds the collector to the registry of a configuration; a second handler of
// the same one finds it there.
func registerMetrics(ctx caddy.Context, l *ledger.Ledger) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	err := registry.Register(newCollector(l))
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil
	}
	return err
}
