package kubeadm

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Settings are compared with what runs, not with what was written last: that also holds for a cluster that somebody
// else made, and for a run that was killed between writing and restarting. What the configuration does not name is
// nobody's business, except what it named before: /etc/kubernetes/kubeadm.yaml of a node is written after its settings
// are in force, so what it has and the configuration has no more is to go.

// differences are a node's.
type differences struct {
	pods    []string // of its static pods: the API server and etcd are restarted
	kubelet []string // of its kubelet, which alone is restarted
}

// documentsByKind reads a file with several documents of kubeadm's. What cannot be read counts as empty: it is
// replaced.
func documentsByKind(text string) map[string]m {
	out := map[string]m{}
	for _, part := range strings.Split("\n"+text, "\n---") {
		var doc m
		if yaml.Unmarshal([]byte(part), &doc) != nil {
			continue
		}
		if kind, ok := doc["kind"].(string); ok {
			out[kind] = doc
		}
	}
	return out
}

// at finds a value inside of documents: nil if it is not there.
func at(doc any, keys ...string) any {
	for _, k := range keys {
		inner, ok := doc.(m)
		if !ok {
			return nil
		}
		doc = inner[k]
	}
	return doc
}

// arguments reads extraArgs in the form of v1beta4, a list, or of the versions before, a map.
func arguments(v any) map[string]string {
	out := map[string]string{}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if name, ok := at(e, "name").(string); ok {
				out[name] = fmt.Sprint(at(e, "value"))
			}
		}
	case m:
		for name, value := range v {
			out[name] = fmt.Sprint(value)
		}
	}
	return out
}

// argumentsAt are the static pods that have extraArgs, and where in the ClusterConfiguration.
func argumentsAt() map[string][]string {
	return map[string][]string{
		"etcd": {"etcd", "local"}, "kube-apiserver": {"apiServer"}, "kube-controller-manager": {"controllerManager"}, "kube-scheduler": {"scheduler"},
	}
}

// argumentsDiffer compares arguments with those in force; before are those that were wanted when they were written
// last.
func argumentsDiffer(name string, want, before, have map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		switch v, ok := have[k]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s gets --%s=%s", name, k, want[k]))
		case v != want[k]:
			out = append(out, fmt.Sprintf("%s --%s %s -> %s", name, k, v, want[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if v, ok := have[k]; ok && v == before[k] && !has(want, k) {
			out = append(out, fmt.Sprintf("%s loses --%s=%s", name, k, v))
		}
	}
	return out
}

func has[V any](in map[string]V, k string) bool { _, ok := in[k]; return ok }

// fieldsDiffer compares a configuration's fields in the same way.
func fieldsDiffer(want, before, have m) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if k == "apiVersion" || k == "kind" {
			continue
		}
		// kubeadm writes every field of what it is given by half; an empty value is one that asks for none.
		if w, h := plainly(want[k]), plainly(have[k]); w == nil && h == nil || w != nil && kube.Within(w, h) {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s -> %s", k, briefly(have[k]), briefly(want[k])))
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if has(have, k) && !has(want, k) && reflect.DeepEqual(plainly(before[k]), plainly(have[k])) {
			out = append(out, fmt.Sprintf("%s %s -> (default)", k, briefly(have[k])))
		}
	}
	return out
}

// plainly is a value as a file has it, whatever Go type it was made with. What a file leaves out is nil.
func plainly(v any) any {
	text, err := yaml.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if yaml.Unmarshal(text, &out) != nil {
		return v
	}
	if n, ok := out.(m); ok && len(n) == 0 {
		return nil
	}
	return out
}

func briefly(v any) string {
	if v == nil {
		return "(default)"
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", ")
}

// commandArguments are those of a static pod's program.
func commandArguments(manifest string) map[string]string {
	var pod corev1.Pod
	out := map[string]string{}
	if yaml.Unmarshal([]byte(manifest), &pod) != nil || len(pod.Spec.Containers) == 0 {
		return out
	}
	for _, a := range slices.Concat(pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "="); ok && strings.HasPrefix(a, "--") {
			out[name] = value
		}
	}
	return out
}

// kubeletArguments are those in kubeadm-flags.env.
func kubeletArguments(env string) map[string]string {
	out := map[string]string{}
	_, flags, _ := strings.Cut(env, "KUBELET_KUBEADM_ARGS=")
	for _, a := range strings.Fields(strings.Trim(strings.TrimSpace(flags), `"`)) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "="); ok {
			out[name] = value
		}
	}
	return out
}

// record is what a node's kubeadm.yaml should say.
func (w Wanted) record(n intent.Node) map[string]m {
	for _, i := range w.At(n.Name, GroupRecord) {
		return documentsByKind(i.File.Content)
	}
	return nil
}

// recorded are the settings that were in force when we last wrote them down. The original collection rewrites the file
// in every run and applies it never: what that one names is no more ours than any other argument, and stays.
func recorded(state host.Node) map[string]m {
	text, ours := strings.CutPrefix(state.Settings[host.KubeadmConfig], host.Mark)
	if !ours {
		return nil
	}
	return documentsByKind(text)
}

