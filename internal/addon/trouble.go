package addon

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Trouble is why a workload's pods do not run, as kubelets say: an image that a registry does not have, a configuration
// that is missing, a program that ends. The first pod in order speaks for all; "" if none says anything.
func Trouble(pods []unstructured.Unstructured) string {
	pods = slices.Clone(pods)
	slices.SortFunc(pods, func(a, b unstructured.Unstructured) int { return cmp.Compare(a.GetName(), b.GetName()) })
	for _, p := range pods {
		for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
			statuses, _, _ := unstructured.NestedSlice(p.Object, "status", list) // absent is none
			for _, item := range statuses {
				status, _ := item.(map[string]any)
				if text := containerTrouble(status); text != "" {
					return fmt.Sprintf("pod %s: %s", p.GetName(), text)
				}
			}
		}
	}
	return ""
}

// containerTrouble knows the reasons that kubelet gives (Kubernetes 1.36, pkg/kubelet/images and
// pkg/kubelet/container).
func containerTrouble(status map[string]any) string {
	get := func(path ...string) string {
		text, _, _ := unstructured.NestedString(status, path...) // absent is empty
		return text
	}
	message := get("state", "waiting", "message")
	switch reason := get("state", "waiting", "reason"); reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "SignatureValidationFailed":
		return fmt.Sprintf("the image %s cannot be pulled (%s): %s", get("image"), reason, message)
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return fmt.Sprintf("container %s cannot start (%s): %s", get("name"), reason, message)
	case "CrashLoopBackOff":
		return fmt.Sprintf("container %s keeps exiting (%s): see its log", get("name"), cmp.Or(get("lastState", "terminated", "reason"), reason))
	}
	return ""
}
