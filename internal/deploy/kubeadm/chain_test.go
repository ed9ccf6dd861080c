package kubeadm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// carrying is the bundle with older releases of Kubernetes.
func carrying(releases ...string) site.Bundle {
	b := deploytest.Bundle()
	image := func(v string) host.Image {
		return host.Image{Ref: "registry.k8s.io/kube-apiserver:v" + v, Manifest: deploytest.Blob(fmt.Sprintf("%02x", v[3]))}
	}
	b.Images = append(b.Images, image("1.36.4"))
	for i, v := range releases {
		b.Releases = append(b.Releases, site.Release{
			Version: v, Images: []host.Image{image(v)},
			Programs: []site.Program{{Name: "kubeadm", Digest: deploytest.Blob(fmt.Sprint(i + 1))}, {Name: "kubelet", Digest: deploytest.Blob(fmt.Sprint(i + 4))}},
		})
	}
	return b
}

// runs is the converged world with another Kubernetes on its nodes, the first being at the first version and so on.
func runs(w deploy.Wanted, versions ...string) deploy.World {
	world := deploytest.Converged(w)
	for i, n := range w.Intent.Nodes {
		v := "v" + versions[min(i, len(versions)-1)]
		state := world.Nodes[n.Name]
		state.StaticPods = map[string]string{"etcd": "3.6.16-0", "kube-apiserver": v, "kube-controller-manager": v, "kube-scheduler": v}
		world.Nodes[n.Name] = state
		node := world.Cluster.Nodes[n.NodeName]
		node.Status.NodeInfo.KubeletVersion = v
		world.Cluster.Nodes[n.NodeName] = node
	}
	return world
}

func TestTheWayOfAnOldCluster(t *testing.T) {
	for _, c := range []struct {
		reason         string
		carried, have  []string
		until, want    string
		refused        string
		kubeletOfFirst string
	}{
		{reason: "no cluster yet: the bundle's own", carried: []string{"1.34.4", "1.35.4"}, want: "1.36.4"},
		{reason: "no cluster yet, and an older one is asked for", carried: []string{"1.34.4", "1.35.4"}, until: "1.35", want: "1.35.4"},
		{reason: "it is there", carried: []string{"1.35.4"}, have: []string{"1.36.4"}, want: "1.36.4"},
		{reason: "a patch behind", have: []string{"1.36.1"}, want: "1.36.1 -> 1.36.4"},
		{reason: "one minor version behind needs nothing else", have: []string{"1.35.9"}, want: "1.35.9 -> 1.36.4"},
		{reason: "one behind, and the bundle carries a newer patch of it", carried: []string{"1.35.11"}, have: []string{"1.35.9"}, want: "1.35.9 -> 1.36.4"},
		{reason: "three behind", carried: []string{"1.34.4", "1.35.4"}, have: []string{"1.33.1"}, want: "1.33.1 -> 1.34.4 -> 1.35.4 -> 1.36.4"},
		{reason: "stopped on the way", carried: []string{"1.34.4", "1.35.4"}, have: []string{"1.33.1"}, until: "1.35", want: "1.33.1 -> 1.34.4 -> 1.35.4"},
		{reason: "a step was killed: the oldest node counts", carried: []string{"1.34.4", "1.35.4"}, have: []string{"1.35.4", "1.34.4", "1.34.4"}, want: "1.34.4 -> 1.35.4 -> 1.36.4"},
		{reason: "killed before a node's kubelet was changed", carried: []string{"1.35.4"}, have: []string{"1.35.4"}, kubeletOfFirst: "v1.34.4", want: "1.34.4 -> 1.35.4 -> 1.36.4"},
		{reason: "newer than the bundle: the judges say so", have: []string{"1.37.0"}, want: "1.37.0 -> 1.36.4"},
		{
			reason: "two behind, and the bundle carries nothing", have: []string{"1.34.4"},
			refused: "cannot go from Kubernetes 1.34.4 to 1.36.4: minor versions are gone through one by one, and the bundle carries 1.36.4; make one with 1.35 as well (jeroboam bundle bump kubernetes 1.35 --add)",
		},
		{reason: "a gap at the beginning", carried: []string{"1.35.4"}, have: []string{"1.32.0"}, refused: "make one with 1.33 and 1.34 as well"},
		{reason: "too old for kubeadm's configuration", carried: []string{"1.35.4"}, have: []string{"1.28.13"}, refused: "cannot be adopted: the next minor version is 1.29, and this program drives kubeadm from 1.31 on (kubeadm.k8s.io/v1beta4); bring the cluster to 1.30 first"},
		{reason: "a stop that the bundle does not carry", carried: []string{"1.35.4"}, have: []string{"1.34.4"}, until: "1.34", refused: "carries no such Kubernetes to stop at; it carries 1.35.4, 1.36.4"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			in := deploytest.Seed(t)
			w, err := deploy.Want(in, carrying(c.carried...), deploytest.Facts(in), nil)
			if err != nil {
				t.Fatal(err)
			}
			world := deploytest.Empty(w)
			if c.have != nil {
				world = runs(w, c.have...)
			}
			if c.kubeletOfFirst != "" {
				node := world.Cluster.Nodes[w.Intent.Nodes[0].NodeName]
				node.Status.NodeInfo.KubeletVersion = c.kubeletOfFirst
				world.Cluster.Nodes[w.Intent.Nodes[0].NodeName] = node
			}
			got, err := kubeadm.ChainOf(w.Wanted, world.World, c.until)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("want %q, have %v", c.refused, err)
				}
				return
			}
			if err != nil || got.String() != c.want {
				t.Errorf("want %q, have %q, %v", c.want, got, err)
			}
		})
	}
}

