package cli

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

func configOf(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "magnum.conf")
	put(t, file, minimalConfig+text)
	return ReadConfig(slog.New(slog.DiscardHandler), nil, file)
}

// TestClientSections: the server's own calls go where Magnum's sections say. [capi_client] is about clusters and no
// longer about them.
func TestClientSections(t *testing.T) {
	c, err := configOf(t, `
[capi_client]
endpoint_type = internalURL
[nova_client]
endpoint_type = internalURL
region_name = RegionTwo
[glance_client]
ca_file = /etc/ssl/glance.pem
[neutron_client]
insecure = true
[cinder_client]
cert_file = /c
key_file = /k
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]openstack.Endpoint{
		openstack.Compute:      {Type: "internalURL", Region: "RegionTwo"},
		openstack.Images:       {Type: "publicURL", CAFile: "/etc/ssl/glance.pem"},
		openstack.Networks:     {Type: "publicURL", Insecure: true},
		openstack.LoadBalancer: {Type: "publicURL"},
		openstack.Volumes:      {Type: "publicURL", CertFile: "/c", KeyFile: "/k"},
	}
	if diff := cmp.Diff(want, c.OpenStack.Endpoints); diff != "" {
		t.Error(diff)
	}
}

// TestMiddleware: what oslo.middleware is told is told to the API.
func TestMiddleware(t *testing.T) {
	c, err := configOf(t, `
[oslo_middleware]
enable_proxy_headers_parsing = True
max_request_body_size = 114688
trusted_proxies = 172.29.236.9, 172.29.236.11/24, fd00::/8
`)
	if err != nil {
		t.Fatal(err)
	}
	want := api.Proxies{Believe: true, From: []netip.Prefix{
		netip.MustParsePrefix("172.29.236.9/32"), netip.MustParsePrefix("172.29.236.0/24"), netip.MustParsePrefix("fd00::/8"),
	}}
	if diff := cmp.Diff(want, c.Proxies, cmpopts.EquateComparable(netip.Prefix{})); diff != "" || c.MaxBodyBytes != 114688 {
		t.Errorf("%d bytes, %s", c.MaxBodyBytes, diff)
	}
	c, err = configOf(t, "[kubernetes]\nmanagement_cidrs = 192.0.2.0/24, 172.29.236.0/22\n")
	if diff := cmp.Diff([]string{"192.0.2.0/24", "172.29.236.0/22"}, c.ManagementCIDRs); diff != "" || err != nil {
		t.Errorf("management networks: %v %s", err, diff)
	}
	if _, err = configOf(t, "[kubernetes]\nmanagement_cidrs = 192.0.2.1/24\n"); err == nil ||
		!strings.Contains(err.Error(), `[kubernetes] management_cidrs: "192.0.2.1/24" is no IPv4 network`) {
		t.Errorf("got %v", err)
	}
	c, err = configOf(t, "[oslo_messaging_notifications]\ndriver = messagingv2\ndriver = log\nwebhook_url = https://listener.example/x\n")
	if err != nil || !c.NotifyLine || c.NotifyURL != "https://listener.example/x" {
		t.Errorf("notifications: %v %v %q", err, c.NotifyLine, c.NotifyURL)
	}
	if _, err = configOf(t, "[oslo_messaging_notifications]\nwebhook_url = secret.example/x\n"); err == nil ||
		!strings.Contains(err.Error(), "webhook_url is no URL") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	_, err = configOf(t, "[oslo_middleware]\nmax_request_body_size = 0\ntrusted_proxies = infra1\n")
	for _, problem := range []string{"max_request_body_size must be at least 1", `trusted_proxies: "infra1" is neither an address nor a network`} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("want %q, got %v", problem, err)
		}
	}
}
