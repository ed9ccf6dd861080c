package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Container is an LXC container as OpenStack-Ansible lays it out: /var/lib/lxc/<name> with config, one .ini per
// interface and rootfs. One that OpenStack-Ansible made is adopted: lines it lacks are added to its config, nothing
// else is touched.
type Container struct {
	Name string `json:"name"`
	// Base are the lines a new config begins with; Lines are those that any config must have, "key = value".
	Base  []string `json:"base"`
	Lines []string `json:"lines"`
	// Single are keys of Lines that there is one line of: another value is replaced, not added to.
	Single []string `json:"single"`
	// NoRestarts: a container that runs is not stopped for a new configuration; that waits until somebody starts it again.
	NoRestarts bool `json:"noRestarts,omitempty"`
	// Networks are the interfaces.
	Networks []Interface `json:"networks"`
	// RootFS is the digest of an archive to make a new root file system of; it is not looked at when there is one.
	RootFS string `json:"rootfs"`
	// Archive is a file on the host to make it of instead: what OpenStack-Ansible's lxc_hosts role has put there.
	Archive string `json:"archive"`
	// Files are written into a new root file system before it starts for the first time.
	Files []File `json:"files"`
}

// Interface is one interface of a container.
type Interface struct {
	Name   string `json:"name"`
	Bridge string `json:"bridge"`
	Pair   string `json:"pair"`
	MTU    int    `json:"mtu"`
}

// madeHere marks what we made, so that removing removes only that.
const madeHere = ".made-by-jeroboam"

func (c *Container) dir() string { return "/var/lib/lxc/" + c.Name }

func (c *Container) thing(have plan.Facts) plan.Thing {
	t := plan.Thing{
		Kind: "container", Name: c.Name, Text: []string{"config"}, On: map[string]plan.Action{"current": plan.Restart, "state": plan.Run},
		Want: plan.Facts{"rootfs": "yes", "state": "running", "config": strings.Join(append(slices.Clone(c.Base), c.Lines...), "\n") + "\n"},
	}
	if have == nil {
		return t
	}
	t.Want["config"] = c.merge(have["config"])
	if !c.NoRestarts {
		t.Want["current"] = "yes"
	}
	for _, n := range c.Networks {
		if key := "interface " + n.Name; have[key] != "yes" {
			t.Want[key] = "yes"
		}
	}
	return t
}

// merge gives a config that has all Lines, and what was there before otherwise.
func (c *Container) merge(have string) string {
	want := c.Lines
	if have == "" {
		want = append(slices.Clone(c.Base), c.Lines...)
	}
	lines := strings.Split(strings.TrimRight(have, "\n"), "\n")
	if have == "" {
		lines = nil
	}
	for _, w := range want {
		key, _, _ := strings.Cut(normal(w), " = ")
		if slices.ContainsFunc(lines, func(l string) bool { return normal(l) == normal(w) }) {
			continue
		}
		same := func(l string) bool { k, _, ok := strings.Cut(normal(l), " = "); return ok && k == key }
		if at := slices.IndexFunc(lines, same); at >= 0 && slices.Contains(c.Single, key) {
			lines = slices.DeleteFunc(lines, same)
			lines = slices.Insert(lines, min(at, len(lines)), w)
			continue
		}
		lines = append(lines, w)
	}
	return strings.Join(lines, "\n") + "\n"
}

// normal is a line without the freedom of spaces.
func normal(line string) string {
	k, v, ok := strings.Cut(line, "=")
	if !ok || strings.HasPrefix(strings.TrimSpace(line), "#") {
		return strings.TrimSpace(line)
	}
	return strings.TrimSpace(k) + " = " + strings.TrimSpace(v)
}

