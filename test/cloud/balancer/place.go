package balancer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// A load balancer's place is a network namespace with one interface: the VIP's port in Neutron, which the linuxbridge
// agent takes as it takes a server's.

func namespace(id string) string { return "lb-" + id }

func (d *Daemon) file(id, suffix string) string { return filepath.Join(d.Dir, id+suffix) }

// plug makes the namespace, if it is not there.
func (d *Daemon) plug(ctx context.Context, l *LoadBalancer) error {
	ns := namespace(l.ID)
	if _, err := os.Stat("/run/netns/" + ns); err == nil {
		return nil
	}
	var bound struct {
		Port struct {
			MAC string `json:"mac_address"`
		}
	}
	// haproxy keeps out who is not allowed in; Neutron's filter would keep out everybody.
	_, err := d.Network.Put(ctx, d.Network.ServiceURL("ports", l.VIP.Port), map[string]any{"port": map[string]any{
		"binding:host_id": d.Host, "admin_state_up": true, "port_security_enabled": false, "security_groups": []string{},
	}}, &bound, &gophercloud.RequestOpts{OkCodes: []int{200}})
	if err != nil {
		return fmt.Errorf("port of the VIP: %w", err)
	}
	subnet, err := subnets.Get(ctx, d.Network, l.VIP.Subnet).Extract()
	if err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(subnet.CIDR)
	if err != nil {
		return err
	}
	var network struct{ Network struct{ MTU int } }
	_, err = d.Network.Get(ctx, d.Network.ServiceURL("networks", subnet.NetworkID), &network, nil)
	if err != nil {
		return err
	}
	tap, peer := "tap"+l.VIP.Port[:11], "vip"+l.VIP.Port[:11]
	_ = machine.Command(ctx, "ip", "link", "del", tap) // an earlier attempt's
	script := fmt.Sprintf(`
		trap 'ip netns del %[1]s' EXIT
		ip netns add %[1]s
		ip link add %[2]s mtu %[6]d type veth peer name %[3]s address %[4]s mtu %[6]d
		ip link set %[3]s netns %[1]s name eth0
		ip -n %[1]s link set lo up
		ip -n %[1]s link set eth0 up
		ip -n %[1]s addr add %[5]s/%[7]d dev eth0
		ip link set %[2]s up
		[ -z "%[8]s" ] || ip -n %[1]s route add default via %[8]s
		trap - EXIT`, ns, tap, peer, bound.Port.MAC, l.VIP.Address, network.Network.MTU, prefix.Bits(), subnet.GatewayIP)
	return machine.Command(ctx, "sh", "-ec", script)
}

// serve makes haproxy serve what the load balancer is now.
func (d *Daemon) serve(ctx context.Context, l *LoadBalancer) error {
	text := Config(l, d.file(l.ID, ".sock"))
	path := d.file(l.ID, ".cfg")
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if text == "" {
		return d.silence(ctx, l.ID)
	}
	if string(before) == text && d.running(l.ID) {
		return nil
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	args := []string{"netns", "exec", namespace(l.ID), "haproxy", "-D", "-f", path, "-p", d.file(l.ID, ".pid")}
	if d.running(l.ID) {
		args = append(append(args, "-sf"), d.pids(l.ID)...)
	}
	if err := machine.Command(ctx, "ip", args...); err != nil {
		_ = os.Remove(path) // it is not what runs
		return err
	}
	return nil
}

func (d *Daemon) pids(id string) []string {
	text, _ := os.ReadFile(d.file(id, ".pid")) // none is none
	return strings.Fields(string(text))
}

func (d *Daemon) running(id string) bool {
	pids := d.pids(id)
	for _, pid := range pids {
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil || strings.TrimSpace(string(comm)) != "haproxy" {
			return false
		}
	}
	return len(pids) > 0
}

// silence ends haproxy.
func (d *Daemon) silence(ctx context.Context, id string) error {
	var err error
	if d.running(id) {
		err = machine.Command(ctx, "kill", d.pids(id)...)
	}
	for _, suffix := range []string{".pid", ".cfg", ".sock"} {
		if gone := os.Remove(d.file(id, suffix)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// remove takes haproxy, the namespace and the VIP's port away.
func (d *Daemon) remove(ctx context.Context, l *LoadBalancer) error {
	if err := d.silence(ctx, l.ID); err != nil {
		return err
	}
	if _, err := os.Stat("/run/netns/" + namespace(l.ID)); err == nil {
		if err := machine.Command(ctx, "ip", "netns", "del", namespace(l.ID)); err != nil {
			return err
		}
	}
	if l.VIP.Port == "" || !l.VIP.Owned {
		return nil
	}
	if err := ports.Delete(ctx, d.Network, l.VIP.Port).ExtractErr(); err != nil && !gophercloud.ResponseCodeIs(err, 404) {
		return err
	}
	return nil
}
