package addon

import (
	"errors"
	"fmt"
	"regexp"
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

// reference finds images that are named outside of a container's image: in arguments, environments, ConfigMaps and
// custom resources, from which some program makes pods. Only the public registries' names are looked for; a chart's own
// words are full of slashes.
var reference = regexp.MustCompile( //nolint:gochecknoglobals // compiled once
	`\b(?:registry\.k8s\.io|k8s\.gcr\.io|quay\.io|docker\.io|gcr\.io|ghcr\.io|public\.ecr\.aws|mcr\.microsoft\.com)/` +
		`[a-z0-9._/-]*[a-z0-9](?::[A-Za-z0-9_.-]*[A-Za-z0-9_])?(?:@sha256:[0-9a-f]{64})?`)

// eachImage calls f with every image that an object names, wherever it does, and puts what f returns in its place. The
// descriptions within definitions of kinds are text for people.
func eachImage(u *unstructured.Unstructured, f func(image string) (string, error)) error {
	if u.GetKind() == "CustomResourceDefinition" {
		return nil
	}
	var problems []error
	put := func(image string) string {
		to, err := f(image)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err))
			return image
		}
		return to
	}
	done := map[string]bool{} // by the first walk, whose results the second must not take for images of a registry
	problems = append(problems, eachContainer(u, func(c map[string]any) error {
		if image, ok := c["image"].(string); ok {
			to := put(image)
			c["image"], done[to] = to, true
		}
		return nil
	}))
	for key, value := range u.Object {
		u.Object[key] = eachString(value, func(text string) string {
			if done[text] {
				return text
			}
			return reference.ReplaceAllStringFunc(text, put)
		})
	}
	return errors.Join(problems...)
}

// eachString puts into a tree what f makes of its strings.
func eachString(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		for key, value := range v {
			v[key] = eachString(value, f)
		}
	case []any:
		for i, value := range v {
			v[i] = eachString(value, f)
		}
	}
	return v
}

// Images are the images that objects name, each once, in order.
func Images(objects []*unstructured.Unstructured) []string {
	var out []string
	for _, u := range objects {
		_ = eachImage(u, func(image string) (string, error) { // a workload without containers uses no image
			out = append(out, image)
			return image, nil
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mirrorImages gives all images the names they have below prefix. An image without such a name is an error: nodes
// without a way out could not pull it.
func mirrorImages(objects []*unstructured.Unstructured, prefix string) error {
	if prefix == "" {
		return nil
	}
	var problems []error
	for _, u := range objects {
		problems = append(problems, eachImage(u, func(image string) (string, error) {
			name, err := registry.MagnumName(image)
			return prefix + "/" + name, err
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
