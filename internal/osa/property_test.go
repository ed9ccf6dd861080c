package osa_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// cloud is a random but valid operator's configuration.
type cloud struct {
	groups  []string            // in file order
	members map[string][]string // group: hosts, in file order
	release string
}

func drawCloud(t *rapid.T) cloud {
	release := rapid.SampledFrom([]string{"30.1.5", "32.2.0", "33.0.1"}).Draw(t, "release")
	all := []string{"shared-infra_hosts", "magnum-infra_hosts", "load_balancer_hosts", "compute_hosts", "os-infra_hosts", "identity_hosts"}
	if release == "33.0.1" && rapid.Bool().Draw(t, "underscores") {
		for i := range all {
			all[i] = strings.ReplaceAll(all[i], "-", "_")
		}
	}
	hosts := []string{"alpha", "bravo", "charlie", "delta", "echo"}
	c := cloud{members: map[string][]string{}, release: release}
	for _, g := range rapid.Permutation(all).Draw(t, "order") {
		if m := rapid.SliceOfNDistinct(rapid.SampledFrom(hosts), 0, 4, rapid.ID).Draw(t, g); len(m) > 0 {
			c.groups, c.members[g] = append(c.groups, g), m
		}
	}
	if len(c.groups) == 0 {
		c.groups, c.members["compute_hosts"] = []string{"compute_hosts"}, []string{"alpha"}
	}
	return c
}

func (c cloud) text() string {
	head, _, _ := strings.Cut(working, "shared-infra_hosts:")
	var b strings.Builder
	b.WriteString(head)
	for _, g := range c.groups {
		fmt.Fprintf(&b, "%s:\n", g)
		for _, h := range c.members[g] {
			fmt.Fprintf(&b, "  %s: {ip: 172.29.236.%d}\n", h, 10+int(h[0]-'a'))
		}
	}
	return b.String()
}

