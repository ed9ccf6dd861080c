package proxy

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
)

// theLab is made once for all tests.
var theLab *lab

// lab is one network in which the management cluster (.1) and three hosts (.11 to .13) are, and tenants' networks that
// only hosts have namespaces of.
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

// patience is how long is waited for what others do. It takes less than a second on a machine that has time; this one
// may have none.
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
