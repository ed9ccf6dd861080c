package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

const (
	containerdUnit   = "/etc/systemd/system/containerd.service"
	containerdConfig = "/etc/containerd/config.toml"
	kubeletUnit      = "/etc/systemd/system/kubelet.service"
	kubeletDropIn    = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
)

// lateProgram says that a program is replaced after the control plane of its node in an upgrade: kubelet must never be
// newer than the API server it speaks to (Kubernetes' version skew policy).
func lateProgram(name string) bool { return name == "kubelet" || name == "kubectl" }

// Inside are the container's inside, up to kubeadm. Nothing of a distribution is installed: kubeadm asks for losetup,
// mount and cp (kubeadm 1.32 and later, preflight/checks_linux.go; conntrack before that, which clusters of that time
// have), which any base container has; kubelet goes on without iptables (pkg/util/iptables, NewBestEffort); kube-proxy
// and Cilium have their tools in their images.
func Inside(in intent.Intent, b site.Bundle, n intent.Node) ([]host.Item, error) {
	var out []host.Item
	file := func(path, content string) {
		out = append(out, host.Item{File: &host.File{Path: path, Content: content}})
	}
	for _, dir := range []string{"/etc/kubernetes", "/etc/kubernetes/manifests", certsDir, "/etc/cni/net.d", "/opt/cni/bin"} {
		out = append(out, host.Item{File: &host.File{Path: dir, Dir: true}})
	}
	for _, p := range b.Programs {
		if !lateProgram(p.Name) {
			out = append(out, host.Item{File: &host.File{Path: p.Path, Blob: p.Digest, Mode: 0o755}})
		}
	}
	settings := map[string]string{}
	for k, v := range in.Kubernetes.KubeletSysctls {
		if own(k) {
			settings[k] = v
		}
	}
	file("/etc/sysctl.d/90-jeroboam.conf", sysctlText(settings))
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		out = append(out, host.Item{Sysctl: &host.Sysctl{Key: k, Value: settings[k]}})
	}
	file("/etc/crictl.yaml", "runtime-endpoint: "+in.Kubernetes.CRISocket+"\nimage-endpoint: "+in.Kubernetes.CRISocket+"\ntimeout: 30\n")
	file(containerdConfig, containerdText(in, b))
	out = append(out, registryItems(in.Containerd)...)
	file(containerdUnit, containerdUnitText(in.Containerd))
	for _, u := range mountUnits(in.Kubernetes.AllowUnsafeSwap) {
		file("/etc/systemd/system/"+u.name, u.text)
		out = append(out, host.Item{Unit: &host.Unit{Name: u.name, Enabled: true, Active: true}})
	}
	out = append(
		out,
		host.Item{Unit: &host.Unit{
			Name: "containerd.service", Enabled: true, Active: true,
			Uses: []string{containerdConfig, containerdUnit, "/usr/bin/containerd"},
		}},
		host.Item{Images: &host.Images{Images: imagesOf(in, b)}},
	)
	network, err := networkItems(in, b, n)
	if err != nil {
		return nil, err
	}
	return slices.Concat(out, network, customCA(in.CustomCA)), nil
}

// Kubelet are what follows the control plane's version.
func Kubelet(b site.Bundle) []host.Item {
	var out []host.Item
	for _, p := range b.Programs {
		if lateProgram(p.Name) {
			out = append(out, host.Item{File: &host.File{Path: p.Path, Blob: p.Digest, Mode: 0o755}})
		}
	}
	return append(
		out,
		host.Item{File: &host.File{Path: kubeletUnit, Content: kubeletUnitText}},
		host.Item{File: &host.File{Path: kubeletDropIn, Content: kubeletDropInText}},
		host.Item{File: &host.File{Path: "/root/.kube", Dir: true, Mode: 0o750}},
		host.Item{File: &host.File{Path: "/root/.kube/config", Link: host.AdminConf}},
		// Without its configuration kubelet ends and is started again until kubeadm has written it.
		host.Item{Unit: &host.Unit{Name: "kubelet.service", Enabled: true, Active: true, Uses: []string{kubeletUnit, kubeletDropIn, "/usr/bin/kubelet"}}},
	)
}

