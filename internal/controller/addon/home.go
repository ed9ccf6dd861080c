package addon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// What a cluster has in the management cluster: the autoscaler. It is applied there with the server's own rights,
// belongs to the record, and goes when the record begins to go, before the machines that it would make again.

// runsPods tells whether the management cluster has Deployments at all: the all-in-one's API server has none.
func runsPods(mapper meta.RESTMapper) (bool, error) {
	_, err := mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "v1")
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask what the management cluster serves: %w", err)
	}
	return true, nil
}

// ofScaled are the records of those stacks that an autoscaler sizes: its rights follow their machines.
func (r *Reconciler) ofScaled() handler.MapFunc {
	all := kube.RecordsOfStack(r.Client, r.Log)
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		var out []reconcile.Request
		for _, request := range all(ctx, o) {
			record := &v1alpha1.MagnumCluster{}
			if err := r.Client.Get(ctx, request.NamespacedName, record); err == nil && scaled(record) {
				out = append(out, request)
			}
		}
		return out
	}
}

func scaled(record *v1alpha1.MagnumCluster) bool {
	return label.Of(record.Spec.Labels).Bool(label.AutoScalingEnabled)
}

// home is what the management cluster is to the cluster's addons.
func (r *Reconciler) home(s *scope) catalogue.Home {
	h := catalogue.Home{
		RunsPods: r.pods, Namespace: v1alpha1.Namespace, Repository: r.AutoscalerRepository,
		KubeconfigSecret: kube.KubeconfigSecretName(s.record.Spec.StackID),
	}
	if scaled(s.record) {
		h.KubeconfigDigest = hex.EncodeToString(s.session.digest[:8])
	}
	return h
}

// applyAtHome brings what belongs in the management cluster, and takes away what does not any longer.
func (r *Reconciler) applyAtHome(ctx context.Context, s *scope) (phase.Outcome, error) {
	for _, release := range s.releases {
		if !release.Home {
			continue
		}
		var err error
		switch was := stateOf(&s.before.Status, release.Name); {
		case len(release.Objects) > 0:
			err = r.bringHome(ctx, s, release)
		case release.Skipped != "" && was != nil && was.State != v1alpha1.AddonSkipped:
			err = r.dismiss(ctx, s.record)
		}
		if err != nil {
			s.failed[release.Name] = oneLine(err.Error())
		}
	}
	return phase.Done(), nil
}

func (r *Reconciler) bringHome(ctx context.Context, s *scope, release catalogue.Release) error {
	role := catalogue.AutoscalerRole(s.cluster, scaledBy(s.stack))
	for _, u := range append([]*unstructured.Unstructured{role}, release.Objects...) {
		u = u.DeepCopy() // releases are read only
		labels := u.GetLabels()
		labels[v1alpha1.LabelClusterUUID] = s.record.Name
		u.SetLabels(labels)
		u.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: "MagnumCluster", Name: s.record.Name, UID: s.record.UID,
		}})
		if err := r.bringOneHome(ctx, s, u); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) bringOneHome(ctx context.Context, s *scope, u *unstructured.Unstructured) error {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	key, wanted := refOf(u), sha256.Sum256(text)
	was, known := s.session.atHome[key]
	if known && was.wanted == wanted {
		have := &metav1.PartialObjectMetadata{} // it is watched: somebody may have changed it
		have.SetGroupVersionKind(u.GroupVersionKind())
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(u), have)
		if err != nil && !apierrors.IsNotFound(err) || err == nil && was.stillIs(have) {
			return err
		}
	}
	apply := func() error {
		return r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), kube.FieldOwner, client.ForceOwnership)
	}
	err = apply()
	if apierrors.IsInvalid(err) { // another selector, or another role: fields that never change
		if err := r.Client.Delete(ctx, u.DeepCopy()); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s, which cannot be changed: %w", u.GetKind(), u.GetName(), err)
		}
		err = apply()
	}
	if err != nil {
		return fmt.Errorf("apply %s %s in the management cluster: %w", u.GetKind(), u.GetName(), err)
	}
	s.session.atHome[key] = applied{wanted: wanted, generation: u.GetGeneration(), version: u.GetResourceVersion()}
	return nil
}

// stillIs tells whether nobody has changed what is wanted of an object since. Roles and the like have no generation.
func (a applied) stillIs(have *metav1.PartialObjectMetadata) bool {
	if a.generation == 0 {
		return have.ResourceVersion == a.version
	}
	return have.Generation == a.generation
}

// scaledBy is what a cluster's autoscaler works on: its workers. Masters are nobody's to scale.
func scaledBy(stack *kube.Stack) catalogue.Scaled {
	var out catalogue.Scaled
	for _, md := range stack.Deployments {
		out.Deployments = append(out.Deployments, md.Name)
		if ref := md.Spec.Template.Spec.InfrastructureRef; ref.Name != "" {
			out.Templates = append(out.Templates, ref.Name)
		}
	}
	for _, machine := range stack.Machines {
		if _, master := machine.Labels[clusterv1.MachineControlPlaneLabel]; !master {
			out.Machines = append(out.Machines, machine.Name)
		}
	}
	return out
}

// dismiss deletes a cluster's autoscaler: what runs first, what it may do last.
func (r *Reconciler) dismiss(ctx context.Context, record *v1alpha1.MagnumCluster) error {
	for _, kind := range []schema.GroupVersionKind{
		appsv1.SchemeGroupVersion.WithKind("Deployment"),
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
		{Version: "v1", Kind: "ServiceAccount"},
	} {
		have := &metav1.PartialObjectMetadata{}
		have.SetGroupVersionKind(kind)
		key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: catalogue.AutoscalerName(record.Spec.StackID)}
		err := r.Reader.Get(ctx, key, have)
		if err == nil && kube.Belongs(have, record.Name) {
			err = r.Client.Delete(ctx, have, client.Preconditions{UID: new(have.UID)})
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s of the autoscaler: %w", kind.Kind, key.Name, err)
		}
	}
	return nil
}

// waitsAtHome says why an object of the management cluster is not available; "" when it is.
func (r *Reconciler) waitsAtHome(ctx context.Context, _ *scope, u *unstructured.Unstructured) (string, error) {
	have := &unstructured.Unstructured{}
	have.SetGroupVersionKind(u.GroupVersionKind())
	err := r.Reader.Get(ctx, client.ObjectKeyFromObject(u), have)
	if apierrors.IsNotFound(err) {
		return u.GetKind() + " " + u.GetName() + " is not there", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	if _, why := catalogue.Available(have); why != "" {
		return "in the management cluster: " + why, nil
	}
	return "", nil
}
