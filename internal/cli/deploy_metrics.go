package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
)

// statusMetrics are a deployment's status for Prometheus. It is a collector of one moment: what is no longer there has
// no series. Times are Unix times in seconds, as Prometheus' own naming guide has them.
type statusMetrics struct {
	deploy.Status
	now time.Time
}

// The metrics. docs/deploy.md describes them; docs/alerts/deploy.rules.yaml and docs/dashboards use them.
func (statusMetrics) desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("jeroboam_deploy_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: nothing is described, because what there is depends on the deployment.
func (statusMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m statusMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(m.desc("status_timestamp_seconds", "When the deployment was looked at."), seconds(m.now))
	gauge(m.desc("healthy", "1: every node, backend and service serves."), truth(m.Healthy))
	gauge(m.desc("drift_changes", "How many changes apply would make."), float64(len(m.Changes)))
	gauge(m.desc("runs", "How many runs that change things hold hosts."), float64(len(m.Runs)))
	for _, n := range m.Nodes {
		gauge(m.desc("node_info", "Always 1; what a node is.", "node", "host", "kubelet", "api_server"), 1, n.Name, n.Host, n.Kubelet, n.APIServer)
		gauge(m.desc("node_ready", "1: the node is Ready.", "node"), truth(n.Ready), n.Name)
		gauge(m.desc("node_api_up", "1: the node's API server answers.", "node"), truth(n.API == "ok"), n.Name)
		gauge(m.desc("etcd_up", "1: the node's etcd answers.", "node"), truth(n.Etcd == "ok"), n.Name)
		gauge(m.desc("etcd_voter", "1: the node is a voting member of etcd.", "node"), truth(n.Member == "voter"), n.Name)
		if !n.Expires.IsZero() {
			gauge(m.desc("certificate_expiry_timestamp_seconds", "When the node's first certificate ends.", "node", "certificate"),
				seconds(n.Expires), n.Name, n.Certificate)
		}
		if n.Backups {
			gauge(m.desc("backup_timestamp_seconds", "When the node's newest backup was begun; 0: there is none.", "node"), seconds(n.Backup), n.Name)
		}
	}
	for _, b := range m.Backends {
		gauge(m.desc("backend_up", "1: the load balancer takes the server for up.", "balancer", "service", "server"),
			truth(strings.HasPrefix(b.Status, "UP")), b.Balancer, b.Service, b.Server)
	}
	for _, s := range m.Services {
		gauge(m.desc("service_up", "1: the service runs.", "service", "place"), truth(s.Runs), s.Service, s.Place)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

// writeMetrics writes a status in Prometheus' text format, to out or to a file that node_exporter's textfile collector
// reads: that one is replaced at once and never half-written.
func writeMetrics(out io.Writer, file string, s deploy.Status, now time.Time) error {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(statusMetrics{s, now}); err != nil {
		return fmt.Errorf("metrics of the status: %w", err)
	}
	if file != "" {
		if err := prometheus.WriteToTextfile(file, r); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		return nil
	}
	families, err := r.Gather()
	if err != nil {
		return fmt.Errorf("metrics of the status: %w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(out, f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}
