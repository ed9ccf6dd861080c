package node_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// Containers of Ubuntu and of other Debians than 12 are nodes too: nothing of a distribution is installed into them,
// and nothing on a node calls a program that a base container may lack.
func TestNothingOfADistribution(t *testing.T) {
	for _, tt := range []struct {
		reason, id, release string
		cilium              bool
	}{
		{reason: "Cilium on Debian 12", id: "debian", release: "12", cilium: true},
		{reason: "Cilium on Ubuntu 24.04", id: "ubuntu", release: "24.04", cilium: true},
		{reason: "the light network on Debian 12", id: "debian", release: "12"},
		{reason: "the light network on Debian 13", id: "debian", release: "13"},
		{reason: "the light network on Ubuntu 22.04", id: "ubuntu", release: "22.04"},
		{reason: "the light network on Ubuntu 24.04", id: "ubuntu", release: "24.04"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in, b, f := deploytest.Seed(t), deploytest.Bundle(), deploytest.Facts(deploytest.Seed(t))
			if tt.cilium {
				b.Components = append(b.Components, site.Component{Name: site.Cilium})
			}
			for name, h := range f {
				h.ID, h.Version = tt.id, tt.release
				f[name] = h
			}
			w, err := deploy.Want(in, b, f, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range w.Items {
				text, err := json.Marshal(i)
				if err != nil {
					t.Fatal(err)
				}
				for _, needs := range []string{"dpkg", "apt-get", "bin/iptables", "bin/nft", `ipMasq\":true`, `ipMasq\": true`} {
					if strings.Contains(string(text), needs) {
						t.Errorf("%s in %s needs %s: %s", i.Group, i.Place, needs, text)
					}
				}
			}
		})
	}
}

// What the bridge plugin would have had iptables do is systemd's: addresses of pods are masqueraded, with a bridge that
// is there before the first pod and nothing waits for.
func TestPodsAreMasqueraded(t *testing.T) {
	in := deploytest.Seed(t)
	files := map[string]string{}
	var uses []string
	for _, i := range deploytest.Want(t, in, deploytest.Facts(in)).Items {
		if i.Place != in.Nodes[1].Name {
			continue
		}
		if i.File != nil {
			files[i.File.Path] = i.File.Content
		}
		if i.Unit != nil && i.Unit.Name == "jeroboam-pod-routes.service" {
			uses = i.Unit.Uses
		}
	}
	const device, network = "/etc/systemd/network/50-cni0.netdev", "/etc/systemd/network/50-cni0.network"
	for _, tt := range []struct{ reason, path, has string }{
		{"there is a bridge", device, "[NetDev]\nName=cni0\nKind=bridge\n"},
		{"it has the gateway's address, which the plugin gives it as well", network, "Address=172.29.201.1/24\n"},
		{"what comes from there is masqueraded", network, "IPMasquerade=ipv4\n"},
		{"it is there before the first pod", network, "ConfigureWithoutCarrier=yes\n"},
		{"nobody waits for it", network, "RequiredForOnline=no\n"},
		{"networkd learns of it", "/etc/systemd/system/jeroboam-pod-routes.service", "\nExecStart=/usr/bin/networkctl reload\nExecStart=/sbin/ip route"},
		{"the plugin uses that bridge", "/etc/cni/net.d/10-jeroboam.conflist", `"bridge": "cni0"`},
	} {
		if !strings.Contains(files[tt.path], tt.has) {
			t.Errorf("%s: there is no %q in %s:\n%s", tt.reason, tt.has, tt.path, files[tt.path])
		}
	}
	if got := strings.Join(uses, " "); !strings.Contains(got, device) || !strings.Contains(got, network) {
		t.Errorf("networkd does not learn of changes: the unit uses %s", got)
	}
}
