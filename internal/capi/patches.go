package capi

import (
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// A patch's templates are Go templates over the variables whose output is YAML. Text from a variable is always written
// with toJson, never bare, except inside files, where the variable's own character set makes it harmless.

const (
	specPath      = "/spec/template/spec"
	kubeadmPath   = specPath + "/kubeadmConfigSpec"
	apiServerPath = kubeadmPath + "/clusterConfiguration/apiServer"
	initNode      = kubeadmPath + "/initConfiguration/nodeRegistration"
	joinNode      = kubeadmPath + "/joinConfiguration/nodeRegistration"
	workerNode    = specPath + "/joinConfiguration/nodeRegistration"
)

// kubeadmPatches are the same for every infrastructure.
func kubeadmPatches() []clusterv1.ClusterClassPatch {
	return []clusterv1.ClusterClassPatch{
		certSANsPatch(),
		argumentsPatch(),
		auditLogPatch(),
		openIDConnectPatch(),
		keystonePatch(),
		keystoneAuthorizationPatch(),
		imageRepositoryPatch(),
		containerdPatch(),
		containerdProxyPatch(),
		aptProxyPatch(),
		controlPlaneDisksPatch(),
		workerDiskPatch(),
		nodeLabelsPatch(),
		nodeTaintsPatch(),
		controlPlaneRotationPatch(),
		workerRotationPatch(),
		signerPatch(),
		flatcarPatch(),
	}
}

// certSANsPatch names the API server as the management cluster reaches it through the proxy: the proxy finds the
// cluster by the name in the TLS handshake, and the certificate must hold it.
func certSANsPatch() clusterv1.ClusterClassPatch {
	const svc = "{{ .builtin.cluster.name }}.{{ .builtin.cluster.namespace }}"
	return patch("certSANs", "Names and addresses in the API server's certificate.", "", onControlPlane(
		add(apiServerPath+"/certSANs", `- {{ .builtin.cluster.name }}
- `+svc+`
- `+svc+`.svc
- `+svc+`.svc.cluster.local
{{- range .apiServerSANs }}
- {{ toJson . }}
{{- end }}
`)))
}

func argumentsPatch() clusterv1.ClusterClassPatch {
	const kubelet = `{name: tls-cipher-suites, value: {{ toJson .kubeletTLSCipherSuites }}}`
	return patch("arguments", "TLS cipher suites and admission plugins.", "",
		onControlPlane(
			add(apiServerPath+"/extraArgs/-", `{name: tls-cipher-suites, value: {{ toJson .apiServerTLSCipherSuites }}}`),
			add(apiServerPath+"/extraArgs/-", `{name: enable-admission-plugins, value: {{ toJson .admissionControlList }}}`),
			add(initNode+"/kubeletExtraArgs/-", kubelet),
			add(joinNode+"/kubeletExtraArgs/-", kubelet),
		),
		onWorkers(add(workerNode+"/kubeletExtraArgs/-", kubelet)))
}

func auditLogPatch() clusterv1.ClusterClassPatch {
	limit := func(arg, field string) clusterv1.JSONPatch {
		return add(apiServerPath+"/extraArgs/-", `{name: `+arg+`, value: "{{ .auditLog.`+field+` }}"}`)
	}
	return patch("auditLog", "Audit log of the API server.", ".auditLog.enabled", onControlPlane(
		addValue(kubeadmPath+"/files/-", map[string]any{
			"path": auditPolicyFile, "owner": "root:root", "permissions": "0600", "content": auditPolicy,
		}),
		addValue(apiServerPath+"/extraVolumes/-", map[string]any{
			"name": "audit-policy", "hostPath": auditPolicyDir, "mountPath": auditPolicyDir, "readOnly": true, "pathType": "DirectoryOrCreate",
		}),
		addValue(apiServerPath+"/extraVolumes/-", map[string]any{
			"name": "audit-logs", "hostPath": auditHostDir, "mountPath": auditDir, "pathType": "DirectoryOrCreate",
		}),
		addValue(apiServerPath+"/extraArgs/-", arg("audit-policy-file", auditPolicyFile)),
		addValue(apiServerPath+"/extraArgs/-", arg("audit-log-path", auditDir+"/kube-apiserver-audit.log")),
		limit("audit-log-maxage", "maxAge"), limit("audit-log-maxbackup", "maxBackup"), limit("audit-log-maxsize", "maxSize"),
	))
}

// openIDConnectPatch always gives all six arguments: an empty one is kube-apiserver's own default.
func openIDConnectPatch() clusterv1.ClusterClassPatch {
	one := func(arg, field string) clusterv1.JSONPatch {
		return add(apiServerPath+"/extraArgs/-", `{name: `+arg+`, value: {{ toJson .openidConnect.`+field+` }}}`)
	}
	return patch("openidConnect", "OpenID Connect tokens that the API server accepts.", ".openidConnect.issuerUrl", onControlPlane(
		one("oidc-issuer-url", "issuerUrl"), one("oidc-client-id", "clientId"),
		one("oidc-username-claim", "usernameClaim"), one("oidc-username-prefix", "usernamePrefix"),
		one("oidc-groups-claim", "groupsClaim"), one("oidc-groups-prefix", "groupsPrefix"),
	))
}

// keystonePatch lets the API server ask the webhook that the k8s-keystone-auth addon runs on its own host about tokens
// it does not know, and about what RBAC does not allow. Without the webhook, before the addon is there or when it is
// down, a token of Keystone's is refused with 401, and what RBAC does not allow with 403: a webhook named with
// --authorization-webhook-config-file would make a 500 of every refusal. It is asked about users that it has
// authenticated itself and no others: they have the project among their extra fields (cloud-provider-openstack 1.36,
// pkg/identity/keystone). kubeadm init waits for a refusal of its own user's first request, and gives up when each
// takes the seconds in which a webhook that is not there yet is tried again. It knows reviews of the version v1beta1
// only (keystone.go: "unknown apiVersion"). Kubernetes before 1.32 cannot be told so; there RBAC alone decides what a
// user may do.
func keystonePatch() clusterv1.ClusterClassPatch {
	return patch("keystoneAuth", "Keystone tokens.", ".enableKeystoneAuth", onControlPlane(
		addValue(kubeadmPath+"/files/-", map[string]any{
			"path": webhookFile, "owner": "root:root", "permissions": "0644", "content": keystoneWebhook,
		}),
		addValue(apiServerPath+"/extraArgs/-", arg("authentication-token-webhook-config-file", webhookFile)),
	))
}

func keystoneAuthorizationPatch() clusterv1.ClusterClassPatch {
	const enabled = `and .enableKeystoneAuth .builtin.controlPlane (semverCompare ">=1.32.0-0" .builtin.controlPlane.version)`
	return patch("keystoneAuthorization", "Keystone permissions.", enabled, onControlPlane(
		addValue(kubeadmPath+"/files/-", map[string]any{
			"path": authorizationFile, "owner": "root:root", "permissions": "0644", "content": keystoneAuthorization,
		}),
		addValue(apiServerPath+"/extraArgs/-", arg("authorization-config", authorizationFile)),
	))
}

// authorizationFile is in the directory of the webhook's configuration, which the API server's pod mounts.
const authorizationFile = webhookDir + "/authorization.yaml"

const keystoneAuthorization = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Node
  name: node
- type: RBAC
  name: rbac
- type: Webhook
  name: keystone
  webhook:
    timeout: 3s
    authorizedTTL: 30s
    unauthorizedTTL: 30s
    subjectAccessReviewVersion: v1beta1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    connectionInfo:
      type: KubeConfigFile
      kubeConfigFile: ` + webhookFile + `
    matchConditions:
    - expression: "'alpha.kubernetes.io/identity/project/id' in request.extra"
`

const keystoneWebhook = `apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: webhook
  cluster:
    server: https://127.0.0.1:8443/webhook
    # The webhook shows the API server's own certificate.
    certificate-authority: /etc/kubernetes/pki/ca.crt
    tls-server-name: kubernetes
users:
- name: webhook
contexts:
- name: webhook
  context: {cluster: webhook, user: webhook}
current-context: webhook
`

func imageRepositoryPatch() clusterv1.ClusterClassPatch {
	return patch("imageRepository", "Registry of Kubernetes' own images.", ".imageRepository", onControlPlane(
		fromVariable(kubeadmPath+"/clusterConfiguration/imageRepository", varImageRepository)))
}

// nodeLabelsPatch is for labels that Cluster API does not carry from Machines to nodes by itself.
func nodeLabelsPatch() clusterv1.ClusterClassPatch {
	return patch("nodeLabels", "Labels that kubelets register worker nodes with.", ".nodeLabels", onWorkers(
		add(workerNode+"/kubeletExtraArgs/-", `{name: node-labels, value: {{ toJson .nodeLabels }}}`)))
}

// nodeTaintsPatch registers nodes with taints. Cluster API's own taints need its alpha gate MachineTaintPropagation.
func nodeTaintsPatch() clusterv1.ClusterClassPatch {
	return patch("nodeTaints", "Taints that kubelets register worker nodes with.", ".nodeTaints", onWorkers(
		fromVariable(workerNode+"/taints", varNodeTaints)))
}

// patch makes a class patch. when is a template expression that must be true or not empty; "" is always.
func patch(name, doc, when string, defs ...clusterv1.PatchDefinition) clusterv1.ClusterClassPatch {
	p := clusterv1.ClusterClassPatch{Name: name, Description: doc, Definitions: defs}
	if when != "" {
		p.EnabledIf = "{{ if " + when + " }}true{{ end }}"
	}
	return p
}

func onControlPlane(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return clusterv1.PatchDefinition{
		Selector: clusterv1.PatchSelector{
			APIVersion: controlPlaneAPI(), Kind: kubeadmControlPlaneTemplate, MatchResources: clusterv1.PatchSelectorMatch{ControlPlane: new(true)},
		},
		JSONPatches: ops,
	}
}

func onWorkers(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return clusterv1.PatchDefinition{
		Selector:    clusterv1.PatchSelector{APIVersion: bootstrapAPI(), Kind: kubeadmConfigTemplate, MatchResources: workers()},
		JSONPatches: ops,
	}
}

func workers() clusterv1.PatchSelectorMatch {
	return clusterv1.PatchSelectorMatch{MachineDeploymentClass: &clusterv1.PatchSelectorMatchMachineDeploymentClass{Names: []string{WorkerClass}}}
}

func add(path, template string) clusterv1.JSONPatch {
	return clusterv1.JSONPatch{Op: "add", Path: path, ValueFrom: &clusterv1.JSONPatchValue{Template: template}}
}

func addValue(path string, v any) clusterv1.JSONPatch {
	return clusterv1.JSONPatch{Op: "add", Path: path, Value: rawp(v)}
}

func fromVariable(path, name string) clusterv1.JSONPatch {
	return clusterv1.JSONPatch{Op: "add", Path: path, ValueFrom: &clusterv1.JSONPatchValue{Variable: name}}
}

// addFile appends a file whose content is a template.
func addFile(path, file, content string) clusterv1.JSONPatch {
	indented := "  " + strings.ReplaceAll(strings.TrimSuffix(content, "\n"), "\n", "\n  ")
	return add(path+"/files/-", "path: "+file+"\nowner: root:root\npermissions: \"0644\"\ncontent: |\n"+indented+"\n")
}