func (c *Container) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	if !m.exists(c.dir() + "/config") {
		return nil, nil
	}
	// Config is written last, so with it the root file system is there as well, wherever OpenStack-Ansible keeps it.
	have := plan.Facts{"config": m.read(c.dir() + "/config"), "rootfs": "yes", "state": "stopped", "current": "yes"}
	for _, n := range c.Networks {
		if m.exists(c.ini(n)) || strings.Contains(have["config"], ".link = "+n.Bridge) {
			have["interface "+n.Name] = "yes"
		}
	}
	pid, err := containerPID(ctx, m, c.Name)
	if err != nil || pid == 0 {
		return have, err
	}
	have["state"] = "running"
	if started, ok := m.startedAt(pid); ok && m.newer([]string{c.dir() + "/config"}, started) {
		have["current"] = "no"
	}
	return have, nil
}

// containerPID is the container's first process, 0 if it does not run.
func containerPID(ctx context.Context, m *Machine, name string) (int, error) {
	out, err := m.Exec(ctx, Command{Args: []string{"lxc-info", "-n", name, "-p", "-H"}})
	if err != nil {
		if strings.Contains(out.Out+out.Err, "doesn't exist") {
			return 0, nil
		}
		return 0, err
	}
	text := strings.TrimSpace(out.Out)
	if text == "" || text == "-1" {
		return 0, nil
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("lxc-info of %s says %q", name, text)
	}
	return pid, nil
}

func (c *Container) ini(n Interface) string { return c.dir() + "/" + n.Name + ".ini" }

