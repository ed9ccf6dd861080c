package registry

import (
	"fmt"
	"slices"
	"strings"
)

// MagnumName is the name an image must have in the registry that a cluster's label container_infra_prefix names,
// without the prefix: "registry.k8s.io/kube-apiserver:v1.36.4" is "kube-apiserver:v1.36.4". The rules are those of
// magnum-cluster-api (image_utils.py), and those of metrics-server and of Kubernetes' test images, which it does not
// know; an image of another source has no name there, and a workload cluster cannot use it.
func MagnumName(reference string) (string, error) {
	host, rest, _ := strings.Cut(reference, "/")
	owner, name, nested := strings.Cut(rest, "/")
	switch {
	case host == "quay.io" && owner == "calico" && nested:
		return "calico/" + name, nil
	case host == "quay.io" && owner == "cilium" && nested:
		return "cilium-" + name, nil
	case host == "docker.io" && owner == "k8scloudprovider" && nested,
		host == "registry.k8s.io" && nested && slices.Contains([]string{"provider-os", "coredns", "autoscaling", "metrics-server", "e2e-test-images"}, owner):
		return name, nil
	case (host == "registry.k8s.io" && owner == "sig-storage" || host == "gcr.io" && owner == "k8s-staging-sig-storage") && nested:
		if strings.HasPrefix(name, "livenessprobe:") {
			return "csi-" + name, nil
		}
		return name, nil
	case host == "registry.k8s.io" && !nested &&
		(strings.HasPrefix(owner, "kube-") || strings.HasPrefix(owner, "etcd:") || strings.HasPrefix(owner, "pause:") || strings.HasPrefix(owner, "conformance:")):
		return owner, nil
	}
	return "", fmt.Errorf("%s has no name below container_infra_prefix", reference)
}
