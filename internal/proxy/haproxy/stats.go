package haproxy

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

// stat is a row of haproxy's statistics.
type stat struct {
	stack            string
	open, total      float64
	received, answer float64
}

// stats asks haproxy over its socket.
func (p *Plane) stats(ctx context.Context) ([]stat, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", p.file("haproxy.sock"))
	if err != nil {
		return nil, fmt.Errorf("ask haproxy: %w", err)
	}
	defer func() { _ = c.Close() }() // asked and answered
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, "show stat -1 2 -1\n"); err != nil { // backends of all proxies
		return nil, fmt.Errorf("ask haproxy: %w", err)
	}
	return readStats(c)
}

func readStats(r io.Reader) ([]stat, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read haproxy's statistics: %w", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[strings.TrimPrefix(name, "# ")] = i
	}
	var out []stat
	for _, row := range rows[1:] {
		get := func(name string) float64 {
			if i, ok := column[name]; ok && i < len(row) {
				n, _ := strconv.ParseFloat(row[i], 64) // empty is nothing
				return n
			}
			return 0
		}
		if stack, ok := strings.CutSuffix(row[0], "."+backend.Domain); ok {
			out = append(out, stat{stack, get("scur"), get("stot"), get("bin"), get("bout")})
		}
	}
	return out, nil
}

// Streams is how many streams each cluster has now, of the haproxy that runs now.
func (p *Plane) Streams() map[string]int64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	rows, err := p.stats(ctx)
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	for _, r := range rows {
		out[r.stack] = int64(r.open)
	}
	return out
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("jeroboam_proxy_haproxy_"+name, help, append([]string{"cluster"}, labels...), nil)
}

// Describe implements prometheus.Collector: what there is depends on the clusters.
func (p *Plane) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector: haproxy counts itself, from zero after each reload.
func (p *Plane) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	rows, err := p.stats(ctx)
	if err != nil {
		return // the start counter and the health checks tell of a haproxy that does not answer
	}
	connections, open := desc("connections_total", "Connections passed on."), desc("open_connections", "Connections open now.")
	bytes := desc("bytes_total", "Bytes passed on.", "direction")
	for _, r := range rows {
		out <- prometheus.MustNewConstMetric(connections, prometheus.CounterValue, r.total, r.stack)
		out <- prometheus.MustNewConstMetric(open, prometheus.GaugeValue, r.open, r.stack)
		out <- prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, r.received, r.stack, "request")
		out <- prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, r.answer, r.stack, "response")
	}
}
