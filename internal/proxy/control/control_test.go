package control

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
)

//nolint:gochecknoglobals // made by TestMain
var management *kubetest.Cluster

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, kubetest.Options{CRDDirs: []string{"testdata/crds"}}, func(c *kubetest.Cluster) { management = c }))
}

func TestRead(t *testing.T) {
	const status = `"status":{"network":{"id":"net-1"},"apiServerLoadBalancer":{"internalIP":"10.0.0.5"}}`
	for _, tc := range []struct{ name, reason, in, want, why string }{
		{"v1beta1", "a private cluster as the Python driver makes it", `{"spec":{"disableAPIServerFloatingIP":true},` + status + `}`, "10.0.0.5:6443", ""},
		{"v1beta2", "the same with the newer fields", `{"spec":{"apiServer":{"enableFloatingIP":false,"managedLoadBalancer":{}}},` + status + `}`, "10.0.0.5:6443", ""},
		{"port", "the API server's port need not be 6443", `{"spec":{"disableAPIServerFloatingIP":true,"apiServerPort":8443},` + status + `}`, "10.0.0.5:8443", ""},
		{"v1beta2 port", "nor in the newer fields", `{"spec":{"apiServer":{"enableFloatingIP":false,"port":443}},` + status + `}`, "10.0.0.5:443", ""},
		{"IPv6", "networks have either family", `{"spec":{"disableAPIServerFloatingIP":true},"status":{"network":{"id":"n"},"apiServerLoadBalancer":{"internalIP":"fd00::5"}}}`, "[fd00::5]:6443", ""},
		{"no load balancer", "master_lb_enabled=false: the endpoint is on the network", `{"spec":{"disableAPIServerFloatingIP":true,"controlPlaneEndpoint":{"host":"10.0.0.9","port":6443}},"status":{"network":{"id":"n"}}}`, "10.0.0.9:6443", ""},
		{"no network yet", "said, not guessed", `{"spec":{"disableAPIServerFloatingIP":true}}`, "", "its network has no id in the status yet"},
		{"no address yet", "said, not guessed", `{"spec":{"disableAPIServerFloatingIP":true},"status":{"network":{"id":"n"}}}`, "", "its API server has no internal address in the status yet"},
		{"no address at all", "what a provider writes is not trusted", `{"spec":{"disableAPIServerFloatingIP":true},"status":{"network":{"id":"n"},"apiServerLoadBalancer":{"internalIP":"x; y"}}}`, "", `its internal address "x; y" is none`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &OpenStackCluster{}
			if err := json.Unmarshal([]byte(tc.in), o); err != nil {
				t.Fatal(err)
			}
			o.Labels = map[string]string{"cluster.x-k8s.io/cluster-name": "kube-aaaaa"}
			c := read(o)
			got := ""
			if c.Address.IsValid() {
				got = c.Address.String()
			}
			if got != tc.want || c.Why != tc.why || !c.Private {
				t.Errorf("%q, %q, private %v; want %q, %q (%s)", got, c.Why, c.Private, tc.want, tc.why, tc.reason)
			}
			o.Labels = nil
			if c := read(o); c.Why == "" {
				t.Error("a cluster without a name can be proxied")
			}
		})
	}
	for in, reason := range map[string]string{
		`{"spec":{"apiServerLoadBalancer":{"enabled":true}}}`:          "v1beta1: a floating IP unless it is switched off",
		`{"spec":{"apiServer":{"managedLoadBalancer":{}}}}`:            "v1beta2: likewise",
		`{"spec":{"disableAPIServerFloatingIP":false}}`:                "said outright",
		`{"spec":{"apiServer":{"enableFloatingIP":true,"port":6443}}}`: "said outright",
	} {
		o := &OpenStackCluster{}
		if err := json.Unmarshal([]byte(in), o); err != nil {
			t.Fatal(err)
		}
		if read(o).Private {
			t.Errorf("%s counts as private (%s)", in, reason)
		}
	}
}

