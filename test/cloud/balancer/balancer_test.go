package balancer

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files") //nolint:gochecknoglobals // as flags of tests are

// everything is a load balancer with all that haproxy can do, and with what it cannot.
func everything() *LoadBalancer {
	return &LoadBalancer{
		ID: "lb", Enabled: true, VIP: VIP{Address: "10.0.0.5"},
		Listeners: []Listener{
			{ID: "api", Protocol: "TCP", Port: 6443, Limit: -1, Pool: "masters", Enabled: true, ClientData: 50000, MemberConnect: 5000, MemberData: 60000, CIDRs: []string{"10.0.0.0/8", "192.0.2.1/32"}},
			{ID: "web", Protocol: "HTTP", Port: 80, Limit: 100, Pool: "web", Enabled: true, ClientData: 1, MemberConnect: 2, MemberData: 3, Headers: map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Proto": "true", "X-Forwarded-Port": "True"}},
			{ID: "off", Protocol: "TCP", Port: 81, Pool: "web"},
			{ID: "going", Protocol: "TCP", Port: 82, Enabled: true, Provisioning: "PENDING_DELETE"},
			{ID: "dns", Protocol: "UDP", Port: 53, Enabled: true},
			{ID: "empty", Protocol: "HTTPS", Port: 443, Enabled: true, ClientData: 4},
		},
		Pools: []Pool{
			{
				ID: "masters", Protocol: "PROXYV2", Algorithm: "LEAST_CONNECTIONS", Enabled: true, Persistence: "SOURCE_IP",
				Monitor: &Monitor{ID: "m1", Type: "TCP", Delay: 10, Timeout: 5, Fall: 3, Rise: 2, Enabled: true},
				Members: []Member{
					{ID: "one", Address: "10.0.0.11", Port: 6443, Weight: 1, Enabled: true, MonitorAddress: "10.0.0.12", MonitorPort: 10256},
					{ID: "two", Address: "10.0.0.12", Port: 6443, Weight: 0, Enabled: true, Backup: true},
					{ID: "off", Address: "10.0.0.13", Port: 6443, Weight: 1},
					{ID: "going", Address: "10.0.0.14", Port: 6443, Weight: 1, Enabled: true, Provisioning: "PENDING_DELETE"},
				},
			},
			{
				ID: "web", Protocol: "HTTP", Algorithm: "ROUND_ROBIN", Enabled: true, Persistence: "HTTP_COOKIE",
				Monitor: &Monitor{ID: "m2", Type: "HTTPS", Method: "GET", Path: "/healthz", Codes: "200-204, 401", Domain: "example.com", Version: 1.1, Delay: 5, Timeout: 3, Fall: 3, Rise: 1, Enabled: true},
				Members: []Member{{ID: "a", Address: "10.0.0.21", Port: 30080, Weight: 1, Enabled: true}},
			},
		},
	}
}

func TestConfig(t *testing.T) {
	got := Config(everything(), "/run/lb.sock")
	golden := filepath.Join("testdata", "everything.cfg")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("haproxy is not installed: it has not read this")
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "haproxy", "-c", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy: %v: %s", err, out)
	}
}

func TestNothingToListenOn(t *testing.T) {
	l := everything()
	l.Enabled = false
	if got := Config(l, "s"); got != "" {
		t.Errorf("a load balancer that is switched off listens: %s", got)
	}
}

func TestUnsupported(t *testing.T) {
	l := everything()
	l.Pools[1].Monitor.Type = "PING"
	want := map[string]string{"dns": "protocol UDP", "m2": "health monitor PING"}
	if diff := cmp.Diff(want, Unsupported(l)); diff != "" {
		t.Error(diff)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		reason string
		stats  map[string]string
		change func(*LoadBalancer)
		want   State
	}{
		{"all is well", map[string]string{"one": "UP", "two": "UP", "a": "UP 1/2"}, func(*LoadBalancer) {}, State{"lb": "ERROR", "one": "ONLINE", "two": "DRAINING", "masters": "ONLINE", "dns": "ERROR", "off": "OFFLINE", "a": "ONLINE"}},
		{"a member is down, it is the only one", map[string]string{"one": "DOWN", "two": "UP", "a": "UP"}, func(*LoadBalancer) {}, State{"one": "ERROR", "masters": "ERROR", "api": "ERROR", "web": "ONLINE"}},
		{"one of two is down", map[string]string{"one": "DOWN", "two": "UP"}, func(l *LoadBalancer) { l.Pools[0].Members[1].Weight = 1; l.Listeners[4].Protocol = "TCP" }, State{"lb": "DEGRADED", "masters": "DEGRADED", "api": "DEGRADED"}},
		{"nobody looks", map[string]string{"one": "no check"}, func(l *LoadBalancer) { l.Pools[0].Monitor = nil }, State{"one": "NO_MONITOR", "masters": "ONLINE"}},
		{"haproxy does not answer", nil, func(l *LoadBalancer) { l.Listeners[4].Protocol = "TCP" }, State{"lb": "ONLINE", "one": "NO_MONITOR"}},
		{"switched off", nil, func(l *LoadBalancer) { l.Enabled = false }, State{"lb": "OFFLINE", "api": "OFFLINE"}},
	} {
		l := everything()
		c.change(l)
		got := Judge(l, c.stats)
		for id, want := range c.want {
			if got[id] != want {
				t.Errorf("%s: %s is %s, want %s", c.reason, id, got[id], want)
			}
		}
	}
}

func TestServers(t *testing.T) {
	const table = "# pxname,svname,qcur,status,weight\nfe,FRONTEND,0,OPEN,1\nbe,one,0,UP,1\nbe,two,0,DOWN 1/2,1\nbe,BACKEND,0,UP,1\n\n"
	got, err := servers(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"one": "UP", "two": "DOWN 1/2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPickled(t *testing.T) {
	// pickle.dumps({"X-Forwarded-For": "true", "X-Forwarded-Port": "false"}), protocol 4
	const text = "\x80\x04\x95\x38\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x0fX-Forwarded-For\x94\x8c\x04true\x94\x8c\x10X-Forwarded-Port\x94\x8c\x05false\x94u."
	if diff := cmp.Diff(map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Port": "false"}, pickled([]byte(text))); diff != "" {
		t.Error(diff)
	}
	if got := pickled(nil); len(got) != 0 {
		t.Error(got)
	}
}
