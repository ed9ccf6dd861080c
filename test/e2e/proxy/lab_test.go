package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
)

// theLab is made once for all tests.
var theLab *lab

// lab is one network in which the management cluster (.1) and three hosts (.11 to .13) are, and tenants' networks that only
// hosts have namespaces of.
type lab struct {
	dir    string
	root   *namespace // of the management network
	hosts  []*host
	dial   *netns.Dialer // into the lab's own namespaces
	ca     *authority
	api    *management
	access *process

	clusters atomic.Int64
}

// namespace is a network namespace with a thread that lives in it.
type namespace struct {
	path string
	work chan func()
}

// newNamespace makes one as "ip netns add" does: a file, and then a mount on it.
func newNamespace(path string) (*namespace, error) {
	n := &namespace{path: path, work: make(chan func())}
	made := make(chan error)
	go n.live(made, loopbackUp)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", path, err)
	}
	return n, nil
}

// live is the thread inside: it ends with the goroutine.
func (n *namespace) live(made chan<- error, first func() error) {
	runtime.LockOSThread()
	err := os.WriteFile(n.path, nil, 0o444)
	if err == nil {
		err = unix.Unshare(unix.CLONE_NEWNET)
	}
	if err == nil {
		err = unix.Mount("/proc/thread-self/ns/net", n.path, "", unix.MS_BIND, "")
	}
	if err == nil {
		err = first()
	}
	made <- err
	if err == nil {
		for f := range n.work {
			f()
		}
	}
}

// loopbackUp is "ip link set lo up", without a program.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// do runs f on a thread inside.
func (n *namespace) do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// ip runs iproute2 inside, one command a line.
func (n *namespace) ip(commands ...string) error {
	return n.do(func() error {
		for _, c := range commands {
			if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", c, err, out)
			}
		}
		return nil
	})
}

// remove is "ip netns del".
func (n *namespace) remove() {
	_ = unix.Unmount(n.path, unix.MNT_DETACH)
	_ = os.Remove(n.path)
	close(n.work)
}

func (n *namespace) listen(address string) (l net.Listener, err error) {
	return l, n.do(func() error {
		l, err = net.Listen("tcp", address)
		return err
	})
}

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

func newLab(dir string) (*lab, error) {
	// The proxy runs as another user, and in a machine without namespaces there is no directory for them.
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(netns.DefaultDir, 0o755)); err != nil {
		return nil, err
	}
	l := &lab{dir: dir, ca: newAuthority()}
	var err error
	if l.dial, err = netns.NewDialer(dir); err != nil {
		return l, err
	}
	if l.root, err = newNamespace(filepath.Join(dir, "mgmt")); err != nil {
		return l, err
	}
	if err := l.root.ip("link add br0 address 02:00:00:00:00:01 type bridge", "addr add 172.31.0.1/24 dev br0", "-6 addr add fd31::1/64 dev br0 nodad", "link set br0 up"); err != nil {
		return l, err
	}
	for i := 1; i <= 3; i++ {
		h := &host{lab: l, name: "net" + strconv.Itoa(i), addr: netip.AddrFrom4([4]byte{172, 31, 0, byte(10 + i)}), link: "host" + strconv.Itoa(i), tenant: map[string]*namespace{}}
		h.netns = filepath.Join(dir, h.name+"-netns")
		if err := os.Mkdir(h.netns, 0o755); err != nil {
			return l, err
		}
		// As "ip netns add" does it: what is mounted here is seen where the directory is mounted again.
		if err := errors.Join(unix.Mount(h.netns, h.netns, "", unix.MS_BIND, ""), unix.Mount("", h.netns, "", unix.MS_SHARED, "")); err != nil {
			return l, err
		}
		if h.namespace, err = newNamespace(filepath.Join(dir, h.name)); err != nil {
			return l, err
		}
		l.hosts = append(l.hosts, h)
		err := errors.Join(
			l.root.ip("link add "+h.link+" type veth peer name eth0 netns "+h.path, "link set "+h.link+" master br0 up"),
			h.ip("addr add "+h.addr.String()+"/24 dev eth0", "link set eth0 up", "route add default via 172.31.0.1"),
		)
		if err != nil {
			return l, err
		}
	}
	l.api, err = newManagement(l)
	if err != nil {
		return l, err
	}
	return l, l.prepare()
}

// prepare does what the management cluster's administrator does.
func (l *lab) prepare() error {
	manifests, err := exec.Command(binary("jeroboam"), "proxy", "manifests").Output()
	if err != nil {
		return err
	}
	if err := l.api.kubectl(string(manifests), "apply", "-f", "-"); err != nil {
		return err
	}
	fleet, err := l.api.credential(filepath.Join(l.dir, "fleet.kubeconfig"), "jeroboam-proxy", "jeroboam-proxy")
	if err != nil {
		return err
	}
	for _, h := range l.hosts {
		h.config = fleet
	}
	access, err := l.api.credential(filepath.Join(l.dir, "access.kubeconfig"), "magnum-system", "jeroboam-proxy-access")
	if err != nil {
		return err
	}
	l.access, err = l.root.start(filepath.Join(l.dir, "access.log"), nil, binary("jeroboam"), "proxy", "access", "--watch", "--kubeconfig", access)
	return err
}

