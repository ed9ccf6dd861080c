package workload

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
)

// TakeOver makes fields that other managers have written fields of manager, as far as the object is still the one that
// was read.
func (c *Cluster) TakeOver(ctx context.Context, live *unstructured.Unstructured, from []string, manager string) error {
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, sets.New(from...), manager)
	if err != nil || patch == nil {
		return err
	}
	r, err := c.resource(live.GroupVersionKind(), live.GetNamespace())
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
		defer cancel()
		_, err = r.Patch(ctx, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: manager})
	}
	if err != nil {
		return fmt.Errorf("take over %s %s: %w", live.GetKind(), live.GetName(), err)
	}
	return nil
}

// Valid tells whether an object would be taken if it were not there yet; nothing is made. The error is the API
// server's.
func (c *Cluster) Valid(ctx context.Context, u *unstructured.Unstructured, manager string) error {
	r, err := c.resource(u.GroupVersionKind(), u.GetNamespace())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	_, err = r.Create(ctx, u, metav1.CreateOptions{FieldManager: manager, DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsAlreadyExists(err) { // it was looked at before its name was
		return nil
	}
	return err
}

// DeleteThis asks for the end of this very object, with or without what belongs to it.
func (c *Cluster) DeleteThis(ctx context.Context, live *unstructured.Unstructured, orphan bool) error {
	how, uid, version := metav1.DeletePropagationBackground, live.GetUID(), live.GetResourceVersion()
	if orphan {
		how = metav1.DeletePropagationOrphan
	}
	r, err := c.resource(live.GroupVersionKind(), live.GetNamespace())
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
		defer cancel()
		err = r.Delete(ctx, live.GetName(), metav1.DeleteOptions{
			PropagationPolicy: &how, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", live.GetKind(), live.GetName(), err)
	}
	return nil
}
