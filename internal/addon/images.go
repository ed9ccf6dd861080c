package addon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// eachPodSpec calls f with the pod specification of a workload; other objects have none.
func eachPodSpec(u *unstructured.Unstructured, f func(spec map[string]any) error) error {
	path := map[string][]string{
		"DaemonSet": {"spec", "template", "spec"}, "Deployment": {"spec", "template", "spec"}, "StatefulSet": {"spec", "template", "spec"},
		"ReplicaSet": {"spec", "template", "spec"}, "Job": {"spec", "template", "spec"},
		"CronJob": {"spec", "jobTemplate", "spec", "template", "spec"}, "Pod": {"spec"},
	}[u.GetKind()]
	if path == nil {
		return nil
	}
	spec, ok, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	if err != nil || !ok {
		return fmt.Errorf("%s %s has no pod specification", u.GetKind(), u.GetName())
	}
	m, ok := spec.(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s: the pod specification is no object", u.GetKind(), u.GetName())
	}
	return f(m)
}

// eachContainer calls f with every container of a workload, those that only start others included.
func eachContainer(u *unstructured.Unstructured, f func(c map[string]any) error) error {
	return eachPodSpec(u, func(spec map[string]any) error {
		for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
			containers, _ := spec[list].([]any) // a list that is not there is empty
			for _, item := range containers {
				if c, ok := item.(map[string]any); ok {
					if err := f(c); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// Images are the images that objects use, each once, in order.
func Images(objects []*unstructured.Unstructured) []string {
	var out []string
	for _, u := range objects {
		_ = eachContainer(u, func(c map[string]any) error { // a workload without containers uses no image
			if image, ok := c["image"].(string); ok {
				out = append(out, image)
			}
			return nil
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mirrorImages gives all images the names they have below prefix. An image without such a name is an error: nodes without
// a way out could not pull it.
func mirrorImages(objects []*unstructured.Unstructured, prefix string) error {
	var problems []error
	for _, u := range objects {
		problems = append(problems, eachContainer(u, func(c map[string]any) error {
			image, _ := c["image"].(string)
			if prefix == "" {
				return nil
			}
			name, err := registry.MagnumName(image)
			if err != nil {
				return fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
			}
			c["image"] = prefix + "/" + name
			return nil
		}))
	}
	return errors.Join(problems...)
}

// repositoryOf is an image's name without its tag and digest.
func repositoryOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}