func (l *lab) close() {
	for _, h := range l.hosts {
		if h.proxy != nil {
			h.proxy.end(syscall.SIGKILL)
		}
	}
	if l.access != nil {
		l.access.end(syscall.SIGTERM)
	}
	if l.api != nil {
		l.api.close()
	}
	for _, h := range l.hosts {
		for _, n := range h.tenant {
			n.remove()
		}
		_ = unix.Unmount(h.netns, unix.MNT_DETACH)
		if h.namespace != nil {
			h.remove()
		}
	}
	if l.root != nil {
		l.root.remove()
	}
}

// process is a child.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program inside a namespace. It ends with this process.
func (n *namespace) start(log string, change func(*exec.Cmd), program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if change != nil {
		change(cmd)
	}
	if err := n.do(cmd.Start); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	return p, nil
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

// asService is what a service manager does for a child: the host's own /run/netns, with what is mounted there later, an ordinary user, and one
// capability, which is also the most it can ever have.
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

// network is a tenant's network: a bridge in a namespace that no host enters, with the API server behind it.
type network struct {
	*namespace

	id string
}

func (l *lab) network(t *testing.T) *network {
	t.Helper()
	id := uuid()
	ns, err := newNamespace(filepath.Join(l.dir, "tenant-"+id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.remove)
	// A bridge without an address of its own takes the lowest of its ports' and changes it as ports come and go; neighbours then send to the
	// old one for up to a minute.
	if err := ns.ip("link add br0 address 02:00:00:00:00:05 type bridge", "addr add 10.0.0.5/24 dev br0", "-6 addr add fd00::5/64 dev br0 nodad", "link set br0 up"); err != nil {
		t.Fatal(err)
	}
	return &network{ns, id}
}

// cluster is a workload cluster of the lab.
type cluster struct {
	lab   *lab
	stack string
	net   *network
	vip   string
	api   *apiServer
}

// cluster makes a private cluster with a network of its own on the hosts, always with the same address.
func (l *lab) cluster(t *testing.T, vip string, hosts ...*host) *cluster {
	t.Helper()
	n := l.network(t)
	c := &cluster{lab: l, stack: l.stack(), net: n, vip: vip}
	c.serve(t)
	for _, h := range hosts {
		h.attach(t, n, "qdhcp-")
		t.Cleanup(func() {
			if h.tenant[n.id] != nil {
				h.detach(t, n)
			}
		})
	}
	l.api.createCluster(t, c.stack, n.id, vip)
	t.Cleanup(func() { l.api.deleteCluster(t, c.stack) })
	return c
}

func (l *lab) stack() string { return fmt.Sprintf("kube-%05d", l.clusters.Add(1)) }

// serve starts the cluster's API server.
func (c *cluster) serve(t *testing.T) {
	t.Helper()
	listener, err := c.net.listen(net.JoinHostPort(c.vip, "6443"))
	if err != nil {
		t.Fatal(err)
	}
	c.api = startAPIServer(c.lab.ca, c.stack, listener)
	t.Cleanup(c.api.stop)
}

// client reaches a cluster through one host, as a client of its Service would.
func (l *lab) client(stack string, via netip.AddrPort) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.ca.pem)
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return l.dial.Dial(ctx, "mgmt", via, 20*time.Second)
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: stack + ".magnum-system"},
		MaxIdleConnsPerHost: 100,
	}, Timeout: 30 * time.Second}
}

func (h *host) front() netip.AddrPort { return netip.AddrPortFrom(h.addr, proxyPort) }

// ready asks for /readyz through a host, on a connection of its own.
func (c *cluster) ready(via netip.AddrPort) error {
	cl := c.lab.client(c.stack, via)
	defer cl.CloseIdleConnections()
	resp, err := cl.Get("https://" + c.stack + ".magnum-system:6443/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && string(b) != "ok "+c.stack {
		err = fmt.Errorf("another cluster answers: %q", b)
	}
	return err
}

// patience is how long is waited for what others do. It takes less than a second on a machine that has time; this one may have none.
const patience = 3 * time.Minute

// eventually waits for what others do.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("not within %s: %s: %v", patience, what, err)
}

// load asks a cluster for /readyz through a host again and again, and remembers how it went.
type load struct {
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	ok, bad int
	gap     time.Duration // the longest time without success
	last    time.Time
	err     error
}

func (c *cluster) load(via ...netip.AddrPort) *load {
	l := &load{stop: make(chan struct{}), last: time.Now()}
	l.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			err := c.ready(via[i%len(via)])
			l.mu.Lock()
			if err != nil {
				l.bad++
				l.err = err
			} else {
				l.ok++
				l.gap = max(l.gap, time.Since(l.last))
				l.last = time.Now()
			}
			l.mu.Unlock()
		}
	})
	return l
}

// end stops the load and tells.
func (l *load) end() (ok, bad int, gap time.Duration, err error) {
	close(l.stop)
	l.done.Wait()
	return l.ok, l.bad, max(l.gap, time.Since(l.last)), l.err
}
