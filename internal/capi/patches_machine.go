package capi

import (
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// containerdConfig is containerd's whole configuration. The pause image keeps the tag that registries filled for
// magnum-cluster-api already hold.
const containerdConfig = `version = 2
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{ if .imageRepository }}{{ .imageRepository }}{{ else }}registry.k8s.io{{ end }}/pause:3.9"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
`

func containerdPatch() clusterv1.ClusterClassPatch {
	const file = "/etc/containerd/config.toml"
	return patch("containerdConfig", "Configuration of containerd.", "",
		onControlPlane(addFile(kubeadmPath, file, containerdConfig)), onWorkers(addFile(specPath, file, containerdConfig)))
}

const anyProxy = "or .proxy.http .proxy.https"

// containerdProxyPatch doubles percent signs because systemd expands them.
func containerdProxyPatch() clusterv1.ClusterClassPatch {
	const file = "/etc/systemd/system/containerd.service.d/proxy.conf"
	const content = `[Service]
Environment="HTTP_PROXY={{ .proxy.http | replace "%" "%%" }}"
Environment="HTTPS_PROXY={{ .proxy.https | replace "%" "%%" }}"
Environment="NO_PROXY={{ .proxy.noProxy | replace "%" "%%" }}"
`
	return patch("systemdProxyConfig", "HTTP proxy of containerd.", anyProxy,
		onControlPlane(addFile(kubeadmPath, file, content)), onWorkers(addFile(specPath, file, content)))
}

func aptProxyPatch() clusterv1.ClusterClassPatch {
	const file = "/etc/apt/apt.conf.d/90proxy"
	const content = `Acquire::http::Proxy "{{ .proxy.http }}";
Acquire::https::Proxy "{{ .proxy.https }}";
`
	return patch("aptProxyConfig", "HTTP proxy of apt.", `and (`+anyProxy+`) (or (eq .operatingSystem "ubuntu") (eq .operatingSystem "debian"))`,
		onControlPlane(addFile(kubeadmPath, file, content)), onWorkers(addFile(specPath, file, content)))
}

// Disks are found by their place on the bus: after the root disk comes etcd's, then the containers'. The image's
// hw_disk_bus says what Linux calls the bus (magnum-cluster-api 0.38: src/features).
const disk = `/dev/{{ if eq .hardwareDiskBus "scsi" }}sd{{ else }}vd{{ end }}`

func partition(device string) string {
	return `- {device: "` + device + `", layout: true, overwrite: false, tableType: gpt}
`
}

func filesystem(device, label string) string {
	return `- device: "` + device + `"
  filesystem: ext4
  label: ` + label + `
  extraOpts: ["-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"]
`
}

// mount names a file system by its label: fstab does so with LABEL=, Ignition's configuration without.
func mount(label, dir string) string {
	return `- ["{{ if ne .operatingSystem "flatcar" }}LABEL={{ end }}` + label + `", ` + dir + "]\n"
}

const (
	etcdLabel, etcdMount     = "etcd_disk", "/var/lib/etcd"
	dockerLabel, dockerMount = "docker_disk", "/var/lib/containerd"
)

func controlPlaneDisksPatch() clusterv1.ClusterClassPatch {
	const dockerDisk = disk + `{{ if .etcdVolume.size }}c{{ else }}b{{ end }}`
	both := func(etcd, docker string) string {
		return "{{ if .etcdVolume.size }}" + etcd + "{{ end }}{{ if .dockerVolume.size }}" + docker + "{{ end }}"
	}
	return patch("controlPlaneDisks", "File systems for etcd and containers on control plane machines.", "or .etcdVolume.size .dockerVolume.size",
		onControlPlane(
			add(kubeadmPath+"/diskSetup", "partitions:\n"+both(partition(disk+"b"), partition(dockerDisk))+
				"filesystems:\n"+both(filesystem(disk+"b", etcdLabel), filesystem(dockerDisk, dockerLabel))),
			add(kubeadmPath+"/mounts", both(mount(etcdLabel, etcdMount), mount(dockerLabel, dockerMount))),
		))
}

func workerDiskPatch() clusterv1.ClusterClassPatch {
	return patch("workerDisk", "File system for containers on worker machines.", ".dockerVolume.size", onWorkers(
		add(specPath+"/diskSetup", "partitions:\n"+partition(disk+"b")+"filesystems:\n"+filesystem(disk+"b", dockerLabel)),
		add(specPath+"/mounts", mount(dockerLabel, dockerMount)),
	))
}

// flatcarPatch boots with Ignition, which fills in no host name: kubeadm's configuration gets it by sed. It comes last,
// because it changes what other patches may have added.
func flatcarPatch() clusterv1.ClusterClassPatch {
	const node = "__REPLACE_NODE_NAME__"
	ops := func(root string, nodes ...string) []clusterv1.JSONPatch {
		ps := []clusterv1.JSONPatch{
			addValue(root+"/format", bootstrapv1.Ignition),
			addValue(root+"/ignition", map[string]any{"containerLinuxConfig": map[string]any{"additionalConfig": flatcarUnits}}),
			addValue(root+"/preKubeadmCommands/-", `sed -i "s/`+node+`/$(hostname -s)/g" /etc/kubeadm.yml`),
		}
		for _, n := range nodes {
			ps = append(ps, addValue(n+"/name", node))
		}
		return ps
	}
	return patch("flatcar", "Flatcar Container Linux boots with Ignition.", `eq .operatingSystem "flatcar"`,
		onControlPlane(ops(kubeadmPath, initNode, joinNode)...), onWorkers(ops(specPath, workerNode)...))
}

const flatcarUnits = `systemd:
  units:
  - name: coreos-metadata-sshkeys@.service
    enabled: true
  - name: kubeadm.service
    enabled: true
    dropins:
    - name: 10-flatcar.conf
      contents: |
        [Unit]
        Requires=containerd.service coreos-metadata.service
        After=containerd.service coreos-metadata.service

        [Service]
        EnvironmentFile=/run/metadata/flatcar
`
