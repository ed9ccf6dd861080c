package node_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// With a repository of its own kubeadm asks containerd for names that the bundle does not have: nodes have no way to
// pull them.
func TestImagesHaveTheNamesThatKubeadmAsksFor(t *testing.T) {
	b := deploytest.Bundle()
	b.Images = nil
	for _, ref := range []string{"kube-apiserver:v1.36.4", "kube-proxy:v1.36.4", "etcd:3.6.16-0", "coredns/coredns:v1.14.0", "pause:3.10.2", "cluster-api/cluster-api-controller:v1.14.2"} {
		b.Images = append(b.Images, host.Image{Ref: "registry.k8s.io/" + ref, Manifest: deploytest.Blob("d"), Blobs: []string{deploytest.Blob("d"), deploytest.Blob("e")}})
	}
	b.Images = append(b.Images, host.Image{Ref: "quay.io/jetstack/cert-manager-controller:v1.11.5", Manifest: deploytest.Blob("d")})
	for _, tt := range []struct {
		reason, repository string
		more               []string
	}{
		{"nobody has set it", "", nil},
		{"set to what it is", "registry.k8s.io", nil},
		{
			"kubeadm's images, CoreDNS one level further down, and nobody else's", "mirror.example.com:5000/k8s",
			[]string{
				"mirror.example.com:5000/k8s/kube-apiserver:v1.36.4", "mirror.example.com:5000/k8s/kube-proxy:v1.36.4", "mirror.example.com:5000/k8s/etcd:3.6.16-0",
				"mirror.example.com:5000/k8s/coredns/coredns:v1.14.0", "mirror.example.com:5000/k8s/pause:3.10.2",
			},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in := deploytest.Seed(t)
			in.Kubernetes.ImageRepository = tt.repository
			w, err := deploy.Want(in, b, deploytest.Facts(in), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range w.At(in.Nodes[0].Name, "node") {
				if item.Images != nil {
					for _, i := range item.Images.Images[len(b.Images):] {
						got = append(got, i.Ref)
					}
				}
			}
			if diff := cmp.Diff(tt.more, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
