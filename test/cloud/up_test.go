package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// TestMain: a cloud runs copies of the program that made it, here of this test, under names of their own.
func TestMain(m *testing.M) {
	if !strings.HasSuffix(os.Args[0], ".test") {
		main()
		return
	}
	m.Run()
}

// TestCloud makes the cloud, kills it in the middle, makes it again, has it run a server and a load balancer, and takes
// it away.
func TestCloud(t *testing.T) {
	if os.Getenv("CLOUD_TEST") == "" {
		t.Skip("a whole cloud takes minutes and 5 GB of memory: make e2e-cloudhost")
	}
	c := &Cloud{Dir: filepath.Join(t.TempDir(), "cloud"), Cache: cacheDir(), Limit: 15 * time.Minute, Out: t.Output(), Err: t.Output()}
	if err := c.checkPrograms(t.Context()); err != nil || os.Geteuid() != 0 {
		t.Skip("root, and on Debian 12: ", err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	// Stopped while services start: namespaces, a running container and half a directory are left.
	ctx, cancel := context.WithCancel(t.Context())
	stopped := *c
	stopped.Out = writer(func(p []byte) {
		if bytes.Contains(p, []byte("container started\n")) {
			cancel()
		}
	})
	if err := stopped.Up(ctx); err == nil {
		t.Fatal("it was not stopped")
	}
	began := time.Now()
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("from the cache in %s", time.Since(began).Round(time.Second))
	if err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	c.contract(t)
	o := &openstackClient{t: t, cloud: c}
	before := o.everything()
	o.network()
	o.server()
	o.balancer()
	o.volume()
	o.removeAll()
	if diff := cmp.Diff(before, o.everything()); diff != "" {
		t.Errorf("something is left:\n%s", diff)
	}
	// Taken away in the middle of its work.
	o.network()
	o.server()
	holder, loops := c.holder().PID(), c.loops(t)
	if len(loops) == 0 {
		t.Error("a server runs without a loop device: is the list right?")
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.gone(t, holder, loops)
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// contract runs what Jeroboam relies on, which the simulated cloud is held to as well.
func (c *Cloud) contract(t *testing.T) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := c.holder().Enter(t.Context(), "env", "-C", here, "CLOUD="+c.Dir, "OS_CLIENT_CONFIG_FILE="+c.path("clouds.yaml"), "go", "test", "-count=1", "../contract")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the contract: %v: %s", err, out)
	}
}

// gone is an error for everything that is left of a cloud.
func (c *Cloud) gone(t *testing.T, holder int, loops map[string]string) {
	t.Helper()
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/lxc.*." + c.container() + "*"); len(left) > 0 {
		t.Errorf("cgroups are left: %v", left)
	}
	for path, file := range loops {
		if now, err := os.ReadFile(path); err == nil && string(now) == file {
			t.Errorf("%s still has %s", path, file)
		}
	}
	err := machine.WaitFor(t.Context(), 10*time.Second, func() error {
		if machine.StartTime(holder) != "" {
			return errors.New("the process that holds the namespaces lives")
		}
		out, err := exec.CommandContext(t.Context(), "ps", "-eo", "args").Output()
		if err == nil && strings.Contains(string(out), c.container()) {
			err = errors.New("there are processes of " + c.container())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// loops are the loop devices of the cloud's servers, with their files: the machine may have others.
func (c *Cloud) loops(t *testing.T) map[string]string {
	t.Helper()
	servers, err := filepath.Glob(c.path("disks", "instances", "*", "disk"))
	if err != nil {
		t.Fatal(err)
	}
	attached, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	mine := map[string]string{}
	for _, path := range attached {
		file, err := os.ReadFile(path)
		if err != nil {
			continue // detached meanwhile
		}
		for _, disk := range servers {
			if strings.Contains(string(file), filepath.Base(filepath.Dir(disk))) {
				mine[path] = string(file)
			}
		}
	}
	return mine
}

// openstackClient is the command line client in the container.
type openstackClient struct {
	t     *testing.T
	cloud *Cloud
}

// as runs it as a user and returns what it printed.
func (o *openstackClient) as(user string, in io.Reader, args ...string) string {
	o.t.Helper()
	cmd, err := o.cloud.attach(o.t.Context(), append([]string{"openstack", "--os-cloud", user}, args...)...)
	if err != nil {
		o.t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errOut
	if err := cmd.Run(); err != nil {
		o.t.Fatalf("openstack %s: %v: %s", strings.Join(args, " "), err, machine.Tail(errOut.Bytes()))
	}
	return strings.TrimSpace(out.String())
}

func (o *openstackClient) demo(args ...string) string {
	o.t.Helper()
	return o.as("demo", nil, args...)
}

// value is one field of what a command answers.
func (o *openstackClient) value(column string, args ...string) string {
	o.t.Helper()
	return o.demo(append(args, "-f", "value", "-c", column)...)
}

// everything is what the project has.
func (o *openstackClient) everything() map[string]string {
	o.t.Helper()
	all := map[string]string{}
	for _, kind := range []string{"server", "network", "router", "port", "floating ip", "loadbalancer", "volume", "image"} {
		all[kind] = o.demo(append(strings.Fields(kind), "list", "-f", "value")...)
	}
	return all
}

func (o *openstackClient) network() {
	o.t.Helper()
	o.demo("network", "create", "t1")
	o.demo("subnet", "create", "t1", "--network", "t1", "--subnet-range", "10.5.0.0/24")
	o.demo("router", "create", "t1")
	o.demo("router", "set", "t1", "--external-gateway", "public")
	o.demo("router", "add", "subnet", "t1", "t1")
	o.demo("security", "group", "create", "t1")
	o.demo("security", "group", "rule", "create", "t1", "--protocol", "tcp", "--dst-port", "80")
}

const userData = `#cloud-config
write_files:
- {path: /srv/www/index.html, content: "cloud-init was here\n"}
runcmd:
- [ systemd-run, --unit, www, python3, -m, http.server, "80", --directory, /srv/www ]
`

func (o *openstackClient) server() {
	o.t.Helper()
	path, err := o.cloud.makeImage(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	image, err := os.Open(path)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = image.Close() }() // only read
	o.as("demo", image, "image", "create", "small", "--disk-format", "raw", "--container-format", "bare")
	if err := os.WriteFile(o.cloud.visible("root", "user-data"), []byte(userData), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.demo("server", "create", "first", "--image", "small", "--flavor", "m1.tiny", "--network", "t1", "--security-group", "t1",
		"--key-name", keyPair, "--user-data", "/root/user-data", "--wait")
	address := o.value("floating_ip_address", "floating", "ip", "create", "public")
	o.demo("server", "add", "floating", "ip", "first", address)
	o.page("server", "http://"+address+"/")
	if log := o.demo("console", "log", "show", "first"); !strings.Contains(log, "systemd") {
		o.t.Errorf("the console has nothing of systemd: %q", log)
	}
}

// page waits for a page that the server's cloud-init made.
func (o *openstackClient) page(who, url string) {
	o.t.Helper()
	err := machine.WaitFor(o.t.Context(), 5*time.Minute, func() error {
		cmd, err := o.cloud.holder().Enter(o.t.Context(), "curl", "-sS", "--max-time", "3", url)
		if err != nil {
			return err
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "cloud-init was here") {
			return errors.Join(errors.New(string(out)), err)
		}
		return nil
	})
	if err != nil {
		o.t.Fatalf("%s: %v", who, err)
	}
}

func (o *openstackClient) balancer() {
	o.t.Helper()
	o.demo("loadbalancer", "create", "--name", "l1", "--vip-subnet-id", "t1", "--wait")
	o.demo("loadbalancer", "pool", "create", "--name", "p1", "--loadbalancer", "l1", "--protocol", "TCP", "--lb-algorithm", "ROUND_ROBIN", "--wait")
	o.demo("loadbalancer", "listener", "create", "--name", "n1", "--protocol", "TCP", "--protocol-port", "8080", "--default-pool", "p1", "--wait", "l1")
	o.demo("loadbalancer", "member", "create", "--name", "m1", "--address", o.fixed(), "--protocol-port", "80", "--wait", "p1")
	o.demo("loadbalancer", "healthmonitor", "create", "--name", "h1", "--type", "TCP", "--delay", "2", "--timeout", "1", "--max-retries", "1", "--wait", "p1")
	address := o.value("floating_ip_address", "floating", "ip", "create", "public", "--port", o.value("vip_port_id", "loadbalancer", "show", "l1"))
	o.page("load balancer", "http://"+address+":8080/")
	err := machine.WaitFor(o.t.Context(), time.Minute, func() error {
		if got := o.value("operating_status", "loadbalancer", "member", "show", "p1", "m1"); got != "ONLINE" {
			return errors.New("the member is " + got)
		}
		return nil
	})
	if err != nil {
		o.t.Error(err)
	}
}

// fixed is the server's own address.
func (o *openstackClient) fixed() string {
	o.t.Helper()
	port := o.demo("port", "list", "--server", "first", "-f", "value", "-c", "Fixed IP Addresses")
	_, after, _ := strings.Cut(port, "10.5.0.")
	end := strings.IndexAny(after, `'"`)
	if end < 0 {
		o.t.Fatalf("no address in %q", port)
	}
	return "10.5.0." + after[:end]
}

func (o *openstackClient) volume() {
	o.t.Helper()
	o.demo("volume", "create", "v1", "--size", "1")
	err := machine.WaitFor(o.t.Context(), time.Minute, func() error {
		if got := o.value("status", "volume", "show", "v1"); got != "available" {
			return errors.New("the volume is " + got)
		}
		return nil
	})
	if err != nil {
		o.t.Error(err)
	}
}

func (o *openstackClient) removeAll() {
	o.t.Helper()
	o.demo("loadbalancer", "delete", "--cascade", "--wait", "l1")
	o.demo("volume", "delete", "v1")
	o.demo("server", "delete", "--wait", "first")
	for address := range strings.FieldsSeq(o.demo("floating", "ip", "list", "-f", "value", "-c", "ID")) {
		o.demo("floating", "ip", "delete", address)
	}
	o.demo("router", "remove", "subnet", "t1", "t1")
	o.demo("router", "delete", "t1")
	o.demo("network", "delete", "t1")
	o.demo("security", "group", "delete", "t1")
	o.demo("image", "delete", "small")
	err := machine.WaitFor(o.t.Context(), time.Minute, func() error {
		if left := o.demo("volume", "list", "-f", "value"); left != "" {
			return errors.New("volumes: " + left)
		}
		return nil
	})
	if err != nil {
		o.t.Error(err)
	}
}
