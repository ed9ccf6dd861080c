package node_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Containers of Ubuntu and of other Debians than 12 are nodes too: nothing of a distribution is installed into them.
// Only the light network needs that, and says where it cannot be.
func TestPackagesOfADistribution(t *testing.T) {
	for _, tt := range []struct {
		reason, id, release string
		light, rootfs       bool
		packages            bool
		says                string
	}{
		{reason: "Cilium on Debian 12", id: "debian", release: "12"},
		{reason: "Cilium on Debian 13", id: "debian", release: "13"},
		{reason: "Cilium on Ubuntu 22.04", id: "ubuntu", release: "22.04"},
		{reason: "Cilium on Ubuntu 24.04", id: "ubuntu", release: "24.04"},
		{reason: "the light network on Debian 12", id: "debian", release: "12", light: true, packages: true},
		{reason: "the light network on Debian 13", id: "debian", release: "13", light: true, says: "packages of Debian 12"},
		{reason: "the light network on Ubuntu", id: "ubuntu", release: "24.04", light: true, says: "take a bundle with Cilium"},
		{reason: "containers of the bundle's own system", id: "ubuntu", release: "24.04", light: true, rootfs: true, packages: true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in, b := deploytest.Seed(t), deploytest.Bundle()
			b.Packages = []host.Package{{Name: "iptables", Blob: deploytest.Blob("1")}}
			if !tt.rootfs {
				b.RootFS = ""
			}
			if !tt.light {
				b.Components = append(b.Components, site.Component{Name: site.Cilium})
			}
			f := deploytest.Facts(in)
			for name, h := range f {
				h.ID, h.Version = tt.id, tt.release
				f[name] = h
			}
			w, err := deploy.Want(in, b, f, nil)
			if ok := err == nil && tt.says == "" || err != nil && tt.says != "" && strings.Contains(err.Error(), tt.says); !ok {
				t.Fatalf("got %v", err)
			}
			if got := slices.ContainsFunc(w.Items, func(i host.Item) bool { return i.Packages != nil }); got != tt.packages {
				t.Errorf("packages are installed: %v", got)
			}
		})
	}
}