// try makes the inventory of a cloud on top of an existing one ("" for none), with chance that counts up.
func (c cloud) try(t *rapid.T, dir, existing string) (*osa.Result, string) {
	if err := os.WriteFile(filepath.Join(dir, "openstack_user_config.yml"), []byte(c.text()), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, osa.InventoryFile)
	_ = os.Remove(path)
	if existing != "" {
		if err := os.WriteFile(path, []byte(existing), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	base := "testdata/base/30.1.5"
	if c.release == "33.0.1" {
		base = "testdata/base/33.0.1"
	}
	src, err := osa.Load(osa.Options{Config: dir, Environment: base, Release: c.release, System: filepath.Join(dir, "nowhere")})
	if err != nil {
		t.Fatal(err)
	}
	n := len(existing) // another run draws other names
	res, err := osa.Generate(src, osa.Draw{Suffix: func() string { n++; return fmt.Sprintf("%08x", n) }, Pick: func(uint64) uint64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	text, err := osa.WriteJSON(res.Inventory.Root())
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// A second and a third run change nothing.
func TestRunsAgainWithoutChange(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCloud(t)
		_, first := c.try(t, dir, "")
		// From the second run on, hosts come in the order of the file: that alone may reorder the group lxc_hosts.
		_, second := c.try(t, dir, first)
		res, third := c.try(t, dir, second)
		if diff := cmp.Diff(second, third); diff != "" || res.Changed {
			t.Fatalf("changed (%v):\n%s", res.Changed, diff)
		}
		if diff := cmp.Diff(sortedLines(first), sortedLines(second)); diff != "" {
			t.Fatalf("the second run changes more than an order:\n%s", diff)
		}
	})
}

func sortedLines(s string) []string {
	lines := strings.Split(strings.ReplaceAll(s, ",", ""), "\n")
	slices.Sort(lines)
	return lines
}

// Each container has an address of its own, in the network, not reserved, and its name starts with its host's.
func TestContainersHaveTheirAddress(t *testing.T) {
	dir := t.TempDir()
	network, reserved := netip.MustParsePrefix("172.29.236.0/22"), netip.MustParseAddr("172.29.236.50")
	rapid.Check(t, func(t *rapid.T) {
		res, _ := drawCloud(t).try(t, dir, "")
		seen := map[string]string{}
		for _, h := range res.Inventory.Hosts() {
			a := netip.MustParseAddr(h.ManagementAddress())
			if other, twice := seen[a.String()]; twice || !network.Contains(a) || !h.IsMetal() && a.Compare(reserved) <= 0 {
				t.Fatalf("%s has %s, as %q has", h.Name, a, other)
			}
			seen[a.String()] = h.Name
			if !strings.HasPrefix(h.Name, h.PhysicalHost()) {
				t.Fatalf("%s is on %s", h.Name, h.PhysicalHost())
			}
		}
	})
}

// The order of groups and hosts in the configuration decides orders in the inventory, and nothing else.
func TestOrderOfConfigurationMattersLittle(t *testing.T) {
	dir := t.TempDir()
	names := func(inv *osa.Inventory) map[string][]string {
		out := map[string][]string{}
		for _, g := range inv.Groups() {
			for _, m := range append(slices.Clone(g.Hosts), g.Children...) {
				if i := strings.LastIndex(m, "-container-"); i >= 0 {
					m = m[:i]
				}
				out[g.Name] = append(out[g.Name], m)
			}
			slices.Sort(out[g.Name])
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		c := drawCloud(t)
		before, _ := c.try(t, dir, "")
		other := cloud{groups: rapid.Permutation(c.groups).Draw(t, "groups"), members: map[string][]string{}, release: c.release}
		for _, g := range other.groups {
			other.members[g] = rapid.Permutation(c.members[g]).Draw(t, g)
		}
		after, _ := other.try(t, dir, "")
		if diff := cmp.Diff(names(before.Inventory), names(after.Inventory)); diff != "" {
			t.Fatalf("groups differ:\n%s", diff)
		}
	})
}

// A host that is added only adds: what was there keeps its place, its name and its variables.
func TestAddingAHostOnlyAdds(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCloud(t)
		_, first := c.try(t, dir, "")
		before, second := c.try(t, dir, first)
		g := rapid.SampledFrom(c.groups).Draw(t, "group")
		c.members[g] = append(slices.Clone(c.members[g]), "zulu")
		after, _ := c.try(t, dir, second)
		for _, h := range before.Inventory.Hosts() {
			now, ok := after.Inventory.Host(h.Name)
			if !ok || !osa.Equal(h.Vars, now.Vars) {
				t.Fatalf("%s changed", h.Name)
			}
		}
		for _, old := range before.Inventory.Groups() {
			now, ok := after.Inventory.Group(old.Name)
			if !ok || len(now.Hosts) < len(old.Hosts) || !slices.Equal(old.Children, now.Children) {
				t.Fatalf("group %s lost something: %v, then %v", old.Name, old, now)
			}
			if !slices.Equal(old.Hosts, now.Hosts[:len(old.Hosts)]) {
				t.Fatalf("group %s was reordered: %v, then %v", old.Name, old.Hosts, now.Hosts)
			}
		}
		if _, ok := after.Inventory.Host("zulu"); !ok {
			t.Fatal("zulu is missing")
		}
	})
}

// big is a cloud of 500 hosts that run 3,000 containers.
func big(b *testing.B) osa.Options {
	b.Helper()
	var s strings.Builder
	s.WriteString(strings.Replace(working[:strings.Index(working, "shared-infra_hosts:")], "172.29.236.0/22", "172.16.0.0/16", 1))
	s.WriteString("shared-infra_hosts: &all\n")
	for i := range 500 {
		fmt.Fprintf(&s, "  host%03d:\n    ip: 172.16.%d.%d\n", i, i/250, 1+i%250)
	}
	s.WriteString("magnum-infra_hosts: *all\nidentity_hosts: *all\n")
	return operator(b, map[string]string{"openstack_user_config.yml": s.String()})
}

func BenchmarkBig(b *testing.B) {
	opts := big(b)
	run := func(b *testing.B) string {
		b.Helper()
		src, err := osa.Load(opts)
		if err != nil {
			b.Fatal(err)
		}
		res, err := osa.Generate(src, osa.NewDraw())
		if err != nil {
			b.Fatal(err)
		}
		text, err := osa.WriteJSON(res.Inventory.Root())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(res.Inventory.Hosts())), "hosts")
		return string(text)
	}
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run(b)
		}
	})
	b.Run("original", func(b *testing.B) {
		trees, _ := filepath.Glob(filepath.Join(os.Getenv("OSA_ORIGINALS"), "*", "osa_toolkit"))
		if os.Getenv("OSA_ORIGINALS") == "" || len(trees) == 0 {
			b.Skip("OSA_ORIGINALS names no releases: the original is not measured beside")
		}
		tree := filepath.Dir(trees[len(trees)-1])
		for b.Loop() {
			out, err := exec.CommandContext(b.Context(), "/usr/bin/python3", "testdata/original.py", tree, opts.Config, opts.Environment).Output()
			if err != nil || len(out) == 0 {
				b.Fatalf("the original (it needs Debian's python3-yaml and python3-netaddr): %v", err)
			}
		}
	})
	b.Run("existing", func(b *testing.B) {
		if err := os.WriteFile(filepath.Join(opts.Config, osa.InventoryFile), []byte(run(b)), 0o644); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			run(b)
		}
	})
}
