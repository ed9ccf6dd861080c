package haproxy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
)

func seed() haproxy.Service {
	server := func(name, address string) haproxy.Server {
		return haproxy.Server{Name: name, Address: address, Port: 6443, CheckPort: 6443, Interval: "12000", Rise: "3", Fall: "3"}
	}
	return haproxy.Service{
		Name: "k8s", Enabled: true, Port: 6443, Mode: "tcp", Algorithm: "leastconn", DefaultBackend: "k8s", HasDefaultBackend: true, FrontendH2: true,
		Binds:         []haproxy.Bind{{Address: "127.0.0.1", Type: "external"}, {Address: "172.29.236.9", Interface: "br-mgmt", Type: "internal"}},
		Servers:       []haproxy.Server{server("infra1-k8s-container-47cc888f", "172.29.239.215"), server("infra2-k8s-container-1", "172.29.239.216")},
		TimeoutClient: "5m", TimeoutServer: "15m", RedirectScheme: "https if !{ ssl_fc }",
		StickTable: []string{
			"stick-table  type ipv6  size 256k  expire 10s  store http_err_rate(10s)", "http-request track-sc0 src",
			"http-request deny deny_status 429 if { sc_http_err_rate(0) gt 20 } !{ src 192.168.0.0/16 } !{ src 172.16.0.0/12 } !{ src 10.0.0.0/8 }",
		},
		BackendOptions:   []string{"tcplog", "ssl-hello-chk", "log-health-checks", "httpchk GET /healthz"},
		HTTPCheckOptions: []string{`send hdr User-Agent "osa-haproxy-healthcheck" meth GET uri /healthz`},
		ServerOptions:    []string{"check-ssl", "verify none"},
	}
}

func settings() haproxy.Settings {
	return haproxy.Settings{Hostname: "infra1", CertPath: "/etc/haproxy/ssl", ExtraVIPs: []string{"10.9.9.9"}, ExtraTLSVIPs: []string{"10.8.8.8"}, RedirectRaw: []string{"# raw"}}
}

// One service for each part of the schema.
func services() map[string]haproxy.Service {
	with := func(change func(*haproxy.Service)) haproxy.Service {
		s := seed()
		change(&s)
		return s
	}
	web := func(change func(*haproxy.Service)) haproxy.Service {
		return with(func(s *haproxy.Service) {
			s.Mode, s.BackendOptions, s.ServerOptions, s.HTTPCheckOptions = "http", nil, nil, nil
			change(s)
		})
	}
	return map[string]haproxy.Service{
		"seed": seed(),
		"frontend only": web(func(s *haproxy.Service) {
			s.FrontendOnly, s.HasDefaultBackend, s.FrontendRaw = true, false, []string{"http-request return status 200"}
		}),
		"frontend with a backend elsewhere": web(func(s *haproxy.Service) { s.FrontendRaw = []string{"maxconn 12"} }),
		"backend only":                      with(func(s *haproxy.Service) { s.BackendOnly = true }),
		"acls and maps": web(func(s *haproxy.Service) {
			s.ACLs = []haproxy.ACL{{Name: "api", Rule: "path_beg /api", Backend: "k8s"}, {Name: "white", Rule: "src 10.0.0.0/8", Backend: "k8s"}}
			s.Maps = []string{"http-request set-header X-Map %[path]"}
		}),
		"allowlist": with(func(s *haproxy.Service) {
			s.HasAllowlist, s.AllowlistNetworks = true, []string{"192.168.0.0/16", "fd00::/8"}
		}),
		"keepalive":        web(func(s *haproxy.Service) { s.HTTPKeepaliveMode = "http-server-close" }),
		"backup servers":   with(func(s *haproxy.Service) { s.Servers[1].Backup, s.Servers[1].Options = true, []string{"weight 10"} }),
		"backend ssl":      web(func(s *haproxy.Service) { s.BackendSSL, s.BackendSSLCheck, s.BackendH2 = true, true, true }),
		"backend ca":       web(func(s *haproxy.Service) { s.BackendSSL, s.BackendCA = true, "/etc/ssl/certs/ca-certificates.crt" }),
		"backend h2":       web(func(s *haproxy.Service) { s.BackendH2 = true }),
		"no stick table":   with(func(s *haproxy.Service) { s.StickTable = nil }),
		"backend settings": with(func(s *haproxy.Service) { s.BackendArguments, s.Algorithm = []string{"retries 7"}, "source" }),
		"ssl on the first": web(func(s *haproxy.Service) { s.SSL, s.SSLPath = true, "CERT" }),
		"ssl on all":       web(func(s *haproxy.Service) { s.SSL, s.SSLAllVIPs, s.SSLPath, s.FrontendH2 = true, true, "CERT", false }),
		"extra addresses": web(func(s *haproxy.Service) {
			s.SSL, s.SSLAllVIPs, s.SSLPath = true, true, "CERT"
			s.Binds = append(s.Binds, haproxy.Bind{Address: "10.9.9.9"}, haproxy.Bind{Address: "10.8.8.8"})
		}),
		"redirect": web(func(s *haproxy.Service) {
			s.SSL, s.SSLPath, s.RedirectHTTPPort = true, "CERT", 8080
			s.FrontendACLs = []haproxy.ACL{{Name: "acme", Rule: "path_beg /.well-known/acme-challenge/", Backend: "k8s"}}
		}),
		"ipv6": with(func(s *haproxy.Service) {
			s.Binds, s.Servers[0].Address = []haproxy.Bind{{Address: "fd00::9"}, {Address: "*"}}, "fd00::11"
		}),
	}
}

