package components

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// appliers is how many objects of a batch are applied at once: a definition costs the API server up to a second.
const appliers = 4

// batches are objects that do not need each other: of one component and one kind.
func batches(objects []Object) [][]Object {
	var out [][]Object
	for i, o := range objects {
		if i == 0 || objects[i-1].Component != o.Component || objects[i-1].U.GetKind() != o.U.GetKind() {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], o)
	}
	return out
}

// applyObject applies, again for as long as what it needs is still starting: a webhook's pod, a definition being
// established.
func applyObject(ctx context.Context, r site.Run, step string, c client.Client, o Object) error {
	return r.Wait(ctx, step, o.Component, 5*time.Minute, func() (bool, string) {
		u := o.U.DeepCopy()
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), kube.FieldOwner, client.ForceOwnership)
		if err == nil {
			return true, ""
		}
		if meta.IsNoMatchError(err) {
			c.RESTMapper() // asks again by itself
		}
		return false, fmt.Sprintf("%s %s: %s", o.U.GetKind(), o.name(), site.FirstLine(err.Error()))
	})
}

// Late lists workloads of the components, and kubeadm's own, that are not complete.
func Late(ctx context.Context, c client.Client, noProxy bool, objects []Object) []string {
	var out []string
	check := func(kind, namespace, name string) {
		why, err := late(ctx, c, kind, client.ObjectKey{Namespace: namespace, Name: name})
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			out = append(out, name+": "+site.FirstLine(err.Error()))
		case err != nil:
			out = append(out, name+" is not there")
		case why != "":
			out = append(out, why)
		}
	}
	check("Deployment", "kube-system", "coredns")
	if !noProxy {
		check("DaemonSet", "kube-system", "kube-proxy")
	}
	for _, o := range objects {
		if kind := o.U.GetKind(); (kind == "Deployment" || kind == "DaemonSet") && o.Component != CoreDNS {
			check(kind, o.U.GetNamespace(), o.U.GetName())
		}
	}
	return out
}

// late says what keeps a workload from being complete; nothing, if it is.
func late(ctx context.Context, c client.Client, kind string, key client.ObjectKey) (string, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	if err := c.Get(ctx, key, u); err != nil {
		return "", err
	}
	_, why := addon.Available(u) // the rule for workload clusters: there and here a workload is the same thing
	return why, nil
}

// Apply applies those of the objects that are chosen, a component after the other: the later ones call webhooks of the
// earlier ones.
func Apply(ctx context.Context, r site.Run, step string, c client.Client, objects []Object, chosen func(Object) bool) error {
	for _, batch := range batches(objects) {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(appliers)
		count := 0
		for _, o := range batch {
			if chosen(o) {
				count++
				g.Go(func() error { return applyObject(gctx, r, step, c, o) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if count > 0 {
			r.Say(step, batch[0].Component, "%d of %s", count, batch[0].U.GetKind())
		}
	}
	return nil
}
