package workload

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	api "k8s.io/kubernetes/pkg/apis/core"
)

// namespaceLifecycle refuses objects in namespaces that are not there or are going, and the end of those that a cluster
// needs: Kubernetes' admission plugin of that name, which knows the namespaces of one cluster.
type namespaceLifecycle struct{ registries *registries }

var _ admission.ValidationInterface = namespaceLifecycle{}

// Handles implements admission.Interface.
func (namespaceLifecycle) Handles(operation admission.Operation) bool {
	return operation == admission.Create || operation == admission.Delete
}

// Validate implements admission.ValidationInterface.
func (n namespaceLifecycle) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	isNamespace := a.GetKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
	if a.GetOperation() == admission.Delete {
		if isNamespace && sets.New(metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic).Has(a.GetName()) {
			return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), errImmortal)
		}
		return nil
	}
	if a.GetNamespace() == "" || isNamespace || reviews().Has(a.GetResource().GroupResource()) {
		return nil
	}
	got, err := n.registries.namespaces.Get(ctx, a.GetNamespace(), &metav1.GetOptions{})
	if err != nil {
		return err // not found: in the words of the real plugin
	}
	if a.GetSubresource() == "" && got.(*api.Namespace).Status.Phase == api.NamespaceTerminating {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), errTerminating(a.GetNamespace()))
	}
	return nil
}

// reviews are questions; they are stored nowhere.
func reviews() sets.Set[schema.GroupResource] {
	return sets.New(schema.GroupResource{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"})
}

type lifecycleError string

// Error implements error.
func (e lifecycleError) Error() string { return string(e) }

const errImmortal = lifecycleError("this namespace may not be deleted")

func errTerminating(namespace string) error {
	return lifecycleError("unable to create new content in namespace " + namespace + " because it is being terminated")
}