// nodeDiffers compares the settings of a member with the configuration.
func nodeDiffers(w Wanted, n intent.Node, state host.Node) differences {
	var out differences
	if state.Settings == nil {
		return out // not looked at
	}
	want, before := w.record(n), recorded(state)
	for _, name := range host.StaticPods() {
		manifest, ok := state.Settings[path.Join(host.Manifests, name+".yaml")]
		if !ok {
			out.pods = append(out.pods, name+" has no manifest")
			continue
		}
		of := func(docs map[string]m) map[string]string {
			return arguments(at(docs["ClusterConfiguration"], append(argumentsAt()[name], "extraArgs")...))
		}
		out.pods = append(out.pods, argumentsDiffer(name, of(want), of(before), commandArguments(manifest))...)
	}
	if tag := w.Bundle.Versions["etcd-tag"]; tag != "" && version.Older(state.StaticPods["etcd"], tag) {
		out.pods = append(out.pods, fmt.Sprintf("etcd %s -> %s", state.StaticPods["etcd"], tag))
	}
	flags := func(docs map[string]m) map[string]string {
		return arguments(at(docs["InitConfiguration"], "nodeRegistration", "kubeletExtraArgs"))
	}
	env := kubeletArguments(state.Settings[host.KubeletFlags])
	wantFlags := flags(want)
	delete(wantFlags, "container-runtime-endpoint") // kubeadm moves it into a file of its own
	delete(env, "container-runtime-endpoint")
	out.kubelet = argumentsDiffer("kubelet", wantFlags, flags(before), env)
	config := document(state.Settings[host.KubeletConfig])
	out.kubelet = append(out.kubelet, fieldsDiffer(want["KubeletConfiguration"], before["KubeletConfiguration"], config)...)
	return out
}

// Shared are the settings that a cluster keeps for all its nodes, as kubeadm left them in its ConfigMaps, and the
// versions of its two addons. Empty texts are ConfigMaps that are not there.
type Shared struct {
	Cluster, Kubelet, Proxy string
	CoreDNS, ProxyTag       string
	// Pool is the range that Cilium hands out to nodes, "" without Cilium.
	Pool string
}

// ranges are those of pods and services, as the cluster has them.
func (s Shared) ranges() []string {
	doc := document(s.Cluster)
	out := []string{s.Pool}
	for _, key := range []string{"podSubnet", "serviceSubnet"} {
		text, _ := at(doc, "networking", key).(string) // none is no range
		out = append(out, strings.Split(text, ",")...)
	}
	return out
}

// SharedChanges compare what the cluster keeps with the configuration: what joining and upgraded nodes will get.
func SharedChanges(w Wanted, world World) []plan.Change {
	s := world.Cluster.Shared
	if s.Cluster == "" || !world.Cluster.Initialised {
		return nil
	}
	n := world.Bootstrap(w.Intent.Nodes)
	want, before := w.record(n), recorded(world.Nodes[n.Name])
	have, kubelet, proxy := document(s.Cluster), document(s.Kubelet), document(s.Proxy)
	var out []plan.Change
	add := func(name string, what []string) {
		if len(what) > 0 {
			out = append(out, SharedSettings{Name: name, What: what}.change())
		}
	}
	add(sharedCluster, clusterDiffers(want["ClusterConfiguration"], before["ClusterConfiguration"], have))
	proxyWant := livingProxy(want["KubeProxyConfiguration"], proxy)
	add(sharedKubelet, fieldsDiffer(want["KubeletConfiguration"], before["KubeletConfiguration"], kubelet))
	if s.Proxy != "" && !w.Intent.Kubernetes.RemoveKubeProxy {
		add(sharedProxy, fieldsDiffer(proxyWant, before["KubeProxyConfiguration"], proxy))
	}
	add(SharedAddons, addonsDiffer(w, s))
	return out
}

// livingProxy is kube-proxy's configuration for a cluster that has one: how it does its work is the cluster's, whoever
// made it.
func livingProxy(want, have m) m {
	if len(have) == 0 {
		return want
	}
	out := maps.Clone(want)
	for _, k := range []string{"mode", "clusterCIDR"} {
		delete(out, k)
		if v, ok := have[k]; ok {
			out[k] = v
		}
	}
	return out
}

// document reads one document; what cannot be read is replaced, as if it were empty.
func document(text string) m {
	var out m
	if yaml.Unmarshal([]byte(text), &out) != nil {
		return nil
	}
	return out
}

// clusterDiffers compares two ClusterConfigurations in what may change while a cluster lives. Its networks may not.
func clusterDiffers(want, before, have m) []string {
	var out []string
	for _, keys := range [][]string{{"kubernetesVersion"}, {"imageRepository"}, {"etcd", "local", "imageTag"}, {"dns", "imageTag"}} {
		if v := at(want, keys...); v != nil && !reflect.DeepEqual(v, at(have, keys...)) {
			out = append(out, fmt.Sprintf("%s %s -> %s", strings.Join(keys, "."), briefly(at(have, keys...)), briefly(v)))
		}
	}
	for _, name := range host.StaticPods() {
		keys := append(argumentsAt()[name], "extraArgs")
		out = append(out, argumentsDiffer(name, arguments(at(want, keys...)), arguments(at(before, keys...)), arguments(at(have, keys...)))...)
	}
	return out
}

// addonsDiffer: versions of CoreDNS and kube-proxy, which kubeadm brings with the last node of an upgrade.
func addonsDiffer(w Wanted, s Shared) []string {
	var out []string
	if want := w.Bundle.Versions["coredns-tag"]; want != "" && s.CoreDNS != "" && s.CoreDNS != want {
		out = append(out, fmt.Sprintf("coredns %s -> %s", s.CoreDNS, want))
	}
	if want := "v" + w.Intent.Versions.Kubernetes; s.ProxyTag != "" && s.ProxyTag != want && !w.Intent.Kubernetes.RemoveKubeProxy {
		out = append(out, fmt.Sprintf("kube-proxy %s -> %s", s.ProxyTag, want))
	}
	return out
}

type m = map[string]any
