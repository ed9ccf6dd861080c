package preflight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
)

func TestPreflightTellsEverythingAtOnce(t *testing.T) {
	in := deploytest.Seed(t, "../../osa")
	if err := preflight.Check(in, deploytest.Facts(in)); err != nil {
		t.Fatalf("good hosts: %v", err)
	}
	f := deploytest.Facts(in)
	bad := f[in.Nodes[0].PhysicalHost]
	bad.Swap, bad.Free, bad.Version, bad.Clock.Ahead, bad.Root = []string{"/dev/sda2"}, 1<<30, "10", time.Minute, false
	bad.Programs = map[string]bool{}
	bad.Interfaces = map[string][]string{}
	f[in.Nodes[0].PhysicalHost] = bad
	err := preflight.Check(in, f)
	for _, part := range []string{"swap is on", "GiB are free in", "none of the releases", "clock is 1m0s ahead", "not root", "no lxc-start", "no bridge br-mgmt"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %q in:\n%v", part, err)
		}
	}
}

// What a node is given are Debian's packages and the paths of its family: a host that is none fails before anything has changed.
func TestReleasesOfHosts(t *testing.T) {
	in := deploytest.Seed(t, "../../osa")
	name := in.Nodes[0].PhysicalHost
	for _, tt := range []struct{ id, version, says string }{
		{"debian", "12", ""},
		{"debian", "13", ""},
		{"ubuntu", "22.04", ""},
		{"ubuntu", "24.04", ""},
		{"debian", "11", "is none of the releases"},
		{"ubuntu", "24.10", "is none of the releases"},
		{"ubuntu", "26.04", "is none of the releases"},
		{"rocky", "9.4", "family of Red Hat"},
		{"centos", "9", "family of Red Hat"},
		{"almalinux", "10.0", "family of Red Hat"},
		{"rhel", "9", "family of Red Hat"},
		{"", "", "is none of the releases"},
	} {
		f := deploytest.Facts(in)
		h := f[name]
		h.ID, h.Version, h.Name = tt.id, tt.version, tt.id+" "+tt.version
		f[name] = h
		err := preflight.Check(in, f)
		if ok := err == nil && tt.says == "" || err != nil && tt.says != "" && strings.Contains(err.Error(), "host "+name+": ") && strings.Contains(err.Error(), tt.says); !ok {
			t.Errorf("%s %s: %v", tt.id, tt.version, err)
		}
	}
}
