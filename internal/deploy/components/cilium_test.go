package components_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// ciliumChart has the objects of Cilium's chart that are customised, as far as they matter.
const ciliumChart = `apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  cluster-pool-ipv4-cidr: 10.0.0.0/8
  cluster-pool-ipv4-mask-size: "24"
  tunnel-protocol: geneve
  tunnel-port: "6082"
  kube-proxy-replacement: "false"
  debug: "false"
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    spec:
      initContainers:
      - name: config
        env: [{name: K8S_NODE_NAME, value: x}]
      - name: clean-cilium-state
      - name: install-cni-binaries
      containers:
      - name: cilium-agent
        image: quay.io/cilium/cilium:v1.20.2
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cilium-operator, namespace: kube-system}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 50%}}
  template:
    spec:
      containers:
      - name: cilium-operator
`

func withCilium(manifest string) site.Bundle {
	b := deploytest.Bundle()
	b.Components = []site.Component{{Name: "cilium", Manifest: []byte(manifest), Values: map[string]any{
		"tunnelPort": 6082, "hubble": map[string]any{"enabled": false}, "ipam": map[string]any{"mode": "cluster-pool"},
	}}}
	b.Versions["cilium"] = "1.20.2"
	b.Versions["cluster-api"], b.Versions["cluster-api-openstack"] = "1.14.2", "0.13.0"
	return b
}

// lines are an object's leaves as "path = value", without those that nothing changes.
func lines(prefix string, value any) []string {
	switch v := value.(type) {
	case map[string]any:
		var out []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, lines(prefix+"."+k, v[k])...)
		}
		return out
	case []any:
		var out []string
		for i, item := range v {
			name := fmt.Sprint(i)
			if m, ok := item.(map[string]any); ok && m["name"] != nil {
				name = fmt.Sprint(m["name"])
			}
			out = append(out, lines(prefix+"["+name+"]", item)...)
		}
		return out
	}
	return []string{fmt.Sprintf("%s = %v", prefix, value)}
}

func customised(t *testing.T, in intent.Intent) []string {
	t.Helper()
	objects, err := components.Objects(in, withCilium(ciliumChart))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range objects {
		out = append(out, lines(o.U.GetKind(), o.U.Object)...)
	}
	return out
}

// TestCiliumFollowsTheConfiguration: each wish changes what the chart would have changed for it, and nothing else.
func TestCiliumFollowsTheConfiguration(t *testing.T) {
	const (
		sum      = ".spec.template.metadata.annotations.cilium.io/cilium-configmap-checksum"
		agent    = "DaemonSet.spec.template.spec.containers[cilium-agent].env"
		initial  = "DaemonSet.spec.template.spec.initContainers"
		operator = "Deployment.spec.template.spec.containers[cilium-operator].env"
	)
	reach := func(at string) []string {
		return []string{
			at + "[KUBERNETES_SERVICE_HOST].name = KUBERNETES_SERVICE_HOST", at + "[KUBERNETES_SERVICE_HOST].value = 172.29.236.9",
			at + "[KUBERNETES_SERVICE_PORT].name = KUBERNETES_SERVICE_PORT", at + "[KUBERNETES_SERVICE_PORT].value = 6443",
		}
	}
	for _, c := range []struct {
		reason string
		change func(*intent.Intent)
		want   []string
	}{
		{"another pool", func(in *intent.Intent) { in.Network.PodCIDR, in.Network.PodMaskSize = "10.99.0.0/16", 25 }, []string{
			"ConfigMap.data.cluster-pool-ipv4-cidr = 10.99.0.0/16", "ConfigMap.data.cluster-pool-ipv4-mask-size = 25",
		}},
		{"a smaller MTU on one node is that of all", func(in *intent.Intent) {
			in.Nodes[0].Networks[len(in.Nodes[0].Networks)-1].MTU = 9000
			in.Nodes[1].Networks[len(in.Nodes[1].Networks)-1].MTU = 1450
		}, []string{"ConfigMap.data.mtu = 1450"}},
		{"values that can be chosen late", func(in *intent.Intent) {
			in.Cilium.Values = map[string]any{"tunnelProtocol": "vxlan", "extraConfig": map[string]any{"debug": true}}
		}, []string{"ConfigMap.data.debug = true", "ConfigMap.data.tunnel-protocol = vxlan"}},
		{"no kube-proxy", func(in *intent.Intent) {
			in.Cilium.ReplaceKubeProxy, in.Kubernetes.ControlPlaneHost, in.Kubernetes.ControlPlanePort = true, "172.29.236.9", 6443
		}, slices.Concat([]string{
			"ConfigMap.data.devices = eth1", "ConfigMap.data.direct-routing-device = eth1", "ConfigMap.data.kube-proxy-replacement = true", "ConfigMap.data.kube-proxy-replacement-healthz-bind-address = 0.0.0.0:10256",
		}, reach(agent), reach(initial+"[config].env"), reach(initial+"[clean-cilium-state].env"), reach(operator))},
		{"no kube-proxy, and nodes whose interfaces have other names", func(in *intent.Intent) {
			in.Cilium.ReplaceKubeProxy, in.Kubernetes.ControlPlaneHost, in.Kubernetes.ControlPlanePort = true, "172.29.236.9", 6443
			in.Nodes[2].Networks[len(in.Nodes[2].Networks)-1].Interface = "mgmt0"
		}, slices.Concat([]string{
			"ConfigMap.data.devices = eth1 mgmt0", "ConfigMap.data.kube-proxy-replacement = true", "ConfigMap.data.kube-proxy-replacement-healthz-bind-address = 0.0.0.0:10256",
		}, reach(agent), reach(initial+"[config].env"), reach(initial+"[clean-cilium-state].env"), reach(operator))},
		{"one node", func(in *intent.Intent) { in.Nodes = in.Nodes[:1] }, []string{
			"Deployment.spec.replicas = 1", "Deployment.spec.strategy.rollingUpdate.maxUnavailable = 100%",
		}},
		{"one operator on three nodes", func(in *intent.Intent) {
			in.Cilium.Values = map[string]any{"operator": map[string]any{"replicas": int64(1)}}
		}, []string{"Deployment.spec.replicas = 1", "Deployment.spec.strategy.rollingUpdate.maxUnavailable = 100%"}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			in := deploytest.Seed(t)
			before := customised(t, in)
			c.change(&in)
			var got, sums []string
			for _, line := range customised(t, in) {
				if slices.Contains(before, line) {
					continue
				}
				if strings.Contains(line, sum) {
					sums = append(sums, line)
					continue
				}
				got = append(got, line)
			}
			want := slices.Clone(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			configured := slices.ContainsFunc(c.want, func(s string) bool { return strings.HasPrefix(s, "ConfigMap") })
			if (len(sums) == 2) != configured || len(sums) != 0 != configured {
				t.Errorf("pods restart for a ConfigMap that changes, and only then: %v", sums)
			}
		})
	}
}

