package simkube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	aggregatorv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// namespaces end with all they hold, and have a service account for pods that name none.
func (p *pass) namespaces(ctx context.Context) error {
	list, err := p.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	accounts, err := p.CoreV1().ServiceAccounts("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=default"})
	if err != nil {
		return err
	}
	for i := range list.Items {
		ns := &list.Items[i]
		if !ns.DeletionTimestamp.IsZero() {
			if err := p.endNamespace(ctx, ns); err != nil {
				return fmt.Errorf("end namespace %s: %w", ns.Name, err)
			}
			continue
		}
		if slices.ContainsFunc(accounts.Items, func(a corev1.ServiceAccount) bool { return a.Namespace == ns.Name }) {
			continue
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "default"}}
		_, err := p.CoreV1().ServiceAccounts(ns.Name).Create(ctx, account, metav1.CreateOptions{FieldManager: manager})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("service account of namespace %s: %w", ns.Name, err)
		}
	}
	return nil
}

// endNamespace deletes all that is in a namespace, and the namespace when nothing is left.
func (p *pass) endNamespace(ctx context.Context, ns *corev1.Namespace) error {
	lists, err := p.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		return err
	}
	left := 0
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "delete") || !slices.Contains(r.Verbs, "list") {
				continue
			}
			n, err := p.deleteAll(ctx, gv.WithResource(r.Name), ns.Name)
			if err != nil {
				return err
			}
			left += n
		}
	}
	if left > 0 {
		p.again = true
		return nil
	}
	p.pods = slices.DeleteFunc(p.pods, func(pod *corev1.Pod) bool { return pod.Namespace == ns.Name })
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err = p.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{FieldManager: manager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// deleteAll deletes all objects of a kind, and says how many are left: they have finalizers.
func (p *pass) deleteAll(ctx context.Context, kind schema.GroupVersionResource, namespace string) (left int, err error) {
	list, err := p.any.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		return 0, err
	}
	now := int64(0)
	for _, o := range list.Items {
		err := p.any.Resource(kind).Namespace(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if err != nil && !apierrors.IsNotFound(err) {
			return 0, fmt.Errorf("delete %s %s: %w", kind.Resource, o.Name, err)
		}
	}
	if list, err = p.any.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{}); err != nil {
		return 0, err
	}
	return len(list.Items), nil
}

// definitions of custom resources end with all their resources.
func (p *pass) definitions(ctx context.Context) error {
	ending, err := p.api.EndingDefinitions(ctx, p.cluster)
	if err != nil {
		return err
	}
	for _, name := range ending {
		if err := p.endDefinition(ctx, name); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("end %s: %w", name, err)
		}
	}
	return nil
}

func (p *pass) endDefinition(ctx context.Context, name string) error {
	all := p.custom.ApiextensionsV1().CustomResourceDefinitions()
	crd, err := all.Get(ctx, name, metav1.GetOptions{})
	if err != nil || !slices.Contains(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		return err
	}
	for _, v := range crd.Spec.Versions {
		if !v.Served {
			continue
		}
		left, err := p.deleteAll(ctx, schema.GroupVersionResource{Group: crd.Spec.Group, Version: v.Name, Resource: crd.Spec.Names.Plural}, "")
		if err != nil {
			return err
		}
		if left > 0 {
			p.again = true
			return nil
		}
		break // all versions show the same objects
	}
	crd.Finalizers = slices.DeleteFunc(crd.Finalizers, func(f string) bool { return f == apiextensionsv1.CustomResourceCleanupFinalizer })
	_, err = all.UpdateStatus(ctx, crd, metav1.UpdateOptions{FieldManager: manager})
	return err
}

// garbage are pods whose workload or whose node is gone. A node's own pods are its machine's business.
func (p *pass) garbage(ctx context.Context) error {
	for _, pod := range slices.Clone(p.pods) {
		if isStatic(pod) || !p.orphaned(pod) {
			continue
		}
		if err := p.deletePod(ctx, pod); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) orphaned(pod *corev1.Pod) bool {
	if pod.Spec.NodeName != "" && p.node(pod.Spec.NodeName) == nil {
		return true
	}
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		return false
	}
	switch ref.Kind {
	case "DaemonSet":
		for i := range p.daemonSets {
			if p.daemonSets[i].UID == ref.UID {
				return false
			}
		}
	case "Deployment":
		for i := range p.deployments {
			if p.deployments[i].UID == ref.UID {
				return false
			}
		}
	case "StatefulSet":
		for i := range p.stateful {
			if p.stateful[i].UID == ref.UID {
				return false
			}
		}
	default:
		return false
	}
	return true
}

