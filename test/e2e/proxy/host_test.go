package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
)

// host is a machine with a proxy.
type host struct {
	*namespace

	lab    *lab
	name   string
	addr   netip.Addr
	netns  string // its /run/netns
	link   string // its port in the management network
	tenant map[string]*namespace
	proxy  *process
	config string   // kubeconfig of the fleet
	env    []string // beside the usual, and instead
}

const proxyPort = 8443

// process is a child.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tail is the end of a log.
func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-4000):])
}

// asService is what a service manager does for a child: the host's own /run/netns, with what is mounted there later, an
// ordinary user, and one capability, which is also the most it can ever have.
func (h *host) asService(program string, args ...string) []string {
	return append([]string{
		"unshare", "--mount", "--propagation", "slave", "sh", "-c", `mount --rbind "$0" /run/netns && exec setpriv --reuid 65534 --regid 65534 --clear-groups ` +
			`--inh-caps +sys_admin --ambient-caps +sys_admin --bounding-set -all,+sys_admin --no-new-privs "$@"`, h.netns, program,
	}, args...)
}

// run starts the host's proxy and waits until it is ready.
func (h *host) run(t *testing.T, args ...string) *process {
	t.Helper()
	p := h.launch(t, args...)
	h.awaitReady(t)
	return p
}

// launch starts the host's proxy with the old tool's variables.
func (h *host) launch(t *testing.T, args ...string) *process {
	t.Helper()
	run := filepath.Join(h.lab.dir, h.name+"-run")
	if err := errors.Join(os.MkdirAll(run, 0o777), os.Chmod(run, 0o777)); err != nil {
		t.Fatal(err)
	}
	argv := h.asService(binary("jeroboam"), append([]string{"proxy", "--host", h.name, "--run-dir", filepath.Join(run, "d")}, args...)...)
	p, err := h.start(filepath.Join(h.lab.dir, h.name+".log"), func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "PROXY_BIND="+h.addr.String(), "PROXY_PORT="+strconv.Itoa(proxyPort), "KUBECONFIG="+h.config)
		cmd.Env = append(cmd.Env, h.env...) // the last one counts
	}, argv[0], argv[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	h.proxy = p
	return p
}

func (h *host) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, h.name+" is ready", func() error {
		select {
		case <-h.proxy.done:
			t.Fatalf("the proxy of %s ended:\n%s", h.name, tail(h.proxy.log))
		default:
		}
		s, err := h.says()
		switch {
		case err != nil:
			return err
		case s.PID != h.proxy.cmd.Process.Pid:
			return fmt.Errorf("an older process answers")
		case !s.Ready:
			return errors.New(s.Why)
		}
		_, err = h.admin("/readyz")
		return err
	})
}

// stop ends the host's proxy in order.
func (h *host) stop() {
	if h.proxy != nil {
		h.proxy.end(syscall.SIGTERM)
		h.proxy = nil
	}
}

// admin asks the proxy's own port, which only the host reaches.
func (h *host) admin(path string) (string, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return h.lab.dial.Dial(ctx, h.name, netip.MustParseAddrPort("127.0.0.1:9513"), 10*time.Second)
	}}
	c := http.Client{Transport: tr, Timeout: time.Minute}
	resp, err := c.Get("http://proxy" + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

func (h *host) says() (s proxy.Status, err error) {
	text, err := h.admin("/status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

func (h *host) status(t *testing.T) proxy.Status {
	t.Helper()
	s, err := h.says()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// metric sums a metric over its labels.
func (h *host) metric(t *testing.T, name string) float64 {
	t.Helper()
	text, err := h.admin("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return sumMetric(text, name, "")
}

func sumMetric(text, name, with string) float64 {
	sum := 0.0
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' || !strings.Contains(rest, with) {
			continue
		}
		fields := strings.Fields(line)
		v, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
		sum += v
	}
	return sum
}

// attach gives the host a namespace of a tenant network.
func (h *host) attach(t *testing.T, n *network, prefix string) {
	t.Helper()
	i := h.addr.As4()[3]
	ns, err := newNamespace(filepath.Join(h.netns, prefix+n.id))
	if err != nil {
		t.Fatal(err)
	}
	h.tenant[n.id] = ns
	port := "p" + strconv.Itoa(int(i)) + prefix[:1]
	if err := n.ip("link add "+port+" type veth peer name eth0 netns "+ns.path, "link set "+port+" master br0 up"); err != nil {
		t.Fatal(err)
	}
	if err := ns.ip(fmt.Sprintf("addr add 10.0.0.%d/24 dev eth0", i), fmt.Sprintf("-6 addr add fd00::%d/64 dev eth0 nodad", i), "link set eth0 up"); err != nil {
		t.Fatal(err)
	}
}

// detach is what Neutron does when a network leaves a host.
func (h *host) detach(t *testing.T, n *network) {
	t.Helper()
	ns := h.tenant[n.id]
	delete(h.tenant, n.id)
	ns.remove()
	for _, prefix := range []string{"q", "o"} {
		_ = n.ip("link del p" + strconv.Itoa(int(h.addr.As4()[3])) + prefix) // one of them is there
	}
}

func (h *host) front() netip.AddrPort { return netip.AddrPortFrom(h.addr, proxyPort) }
