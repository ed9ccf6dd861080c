package capi

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
)

// Paths on machines.
const (
	webhookDir      = "/etc/kubernetes/webhooks"
	webhookFile     = webhookDir + "/webhookconfig.yaml"
	auditPolicyDir  = "/etc/kubernetes/audit-policy"
	auditPolicyFile = auditPolicyDir + "/apiserver-audit-policy.yaml"
	auditHostDir    = "/var/log/kubernetes/audit"
	auditDir        = "/var/log/audit"
	kubeProxyScript = "/run/kubeadm/configure-kube-proxy.sh"
	admissionAlways = "NodeRestriction"
	localHostname   = "{{ local_hostname }}" // cloud-init fills it in
)

// kubeProxyMetrics lets kube-proxy's metrics be scraped from outside the node, as in clusters of magnum-cluster-api.
// Only the first machine's kubeadm reads a KubeProxyConfiguration; where its file is depends on cloud-init or Ignition.
const kubeProxyMetrics = `#!/bin/bash
set -euo pipefail
for config in /run/kubeadm/kubeadm.yaml /etc/kubeadm.yml; do
  [[ -f ${config} ]] || continue
  grep -q "kind: InitConfiguration" "${config}" || continue
  grep -q "kind: KubeProxyConfiguration" "${config}" && continue
  cat >> "${config}" <<'END'
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
metricsBindAddress: "0.0.0.0:10249"
END
done
`

// auditPolicy leaves out what is read all the time and never writes down what a Secret or a token holds.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
  verbs: [watch]
- level: None
  userGroups: ["system:nodes"]
  verbs: [get]
  resources: [{group: "", resources: [nodes, nodes/status]}]
- level: None
  users: ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"]
  verbs: [get, update]
  resources: [{group: "coordination.k8s.io", resources: [leases]}]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]
- level: None
  resources: [{group: "", resources: [events]}, {group: "events.k8s.io", resources: [events]}]
- level: Metadata
  resources:
  - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
  - {group: "authentication.k8s.io", resources: [tokenreviews]}
- level: Request
  verbs: [get, list, watch]
- level: RequestResponse
`

func arg(name, value string) bootstrapv1.Arg { return bootstrapv1.Arg{Name: name, Value: &value} }

// controlPlaneTemplate is what every control plane has before the class's patches.
func controlPlaneTemplate(name string) *controlplanev1.KubeadmControlPlaneTemplate {
	t := &controlplanev1.KubeadmControlPlaneTemplate{
		TypeMeta:   metav1.TypeMeta{APIVersion: controlPlaneAPI(), Kind: kubeadmControlPlaneTemplate},
		ObjectMeta: classMeta(name),
	}
	t.Spec.Template.Spec.Rollout.Before.CertificatesExpiryDays = 21
	t.Spec.Template.Spec.KubeadmConfigSpec = bootstrapv1.KubeadmConfigSpec{
		Format:               bootstrapv1.CloudConfig,
		ClusterConfiguration: clusterConfiguration(),
		InitConfiguration:    bootstrapv1.InitConfiguration{NodeRegistration: nodeRegistration()},
		JoinConfiguration:    bootstrapv1.JoinConfiguration{NodeRegistration: nodeRegistration()},
		Files: []bootstrapv1.File{
			{Path: kubeProxyScript, Owner: "root:root", Permissions: "0755", Content: kubeProxyMetrics},
		},
		PreKubeadmCommands: append([]string{
			"rm -rf /var/lib/etcd/lost+found", // of a file system made for etcd, which wants an empty directory
			"bash " + kubeProxyScript,
		}, restartContainerd()...),
	}
	return t
}

func clusterConfiguration() bootstrapv1.ClusterConfiguration {
	return bootstrapv1.ClusterConfiguration{
		APIServer: bootstrapv1.APIServer{
			ExtraArgs: []bootstrapv1.Arg{arg("profiling", "false")},
			ExtraVolumes: []bootstrapv1.HostPathMount{{
				Name: "webhooks", HostPath: webhookDir, MountPath: webhookDir, ReadOnly: new(true), PathType: corev1.HostPathDirectoryOrCreate,
			}},
		},
		ControllerManager: bootstrapv1.ControllerManager{ExtraArgs: []bootstrapv1.Arg{
			arg("bind-address", "0.0.0.0"), arg("cloud-provider", "external"), arg("profiling", "false"),
		}},
		Scheduler: bootstrapv1.Scheduler{ExtraArgs: []bootstrapv1.Arg{arg("bind-address", "0.0.0.0"), arg("profiling", "false")}},
		Etcd: bootstrapv1.Etcd{Local: bootstrapv1.LocalEtcd{
			ExtraArgs: []bootstrapv1.Arg{arg("listen-metrics-urls", "http://0.0.0.0:2381")},
		}},
	}
}

func nodeRegistration() bootstrapv1.NodeRegistrationOptions {
	return bootstrapv1.NodeRegistrationOptions{
		Name:             localHostname,
		KubeletExtraArgs: []bootstrapv1.Arg{arg("cloud-provider", "external")},
	}
}

// restartContainerd makes containerd see its configuration and, where /var/lib/containerd is a volume, its volume.
func restartContainerd() []string {
	return []string{"systemctl daemon-reload", "systemctl restart containerd"}
}

// workerTemplate is what every worker has before the class's patches.
func workerTemplate(name string) *bootstrapv1.KubeadmConfigTemplate {
	t := &bootstrapv1.KubeadmConfigTemplate{
		TypeMeta:   metav1.TypeMeta{APIVersion: bootstrapAPI(), Kind: kubeadmConfigTemplate},
		ObjectMeta: classMeta(name),
	}
	t.Spec.Template.Spec = bootstrapv1.KubeadmConfigSpec{
		Format:             bootstrapv1.CloudConfig,
		JoinConfiguration:  bootstrapv1.JoinConfiguration{NodeRegistration: nodeRegistration()},
		Files:              []bootstrapv1.File{{Path: "/etc/kubernetes/.placeholder", Owner: "root:root", Permissions: "0644", Content: "placeholder\n"}},
		PreKubeadmCommands: restartContainerd(),
	}
	return t
}

func classMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: Namespace, Labels: map[string]string{ManagedByLabel: ManagedBy}}
}