// ensure: the root file system first, config last, so that a container without config does not exist; then the
// container is started, or started again if its config is newer.
func (c *Container) ensure(ctx context.Context, m *Machine) error {
	have, err := c.observe(ctx, m)
	if err != nil {
		return err
	}
	if have == nil && !m.exists(c.dir()+"/rootfs/etc") {
		if err := c.unpack(ctx, m); err != nil {
			return fmt.Errorf("make the root file system: %w", err)
		}
	}
	for at, n := range c.Networks {
		if err := c.network(ctx, m, at, n); err != nil {
			return err
		}
	}
	if text := c.merge(have["config"]); text != have["config"] {
		f := File{Path: c.dir() + "/config", Content: text}
		if err := f.ensure(ctx, m); err != nil {
			return err
		}
	}
	have, err = c.observe(ctx, m)
	if err != nil {
		return err
	}
	if have["state"] == "running" && have["current"] != "yes" && !c.NoRestarts {
		if _, err := m.run(ctx, "lxc-stop", "-n", c.Name, "-t", "60"); err != nil {
			return err
		}
		have["state"] = "stopped"
	}
	if have["state"] != "running" {
		if err := c.start(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// start waits until systemd inside has brought up what it can.
func (c *Container) start(ctx context.Context, m *Machine) error {
	log := "/var/log/lxc-" + c.Name + ".log"
	if _, err := m.run(ctx, "lxc-start", "-n", c.Name, "-o", log, "-l", "WARN"); err != nil {
		return fmt.Errorf("%w (see %s)", err, log)
	}
	for range 240 {
		out, _ := m.Exec(ctx, Command{Args: []string{"lxc-attach", "-n", c.Name, "--", "systemctl", "is-system-running"}, Timeout: 20 * time.Second})
		switch strings.TrimSpace(out.Out) {
		case "running", "degraded":
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return errors.New("started, but systemd inside does not come up: look with lxc-attach -n " + c.Name + " -- systemctl list-jobs")
}

// unpack makes rootfs appear whole.
func (c *Container) unpack(ctx context.Context, m *Machine) error {
	archive := c.Archive
	switch {
	case c.RootFS != "":
		var err error
		if archive, err = openCheck(m, c.RootFS); err != nil {
			return err
		}
	case archive == "":
		return errors.New("there is no archive to make it of: the bundle has none, and OpenStack-Ansible has put none in /var/cache/lxc (openstack-ansible openstack.osa.setup_hosts does)")
	default:
		archive = m.path(archive)
	}
	root := c.dir() + "/rootfs"
	part := c.dir() + "/rootfs.new"
	if err := os.RemoveAll(m.path(part)); err != nil {
		return err
	}
	if err := os.MkdirAll(m.path(part), 0o755); err != nil {
		return err
	}
	if _, err := m.Exec(ctx, Command{
		Args: []string{
			"tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", archive, "-C", m.path(part),
		}, Timeout: 15 * time.Minute,
	}); err != nil {
		return err
	}
	inside := &Machine{Root: m.path(part), Exec: m.Exec, Now: m.Now}
	for _, f := range append(slices.Clone(c.Files), File{Path: "/" + madeHere, Content: "jeroboam deploy made this container and removes it again\n"}) {
		if err := f.ensure(ctx, inside); err != nil {
			return err
		}
	}
	_ = os.RemoveAll(m.path(root)) // without /etc, so nothing of anybody's; Rename says if it is not empty
	return os.Rename(m.path(part), m.path(root))
}

// openCheck says early, and in its words, that a blob is not there.
func openCheck(m *Machine, digest string) (string, error) {
	f, err := openBlob(m, digest)
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// network writes an interface's file, once: the MAC in it must not change.
func (c *Container) network(ctx context.Context, m *Machine, at int, n Interface) error {
	if m.exists(c.ini(n)) {
		return nil
	}
	mac := strings.TrimSpace(m.read(c.dir() + "/" + n.Name + ".hwaddr"))
	if mac == "" {
		mac = hardwareAddress(c.Name, n.Name)
	}
	text := fmt.Sprintf(`lxc.net.%d.type = veth
lxc.net.%d.name = %s
lxc.net.%d.veth.pair = %s
lxc.net.%d.link = %s
lxc.net.%d.hwaddr = %s
lxc.net.%d.flags = up
lxc.net.%d.mtu = %d
`, at, at, n.Name, at, n.Pair, at, n.Bridge, at, mac, at, at, n.MTU)
	for path, content := range map[string]string{c.dir() + "/" + n.Name + ".hwaddr": mac + "\n", c.ini(n): text} {
		f := File{Path: path, Content: content}
		if err := f.ensure(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// hardwareAddress is in the range OpenStack-Ansible draws from, and the same in every run.
func hardwareAddress(container, iface string) string {
	sum := sha256.Sum256([]byte(container + " " + iface))
	return fmt.Sprintf("00:16:3e:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}

// MadeHere says whether we made a container.
func MadeHere(m *Machine, name string) bool {
	dir := "/var/lib/lxc/" + name
	return m.exists(dir+"/rootfs/"+madeHere) || m.exists(dir+"/rootfs.gone") || m.exists(dir+"/rootfs.new")
}

// RemoveContainer stops and removes a container that we made, and refuses any other. Its root file system gets a name
// first that nothing looks at: a removal that was killed is finished by the next one.
func RemoveContainer(ctx context.Context, m *Machine, name string) error {
	c := Container{Name: name}
	if !m.exists(c.dir()) {
		return nil
	}
	if !MadeHere(m, name) {
		return fmt.Errorf("container %s was not made by jeroboam: it stays", name)
	}
	pid, err := containerPID(ctx, m, name)
	if err != nil {
		return err
	}
	if pid != 0 {
		if _, err := m.run(ctx, "lxc-stop", "-n", name, "-k"); err != nil {
			return err
		}
	}
	gone := m.path(c.dir() + "/rootfs.gone")
	if err := os.Rename(m.path(c.dir()+"/rootfs"), gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	for _, path := range []string{"/openstack/log/" + name, "/var/log/lxc-" + name + ".log"} {
		if err := os.RemoveAll(m.path(path)); err != nil {
			return err
		}
	}
	_ = os.Remove(m.path("/openstack/backup/" + name)) // only if it is empty: backups outlive what they are of
	return os.RemoveAll(m.path(c.dir()))
}
