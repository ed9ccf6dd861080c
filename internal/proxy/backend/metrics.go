package backend

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Refused are the reasons for which a connection is closed before it reaches a backend.
type Refused string

// What a client can have done wrong, or met.
const (
	RefusedNotTLS   Refused = "not_tls"
	RefusedNoName   Refused = "no_server_name"
	RefusedUnknown  Refused = "unknown_server_name"
	RefusedTooLong  Refused = "client_hello_too_long"
	RefusedTooSlow  Refused = "client_hello_too_slow"
	RefusedGone     Refused = "gone_before_client_hello"
	RefusedTotal    Refused = "limit_total"
	RefusedPending  Refused = "limit_pending"
	RefusedBackend  Refused = "limit_backend"
	RefusedNoAnswer Refused = "backend_unreachable"
)

// Metrics are what a proxy counts. Labels have bounded values: a stranger cannot make new ones.
type Metrics struct {
	accepted    prometheus.Counter
	refused     *prometheus.CounterVec
	connections *prometheus.CounterVec
	open        *prometheus.GaugeVec
	bytes       *prometheus.CounterVec
	dial        *prometheus.HistogramVec
	healthy     *prometheus.GaugeVec
	probe       *prometheus.GaugeVec
	restarts    prometheus.Counter
	reloads     prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const ns, cluster = "jeroboam_proxy", "cluster"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help}, []string{cluster})
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	m := &Metrics{
		accepted:    one("accepted_total", "Connections accepted."),
		refused:     counter("refused_total", "Connections closed before they reached a backend, by reason.", "reason"),
		connections: counter("connections_total", "Connections passed on to a cluster's API server.", cluster),
		open:        gauge("open_connections", "Connections passed on to a cluster's API server and not ended yet."),
		bytes:       counter("bytes_total", "Bytes passed on; direction is request or response.", cluster, "direction"),
		dial: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Name: "dial_seconds", Help: "Time to connect to a cluster's API server inside its network's namespace.",
			Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{cluster}),
		healthy:  gauge("backend_healthy", "1 if the cluster's API server answers from this host."),
		probe:    gauge("backend_probe_seconds", "How long the last successful health check took."),
		restarts: one("haproxy_starts_total", "Starts of the haproxy process, the first one included."),
		reloads:  one("haproxy_reloads_total", "Reloads of the haproxy process."),
	}
	r.MustRegister(m.accepted, m.refused, m.connections, m.open, m.bytes, m.dial, m.healthy, m.probe, m.restarts, m.reloads)
	return m
}

// Accepted counts a connection.
func (m *Metrics) Accepted() { m.accepted.Inc() }

// Refuse counts a connection that is closed.
func (m *Metrics) Refuse(why Refused) { m.refused.WithLabelValues(string(why)).Inc() }

// Started counts a start of haproxy.
func (m *Metrics) Started() { m.restarts.Inc() }

// Reloaded counts a reload of haproxy.
func (m *Metrics) Reloaded() { m.reloads.Inc() }

// Checked keeps the result of a health check.
func (m *Metrics) Checked(stack string, ok bool, took time.Duration) {
	if !ok {
		m.healthy.WithLabelValues(stack).Set(0)
		return
	}
	m.healthy.WithLabelValues(stack).Set(1)
	m.probe.WithLabelValues(stack).Set(took.Seconds())
}

// Of returns what is counted about one backend.
func (m *Metrics) Of(stack string) Counters {
	return Counters{
		Connections: m.connections.WithLabelValues(stack), Open: m.open.WithLabelValues(stack),
		Requests: m.bytes.WithLabelValues(stack, "request"), Responses: m.bytes.WithLabelValues(stack, "response"),
		Dial: m.dial.WithLabelValues(stack),
	}
}

// Forget drops what is counted about a cluster that is no longer proxied here.
func (m *Metrics) Forget(stack string) {
	labels := prometheus.Labels{"cluster": stack}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.connections, m.open, m.bytes, m.dial, m.healthy, m.probe} {
		v.DeletePartialMatch(labels)
	}
}

// Counters are those of one backend.
type Counters struct {
	Connections         prometheus.Counter
	Open                prometheus.Gauge
	Requests, Responses prometheus.Counter
	Dial                prometheus.Observer
}
