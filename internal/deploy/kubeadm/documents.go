package kubeadm

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// kubeadm's configuration, in the one version that kubeadm 1.31 to at least 1.37 reads. Fields are kubeadm's (v1beta4).
const kubeadmAPI = "kubeadm.k8s.io/v1beta4"

// registration is a node's part of kubeadm's configuration.
func registration(in intent.Intent, n intent.Node, t traits) m {
	args := maps.Clone(in.Kubernetes.KubeletExtraArgs)
	if args == nil {
		args = map[string]string{}
	}
	args["node-ip"] = n.NodeIP
	out := m{"name": n.NodeName, "criSocket": in.Kubernetes.CRISocket, "kubeletExtraArgs": extraArgs(args), "taints": []any{}}
	if ignored := t.ignored(in); len(ignored) > 0 {
		out["ignorePreflightErrors"] = ignored
	}
	return out
}

// extraArgs are v1beta4's: a list, because arguments may be repeated.
func extraArgs(args map[string]string) []any {
	var out []any
	for _, k := range slices.Sorted(maps.Keys(args)) {
		out = append(out, m{"name": k, "value": args[k]})
	}
	return out
}

// traits are what a host's kernel makes necessary.
type traits struct {
	// again: kubeadm goes on where an earlier run was stopped, and would complain of all that it finds.
	again bool

	// cgroupV1: kubelet has to be told that it may run here (Kubernetes 1.35: failCgroupV1).
	cgroupV1 bool
}

// ignored are the preflight checks of kubeadm that do not apply. SystemVerification wants to read the kernel's
// configuration, a file that the kernel's package puts on the host's /boot and no container has (kubernetes#96081), and
// refuses cgroup v1. What else it looks for, the controllers, preflight has looked for on the host.
func (t traits) ignored(in intent.Intent) []string {
	if t.again {
		return []string{"all"}
	}
	// The first is kubelet's directory of static pods, which is made before kubeadm runs.
	out := []string{"DirAvailable--etc-kubernetes-manifests", "SystemVerification"}
	if in.Kubernetes.AllowUnsafeSwap {
		out = append(out, "Swap")
	}
	slices.Sort(out)
	return out
}

// clusterConfiguration is the part that all nodes share, without which versions of images they run.
func clusterConfiguration(in intent.Intent, b site.Bundle) m {
	k := in.Kubernetes
	tls := func(args map[string]string, name string, value string) []any {
		if value != "" {
			args[name] = value
		}
		return extraArgs(args)
	}
	etcdTLS := ""
	if k.TLSMinVersion == "VersionTLS13" {
		etcdTLS = "TLS1.3"
	}
	etcd := m{"dataDir": "/var/lib/etcd", "extraArgs": tls(map[string]string{}, "tls-min-version", etcdTLS)}
	if v := b.Versions["etcd-tag"]; v != "" {
		etcd["imageTag"] = v
	}
	dns := m{}
	if v := b.Versions["coredns-tag"]; v != "" {
		dns["imageTag"] = v
	}
	c := m{
		"apiVersion": kubeadmAPI, "kind": "ClusterConfiguration",
		"kubernetesVersion":    "v" + in.Versions.Kubernetes,
		"controlPlaneEndpoint": in.Endpoint(),
		"networking":           m{"serviceSubnet": in.Network.ServiceCIDR, "podSubnet": in.Network.PodCIDR, "dnsDomain": in.Network.DNSDomain},
		"etcd":                 m{"local": etcd},
		"dns":                  dns,
		"apiServer":            m{"extraArgs": tls(oidc(k.OIDC), "tls-min-version", k.TLSMinVersion)},
		"controllerManager":    m{"extraArgs": tls(map[string]string{"bind-address": "0.0.0.0"}, "tls-min-version", k.TLSMinVersion)},
		"scheduler":            m{"extraArgs": tls(map[string]string{"bind-address": "0.0.0.0"}, "tls-min-version", k.TLSMinVersion)},
	}
	if k.ImageRepository != "" && k.ImageRepository != "registry.k8s.io" {
		c["imageRepository"] = k.ImageRepository
		dns["imageRepository"] = k.ImageRepository + "/coredns"
	}
	return c
}

func oidc(o intent.OIDC) map[string]string {
	args := map[string]string{}
	if o.IssuerURL != "" {
		args["oidc-issuer-url"], args["oidc-client-id"] = o.IssuerURL, o.ClientID
		if o.UsernameClaim != "" {
			args["oidc-username-claim"] = o.UsernameClaim
		}
	}
	return args
}