// customCA are the operator's own authorities. One that is there already stays: kubeadm made everything with it.
func customCA(c intent.CustomCA) []host.Item {
	if !c.Allow {
		return nil
	}
	var out []host.Item
	for _, ca := range []struct {
		name, cert string
		key        intent.Secret
	}{{"ca", c.Cert, c.Key}, {"etcd/ca", c.EtcdCert, c.EtcdKey}, {"front-proxy-ca", c.FrontProxyCert, c.FrontProxyKey}} {
		if ca.cert == "" || !ca.key.Set() {
			continue
		}
		out = append(
			out,
			host.Item{File: &host.File{Path: "/etc/kubernetes/pki/" + ca.name + ".crt", Content: ca.cert, Once: true}},
			host.Item{File: &host.File{Path: "/etc/kubernetes/pki/" + ca.name + ".key", Content: ca.key.Reveal(), Mode: 0o600, Secret: true, Once: true}},
		)
	}
	return out
}

// containerdText is containerd 2's configuration.
func containerdText(in intent.Intent, b site.Bundle) string {
	pause := in.Containerd.PauseImage
	if v := b.Versions["pause-image"]; v != "" {
		pause = v
	}
	root, state := cmp.Or(in.Containerd.StorageDir, "/var/lib/containerd"), cmp.Or(in.Containerd.StateDir, "/run/containerd")
	return fmt.Sprintf(`# Written by jeroboam deploy.
version = 3
root = %q
state = %q
oom_score = 0

[debug]
  level = %q

[plugins."io.containerd.cri.v1.images"]
  snapshotter = %q
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = %q
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  max_container_log_line_size = -1
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "/usr/bin/runc"
        SystemdCgroup = %v
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
`, root, state, cmp.Or(in.Containerd.DebugLevel, "info"), cmp.Or(in.Containerd.Snapshotter, "overlayfs"), pause, in.Kubernetes.CgroupDriver() == "systemd")
}

// containerdUnitText is containerd's own unit (containerd.service of its repository), with the operator's proxies.
func containerdUnitText(c intent.Containerd) string {
	env := ""
	for _, e := range [][2]string{{"HTTP_PROXY", c.HTTPProxy}, {"HTTPS_PROXY", c.HTTPSProxy}, {"NO_PROXY", c.NoProxy}} {
		if e[1] != "" {
			env += fmt.Sprintf("Environment=%q\n", e[0]+"="+strings.ReplaceAll(e[1], "%", "%%")) // systemd.unit(5): specifiers
		}
	}
	return `[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target local-fs.target bpf-mount.service cilium-cgroup2-mount.service

[Service]
` + env + `ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
LimitNOFILE=1048576
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
`
}

type unitFile struct{ name, text string }

// mountUnits are what Cilium needs of a container, and the guard against swap. Each does its work once: the original
// mounts again on top whenever the unit restarts, and races with containerd at boot.
func mountUnits(swap bool) []unitFile {
	mount := func(what, where, kind string) string {
		return fmt.Sprintf(`[Unit]
Description=mount %[1]s at %[2]s for Cilium
DefaultDependencies=no
After=local-fs.target
Before=containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/bin/mkdir -p %[2]s
ExecStart=/bin/sh -c 'findmnt -n -t %[3]s %[2]s >/dev/null || mount %[1]s -t %[3]s %[2]s'
ExecStart=/bin/mount --make-shared %[2]s

[Install]
WantedBy=multi-user.target
`, what, where, kind)
	}
	out := []unitFile{
		{"bpf-mount.service", mount("bpffs", "/sys/fs/bpf", "bpf")},
		{"cilium-cgroup2-mount.service", mount("none", "/run/cilium/cgroupv2", "cgroup2")},
	}
	if !swap {
		out = append(out, unitFile{"noswap.service", strings.TrimLeft(`
[Unit]
Description=turn off swap for Kubernetes
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
# The swap that a container sees is its host's. Preflight has looked there; this says so at boot.
ExecStart=/bin/sh -c 'test "$(wc -l < /proc/swaps)" -le 1'

[Install]
WantedBy=multi-user.target
`, "\n")})
	}
	return out
}

const kubeletUnitText = `[Unit]
Description=kubelet: the Kubernetes node agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target containerd.service

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=2

[Install]
WantedBy=multi-user.target
`

// kubeletDropInText is the drop-in of Kubernetes' own packages.
const kubeletDropInText = `[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`