func TestCiliumFromTheSeed(t *testing.T) {
	got := customised(t, deploytest.Seed(t))
	for _, want := range []string{
		"ConfigMap.data.cluster-pool-ipv4-cidr = 172.29.200.0/22", "ConfigMap.data.tunnel-protocol = geneve", "ConfigMap.data.tunnel-port = 6082",
		"ConfigMap.data.kube-proxy-replacement = false", "Deployment.spec.replicas = 2",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("there is no %q in %s", want, strings.Join(got, "\n"))
		}
	}
}

// TestCiliumOfAnotherChart: a chart without what is filled in is refused, or the configuration would have no effect.
func TestCiliumOfAnotherChart(t *testing.T) {
	for _, c := range []struct{ reason, manifest, want string }{
		{"an option has another name", strings.Replace(ciliumChart, "cluster-pool-ipv4-cidr", "pool", 1), "cilium-config has no cluster-pool-ipv4-cidr"},
		{"the operator has another name", strings.Replace(ciliumChart, "name: cilium-operator, ", "name: boss, ", 1), "no Deployment cilium-operator"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := components.Objects(deploytest.Seed(t), withCilium(c.manifest))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

func TestCiliumFits(t *testing.T) {
	fitting := func(t *testing.T) intent.Intent {
		t.Helper()
		in := deploytest.Seed(t)
		in.Versions.ClusterAPI, in.Versions.ClusterAPIProviderOpenStack = "1.14.2", "0.13.0"
		return in
	}
	for _, c := range []struct {
		reason string
		change func(*intent.Intent)
		want   string
	}{
		{"the collection's own version says nothing", func(in *intent.Intent) { in.Versions.Cilium = "1.14.8" }, ""},
		{"a version that was written is meant", func(in *intent.Intent) {
			in.Versions.Cilium = "1.19.4"
			in.Origins["versions.cilium"] = intent.Origin{Pos: osa.Pos{File: "user_variables.yml", Line: 1}}
		}, "the configuration asks for Cilium 1.19.4 (cilium_image_tag), the bundle has 1.20.2"},
		{"values the bundle has", func(in *intent.Intent) {
			in.Cilium.Values = map[string]any{"hubble": map[string]any{"enabled": false}, "tunnelPort": int64(8472)}
		}, ""},
		{"a value the bundle has otherwise", func(in *intent.Intent) {
			in.Cilium.Values = map[string]any{"hubble": map[string]any{"enabled": true}}
		}, "cilium_helm_values has hubble.enabled, and the bundle's Cilium was rendered with another value"},
		{"a value the bundle has not", func(in *intent.Intent) {
			in.Cilium.Values = map[string]any{"bpf": map[string]any{"masquerade": "secret"}}
		}, "cilium_helm_values has bpf.masquerade"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			in := fitting(t)
			c.change(&in)
			_, _, err := deploy.Decide(withCilium(ciliumChart), in, true)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("want %q, have %v", c.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the operator's value: %v", err)
			}
		})
	}
}

func TestCiliumStepsByMinor(t *testing.T) {
	for _, c := range []struct{ reason, have, want string }{
		{"none runs", "", ""},
		{"the same", "1.20.2", ""},
		{"a patch", "1.20.0", ""},
		{"one minor", "1.19.4", ""},
		{"the collection's", "1.14.8", "cilium 1.14.8 -> 1.20.2 skips minor versions: go through 1.15 first"},
		{"back", "1.20.3", "cilium 1.20.3 -> 1.20.2 is a downgrade: use a bundle that has 1.20.3 or newer"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			back := components.Back([]components.Running{{Component: "cilium", Have: c.have, Want: "1.20.2"}})
			got := ""
			for _, f := range back(plan.Plan{}) {
				got += f.Text
			}
			if got != c.want {
				t.Errorf("want %q, have %q", c.want, got)
			}
		})
	}
}