// TestVersions: clusters are followed in the newest version that is served, and go on being followed when that one is
// taken away.
func TestVersions(t *testing.T) {
	c, err := connect(management.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.EnsureNamespace(t.Context(), management.Client, Namespace); err != nil {
		t.Fatal(err)
	}
	f := newFeed(convert, func(string) {})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.run(ctx, "openstackclusters", c.versions, &OpenStackCluster{}) }()
	defer func() { cancel(); <-done }()
	create := func(stack, version string, spec map[string]any) {
		t.Helper()
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "infrastructure.cluster.x-k8s.io/" + version, "kind": "OpenStackCluster",
			"metadata": map[string]any{"namespace": Namespace, "name": stack, "labels": map[string]any{"cluster.x-k8s.io/cluster-name": stack}}, "spec": spec,
			"status": map[string]any{"network": map[string]any{"id": "n"}, "apiServerLoadBalancer": map[string]any{"internalIP": "10.0.0.5"}},
		}}
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			err := management.Client.Create(t.Context(), o)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	followed := func(stack string, want schema.GroupVersion) {
		t.Helper()
		for range 6000 {
			c.versions.mu.Lock()
			served := c.versions.served
			c.versions.mu.Unlock()
			if got, ok := f.get(stack); ok && got.Private && got.Address.IsValid() && served == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s is not seen in %s", stack, want)
	}
	create("kube-two", "v1beta2", map[string]any{"apiServer": map[string]any{"enableFloatingIP": false}})
	followed("kube-two", versions()[0])

	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "openstackclusters.infrastructure.cluster.x-k8s.io"},
	}}
	without := []byte(`[{"op":"replace","path":"/spec/versions/1/served","value":false}]`)
	if err := management.Client.Patch(t.Context(), crd, client.RawPatch(types.JSONPatchType, without)); err != nil {
		t.Fatal(err)
	}
	create("kube-one", "v1beta1", map[string]any{"disableAPIServerFloatingIP": true})
	followed("kube-one", versions()[1])
	followed("kube-two", versions()[1])
}

func TestRewrite(t *testing.T) {
	const kubeconfig = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: AAAA\n    server: https://10.0.0.5:6443\n  name: kube-a\nkind: Config\nusers:\n- name: u\n  user:\n    token: secret-word\n"
	out, changed, err := rewrite([]byte(kubeconfig), "kube-a", Server("kube-a"))
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	if diff := cmp.Diff(strings.Replace(kubeconfig, "https://10.0.0.5:6443", "https://kube-a.magnum-system:6443", 1), string(out)); diff != "" {
		t.Error(diff)
	}
	if again, changed, err := rewrite(out, "kube-a", Server("kube-a")); err != nil || changed || again != nil {
		t.Error("what is right is written again", err)
	}
	two := "clusters:\n- cluster: {server: a}\n  name: x\n- cluster: {server: b}\n  name: kube-a\n"
	if out, _, err := rewrite([]byte(two), "kube-a", "c"); err != nil || !strings.Contains(string(out), "server: a") || strings.Contains(string(out), "server: b") {
		t.Errorf("the wrong cluster was changed: %s, %v", out, err)
	}
	for _, bad := range []string{"", "[]", "secret-word: [", "clusters: 7", "clusters: [{name: x}]", "clusters: [7, {cluster: 8}]"} {
		if _, changed, err := rewrite([]byte(bad), "kube-a", "s"); err == nil || changed || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%q: changed %v, %v", bad, changed, err)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add([]byte("clusters: [{name: a, cluster: {server: b}}]"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, changed, err := rewrite(in, "a", "s")
		if err != nil || !changed {
			return
		}
		if _, again, err := rewrite(out, "a", "s"); err != nil || again {
			t.Errorf("%q becomes %q, which is not done: %v", in, out, err)
		}
	})
}