const base = "global\n    log /dev/log local0\n    maxconn 100\ndefaults\n    timeout client 50s\n    timeout connect 10s\n    timeout server 50s\n    timeout http-request 5s\nlisten other\n    mode tcp\n    bind 127.0.0.1:1\n\n"

// valid runs the real haproxy over a configuration.
func valid(t *testing.T, text string) {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skipf("haproxy is not installed (apt-get install haproxy): fragments are compared, not run: %v", err)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(base+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "-c", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s\n%s", err, out, text)
	}
}

func TestFragmentsAreValid(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(cert, selfSigned(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range services() {
		t.Run(name, func(t *testing.T) {
			valid(t, strings.ReplaceAll(haproxy.Render(s, settings()), "CERT", cert))
		})
	}
	t.Run("a broken one is found", func(t *testing.T) {
		s := seed()
		s.Algorithm = "nonsense"
		bin, err := exec.LookPath("haproxy")
		if err != nil {
			t.Skip("haproxy is not installed")
		}
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		if err := os.WriteFile(file, []byte(base+haproxy.Render(s, settings())), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := exec.CommandContext(t.Context(), bin, "-c", "-f", file).Run(); err == nil {
			t.Error("haproxy accepts anything: this test proves nothing")
		}
	})
}

// TestSeed holds what the original role makes of the README's service: two frontends, one backend, checks with the
// role's own interval because haproxy_interval and the like are no keys of the schema.
func TestSeed(t *testing.T) {
	const want = `
frontend k8s-front-1
    bind 127.0.0.1:6443
    option tcplog
    timeout client 5m
    mode tcp
    default_backend k8s-back

frontend k8s-front-2
    bind 172.29.236.9:6443 interface br-mgmt
    option tcplog
    timeout client 5m
    mode tcp
    default_backend k8s-back

backend k8s-back
    mode tcp
    balance leastconn
    timeout server 15m
    stick-table  type ipv6  size 256k  expire 10s  store http_err_rate(10s)
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_err_rate(0) gt 20 } !{ src 192.168.0.0/16 } !{ src 172.16.0.0/12 } !{ src 10.0.0.0/8 }
    option tcplog
    option ssl-hello-chk
    option log-health-checks
    option httpchk GET /healthz
    http-check send hdr User-Agent "osa-haproxy-healthcheck" meth GET uri /healthz
    server infra1-k8s-container-47cc888f 172.29.239.215:6443 check port 6443 inter 12000 rise 3 fall 3 check-ssl verify none
    server infra2-k8s-container-1 172.29.239.216:6443 check port 6443 inter 12000 rise 3 fall 3 check-ssl verify none
`
	if diff := cmp.Diff(want[1:], haproxy.Render(seed(), settings())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFiles(t *testing.T) {
	on, off, empty, front := seed(), seed(), seed(), seed()
	off.Name, off.Enabled = "off", false
	off.MapEntries = []haproxy.MapEntry{{Name: "route", Order: "10", Entries: []string{"a b"}}}
	empty.Name, empty.Servers = "empty", nil
	front.Name, front.Servers, front.FrontendOnly = "front", nil, true
	on.MapEntries = []haproxy.MapEntry{{Name: "route", Order: "00", Entries: []string{"a b", "c d"}}, {Name: "rate", Order: "00", Absent: true}}
	var got []string
	for _, f := range haproxy.Files([]haproxy.Service{on, off, empty, front}, settings()) {
		line := f.Path + " " + f.Owner + ":" + f.Group + " " + f.Mode.String()
		switch {
		case f.Absent:
			line += " absent"
		case strings.HasSuffix(f.Path, ".map"):
			line += " " + f.Text
		}
		got = append(got, line)
	}
	want := []string{
		"/etc/haproxy/conf.d/k8s root:haproxy -rw-r-----", "/etc/haproxy/map.conf.d/route/00-k8s.map root:haproxy -rw-r----- a b\nc d\n",
		"/etc/haproxy/map.conf.d/rate/00-k8s.map root:haproxy -rw-r----- absent", "/etc/haproxy/conf.d/off root:haproxy -rw-r----- absent",
		"/etc/haproxy/map.conf.d/route/10-off.map root:haproxy -rw-r----- absent", "/etc/haproxy/conf.d/front root:haproxy -rw-r-----",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSame(t *testing.T) {
	if !haproxy.Same("# Ansible managed\n\nfrontend x\n    mode   tcp \n", "frontend x\nmode tcp") {
		t.Error("comments and blanks made a difference")
	}
	if haproxy.Same("mode tcp", "mode http") || haproxy.Same("a\nb", "b\na") {
		t.Error("a difference was not seen")
	}
}

// A service more changes nothing in the fragments of the others, and a server more adds one line.
func TestAddingOnlyAdds(t *testing.T) {
	all := services()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := all[rapid.SampledFrom(names).Draw(t, "service")]
		before := haproxy.Render(s, settings())
		s.Servers = append(append([]haproxy.Server{}, s.Servers...), haproxy.Server{Name: "new", Address: "192.0.2.1", Port: 1, CheckPort: 1, Interval: "1", Rise: "1", Fall: "1"})
		after := haproxy.Render(s, settings())
		if s.FrontendOnly {
			if before != after {
				t.Fatalf("a frontend alone has no servers")
			}
			return
		}
		if rest, ok := strings.CutPrefix(after, before); !ok || strings.Count(rest, "\n") != 1 || !strings.Contains(rest, "server new 192.0.2.1:1 ") {
			t.Fatalf("more than a line was added:\n%s", cmp.Diff(before, after))
		}
	})
}

// TestBesideTheOriginal renders every service with the role's own template. It needs the role's directory in
// OSA_HAPROXY_ROLE (openstack-ansible-haproxy_server) and a Python with jinja2.
func TestBesideTheOriginal(t *testing.T) {
	role := os.Getenv("OSA_HAPROXY_ROLE")
	if role == "" {
		t.Skip("OSA_HAPROXY_ROLE does not name the original role")
	}
	all := services()
	both := seed()
	both.AcceptBoth, both.BothBackendPort, both.Mode, both.StickTable = true, 6443, "http", nil
	all["both protocols"] = both
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			in, err := json.Marshal(original(s))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/original.py", role)
			cmd.Stdin = bytes.NewReader(in)
			cmd.Stderr = os.Stderr
			want, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got := haproxy.Render(s, settings()); !haproxy.Same(string(want), got) {
				t.Errorf("differs (-original +ours):\n%s", cmp.Diff(string(want), got))
			}
		})
	}
}

// original is a service as the role takes it.
func original(s haproxy.Service) map[string]any {
	m := map[string]any{
		"haproxy_service_name": s.Name, "haproxy_port": s.Port, "haproxy_balance_type": s.Mode, "haproxy_balance_alg": s.Algorithm, "haproxy_ssl": s.SSL,
		"haproxy_ssl_all_vips": s.SSLAllVIPs, "haproxy_frontend_only": s.FrontendOnly, "haproxy_backend_only": s.BackendOnly,
		"haproxy_frontend_h2": s.FrontendH2, "haproxy_backend_h2": s.BackendH2, "haproxy_backend_ssl": s.BackendSSL, "haproxy_backend_ssl_check": s.BackendSSLCheck,
		"haproxy_accept_both_protocols": s.AcceptBoth, "haproxy_backend_port": 6443, "haproxy_stick_table_enabled": len(s.StickTable) > 0,
		"haproxy_stick_table": s.StickTable, "haproxy_timeout_client": s.TimeoutClient, "haproxy_timeout_server": s.TimeoutServer,
	}
	lists := map[string][]string{
		"haproxy_maps": s.Maps, "haproxy_frontend_raw": s.FrontendRaw, "haproxy_backend_options": s.BackendOptions, "haproxy_backend_arguments": s.BackendArguments,
		"haproxy_backend_httpcheck_options": s.HTTPCheckOptions, "haproxy_backend_server_options": s.ServerOptions,
	}
	for key, list := range lists {
		if list != nil {
			m[key] = list
		}
	}
	if s.HasAllowlist {
		m["haproxy_allowlist_networks"] = s.AllowlistNetworks
	}
	if s.BackendCA != "" {
		m["haproxy_backend_ca"] = s.BackendCA
	}
	if s.SSLPath != "" {
		m["haproxy_ssl_path"] = s.SSLPath
	}
	if s.RedirectHTTPPort > 0 {
		m["haproxy_redirect_http_port"] = s.RedirectHTTPPort
	}
	if s.HTTPKeepaliveMode != "" {
		m["haproxy_http_keepalive_mode"] = s.HTTPKeepaliveMode
	}
	for key, acls := range map[string][]haproxy.ACL{"haproxy_acls": s.ACLs, "haproxy_frontend_acls": s.FrontendACLs} {
		one := map[string]any{}
		for _, a := range acls {
			one[a.Name] = map[string]any{"rule": a.Rule, "backend_name": a.Backend}
		}
		if len(acls) > 0 {
			m[key] = one
		}
	}
	var binds, nodes, backups []any
	for _, b := range s.Binds {
		binds = append(binds, map[string]any{"address": b.Address, "interface": b.Interface})
	}
	for _, n := range s.Servers {
		node := map[string]any{"name": n.Name, "ip_addr": n.Address, "backend_port": n.Port, "check_port": n.CheckPort, "backend_server_options": append([]string{}, n.Options...)}
		if n.Backup {
			backups = append(backups, node)
		} else {
			nodes = append(nodes, node)
		}
	}
	m["haproxy_bind"], m["haproxy_backend_nodes"], m["haproxy_backup_nodes"] = binds, nodes, append([]any{}, backups...)
	x := settings()
	return map[string]any{"service": m, "vars": map[string]any{
		"haproxy_ssl_cert_path": x.CertPath, "haproxy_host": x.Hostname, "extra_lb_vip_addresses": x.ExtraVIPs, "extra_lb_tls_vip_addresses": x.ExtraTLSVIPs,
		"haproxy_frontend_extra_raw": []string{}, "haproxy_frontend_redirect_extra_raw": x.RedirectRaw, "haproxy_interval": 12000, "haproxy_rise": 3,
		"haproxy_fall": 3, "haproxy_system_ca": "/etc/ssl/certs/ca-certificates.crt", "ansible_facts": map[string]any{"hostname": x.Hostname}, "hostvars": map[string]any{},
	}}
}