// TestTheChainIsWalked: each run plans one step with that step's own programs and images, names the rest, and the last
// one ends it.
func TestTheChainIsWalked(t *testing.T) {
	in := deploytest.Seed(t)
	own := carrying("1.34.4", "1.35.4")
	have := "1.33.1"
	for _, c := range []struct {
		version, program string
		rest             []string
	}{
		{"1.34.4", deploytest.Blob("1"), []string{"1.35.4", "1.36.4"}},
		{"1.35.4", deploytest.Blob("2"), []string{"1.36.4"}},
		{"1.36.4", deploytest.Blob("b"), nil},
	} {
		first, err := deploy.Want(in, own, deploytest.Facts(in), nil)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := kubeadm.ChainOf(first.Wanted, runs(first, have).World, "")
		if err != nil || chain.Next() != c.version || !slices.Equal(chain.Rest(), c.rest) {
			t.Fatalf("from %s: %v, %v", have, chain, err)
		}
		at, b, err := kubeadm.Step(in, own, chain.Next())
		if err != nil {
			t.Fatal(err)
		}
		w, err := deploy.Want(at, b, deploytest.Facts(at), nil)
		if err != nil {
			t.Fatal(err)
		}
		world := runs(w, have)
		p := plan.Judged(deploy.Diff(w, world, deploytest.Now()), kubeadm.Downgrades(w.Wanted, world.World), chain.Judge())
		var upgrades []string
		for _, change := range p.Changes {
			if change.Kind == "kubeadm" && change.Name == "upgrade" {
				upgrades = append(upgrades, change.Summary)
			}
		}
		if diff := cmp.Diff(slices.Repeat([]string{have + " -> " + c.version + ", one node at a time"}, len(in.Nodes)), upgrades); diff != "" {
			t.Error(diff)
		}
		var told []string
		for _, f := range p.Findings {
			if f.Judge == "downgrade" {
				t.Errorf("%s: %s", c.version, f.Text)
			}
			if f.Judge == "chain" {
				told = append(told, f.Text)
			}
		}
		if (len(told) == 1) != (c.rest != nil) || c.rest != nil && !strings.Contains(told[0], have+" -> "+c.version+" -> "+strings.Join(c.rest, " -> ")) {
			t.Errorf("the plan says of the way: %q", told)
		}
		if i := slices.IndexFunc(w.Bundle.Programs, func(p site.Program) bool { return p.Name == "kubeadm" }); w.Bundle.Programs[i].Digest != c.program || w.Bundle.Programs[i].Path != "/usr/bin/kubeadm" {
			t.Errorf("%s is made with the kubeadm %+v", c.version, w.Bundle.Programs[i])
		}
		var images []string
		for _, i := range w.Bundle.Images {
			images = append(images, i.Ref)
		}
		if diff := cmp.Diff([]string{"registry.k8s.io/pause:3.10.2", "registry.k8s.io/kube-apiserver:v" + c.version}, images); diff != "" {
			t.Error(diff)
		}
		have = c.version
	}
	if _, b, err := kubeadm.Step(in, own, "1.34.4"); err != nil || own.Versions["kubernetes"] != "1.36.4" || own.Programs[1].Digest != deploytest.Blob("b") || b.Versions["etcd-tag"] != "3.6.16-0" {
		t.Errorf("a step changed the bundle it was taken from: %v", err)
	}
}

