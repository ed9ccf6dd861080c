package api

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// Options are everything the API is made of. Stores, Tokens, CloudFor, Credentials, Projects and Policy must be given.
type Options struct {
	Clusters   ClusterStore
	NodeGroups NodeGroupStore
	Templates  TemplateStore
	Quotas     QuotaStore
	Secrets    SecretStore
	Services   ServiceStore
	Events     EventStore

	Tokens      TokenValidator
	CloudFor    func(token string, id openstack.Identity) Cloud // a client that acts with the caller's own token
	Credentials Credentials
	Projects    Projects
	Policy      *policy.Enforcer
	Labels      LabelValidator // nil: label.Validate

	// Addons tells what is missing to make a cluster with these labels usable, or keep it so in an upgrade from another
	// Kubernetes ("" if there is none); nil: nobody knows.
	Addons func(networkDriver string, labels map[string]string, from string) error

	// AddonNames are what the label addons_excluded may name; nil: nobody knows.
	AddonNames []string

	// Workload opens a cluster, to look into it before it is upgraded; nil: nobody looks. Who opens closes.
	Workload func(ctx context.Context, g policy.Grant, clusterUUID string) (Workload, error)

	Logger  *slog.Logger          // nil: silence
	Metrics prometheus.Registerer // nil: metrics are counted and shown to nobody
	Now     func() time.Time      // nil: time.Now
	Rand    rand.Source           // for names and request ids; nil: seeded by the system; used under a lock
	Entropy io.Reader             // for serial numbers of certificates; nil: crypto/rand

	Config Config
}

// LabelValidator judges the labels of a cluster, node group or template and returns every problem, each meant for the
// user.
type LabelValidator func(scope label.Scope, labels map[string]string) []error

// Config are the operator's choices; a zero value means the default that the comment gives.
type Config struct {
	WWWAuthenticateURI    string        // [keystone_authtoken] www_authenticate_uri
	MaxClustersPerProject int           // [quotas] max_clusters_per_project: 20; negative: none at all
	MaxLimit              int           // [api] max_limit: 1000
	CreateTimeout         int           // minutes a cluster may take to come up: 60
	DefaultNetworkDriver  string        // [cluster_template] kubernetes_default_network_driver: "calico"
	AllowedNetworkDrivers []string      // [cluster_template] kubernetes_allowed_network_drivers: calico and cilium
	DefaultDriver         string        // [drivers] default_driver
	DefaultBootVolumeSize int           // [cinder] default_boot_volume_size, GiB: 0, machines boot from local disk
	ServiceDownTime       time.Duration // [DEFAULT] service_down_time: 180 s
	MaxBodyBytes          int64         // [oslo_middleware] max_request_body_size: 1 MiB here (114,688 in oslo)
	MaxLabels             int           // labels one object may have: 512
	RequestTimeout        time.Duration // 60 s
	ManagementCIDRs       []string      // [kubernetes] management_cidrs: where the management cluster comes from; none: not known
	Proxies               Proxies       // [oslo_middleware] enable_proxy_headers_parsing, trusted_proxies
}

// New makes the API's handler.
func New(o Options) http.Handler {
	o.complete()
	s := &server{Options: o, rand: rand.New(&lockedSource{source: o.Rand})} //nolint:gosec // Names and request ids are no secrets.
	s.metrics = newMetrics(o.Metrics)
	s.mux = s.routeMux()
	return s
}

func (o *Options) complete() {
	if o.Labels == nil {
		o.Labels = label.Validate
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Entropy == nil {
		o.Entropy = crand.Reader
	}
	if o.Rand == nil {
		var seed [32]byte
		_, _ = crand.Read(seed[:]) // never fails (crypto/rand)
		o.Rand = rand.NewChaCha8(seed)
	}
	c := &o.Config
	setDefault(&c.MaxClustersPerProject, 20)
	setDefault(&c.MaxLimit, 1000)
	setDefault(&c.CreateTimeout, magnum.DefaultCreateTimeout)
	setDefault(&c.ServiceDownTime, 180*time.Second)
	setDefault(&c.MaxBodyBytes, 1<<20)
	setDefault(&c.MaxLabels, 512)
	setDefault(&c.RequestTimeout, time.Minute)
	setDefault(&c.DefaultNetworkDriver, "calico")
	if len(c.AllowedNetworkDrivers) == 0 || slices.Contains(c.AllowedNetworkDrivers, "all") {
		c.AllowedNetworkDrivers = networkDrivers()
	}
	c.AllowedNetworkDrivers = slices.DeleteFunc(slices.Clone(c.AllowedNetworkDrivers), func(d string) bool {
		return !slices.Contains(networkDrivers(), d)
	})
}

// networkDrivers are the ones a cluster can really have (magnum-cluster-api). Magnum's own default, flannel, is not
// among them: a template that asks for it is refused, not accepted for clusters that must fail.
func networkDrivers() []string { return []string{"calico", "cilium"} }

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// server is the API: immutable after New, so that any number of requests share it.
type server struct {
	Options
	mux     *http.ServeMux
	metrics *metrics
	rand    *rand.Rand
	buffers sync.Pool
}

// newUUID makes a random (version 4) UUID.
func (s *server) newUUID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], s.rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], s.rand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, x := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[x>>4], digits[x&15])
	}
	return string(out)
}

// lockedSource lets many requests share one source; rand.Rand itself keeps no state.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.source.Uint64()
}
