package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	defaultClass = "storageclass.kubernetes.io/is-default-class"
	cinderDriver = "cinder.csi.openstack.org"
	claimName    = "claim"
	written      = "mount-tester new file" // what agnhost mounttest writes
)

// class is the storage class that the check uses, or the reason for which there is none.
func (r *run) class(ctx context.Context) (string, error) {
	if !r.Volumes {
		return "", skipped("the cloud's catalog has no Cinder (block-storage)")
	}
	list, err := r.kube.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var have []string
	for _, c := range list.Items {
		if c.Name == r.StorageClass || r.StorageClass == "" && c.Annotations[defaultClass] == "true" {
			return c.Name, nil
		}
		have = append(have, c.Name)
	}
	if r.StorageClass != "" {
		return "", fmt.Errorf("--storage-class: the cluster has no class %q; it has %s", r.StorageClass, strings.Join(append(have, "no other"), ", "))
	}
	drivers, err := r.kube.StorageV1().CSIDrivers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, d := range drivers.Items {
		if d.Name == cinderDriver {
			return "", fmt.Errorf("the cluster has Cinder's driver and no default storage class; it has the classes %q", have)
		}
	}
	return "", skipped("the cluster has no storage driver: the label cinder_csi_enabled, or what the catalogue of addons has, decides it")
}

// volume has a claim bound, writes a file, and reads it on another node.
func (r *run) volume(ctx context.Context) (string, error) {
	class, err := r.class(ctx)
	if err != nil {
		return "", err
	}
	_, err = r.kube.CoreV1().PersistentVolumeClaims(r.namespace()).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: claimName},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("make the claim: %w", err)
	}
	first, err := r.mounts(ctx, "writer", "")
	if err != nil {
		return "", err
	}
	if err := r.file(ctx, "writer", "--new_file_0644"); err != nil {
		return "", fmt.Errorf("write a file on the volume, on node %s: %w", first, err)
	}
	if err := r.gone(ctx, "writer"); err != nil {
		return "", err
	}
	nodes, err := r.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	not := first
	if len(nodes.Items) < 2 {
		not = "" // detached and attached again is all there is to see
	}
	second, err := r.mounts(ctx, "reader", not)
	if err != nil {
		return "", fmt.Errorf("after node %s: %w", first, err)
	}
	if err := r.file(ctx, "reader", "--file_content"); err != nil {
		return "", fmt.Errorf("read, on node %s, the file that was written on node %s: %w", second, first, err)
	}
	if err := r.gone(ctx, "reader"); err != nil {
		return "", err
	}
	return fmt.Sprintf("of class %s, written on %s and read on %s", class, first, second), nil
}

// file writes or reads the volume's file, and looks whether its contents are what they should be.
func (r *run) file(ctx context.Context, pod, how string) error {
	out, err := r.exec(ctx, r.namespace(), pod, "/agnhost", "mounttest", how+"=/data/file")
	if err != nil {
		return fmt.Errorf("%s: %w", oneLine(out), err)
	}
	if !strings.Contains(out, written) {
		return fmt.Errorf("it holds %q, not %q", oneLine(out), written)
	}
	return nil
}

// mounts starts a pod with the volume, not on a node that is named, and returns its node.
func (r *run) mounts(ctx context.Context, name, not string) (string, error) {
	p := r.pod(name, map[string]string{"app": name}, "pause")
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName}}}}
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	if not != "" {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
				{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{not}},
			}}},
		}}}
	}
	if err := r.createPods(ctx, p); err != nil {
		return "", err
	}
	pods, err := r.ready(ctx, 5*time.Minute, "app="+name, 1)
	if err != nil {
		return "", err
	}
	return pods[0].Spec.NodeName, nil
}

func (r *run) gone(ctx context.Context, pod string) error {
	pods := r.kube.CoreV1().Pods(r.namespace())
	if err := pods.Delete(ctx, pod, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("remove the pod %s: %w", pod, err)
	}
	return r.await(ctx, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		_, err := pods.Get(ctx, pod, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, "the pod " + pod + " is still there", err
	})
}
