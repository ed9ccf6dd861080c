// Package components is what a bundle installs into the management cluster: the network of pods, cert-manager, Cluster
// API, as objects of the API server with what the operator's configuration decides of them.
//
// Objects says how they should be; it is pure. Compare asks the API server what applying would change, Apply applies
// what the plan has, and Late says what is not complete yet. Back judges versions.
package components

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	siyaml "sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Object is one object of a component.
type Object struct {
	Component string
	U         *unstructured.Unstructured
}

func (o Object) name() string {
	if ns := o.U.GetNamespace(); ns != "" {
		return ns + "/" + o.U.GetName()
	}
	return o.U.GetName()
}

// Change is the object in a plan.
func (o Object) Change(a plan.Action) plan.Change {
	return plan.Change{Place: site.Cluster, Group: o.Component, Kind: o.U.GetKind(), Name: o.name(), Action: a}
}

// Objects reads the components' manifests; what others need comes first within a component.
func Objects(in intent.Intent, b site.Bundle) ([]Object, error) {
	out := corednsObjects(in)
	for _, c := range b.Components {
		var own []Object
		dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(c.Manifest), 4096)
		for {
			u := &unstructured.Unstructured{}
			err := dec.Decode(&u.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
			if len(u.Object) > 0 {
				own = append(own, Object{Component: c.Name, U: u})
			}
		}
		for _, o := range inventory(in, b) {
			if o.Component == c.Name {
				own = append(own, o)
			}
		}
		for _, o := range own {
			if err := customise(in, o); err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
		}
		if c.Name == site.Cilium {
			if err := customiseCilium(in, own); err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
		}
		slices.SortStableFunc(own, func(a, b Object) int { return rank(a.U.GetKind()) - rank(b.U.GetKind()) })
		out = append(out, own...)
	}
	return out, nil
}

// rank orders kinds: what others refer to first, what calls webhooks last.
func rank(kind string) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role",
		"RoleBinding", "Service", "Deployment", "DaemonSet", "",
	}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	switch kind {
	case "Issuer", "Certificate":
		return len(order) + 1
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return len(order) + 2
	}
	return len(order)
}

// Compare asks the API server what server-side apply would change, and which versions run.
func Compare(ctx context.Context, c client.Client, in intent.Intent, b site.Bundle) ([]plan.Change, []Running, error) {
	objects, err := Objects(in, b)
	if err != nil {
		return nil, nil, err
	}
	type compared struct {
		object   Object
		change   *plan.Change
		versions []Running
	}
	all := make([]*compared, len(objects))
	for i, o := range objects {
		all[i] = &compared{object: o}
	}
	err = site.Bounded(8, all, func(o *compared) (err error) {
		o.change, o.versions, err = diffObject(ctx, c, o.object)
		return err
	})
	var out []plan.Change
	var versions []Running
	for _, o := range all {
		if o.change != nil {
			out = append(out, *o.change)
		}
		versions = append(versions, o.versions...)
	}
	return out, versions, err
}

func diffObject(ctx context.Context, c client.Client, o Object) (*plan.Change, []Running, error) {
	have := &unstructured.Unstructured{}
	have.SetGroupVersionKind(o.U.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(o.U), have)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) || discovery.IsGroupDiscoveryFailedError(err) {
		change := o.Change(plan.Create)
		return &change, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look at %s %s: %w", o.U.GetKind(), o.name(), err)
	}
	running := runningOf(o, have)
	if kube.Same(o.U, have) {
		return nil, running, nil
	}
	would := o.U.DeepCopy()
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(would), kube.FieldOwner, client.ForceOwnership, client.DryRunAll)
	if err != nil {
		// A webhook that is not there yet, or an immutable field: applying will say it again, with what to do.
		change := o.Change(plan.Update)
		change.Summary = site.FirstLine(err.Error())
		return &change, running, nil
	}
	change, err := compareObjects(o, have, would)
	return change, running, err
}

// compareObjects shows a difference as text. Secrets are not shown.
func compareObjects(o Object, have, would *unstructured.Unstructured) (*plan.Change, error) {
	is, err := objectText(have)
	if err != nil {
		return nil, err
	}
	wanted, err := objectText(would)
	if err != nil {
		return nil, err
	}
	return plan.Compare(plan.Thing{
		Place: site.Cluster, Group: o.Component, Kind: o.U.GetKind(), Name: o.name(), Text: []string{"object"},
		Secret: o.U.GetKind() == "Secret", Want: plan.Facts{"object": wanted},
	}, plan.Facts{"object": is}), nil
}

// objectText is an object as people read it, without what the API server keeps for itself.
func objectText(u *unstructured.Unstructured) (string, error) {
	u = u.DeepCopy()
	for _, f := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(u.Object, "metadata", f)
	}
	unstructured.RemoveNestedField(u.Object, "status")
	text, err := siyaml.Marshal(u.Object)
	return string(text), err
}

// NotCompared are the changes of a cluster whose objects cannot be looked at. If it is not there yet all are new; if it
// is, a run first has to bring it back, and then applies them all.
func NotCompared(in intent.Intent, b site.Bundle, there bool, why string) ([]plan.Change, error) {
	objects, err := Objects(in, b)
	var out []plan.Change
	for _, o := range objects {
		change := o.Change(plan.Create)
		switch {
		case there:
			change.Action, change.Summary = plan.Update, "not compared: "+why
		case o.Component == CoreDNS:
			change.Action = plan.Update // kubeadm creates it
		}
		out = append(out, change)
	}
	return out, err
}

type m = map[string]any
