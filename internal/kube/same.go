package kube

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Same says that applying an object would certainly change nothing: all that it says is so, and all that we own is in
// it. "No" only means that the API server has to be asked. Asking for everything costs it a full validation of every
// definition of Cluster API's, most of the time that a plan took.
func Same(want, have *unstructured.Unstructured) bool {
	if !Within(want.Object, have.Object) {
		return false
	}
	managed, _, err := unstructured.NestedSlice(have.Object, "metadata", "managedFields")
	if err != nil {
		return false
	}
	for _, entry := range managed {
		e, ok := entry.(map[string]any)
		if !ok || e["manager"] != string(FieldOwner) || e["operation"] != string(metav1.ManagedFieldsOperationApply) || e["subresource"] != nil {
			continue
		}
		fields, ok := e["fieldsV1"].(map[string]any)
		return ok && covers(want.Object, fields)
	}
	return false // applied by somebody else until now
}

// Within says whether everything in want is in have. Lists must be equally long.
func Within(want, have any) bool {
	switch w := want.(type) {
	case nil:
		return true // "creationTimestamp: null" of generated manifests
	case map[string]any:
		h, ok := have.(map[string]any)
		for k, v := range w {
			ok = ok && Within(v, h[k])
		}
		return ok
	case []any:
		h, ok := have.([]any)
		ok = ok && len(w) == len(h)
		for i := range w {
			ok = ok && Within(w[i], h[i])
		}
		return ok
	}
	return equal(want, have)
}

// equal compares scalars; numbers are int64 or float64, by who has read them.
func equal(a, b any) bool {
	x, isX := number(a)
	y, isY := number(b)
	if isX && isY {
		return x == y
	}
	switch a.(type) {
	case string, bool:
		return a == b
	}
	return false
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// covers says whether every field of a set is in the object. The form of the set is Kubernetes' FieldsV1: "f:" a field,
// "k:" an element of a list by its keys, "v:" an element by its value, "." the thing itself.
func covers(object any, fields map[string]any) bool {
	for key, below := range fields {
		if key == "." {
			continue
		}
		sub, ok := element(object, key)
		if !ok {
			return false
		}
		if inner, isMap := below.(map[string]any); isMap && len(inner) > 0 && !covers(sub, inner) {
			return false
		}
	}
	return true
}

func element(object any, key string) (any, bool) {
	kind, rest, _ := strings.Cut(key, ":")
	switch kind {
	case "f":
		o, _ := object.(map[string]any) // nothing is in what is no map
		v, ok := o[rest]
		return v, ok
	case "k", "v":
		var want any
		if json.Unmarshal([]byte(rest), &want) != nil {
			return nil, false
		}
		list, _ := object.([]any) // nor in what is no list
		for _, e := range list {
			if kind == "v" && equal(want, e) || kind == "k" && hasKeys(e, want) {
				return e, true
			}
		}
	}
	return nil, false
}

// hasKeys compares an element's keys. Those that it does not have are defaults, such as "protocol: TCP".
func hasKeys(e, keys any) bool {
	have, ok := e.(map[string]any)
	want, isMap := keys.(map[string]any)
	if !ok || !isMap {
		return false
	}
	for k, v := range want {
		if is, there := have[k]; there && !equal(v, is) {
			return false
		}
	}
	return true
}