func TestPatience(t *testing.T) {
	now := time.Now()
	p := patience{now: func() time.Time { return now }}
	var got []time.Duration
	for range 7 {
		got = append(got, p.next())
	}
	if diff := cmp.Diff([]time.Duration{0, 0, 0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, got); diff != "" {
		t.Error(diff)
	}
	for range 50 {
		if w := p.next(); w > 5*time.Minute || w <= 0 {
			t.Fatal(w)
		}
	}
	now = now.Add(11 * time.Minute)
	if w := p.next(); w != 0 {
		t.Errorf("long ago is not forgotten: %s", w)
	}
}

func TestKubeconfigRole(t *testing.T) {
	clusters := map[string]Cluster{"a": {Stack: "a", Private: true}, "b": {Stack: "b"}, "?": {Private: true}}
	r := kubeconfigRole(clusters, false)
	if diff := cmp.Diff([]string{"a-kubeconfig"}, r.Rules[0].ResourceNames); diff != "" {
		t.Error(diff)
	}
	if r := kubeconfigRole(clusters, true); len(r.Rules[0].ResourceNames) != 2 {
		t.Error(r.Rules)
	}
	if r := kubeconfigRole(nil, true); len(r.Rules) != 0 {
		t.Errorf("no clusters, and still a rule, which would mean every Secret: %v", r.Rules)
	}
}

func TestSlice(t *testing.T) {
	a := Advertised{netip.MustParseAddr("192.0.2.7"), 8443}
	want := slice("kube-a", "net1", a, time.Unix(0, 123456789))
	if got := want.Annotations[AnnotationTimestamp]; got != "1970-01-01T00:00:00.123456+00:00" {
		t.Errorf("timestamp %s is not Python's", got)
	}
	for name, change := range map[string]func(*discoveryv1.EndpointSlice){
		"address": func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses[0] = "192.0.2.8" },
		"port":    func(s *discoveryv1.EndpointSlice) { *s.Ports[0].Port = 1 },
		"label":   func(s *discoveryv1.EndpointSlice) { delete(s.Labels, LabelManaged) },
		"unready": func(s *discoveryv1.EndpointSlice) { *s.Endpoints[0].Conditions.Ready = false },
		"empty":   func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil },
		"stamp":   func(s *discoveryv1.EndpointSlice) { delete(s.Annotations, AnnotationTimestamp) },
	} {
		have := want.DeepCopy()
		change(have)
		if same(have, want) {
			t.Errorf("a slice with another %s counts as right", name)
		}
	}
	later := slice("kube-a", "net1", a, time.Now())
	if !same(later, want) {
		t.Error("a newer timestamp is a difference")
	}
	if six := slice("kube-a", "net1", Advertised{netip.MustParseAddr("2001:db8::7"), 1}, time.Now()); six.AddressType != discoveryv1.AddressTypeIPv6 {
		t.Error(six.AddressType)
	}
}

// TestSightings: only a change counts as a sign of life, a list of the same does not.
func TestSightings(t *testing.T) {
	now := time.Now()
	s := newSightings(func() time.Time { return now })
	lease := func(version string) *coordinationv1.Lease {
		l := &coordinationv1.Lease{}
		l.Name, l.ResourceVersion = "host.a", version
		return l
	}
	first := now
	if err := s.feed.Replace([]any{lease("1")}, ""); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	if err := s.feed.Replace([]any{lease("1")}, ""); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.get("host.a"); got.at != first {
		t.Error("the same state, listed again, counts as a sign of life")
	}
	if err := s.feed.Update(lease("2")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.get("host.a"); got.at != now {
		t.Error("a change does not count")
	}
}

// TestLeft: who is dead is judged by the observer's clock, and not for time in which the observer saw nothing.
func TestLeft(t *testing.T) {
	now := time.Now()
	o := &owner{now: func() time.Time { return now }}
	o.prepare()
	put := func(name, host, managed, version string) {
		s := slice("kube-a", host, Advertised{netip.MustParseAddr("192.0.2.7"), 1}, now)
		s.Name, s.ResourceVersion = name, version
		if managed == "" {
			delete(s.Labels, LabelManaged)
		}
		if err := o.slices.Update(s); err != nil {
			t.Fatal(err)
		}
	}
	alive := &coordinationv1.Lease{}
	alive.Name, alive.ResourceVersion = hostLease("alive"), "7"
	if err := o.leases.feed.Replace([]any{alive}, ""); err != nil {
		t.Fatal(err)
	}
	put("a", "alive", ManagedBy, "1")
	put("b", "none", ManagedBy, "1")
	put("c", "old", "", "1")
	began := now
	check := func(reason string, steady time.Time, wantDead, wantOld int) {
		t.Helper()
		dead, old := o.left(steady)
		if len(dead) != wantDead || len(old) != wantOld {
			t.Errorf("%s: dead %v, old %d; want %d, %d", reason, dead, len(old), wantDead, wantOld)
		}
	}
	check("at first", began, 0, 0)
	now = now.Add(deadAfter + time.Second)
	check("we were cut off until now", now, 0, 0)
	check("a lease that runs out, and none at all", began, 2, 0)
	next := alive.DeepCopy()
	next.ResourceVersion = "8"
	if err := o.leases.feed.Update(next); err != nil {
		t.Fatal(err)
	}
	check("one was renewed", began, 1, 0)
	now = began.Add(oldAfter - time.Second)
	put("c", "old", "", "2")
	check("an old host's slice is looked at", began, 2, 0)
	now = now.Add(oldAfter - time.Second)
	check("and stays while it is kept", began, 2, 0)
	now = now.Add(2 * time.Second)
	check("until nobody keeps it", began, 2, 1)
}