// kubeadm of a release on the way knows nothing of a CoreDNS that is newer than itself, and must not look at it.
func TestCoreDNSOnTheWay(t *testing.T) {
	in := deploytest.Seed(t)
	own := carrying("1.34.4", "1.35.4")
	own.Versions["coredns-tag"] = "v1.14.2"
	for _, c := range []struct {
		reason, step, runs string
		passedOver         bool
	}{
		{"the bundle's own CoreDNS runs, and the release's kubeadm is older than it", "1.35.4", "v1.14.2", true},
		{"the cluster's CoreDNS is to be replaced, which its kubeadm does and checks", "1.34.4", "v1.11.3", false},
		{"the bundle's own kubeadm knows it, and may have another manifest of it", "1.36.4", "v1.14.2", false},
	} {
		at, b, err := kubeadm.Step(in, own, c.step)
		if err != nil {
			t.Fatal(err)
		}
		w, err := deploy.Want(at, b, deploytest.Facts(at), nil)
		if err != nil {
			t.Fatal(err)
		}
		var world kubeadm.World
		world.Cluster.Shared.CoreDNS = c.runs
		flags := strings.Join(kubeadm.PassedOver(w.Wanted, world, in.Nodes[0]), " ")
		for _, word := range []string{"--skip-phases=addon/coredns", "CoreDNSMigration", "CoreDNSUnsupportedPlugins"} {
			if strings.Contains(flags, word) != c.passedOver {
				t.Errorf("%s: %s", c.reason, flags)
			}
		}
		if !strings.Contains(flags, "SystemVerification") {
			t.Errorf("%s: %s", c.reason, flags)
		}
	}
}

// API servers do not go back to the version of kubelets that lag behind them: the plan says that this is why, and what
// to do.
func TestKubeletsThatLag(t *testing.T) {
	in := deploytest.Seed(t)
	in.Versions.Kubernetes = "1.34.4"
	w := deploytest.Want(t, in, deploytest.Facts(in))
	for _, tt := range []struct{ reason, kubelet, says string }{
		{"an older kubelet is why", "v1.33.1", "because kubelets are older than the API servers (" + in.Nodes[1].NodeName + " 1.33.1): do not allow it, but bring these kubelets to 1.35.9 first"},
		{"a plain downgrade", "v1.35.9", "Kubernetes 1.35.9 -> 1.34.4 is a downgrade"},
	} {
		world := runs(w, "1.35.9")
		node := world.Cluster.Nodes[in.Nodes[1].NodeName]
		node.Status.NodeInfo.KubeletVersion = tt.kubelet
		world.Cluster.Nodes[in.Nodes[1].NodeName] = node
		found := plan.Judged(plan.Plan{}, kubeadm.Downgrades(w.Wanted, world.World)).Blocked(nil)
		if len(found) != len(in.Nodes) {
			t.Fatalf("%s: %v", tt.reason, found)
		}
		for _, f := range found {
			if !strings.Contains(f.Text, tt.says) || strings.Contains(f.Text, "kubelets") != strings.Contains(tt.says, "kubelets") {
				t.Errorf("%s: %s", tt.reason, f.Text)
			}
		}
	}
}
