package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/notify"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// ServeOptions are what a server is made from.
type ServeOptions struct {
	Config         Config
	Management     *rest.Config // the management cluster
	Infrastructure capi.Infrastructure
	AdminListen    string // host:port of /metrics, /healthz and /readyz
	LeaderElection bool   // several servers share the controllers' work; one at a time does it
	Concurrency    int    // rounds at once, for each controller
	APIOnly        bool   // run no controllers: other servers do
	// Addons is the addon catalogue's directory; nil: nothing is installed into clusters.
	Addons fs.FS
	// AddonTrust is who must have signed the catalogue.
	AddonTrust sign.Trust
	// Reload makes the server read Addons again; nil: never.
	Reload <-chan os.Signal
	Log    *slog.Logger
	// Ready is called once, when the API answers from complete records. May be nil.
	Ready func()
}

// Serve runs the Magnum API and the controllers until ctx ends. The steps of starting stand in one slice.
func Serve(ctx context.Context, o ServeOptions) error {
	s := &serving{ServeOptions: o, registry: prometheus.NewRegistry(), newTerms: make(chan struct{}, 1)}
	defer s.close()
	for _, step := range []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"listen", s.listen},                       // first: a port that is taken should be said at once
		{"read policy", s.readPolicy},              // Magnum's rules and the operator's
		{"read the addon catalogue", s.readAddons}, // what clusters get
		{"notifications", s.notifications},         // who is told what becomes of clusters
		{"open OpenStack", s.openStack},            // clients; Keystone may come up later than we do
		{"open the management cluster", s.manage},  // manager, cache, client
		{"follow the records", s.follow},           // the view that lists come from
		{"set up controllers", s.controllers},      // started when this process leads
		{"set up the API", s.api},                  // started when the view is complete
		{"set up heartbeats", s.heartbeats},        // "openstack coe service list"
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return s.manager.Start(ctx)
}

// serving is what the steps hand to each other.
type serving struct {
	ServeOptions

	registry  *prometheus.Registry
	apiSocket net.Listener
	admin     net.Listener
	enforcer  enforcer
	cloud     *openstack.Cloud
	manager   manager.Manager // of the API; the controllers have their own (lead.go)
	firstTerm *term
	notifier  *notify.Notifier                    // nil: nobody wants to be told
	direct    client.Client                       // no cache: writes, and reads that must be fresh
	catalogue atomic.Pointer[catalogue.Catalogue] // nil: none
	newTerms  chan struct{}                       // the controllers begin anew
	view      *store.View
	store     *store.Store
}

func (s *serving) close() {
	for _, l := range []net.Listener{s.apiSocket, s.admin} {
		if l != nil {
			_ = l.Close() // closed already when the servers ended in order
		}
	}
	if s.cloud != nil {
		s.cloud.Close()
	}
}

func (s *serving) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.apiSocket, err = lc.Listen(ctx, "tcp", s.Config.Listen); err != nil {
		return fmt.Errorf("magnum API: %w ([api] host and port, or --listen, choose another address)", err)
	}
	if s.admin, err = lc.Listen(ctx, "tcp", s.AdminListen); err != nil {
		return fmt.Errorf("metrics and health: %w (--admin-listen chooses another address)", err)
	}
	return nil
}

func (s *serving) readPolicy(context.Context) (err error) {
	s.enforcer, err = readPolicy(s.Log, s.Config.Policy)
	return err
}

func (s *serving) openStack(context.Context) (err error) {
	s.cloud, err = openstack.New(s.Config.OpenStack)
	return err
}

func (s *serving) manage(context.Context) error {
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	// Of Secrets only names are followed, and only of those that belong to clusters; contents are read when needed.
	ofClusters, err := labels.NewRequirement(clusterv1.ClusterNameLabel, selection.Exists, nil)
	if err != nil {
		return fmt.Errorf("select secrets: %w", err)
	}
	s.manager, err = ctrl.NewManager(s.Management, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  logr.FromSlogHandler(s.Log.Handler()),
		Metrics:                 metricsserver.Options{BindAddress: "0"}, // served with ours, below
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: new(10 * time.Second),
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{v1alpha1.Namespace: {}},
			DefaultTransform:  cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Secret{}: {Label: labels.NewSelector().Add(*ofClusters)},
			},
		},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		return err
	}
	s.direct, err = client.New(s.Management, client.Options{Scheme: scheme, HTTPClient: s.manager.GetHTTPClient()})
	return err
}

func (s *serving) follow(ctx context.Context) (err error) {
	if s.view, err = store.NewView(ctx, s.manager.GetCache()); err != nil {
		return err
	}
	s.registry.MustRegister(s.view.Usage(time.Now))
	s.store = store.New(s.direct, s.view, time.Now, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))) //nolint:gosec // stack names are not secrets
	return nil
}

func (s *serving) heartbeats(context.Context) error {
	if s.APIOnly {
		return nil // what it would say is that a conductor is there
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	return s.manager.Add(always(func(ctx context.Context) error {
		tick := time.NewTicker(store.HeartbeatEvery)
		defer tick.Stop()
		for {
			// Magnum's clients know one kind of worker by this name.
			if err := s.store.Heartbeat(ctx, host, "magnum-conductor"); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "heartbeat failed", "error", err)
			}
			if err := s.store.Tidy(ctx); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "what gone processes left could not be taken away", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}))
}

// always is work that every server does, whether it leads or not.
type always func(ctx context.Context) error

// Start implements manager.Runnable.
func (f always) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (always) NeedLeaderElection() bool { return false }

func (s *serving) serveAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{s.registry, metrics.Registry}, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !s.view.Synced() {
			http.Error(w, "records are not read yet", http.StatusServiceUnavailable)
			return
		}
		if err := s.cloud.Ping(r.Context()); err != nil {
			s.Log.WarnContext(r.Context(), "keystone does not answer", "error", err)
			http.Error(w, "keystone does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n" + policyInForce(s.enforcer, s.Config.Policy) + "\n"))
	})
	return serveHTTP(ctx, s.admin, mux, "", "")
}

// serveHTTP serves until ctx ends, then lets requests that are under way finish. With files of a certificate and its
// key it speaks TLS.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, cert, key string) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	done := make(chan error, 1)
	go func() {
		if cert != "" {
			done <- srv.ServeTLS(l, cert, key)
			return
		}
		done <- srv.Serve(l)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(bound); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
