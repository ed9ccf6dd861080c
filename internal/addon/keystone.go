package addon

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// keystonePolicy is what a project's members may do in their clusters by their Keystone token alone, unless the operator's
// [kubernetes] keystone_auth_default_policy says otherwise (magnum-cluster-api 0.38.1, utils.py: the same).
const keystonePolicy = `[{"resource": {"verbs": ["list"], "resources": ["pods", "services", "deployments", "pvc"], "version": "*", "namespace": "default"},
  "match": [{"type": "role", "values": ["member"]}, {"type": "project", "values": ["$PROJECT_ID"]}]}]`

// CheckKeystonePolicy finds out whether an operator's policy is one: the webhook takes a list of objects.
func CheckKeystonePolicy(text []byte) error {
	var policies []map[string]any
	if err := json.Unmarshal(text, &policies); err != nil {
		return fmt.Errorf("it must be a JSON list of policies: %w", err)
	}
	return nil
}

func noKeystone(c Cluster) string {
	if !c.Labels.Bool(label.KeystoneAuthEnabled) {
		return "the label " + label.KeystoneAuthEnabled + " is false"
	}
	return ""
}

// keystoneObjects are the webhook that the API server asks about Keystone's tokens (package capi configures it there): one on each
// node of the control plane, on 127.0.0.1, with the API server's own certificate.
func keystoneObjects(c Cluster, image string) []m {
	const name, pki = "k8s-keystone-auth", "/etc/kubernetes/pki"
	policy := c.KeystonePolicy
	if policy == "" {
		policy = keystonePolicy
	}
	args := []any{
		"/bin/k8s-keystone-auth", "--listen=127.0.0.1:8443", "--tls-cert-file=" + pki + "/apiserver.crt",
		"--tls-private-key-file=" + pki + "/apiserver.key", "--policy-configmap-name=" + name + "-policy", "--keystone-url=" + keystoneURL(c.Cloud.AuthURL),
	}
	mounts := []any{m{"name": "pki", "mountPath": pki, "readOnly": true}, m{"name": "ssl-certs", "mountPath": "/etc/ssl/certs", "readOnly": true}}
	volumes := []any{m{"name": "pki", "hostPath": m{"path": pki}}, m{"name": "ssl-certs", "hostPath": m{"path": "/etc/ssl/certs"}}}
	if len(c.Cloud.CA) > 0 {
		args = append(args, "--keystone-ca-file="+cloudConfigDir+"/ca.crt")
		mounts = append(mounts, m{"name": "cloud-config", "mountPath": cloudConfigDir, "readOnly": true})
		volumes = append(volumes, m{"name": "cloud-config", "secret": m{"secretName": "cloud-config", "items": []any{m{"key": "ca.crt", "path": "ca.crt"}}}})
	}
	app := m{"app": name}
	return []m{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": m{"name": name}},
		{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": m{"name": name},
			"rules": []any{m{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"get", "list", "watch"}}},
		},
		{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": m{"name": name},
			"roleRef":  m{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
			"subjects": []any{m{"kind": "ServiceAccount", "name": name, "namespace": Namespace}},
		},
		{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": m{"name": name + "-policy"},
			"data": m{"policies": strings.ReplaceAll(policy, "$PROJECT_ID", c.ProjectID)},
		},
		{
			"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": m{"name": name, "labels": app},
			"spec": m{"selector": m{"matchLabels": app}, "template": m{
				"metadata": m{"labels": app},
				"spec": m{
					"serviceAccountName": name, "hostNetwork": true, "dnsPolicy": "Default", "priorityClassName": "system-node-critical",
					"nodeSelector": m{"node-role.kubernetes.io/control-plane": ""}, "tolerations": anywhere(),
					// The key is root's alone.
					"securityContext": m{"runAsUser": int64(0)},
					"containers": []any{m{
						"name": name, "image": image, "command": args, "volumeMounts": mounts,
						"readinessProbe": m{"tcpSocket": m{"host": "127.0.0.1", "port": int64(8443)}},
					}},
					"volumes": volumes,
				},
			}},
		},
	}
}

// keystoneURL ends with the version: the webhook asks for none.
func keystoneURL(auth string) string {
	auth = strings.TrimRight(auth, "/")
	if strings.HasSuffix(auth, "/v3") {
		return auth
	}
	return auth + "/v3"
}
