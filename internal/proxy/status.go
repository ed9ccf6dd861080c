package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/native"
)

// Status is what a proxy says of itself.
type Status struct {
	Host       string          `json:"host"`
	PID        int             `json:"pid"` // while a new process takes over, either of two may answer
	Plane      string          `json:"plane"`
	Advertised string          `json:"advertised"`
	Ready      bool            `json:"ready"`
	Why        string          `json:"why,omitempty"` // not ready
	Owner      bool            `json:"owner"`         // of the fleet
	Superseded bool            `json:"superseded,omitempty"`
	Namespaces int             `json:"namespaces"` // of Neutron's, on this host
	Clusters   []ClusterStatus `json:"clusters"`
}

// ClusterStatus is what a proxy says of a cluster.
type ClusterStatus struct {
	Cluster     string `json:"cluster"`
	Network     string `json:"network,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Address     string `json:"address,omitempty"`
	Healthy     bool   `json:"healthy"`
	Published   bool   `json:"published"`
	Connections int64  `json:"connections"`
	Why         string `json:"why,omitempty"` // why it is not published, or what is wrong with it
}

func (p *proxy) status() Status {
	s := Status{Host: p.Identity.Host, PID: os.Getpid(), Plane: p.Plane, Clusters: []ClusterStatus{}}
	if err := p.ready(); err != nil {
		s.Why = err.Error()
	} else {
		s.Ready = true
	}
	if a := p.advertised.Load(); a != nil {
		s.Advertised = a.String()
	}
	p.mu.Lock()
	decisions := p.decisions
	p.mu.Unlock()
	if decisions == nil {
		return s // nothing else is there before the first round
	}
	s.Namespaces = p.directory.Len()
	standing := p.control.Standing()
	s.Owner, s.Superseded = standing.Owner, standing.Superseded
	streams := p.plane.Streams()
	for _, d := range decisions {
		c := ClusterStatus{Cluster: d.cluster.Stack, Network: d.cluster.Network, Why: d.why}
		if d.cluster.Address.IsValid() {
			c.Address = d.cluster.Address.String()
		}
		var err error
		if c.Published, err = p.control.Published(d.cluster.Stack); err != nil && c.Why == "" {
			c.Why = err.Error()
		}
		if d.serve {
			c.Namespace = d.backend.Namespaces[0].Name
			c.Healthy = d.wish == control.Publish
			c.Connections = streams[d.cluster.Stack]
		}
		s.Clusters = append(s.Clusters, c)
	}
	return s
}

// ready says why this host should not be counted on.
func (p *proxy) ready() error {
	p.mu.Lock()
	started, lastErr := p.decisions != nil, p.lastErr
	p.mu.Unlock()
	switch {
	case p.draining.Load():
		return errors.New("ending")
	case !started:
		return errors.New("the management cluster's clusters are not read yet")
	case lastErr != nil:
		return lastErr
	case p.advertised.Load().Port == 0:
		return errors.New("not listening yet")
	}
	return p.control.Ready() // an older process of this host may end only when this one has its lease
}

// admin serves what operators and their monitoring read.
func (p *proxy) admin(ctx, running context.Context) error {
	l, err := native.Listen(ctx, p.AdminListen)
	if err != nil {
		return errors.Join(err, errors.New("--admin-listen chooses another address"))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.status()) // a client that went away
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	p.work.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.failed <- err
		}
	})
	p.work.Go(func() {
		<-running.Done()
		_ = s.Close() // whoever asks now asks a proxy that has ended
	})
	return nil
}