// budgets count the pods they guard: evictions ask for the result.
func (p *pass) budgets(ctx context.Context) error {
	list, err := p.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		b := &list.Items[i]
		changed := b.DeepCopy()
		if err := p.count(changed); err != nil {
			return fmt.Errorf("budget %s: %w", b.Name, err)
		}
		if equality.Semantic.DeepEqual(b.Status, changed.Status) {
			continue
		}
		if _, err := p.PolicyV1().PodDisruptionBudgets(b.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: manager}); err != nil {
			return fmt.Errorf("budget %s: %w", b.Name, err)
		}
	}
	return nil
}

func (p *pass) count(b *policyv1.PodDisruptionBudget) error {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return err
	}
	expected, healthy := 0, 0
	for _, pod := range p.pods {
		if pod.Namespace != b.Namespace || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		expected++
		if podReady(pod) {
			healthy++
		}
	}
	desired := expected
	switch {
	case b.Spec.MaxUnavailable != nil:
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, expected, true)
		if err != nil {
			return err
		}
		desired = max(0, expected-n)
	case b.Spec.MinAvailable != nil:
		if desired, err = intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, expected, true); err != nil {
			return err
		}
	}
	allowed := max(0, healthy-desired)
	if expected == 0 {
		allowed = 0
	}
	b.Status.ObservedGeneration, b.Status.DisruptedPods = b.Generation, nil
	b.Status.ExpectedPods, b.Status.CurrentHealthy = int32(expected), int32(healthy)      //nolint:gosec // a simulated cluster has few
	b.Status.DesiredHealthy, b.Status.DisruptionsAllowed = int32(desired), int32(allowed) //nolint:gosec // a simulated cluster has few
	return nil
}

// apiServices are available when a pod runs behind their service.
func (p *pass) apiServices(ctx context.Context) error {
	list, err := p.services.ApiregistrationV1().APIServices().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		a := &list.Items[i]
		want := aggregatorv1.APIServiceCondition{Type: aggregatorv1.Available, Status: aggregatorv1.ConditionTrue, Reason: "Passed", Message: "all checks passed"}
		if ref := a.Spec.Service; ref != nil {
			if want, err = p.behind(ctx, ref, want); err != nil {
				return fmt.Errorf("API service %s: %w", a.Name, err)
			}
		}
		if len(a.Status.Conditions) == 1 && a.Status.Conditions[0].Status == want.Status && a.Status.Conditions[0].Message == want.Message {
			continue
		}
		want.LastTransitionTime = metav1.NewTime(p.now)
		a.Status.Conditions = []aggregatorv1.APIServiceCondition{want}
		if _, err := p.services.ApiregistrationV1().APIServices().UpdateStatus(ctx, a, metav1.UpdateOptions{FieldManager: manager}); err != nil {
			return fmt.Errorf("API service %s: %w", a.Name, err)
		}
	}
	return nil
}

func (p *pass) behind(ctx context.Context, ref *aggregatorv1.ServiceReference, ok aggregatorv1.APIServiceCondition) (aggregatorv1.APIServiceCondition, error) {
	no := aggregatorv1.APIServiceCondition{Type: aggregatorv1.Available, Status: aggregatorv1.ConditionFalse}
	service, err := p.CoreV1().Services(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		no.Reason, no.Message = "ServiceNotFound", fmt.Sprintf("service/%s in %q is not present", ref.Name, ref.Namespace)
		return no, nil
	} else if err != nil {
		return no, err
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, pod := range p.pods {
		if pod.Namespace == ref.Namespace && len(service.Spec.Selector) > 0 && selector.Matches(labels.Set(pod.Labels)) && podReady(pod) {
			return ok, nil
		}
	}
	no.Reason, no.Message = "MissingEndpoints", fmt.Sprintf("endpoints for service/%s in %q have no addresses", ref.Name, ref.Namespace)
	return no, nil
}
