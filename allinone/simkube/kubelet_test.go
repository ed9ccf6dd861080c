package simkube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// A pod waits for what it mounts and for what is in its environment, once each, and not for what is optional.
func TestNeeds(t *testing.T) {
	yes := true
	name := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	secrets, configMaps := needs(&corev1.PodSpec{
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "mounted"}}},
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "perhaps", Optional: &yes}}},
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: name("map")}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: name("projected")}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name(rootCA)}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name("projected-map")}},
			}}}},
		},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: name("all")}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: name("all-map")}},
		}}},
		Containers: []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "plain", Value: "x"},
			{Name: "a", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: name("mounted"), Key: "k"}}},
			{Name: "b", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: name("key"), Key: "k"}}},
			{Name: "c", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: name("perhaps"), Key: "k", Optional: &yes}}},
		}}},
	})
	if diff := cmp.Diff(needed{"mounted", "projected", "all"}, secrets); diff != "" {
		t.Errorf("Secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(needed{"map", "projected-map", "all-map", "key"}, configMaps); diff != "" {
		t.Errorf("ConfigMaps (-want +got):\n%s", diff)
	}
}
