package bundle_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestOurLockIsGood(t *testing.T) {
	lock, err := bundle.ReadLock("../../bundle.lock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(lock.Images) < 10 || len(lock.Files) < 10 {
		t.Errorf("it names %d images and %d files", len(lock.Images), len(lock.Files))
	}
	for _, i := range lock.Images {
		if i.Digest == "" && (i.Group == "" || slices.Contains(lock.Default, i.Group)) {
			t.Errorf("image %s has no digest", i.Name)
		}
	}
}

// TestAllProblemsAtOnce: a person who repairs a lock sees everything that is wrong with it, where it is.
func TestAllProblemsAtOnce(t *testing.T) {
	text, err := os.ReadFile("testdata/bad.lock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = bundle.ParseLock("bad.lock.yaml", text)
	var problems *bundle.LockError
	if !errors.As(err, &problems) {
		t.Fatalf("want all problems, have %v", err)
	}
	golden := filepath.Join("testdata", "bad.problems")
	if *update {
		if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, readErr := os.ReadFile(golden)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
		t.Error(diff)
	}
	for _, p := range problems.Problems {
		if p.Line < 1 || p.Line > strings.Count(string(text), "\n") {
			t.Errorf("%s is outside the file", p)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	for _, file := range []string{"testdata/bad.lock.yaml", "../../bundle.lock.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("version: 1\nfiles: [null, {}]\nimages: {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lock, err := bundle.ParseLock("lock", text)
		if (lock == nil) == (err == nil) {
			t.Errorf("lock %v, error %v", lock, err)
		}
		var problems *bundle.LockError
		if err != nil && !errors.As(err, &problems) {
			t.Errorf("not a list of problems: %v", err)
		}
	})
}

func TestMagnumName(t *testing.T) {
	for _, c := range []struct{ reason, reference, want string }{
		{"calico keeps its owner", "quay.io/calico/node:v3.31.0", "calico/node:v3.31.0"},
		{"cilium's owner becomes a prefix", "quay.io/cilium/operator-generic:v1.20.2", "cilium-operator-generic:v1.20.2"},
		{"storage loses its owner", "registry.k8s.io/sig-storage/csi-attacher:v4.9.0", "csi-attacher:v4.9.0"},
		{"the liveness probe is renamed", "registry.k8s.io/sig-storage/livenessprobe:v2.17.0", "csi-livenessprobe:v2.17.0"},
		{"the cloud provider", "registry.k8s.io/provider-os/openstack-cloud-controller-manager:v1.36.0", "openstack-cloud-controller-manager:v1.36.0"},
		{"and its old place", "docker.io/k8scloudprovider/cinder-csi-plugin:v1.25.0", "cinder-csi-plugin:v1.25.0"},
		{"CoreDNS", "registry.k8s.io/coredns/coredns:v1.14.2", "coredns:v1.14.2"},
		{"the autoscaler", "registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.0", "cluster-autoscaler:v1.36.0"},
		{"kubeadm's images stay", "registry.k8s.io/kube-proxy:v1.36.4", "kube-proxy:v1.36.4"},
		{"etcd", "registry.k8s.io/etcd:3.6.16-0", "etcd:3.6.16-0"},
		{"what tests run in pods", "registry.k8s.io/e2e-test-images/agnhost:2.63.0", "agnhost:2.63.0"},
		{"the tests themselves", "registry.k8s.io/conformance:v1.36.4", "conformance:v1.36.4"},
		{"what a workload cluster does not have", "quay.io/jetstack/cert-manager-webhook:v1.11.5", ""},
		{"another repository that begins with etcd", "registry.k8s.io/etcdx:1", ""},
	} {
		got, err := registry.MagnumName(c.reference)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %s is %q, %v; want %q", c.reason, c.reference, got, err, c.want)
		}
	}
}
