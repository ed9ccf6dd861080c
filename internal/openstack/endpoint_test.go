package openstack

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// places is a cloud whose catalog has each service at several endpoints, and notes which of them was called.
type places struct {
	*httptest.Server
	mu     sync.Mutex
	called []string
}

func newPlaces(t *testing.T) *places {
	t.Helper()
	p := &places{}
	note := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.called = append(p.called, r.PathValue("where")+" "+r.PathValue("service"))
			p.mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, body)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, _ *http.Request) {
		entry := func(kind, tail string) string {
			at := func(face, region string) string {
				return fmt.Sprintf(`{"interface": %q, "region": %q, "region_id": %q, "url": "%s/%s-%s/%s%s"}`, face, region, region, p.URL, face, region, kind, tail)
			}
			return fmt.Sprintf(`{"type": %q, "endpoints": [%s, %s, %s]}`, kind, at("public", "One"), at("internal", "One"), at("internal", "Two"))
		}
		_, _ = fmt.Fprintf(w, `{"catalog": [%s, %s, %s, %s]}`, entry("compute", "/v2.1"), entry("image", ""), entry("network", ""), entry("volumev3", "/v3/p1"))
	})
	mux.HandleFunc("GET /{where}/{service}/v2.1/os-availability-zone", note(`{"availabilityZoneInfo": [{"zoneName": "az 1", "zoneState": {"available": true}}]}`))
	mux.HandleFunc("GET /{where}/{service}/v2/images", note(`{"images": [{"id": "i", "name": "ubuntu", "os_distro": "ubuntu"}]}`))
	mux.HandleFunc("GET /{where}/{service}/v2.0/networks", note(`{"networks": [{"id": "n", "name": "net", "subnets": ["s"]}]}`))
	mux.HandleFunc("GET /{where}/{service}/v3/p1/types", note(`{"volume_types": [{"id": "t", "name": "__DEFAULT__"}]}`))
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *places) ca(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEndpoints: each service is called at the endpoint, in the region and with the trust of its own section, as
// Magnum's clients are.
func TestEndpoints(t *testing.T) {
	p := newPlaces(t)
	ca := p.ca(t)
	settings := func(endpoints map[string]Endpoint) Settings {
		return Settings{
			AuthURL: p.URL, Username: "magnum", Password: "x", ProjectName: "service", Region: "One", CAFile: ca, Endpoints: endpoints,
			Now: newClock().Now,
		}
	}
	ask := func(t *testing.T, s Settings) []error {
		t.Helper()
		cloud, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		defer cloud.Close()
		p.called = nil
		u := cloud.ForUser("token", Identity{ProjectID: "p1", ExpiresAt: newClock().Now().AddDate(0, 0, 1)})
		_, zones := u.Zones(t.Context())
		_, image := u.Image(t.Context(), "ubuntu")
		_, network := u.Network(t.Context(), "net", false)
		_, types := u.VolumeTypes(t.Context())
		return []error{zones, image, network, types}
	}
	t.Run("public in the region of Keystone", func(t *testing.T) {
		if err := errors.Join(ask(t, settings(nil))...); err != nil {
			t.Fatal(err)
		}
		want := []string{"public-One compute", "public-One image", "public-One network", "public-One volumev3"}
		if diff := cmp.Diff(want, p.called); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("its own section", func(t *testing.T) {
		errs := ask(t, settings(map[string]Endpoint{
			Compute: {Type: "internalURL"}, Images: {Type: "internal", Region: "Two"}, Volumes: {Type: "internalURL", Region: "Two"},
		}))
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		want := []string{"internal-One compute", "internal-Two image", "public-One network", "internal-Two volumev3"}
		if diff := cmp.Diff(want, p.called); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a CA of its own", func(t *testing.T) {
		// Keystone's CA vouches for nothing here but Keystone, and each service has the trust of its own section only.
		other := filepath.Join(t.TempDir(), "other.pem")
		authority, err := pki.NewCA(rand.Reader, newClock().Now(), "other")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(other, authority.CertPEM, 0o600); err != nil {
			t.Fatal(err)
		}
		errs := ask(t, settings(map[string]Endpoint{Compute: {CAFile: other}, Images: {Insecure: true, CAFile: other}}))
		if !errors.Is(errs[0], ErrUnavailable) || errs[1] != nil || errs[2] != nil {
			t.Errorf("got %v", errs)
		}
	})
	if _, err := New(settings(map[string]Endpoint{Compute: {CAFile: "/does/not/exist"}})); err == nil {
		t.Error("a CA file that is not there is told at start")
	}
}

// TestSharedLogin: a service with a connection of its own uses the one session of the service user, whose new login is
// everybody's.
func TestSharedLogin(t *testing.T) {
	k := newKeystone(t)
	cloud := k.cloud(t)
	service, err := cloud.service.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	nova := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("X-Auth-Token"))
		if r.Header.Get("X-Auth-Token") == "service-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer nova.Close()
	copied := sharing(service.provider, http.Client{})
	for range 2 {
		answer, err := copied.Request(context.Background(), http.MethodGet, nova.URL, requestOptions())
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if diff := cmp.Diff([]string{"service-1", "service-2", "service-2"}, tokens); diff != "" {
		t.Error(diff)
	}
	if service.provider.Token() != "service-2" || k.count(&k.issued) != 2 {
		t.Errorf("the original has token %s after %d logins", service.provider.Token(), k.count(&k.issued))
	}
	if !slices.Contains(tokens, "service-2") {
		t.Error("the new token was not used")
	}
}

func requestOptions() *gophercloud.RequestOpts {
	return &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}, KeepResponseBody: true}
}
