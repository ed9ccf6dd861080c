package addon

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// cloudConfigDir is where cloud.conf and ca.crt are in the containers that use them (magnum-cluster-api 0.38.1).
const cloudConfigDir = "/etc/config"

// checksumAnnotation restarts pods that read the credential when they start, once it is another one.
const checksumAnnotation = "magnum.jeroboam.cloud/cloud-config"

// cloudConf is the configuration file of the cloud controller manager and the Cinder CSI driver.
func cloudConf(c Cluster) string {
	var out strings.Builder
	section := func(name string, pairs ...[2]string) {
		_, _ = fmt.Fprintf(&out, "[%s]\n", name) // a builder takes everything
		for _, p := range pairs {
			if p[1] != "" {
				_, _ = fmt.Fprintf(&out, "%s=%s\n", p[0], quote(p[1]))
			}
		}
	}
	ca := ""
	if len(c.Cloud.CA) > 0 {
		ca = cloudConfigDir + "/ca.crt"
	}
	section("Global",
		[2]string{"auth-url", c.Cloud.AuthURL}, [2]string{"region", c.Cloud.Region},
		[2]string{"application-credential-id", c.Cloud.ID}, [2]string{"application-credential-secret", c.Cloud.Secret},
		[2]string{"tls-insecure", fmt.Sprint(c.Cloud.Insecure)}, [2]string{"ca-file", ca})
	section("LoadBalancer",
		[2]string{"enabled", fmt.Sprint(c.Cloud.LoadBalancers)},
		[2]string{"lb-provider", c.Labels.String(label.OctaviaProvider)}, [2]string{"lb-method", balancing(c.Labels)},
		[2]string{"create-monitor", fmt.Sprint(c.Labels.Bool("octavia_lb_healthcheck"))},
		[2]string{"floating-network-id", c.Cloud.ExternalNetworkID})
	return out.String()
}

// balancing: the provider ovn knows one algorithm only (magnum-cluster-api 0.38.1).
func balancing(labels label.Values) string {
	switch {
	case labels.Has(label.OctaviaAlgorithm):
		return labels.String(label.OctaviaAlgorithm)
	case labels.String(label.OctaviaProvider) == "ovn":
		return "SOURCE_IP_PORT"
	}
	return "ROUND_ROBIN"
}

// quote writes a value of a gcfg file: a backslash and a quote are escaped, and there are no line ends in a value.
func quote(v string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(v) + `"`
}

func cloudConfigObjects(c Cluster) []*unstructured.Unstructured {
	data := m{"cloud.conf": base64.StdEncoding.EncodeToString([]byte(cloudConf(c)))}
	if len(c.Cloud.CA) > 0 {
		data["ca.crt"] = base64.StdEncoding.EncodeToString(c.Cloud.CA)
	}
	secret := &unstructured.Unstructured{Object: m{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": m{"name": "cloud-config"}, "data": data,
	}}
	objects := []*unstructured.Unstructured{secret}
	finish(CloudConfig, Namespace, objects)
	return objects
}

func cloudManagerValues(c Cluster) m {
	values := m{
		"cluster": m{"name": c.UUID}, // Octavia's descriptions name it: deletion finds load balancers by it
		"secret":  m{"create": false, "enabled": true, "name": "cloud-config"},
		"extraVolumes": []any{
			m{"name": "k8s-certs", "hostPath": m{"path": "/etc/kubernetes/pki"}},
			m{"name": "ssl-certs", "hostPath": m{"path": "/etc/ssl/certs"}},
		},
		"extraVolumeMounts": []any{
			m{"name": "k8s-certs", "mountPath": "/etc/kubernetes/pki", "readOnly": true},
			m{"name": "ssl-certs", "mountPath": "/etc/ssl/certs", "readOnly": true},
		},
		// kube-proxy waits until nodes have addresses, which is what this program gives them.
		"extraEnv": []any{
			m{"name": "KUBERNETES_SERVICE_HOST", "value": c.APIHost}, m{"name": "KUBERNETES_SERVICE_PORT", "value": fmt.Sprint(c.APIPort)},
		},
		// It runs before there is a network of pods, and so before there is a cluster DNS.
		"dnsPolicy":   "Default",
		"tolerations": anywhere(),
	}
	return values
}

// anywhere tolerates what nodes have while they come up.
func anywhere() []any {
	return []any{
		m{"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"},
		m{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
		m{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"},
		m{"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
		m{"key": "node.cilium.io/agent-not-ready", "operator": "Exists"},
	}
}

// restartWithCredential gives workloads that mount the credential a checksum of it.
func restartWithCredential(c Cluster, objects []*unstructured.Unstructured) {
	sum := sha256.Sum256(append([]byte(cloudConf(c)), c.Cloud.CA...))
	for _, u := range objects {
		if Watched(u.GetKind()) {
			// The path exists in every workload, or the API server refuses the object.
			_ = unstructured.SetNestedField(u.Object, hex.EncodeToString(sum[:8]), "spec", "template", "metadata", "annotations", checksumAnnotation)
		}
	}
}
