package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// A lab may stand beside a cloud of test/cloud: "lab up --cloud DIR". The cloud's container gets an interface in the
// management network and an sshd, and is a physical host of the operator's inventory, the one with Neutron's
// namespaces. It is the router between the two as well: hosts reach OpenStack's services and floating addresses through
// it, and containers of hosts by way of their hosts, as they do where there is a network outside. What the cloud gets
// stands in its /run and in its network namespace; it is taken away by "down", and ends with the cloud or with the
// lab's namespaces otherwise.
const (
	cloudHost = "cloud" // the container's own host name
	cloudIP   = "172.29.236.21"
	// Addresses of test/cloud.
	cloudKeystone = "http://10.77.0.10:5000"
	cloudServices = "10.77.0.0/24"
	cloudPublic   = "10.78.0.0/24"
)

// cloudRun is where all of the lab's is in the cloud's container.
const cloudRun = "/run/jeroboam-lab"

// sshdConfig is a server for the deployer alone.
const sshdConfig = `Port 22
ListenAddress ` + cloudIP + `
HostKey ` + cloudRun + `/host_key
AuthorizedKeysFile ` + cloudRun + `/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
`

// outside is the cloud's namespaces, in which its container was started.
func (l *Lab) outside() machine.Holder {
	return machine.Holder{File: filepath.Join(l.Cloud, "holder"), Gone: "the cloud in " + l.Cloud + " is not running: cloud up"}
}

// cloudInit is the process id of the cloud's container.
func (l *Lab) cloudInit(ctx context.Context) (int, error) {
	found, err := filepath.Glob(filepath.Join(l.Cloud, "lxc", "*", "config"))
	if err != nil || len(found) != 1 {
		return 0, errors.Join(fmt.Errorf("there is no cloud in %s: cloud up", l.Cloud), err)
	}
	name := filepath.Base(filepath.Dir(found[0]))
	cmd, err := l.outside().Enter(ctx, "lxc-info", "-P", filepath.Join(l.Cloud, "lxc"), "-n", name, "-p", "-H")
	if err != nil {
		return 0, err
	}
	out, err := cmd.Output()
	pid, bad := strconv.Atoi(strings.TrimSpace(string(out)))
	if bad == nil && pid <= 1 {
		bad = fmt.Errorf("its first process is %d", pid)
	}
	if err = errors.Join(err, bad); err != nil {
		return 0, fmt.Errorf("the container %s of the cloud in %s does not run: %w", name, l.Cloud, err)
	}
	return pid, nil
}

// inCloud runs a script in the cloud's container.
func inCloud(ctx context.Context, pid int, script string) error {
	return machine.Command(ctx, "nsenter", "-t", strconv.Itoa(pid), "-a", "--", "env", "-i",
		"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", script)
}

// checkCloud looks for it before anything is made.
func (l *Lab) checkCloud(ctx context.Context) error {
	if l.Cloud == "" {
		return nil
	}
	_, err := l.cloudInit(ctx)
	return err
}

// joinCloud makes the cloud's container a host of the lab.
func (l *Lab) joinCloud(ctx context.Context) error {
	if l.Cloud == "" {
		return nil
	}
	pid, err := l.cloudInit(ctx)
	if err != nil {
		return err
	}
	if err := l.leaveCloud(ctx); err != nil { // what a killed run left
		return err
	}
	if err := os.WriteFile(l.path("cloud"), []byte(l.Cloud+"\n"), 0o644); err != nil {
		return err
	}
	if err := l.cloudFiles(ctx, pid); err != nil {
		return err
	}
	if err := l.holder().Run(ctx, "ip", "link", "add", cloudHost, "type", "veth", "peer", "name", "br-mgmt", "netns", strconv.Itoa(pid)); err != nil {
		return err
	}
	err = l.holder().Run(ctx, "sh", "-ec", `
		ip link set `+cloudHost+` master br-lab up
		ip route add `+cloudServices+` via `+cloudIP+`
		ip route add `+cloudPublic+` via `+cloudIP)
	if err != nil {
		return err
	}
	return inCloud(ctx, pid, `
		ip address add `+cloudIP+prefix+` dev br-mgmt
		ip link set br-mgmt up
		if ! id sshd >/dev/null 2>&1; then
			useradd --system --home-dir /run/sshd --shell /usr/sbin/nologin sshd
			touch `+cloudRun+`/user
		fi
		install -d -m 755 /run/sshd
		systemd-run --quiet --unit jeroboam-lab-sshd --property Restart=always `+cloudRun+`/sshd -D -e -f `+cloudRun+`/sshd_config`)
}

// cloudFiles brings the deployer's way in: the program is Debian's, of the same release, out of the hosts' own file
// system.
func (l *Lab) cloudFiles(ctx context.Context, pid int) error {
	run := fmt.Sprintf("/proc/%d/root%s", pid, cloudRun)
	if err := os.MkdirAll(run, 0o755); err != nil {
		return err
	}
	if err := machine.Command(ctx, "tar", "-C", run, "--strip-components=3", "-xpf", l.cached("host"), "./usr/sbin/sshd"); err != nil {
		return err
	}
	key := l.path("ssh", "host_key_cloud")
	if err := machine.Command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", cloudHost, "-f", key); err != nil {
		return err
	}
	if err := l.know(cloudHost, cloudIP, key+".pub"); err != nil {
		return err
	}
	for from, to := range map[string]string{key: "host_key", l.path("ssh", "id_ed25519.pub"): "authorized_keys"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(run, to), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(run, "sshd_config"), []byte(sshdConfig), 0o644)
}

// leaveCloud takes away what the cloud has of the lab. A cloud that is gone has nothing.
func (l *Lab) leaveCloud(ctx context.Context) error {
	if l.Cloud == "" {
		return nil
	}
	pid, err := l.cloudInit(ctx)
	if err != nil {
		return nil //nolint:nilerr // it does not run
	}
	return inCloud(ctx, pid, `
		systemctl stop jeroboam-lab-sshd 2>/dev/null || true
		systemctl reset-failed jeroboam-lab-sshd 2>/dev/null || true
		if [ -e `+cloudRun+`/user ]; then userdel sshd; fi
		rm -rf `+cloudRun+`
		ip link delete br-mgmt 2>/dev/null || true`)
}

// joined reads which cloud a lab that somebody else made stands beside.
func (l *Lab) joined() {
	if text, err := os.ReadFile(l.path("cloud")); err == nil {
		l.Cloud = strings.TrimSpace(string(text))
	}
}

// cloudRoutes are lines of the hosts' network: the way to the cloud.
func (l *Lab) cloudRoutes() string {
	if l.Cloud == "" {
		return ""
	}
	text := ""
	for _, to := range []string{cloudServices, cloudPublic} {
		text += "[Route]\nDestination=" + to + "\nGateway=" + cloudIP + "\n"
	}
	return text
}

// cloudDeployFiles are what an operator's files have where the cloud is a real one: its Keystone speaks plain HTTP, on
// one address.
func cloudDeployFiles() map[string]string {
	files := keystoneDeployFiles()
	files["user_magnum.yml"] += "keystone_service_internaluri: " + cloudKeystone + "\nkeystone_service_internalurl: " + cloudKeystone + "/v3\n" +
		"keystone_service_publicuri: " + cloudKeystone + "\nkeystone_service_publicurl: " + cloudKeystone + "/v3\n" +
		"keystone_service_adminuri: " + cloudKeystone + "\nkeystone_service_adminurl: " + cloudKeystone + "/v3\n"
	return files
}
