package kubeadm

import (
	"maps"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// liveDocuments is kubeadm's configuration for a cluster that lives: what the cluster keeps, with what the
// configuration names put over it, and without what the configuration named before.
func liveDocuments(w Wanted, n intent.Node, s Shared, state host.Node) (string, error) {
	want, before := w.record(n), recorded(state)
	docs := []m{want["InitConfiguration"], overlaidCluster(want["ClusterConfiguration"], before["ClusterConfiguration"], document(s.Cluster))}
	docs = append(docs, overlaid(want["KubeletConfiguration"], before["KubeletConfiguration"], document(s.Kubelet)))
	if proxy, ok := want["KubeProxyConfiguration"]; ok {
		have := document(s.Proxy)
		docs = append(docs, overlaid(livingProxy(proxy, have), before["KubeProxyConfiguration"], have))
	}
	return documents(docs...)
}

func overlaid(want, before, have m) m {
	out := maps.Clone(have)
	if out == nil {
		out = m{}
	}
	for k := range before {
		if !has(want, k) {
			delete(out, k)
		}
	}
	for k, v := range want {
		inner, isMap := v.(m)
		if old, ok := out[k].(m); ok && isMap {
			v = overlaid(inner, nil, old)
		}
		out[k] = v
	}
	return out
}

// overlaidCluster keeps what the cluster was made with, such as its networks and names in certificates.
func overlaidCluster(want, before, have m) m {
	if have == nil {
		return want
	}
	out := runtime.DeepCopyJSON(have)
	out["apiVersion"] = kubeadmAPI
	for _, k := range []string{"kubernetesVersion", "imageRepository"} {
		if v, ok := want[k]; ok {
			out[k] = v
		}
	}
	set := func(value any, keys ...string) {
		inner := out
		for _, k := range keys[:len(keys)-1] {
			next, ok := inner[k].(m)
			if !ok {
				next = m{}
				inner[k] = next
			}
			inner = next
		}
		inner[keys[len(keys)-1]] = value
	}
	for _, keys := range [][]string{{"etcd", "local", "imageTag"}, {"dns", "imageTag"}, {"dns", "imageRepository"}} {
		if v := at(want, keys...); v != nil {
			set(v, keys...)
		}
	}
	for _, name := range host.StaticPods() {
		keys := append(argumentsAt()[name], "extraArgs")
		args := arguments(at(have, keys...))
		for k := range arguments(at(before, keys...)) {
			delete(args, k)
		}
		maps.Copy(args, arguments(at(want, keys...)))
		set(extraArgs(args), keys...)
	}
	if server, ok := out["apiServer"].(m); ok {
		delete(server, "timeoutForControlPlane") // of v1beta3
	}
	return out
}
