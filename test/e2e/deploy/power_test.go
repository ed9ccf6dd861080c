package deploy

import (
	"strings"
	"testing"
	"time"
)

// standInAPI is a web server behind TLS at a node's address: as much of an API server as a load balancer sees.
const standInAPI = `set -e
ip addr show dev br-mgmt | grep -q ADDRESS/ || ip addr add ADDRESS/22 dev br-mgmt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /run/api.key -out /run/api.crt -days 2 -subj /CN=api 2>/dev/null
cat > /run/api.py <<'END'
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def finish_request(self, request, address):
        request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, address)
        request.close()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/api.crt", "/run/api.key")
Server(("ADDRESS", 6443), Handler).serve_forever()
END
systemctl stop lab-api 2>/dev/null || true
systemd-run --quiet --unit lab-api python3 /run/api.py`

// TestAHostLosesPower measures what clients of the API's virtual address notice of it, with the fragment that a
// deployment writes and with the role's own settings. It needs a lab of three hosts without a deployment; servers that
// answer stand for API servers.
func TestAHostLosesPower(t *testing.T) {
	l := open(t)
	l.configure(t)
	nodes := l.three(t)
	_, balancer := l.hosts(t)
	if out, _ := l.sh(t, balancer, "ls /etc/haproxy/conf.d"); strings.Contains(out, "k8s") {
		t.Skip("there is a deployment: TestFaultsStanding pulls a plug of it")
	}
	text, code := l.run(t, l.jeroboam, "deploy", "haproxy", "--config", l.dir+"/openstack_deploy", "-e", l.dir+"/openstack-ansible/inventory")
	_, backend, ok := strings.Cut(text, "\nbackend k8s-back\n")
	if code != 0 || !ok {
		t.Fatalf("deploy haproxy: status %d: %s", code, text)
	}
	backend, _, _ = strings.Cut(backend, "\n\n")
	fragment := "frontend k8s-front-1\n    bind " + vip + ":6443\n    mode tcp\n    timeout client 5m\n    default_backend k8s-back\n\nbackend k8s-back\n" + backend + "\n"
	plainly := strings.NewReplacer(" observe layer4 error-limit 1 on-error mark-down on-marked-down shutdown-sessions fastinter 1000 downinter 2000", "",
		"    timeout connect 2s\n", "", "    option redispatch 1\n", "").Replace(fragment)
	if plainly == fragment {
		t.Fatalf("the fragment is as the role writes it:\n%s", fragment)
	}
	for _, as := range []struct{ name, text string }{{"as the role has it", plainly}, {"as a deployment has it", fragment}} {
		t.Run(as.name, func(t *testing.T) {
			for _, n := range nodes {
				l.ssh(t, n.host, strings.ReplaceAll(standInAPI, "ADDRESS", n.address))
			}
			l.ssh(t, balancer, "cat > /etc/haproxy/conf.d/k8s <<'END'\n"+as.text+"END\ncat /etc/haproxy/conf.d/* > /etc/haproxy/haproxy.cfg && haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
			stop := l.work(t, "https://"+vip+":6443/readyz", "", "")
			second := l.work(t, "https://"+vip+":6443/readyz", "", "")
			time.Sleep(5 * time.Second)
			pulled := time.Now()
			l.power(t, "off", nodes[1].host)
			time.Sleep(time.Minute)
			asked := append(stop(), second()...)
			l.power(t, "on", nodes[1].host)
			failed := sum(t, as.name, asked)
			gap, slow := slowSince(asked, pulled)
			t.Logf("the last request that took over a second ended %s after the plug was pulled; %d of them did", gap.Round(time.Millisecond), slow)
			if as.text == fragment && (failed > 0 || gap > 5*time.Second) {
				t.Errorf("%d requests failed, the gap is %s, not under five seconds", failed, gap)
			}
			l.until(t, time.Minute, "the host is back", func() (bool, string) {
				out, code := l.sh(t, nodes[1].host, "systemctl is-system-running --wait || true")
				return code == 0, out
			})
		})
	}
	l.ssh(t, balancer, "rm /etc/haproxy/conf.d/k8s && cat /etc/haproxy/conf.d/* > /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
	for _, n := range nodes {
		l.ssh(t, n.host, "systemctl stop lab-api; ip addr del "+n.address+"/22 dev br-mgmt; rm -f /run/api.*; true") // it lost its power, and with it all of this
	}
}

// slowSince is when the last request ended that took over a second, counted from a moment, and how many there were.
func slowSince(all []request, from time.Time) (gap time.Duration, slow int) {
	for _, r := range all {
		if since := r.began.Sub(from); since+r.took > 0 && since < time.Minute && r.took > time.Second {
			slow++
			gap = max(gap, since+r.took)
		}
	}
	return gap, slow
}
