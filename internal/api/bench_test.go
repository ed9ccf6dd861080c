package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// sink is a client that reads nothing.
type sink struct {
	header http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { s.size += len(b); return len(b), nil }

// thousand is a service with 1000 clusters of the usual kind, of one project.
func thousand(b *testing.B) *service {
	b.Helper()
	s := newService(b, func(o *api.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // Writing the access log is part of what is measured.
	})
	for i := range 1000 {
		labels := map[string]string{
			"kube_tag": "v1.34.1", "auto_healing_enabled": "True", "auto_scaling_enabled": "False", "calico_ipv4pool": "10.100.0.0/16",
			"boot_volume_size": "50", "octavia_provider": "ovn", "availability_zone": "nova", "container_infra_prefix": "registry.example.org/",
		}
		s.clusters = append(s.clusters, &magnum.Cluster{
			ID: int64(i), UUID: fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", i), Name: fmt.Sprintf("cluster-%d", i), ProjectID: "demo", UserID: "demo-user",
			ClusterTemplateID: "018f3c1e-0000-7000-8000-ffffffffffff", Template: magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{Labels: labels}}, StackID: "kube-abcde",
			Keypair: "key", Labels: labels, MasterFlavorID: "m1.medium", FlavorID: "m1.large", CreateTimeout: 60, FloatingIPEnabled: true,
			MasterLBEnabled: true, MasterCount: 3, NodeCount: 5, Status: magnum.CreateComplete, Health: magnum.Healthy,
			HealthReason: map[string]string{"api": "ok", "kube-abcde-1.Ready": "True", "kube-abcde-2.Ready": "True"},
			APIAddress:   "https://203.0.113.10:6443", COEVersion: "v1.34.1", NodeAddresses: []string{"10.0.0.11", "10.0.0.12"},
			MasterAddresses: []string{"10.0.0.5"}, CreatedAt: s.now, UpdatedAt: s.now,
		})
	}
	return s
}

func (s *service) bench(b *testing.B, path string) {
	b.Helper()
	b.ReportAllocs()
	before := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			r.Header.Set("X-Auth-Token", "admin")
			r.Header.Set("OpenStack-API-Version", "container-infra latest")
			w := &sink{header: http.Header{}}
			s.handler.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				b.Errorf("status is %d", w.status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/(cpu(b)-before), "req/core-s")
}

// cpu is the time this process has computed, in seconds: what counts on a machine that others use too.
func cpu(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func BenchmarkListClusters100of1000(b *testing.B) { thousand(b).bench(b, "/v1/clusters?limit=100") }

func BenchmarkListClustersDetail100of1000(b *testing.B) {
	thousand(b).bench(b, "/v1/clusters/detail?limit=100")
}

func BenchmarkGetCluster(b *testing.B) {
	thousand(b).bench(b, "/v1/clusters/018f3c1e-0000-7000-8000-000000000500")
}

// BenchmarkListTemplates: templates are written by the table of their fields.
func BenchmarkListTemplates(b *testing.B) {
	s := thousand(b)
	s.clusters = nil
	s.template(b)
	for i := range 99 {
		more := *s.templates[0]
		more.ID, more.UUID = int64(i+2), fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", i)
		s.templates = append(s.templates, &more)
	}
	s.bench(b, "/v1/clustertemplates")
}