// kubeletConfiguration and kubeProxyConfiguration are kubeadm's further documents.
func kubeletConfiguration(in intent.Intent, t traits) m {
	c := m{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"cgroupDriver": in.Kubernetes.CgroupDriver(),
		// A node that cannot pull must not remove what it was given.
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		// In amounts, not percentages: the disk is the infra host's, shared and large, and 15 % of it are far more than a
		// node needs.
		"evictionHard": m{
			"memory.available": "100Mi", "nodefs.available": "2Gi", "imagefs.available": "2Gi", "nodefs.inodesFree": "1%", "imagefs.inodesFree": "1%",
		},
	}
	if in.Kubernetes.TLSMinVersion != "" {
		c["tlsMinVersion"] = in.Kubernetes.TLSMinVersion
	}
	if t.cgroupV1 {
		c["failCgroupV1"] = false
	}
	if in.Kubernetes.AllowUnsafeSwap {
		c["failSwapOn"] = false
	}
	return c
}

func kubeProxyConfiguration(in intent.Intent) m {
	c := m{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"metricsBindAddress": "0.0.0.0", "mode": "nftables", "clusterCIDR": in.Network.PodCIDR,
	}
	if in.Kubernetes.NonInitNamespace {
		// nf_conntrack_max is the physical host's: kube-proxy in a container may only fail to raise it (kubernetes#141943).
		c["conntrack"] = m{"maxPerCore": 0, "min": 0}
	}
	return c
}

// initDocuments are a node's settings as kubeadm reads them, and as /etc/kubernetes/kubeadm.yaml keeps them when they
// are in force. They have no secret.
func initDocuments(in intent.Intent, b site.Bundle, n intent.Node, t traits) (string, error) {
	docs := []m{
		{
			"apiVersion": kubeadmAPI, "kind": "InitConfiguration",
			"localAPIEndpoint": m{"advertiseAddress": n.NodeIP, "bindPort": in.Kubernetes.BackendPort},
			"nodeRegistration": registration(in, n, t),
		},
		clusterConfiguration(in, b),
		kubeletConfiguration(in, t),
	}
	if !in.Kubernetes.RemoveKubeProxy {
		docs = append(docs, kubeProxyConfiguration(in))
	}
	return documents(docs...)
}

// joinConfig lets a node join. It has the token and the key of the uploaded certificates: it is a secret for two hours.
func joinConfig(in intent.Intent, n intent.Node, t traits, s joinSecrets) (string, error) {
	return documents(m{
		"apiVersion": kubeadmAPI, "kind": "JoinConfiguration",
		"discovery": m{"bootstrapToken": m{
			"token": s.token, "apiServerEndpoint": in.Endpoint(), "caCertHashes": []any{s.caHash},
		}, "tlsBootstrapToken": s.token},
		"controlPlane": m{
			"certificateKey":   s.certificateKey,
			"localAPIEndpoint": m{"advertiseAddress": n.NodeIP, "bindPort": in.Kubernetes.BackendPort},
		},
		"nodeRegistration": registration(in, n, t),
	})
}

// joinSecrets are good for one run.
type joinSecrets struct{ token, caHash, certificateKey string }

// uploadConfig makes "kubeadm init phase upload-certs" use a key of ours, which so is no argument of a process.
func uploadConfig(in intent.Intent, b site.Bundle, n intent.Node, t traits, key string) (string, error) {
	return documents(m{
		"apiVersion": kubeadmAPI, "kind": "InitConfiguration", "certificateKey": key,
		"localAPIEndpoint": m{"advertiseAddress": n.NodeIP, "bindPort": in.Kubernetes.BackendPort},
		"nodeRegistration": registration(in, n, t),
	}, clusterConfiguration(in, b))
}

func documents(docs ...m) (string, error) {
	var out bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			out.WriteString("---\n")
		}
		text, err := yaml.Marshal(d)
		if err != nil {
			return "", fmt.Errorf("write kubeadm's configuration: %w", err)
		}
		out.Write(text)
	}
	return out.String(), nil
}

// The parts of a deployment that are kubeadm's.
const (
	// GroupRecord are the settings a node has, written when they are in force.
	GroupRecord = "record"
	// Group is what kubeadm does, and what is done to Node objects.
	Group = "control plane"
)

// Record is the file of a node that says which settings it has.
func Record(in intent.Intent, b site.Bundle, n intent.Node, f host.Facts) (host.Item, error) {
	text, err := initDocuments(in, b, n, traitsOf(f))
	// Not shown: the one of a node that the original collection made has what let it join.
	return host.Item{File: &host.File{Path: host.KubeadmConfig, Content: host.Mark + text, Mode: 0o640, Secret: true}}, err
}

func traitsOf(f host.Facts) traits { return traits{cgroupV1: f.Kernel != "" && !f.CgroupV2} }
