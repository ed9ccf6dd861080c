package deploy

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Objects are those that a deployment applies.
func Objects(w Wanted) ([]*unstructured.Unstructured, error) {
	objects, err := objectsOf(w)
	var out []*unstructured.Unstructured
	for _, o := range objects {
		out = append(out, o.u)
	}
	return out, err
}

// Evict is for the test of drains.
var Evict = evict
