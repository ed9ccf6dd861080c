package node

import (
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// publicRepository is where kubeadm's images are by default; the bundle has them under its names.
const publicRepository = "registry.k8s.io"

// imagesOf are the images that nodes are given. With kubernetes_image_repository kubeadm names its own, and no others,
// after that repository: they get those names beside the ones they have, so that nothing has to be pulled from there.
func imagesOf(in intent.Intent, b site.Bundle) []host.Image {
	repository := in.Kubernetes.ImageRepository
	if repository == "" || repository == publicRepository {
		return b.Images
	}
	out := slices.Clone(b.Images)
	for _, image := range b.Images {
		path, ok := strings.CutPrefix(image.Ref, publicRepository+"/")
		name, _, _ := strings.Cut(path, ":")
		if ok && slices.Contains(kubeadmImages(), name) {
			image.Ref = repository + "/" + path
			out = append(out, image)
		}
	}
	return out
}

// kubeadmImages are what "kubeadm config images list" has (kubeadm/app/images).
func kubeadmImages() []string {
	return []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns/coredns", "pause", "etcd"}
}
