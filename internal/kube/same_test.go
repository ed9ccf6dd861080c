package kube

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const sameManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: b, creationTimestamp: null, finalizers: [one, two]}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: manager
        args: [--a, --b]
        ports: [{containerPort: 9443, name: webhook}]
`

// sameLive is the object as the API server has it: defaults, a status, other managers, and what we own of it.
const sameLive = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: a
  namespace: b
  uid: "1"
  creationTimestamp: "2026-01-01T00:00:00Z"
  finalizers: [one, two]
  managedFields:
  - {manager: kube-controller-manager, operation: Update, subresource: status, fieldsV1: {"f:status": {}}}
  - manager: MANAGER
    operation: Apply
    fieldsV1:
      f:metadata: {f:finalizers: {'v:"one"': {}, 'v:"two"': {}}}
      f:spec:
        f:replicas: {}
        f:template:
          f:spec:
            f:containers:
              'k:{"name":"manager"}':
                .: {}
                f:name: {}
                f:args: {}
                f:ports: {'k:{"containerPort":9443,"protocol":"TCP"}': {.: {}, f:containerPort: {}, f:name: {}}}
spec:
  replicas: 2
  progressDeadlineSeconds: 600
  template:
    spec:
      containers:
      - name: manager
        args: [--a, --b]
        imagePullPolicy: Always
        ports: [{containerPort: 9443, name: webhook, protocol: TCP}]
status: {replicas: 2}
`

func TestSameObject(t *testing.T) {
	read := func(text string, live bool) *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "MANAGER", string(FieldOwner))), &u.Object); err != nil {
			t.Fatal(err)
		}
		if live { // numbers as the client reads them
			text, err := json.Marshal(u.Object)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
		}
		return u
	}
	for _, tt := range []struct {
		reason         string
		manifest, live [2]string // replace the first with the second
		want           bool
	}{
		{reason: "defaults, status and other managers are no difference", want: true},
		{reason: "another value", live: [2]string{"replicas: 2\n  prog", "replicas: 3\n  prog"}},
		{reason: "another argument", live: [2]string{"[--a, --b]", "[--a, --c]"}},
		{reason: "an argument more", live: [2]string{"[--a, --b]", "[--a, --b, --c]"}},
		{reason: "a field that is gone", live: [2]string{"name: webhook, ", ""}},
		{reason: "a field we own and no longer want", manifest: [2]string{"  replicas: 2\n", ""}},
		{reason: "an element we own and no longer want", manifest: [2]string{", name: webhook", ""}},
		{reason: "a value of a set we own and no longer want", manifest: [2]string{"[one, two]", "[one]"}, live: [2]string{"finalizers: [one, two]", "finalizers: [one]"}},
		{reason: "a list that we own an element of and no longer want at all", manifest: [2]string{"        ports: [{containerPort: 9443, name: webhook}]\n", ""}},
		{reason: "never applied by us", live: [2]string{string(FieldOwner), "kubectl"}},
		{reason: "a set of fields in a form that is not known", live: [2]string{"f:replicas: {}", `"i:0": {}`}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			manifest, live := sameManifest, strings.ReplaceAll(sameLive, "MANAGER", string(FieldOwner))
			if tt.manifest[0] != "" {
				if !strings.Contains(manifest, tt.manifest[0]) {
					t.Fatal("nothing to replace")
				}
				manifest = strings.Replace(manifest, tt.manifest[0], tt.manifest[1], 1)
			}
			if tt.live[0] != "" {
				if !strings.Contains(live, tt.live[0]) {
					t.Fatal("nothing to replace")
				}
				live = strings.Replace(live, tt.live[0], tt.live[1], 1)
			}
			if got := Same(read(manifest, false), read(live, true)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
