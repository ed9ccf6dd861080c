package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// clearOld takes the cluster away that a restore replaces. Until the last node is clear, nothing of the new one is
// there: a run that is killed here is begun again, with the operator's word again.
func (d *Deployment) clearOld(ctx context.Context) error {
	for _, c := range plan.Of[kubeadm.Reset](d.Plan) {
		d.Say(restoreStep, c.Node, "kubeadm reset")
		p := d.Wanted.Places[c.Node]
		if _, err := d.Command(ctx, p, 10*time.Minute, "kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member", "--cri-socket", d.Wanted.Intent.Kubernetes.CRISocket); err != nil {
			return err
		}
		gone := []host.Item{{File: &host.File{Path: host.RestoreMark, Gone: true}}, {File: &host.File{Path: "/var/lib/etcd/member", Gone: true}}}
		if _, err := site.Ask[struct{}](ctx, d.Hosts, p, host.OpEnsure, gone); err != nil {
			return err
		}
	}
	return nil
}

// restore brings the archive to the first node, as it is, and the key that opens it.
func (d *Deployment) restore(ctx context.Context) error {
	if d.Restore == nil {
		return nil
	}
	n := d.Wanted.Living()[0]
	return d.Restore.PutAt(ctx, d.Run, restoreStep, n, d.place(n), d.Wanted.Facts[n.PhysicalHost])
}

// forgetOld takes away what the backup has of nodes that are not there, and of pods that run no longer: a node may not
// join while there is a Node of its name that looks Ready, and a pod that looks Running would be waited for in vain.
// Then the restore is over.
func (d *Deployment) forgetOld(ctx context.Context) error {
	if d.Restore == nil {
		return nil
	}
	n := d.Wanted.Living()[0]
	c, err := d.control().API(ctx, n)
	if err != nil {
		return err
	}
	err = d.Wait(ctx, restoreStep, n.Name, 5*time.Minute, func() (bool, string) { // an API server that has just begun to serve may still refuse
		err := forgetNodes(ctx, c, n)
		if err == nil {
			err = forgetPods(ctx, c, n)
		}
		return err == nil, fmt.Sprint(err)
	})
	if err != nil {
		return err
	}
	d.Say(restoreStep, n.Name, "restored")
	_, err = site.Ask[struct{}](ctx, d.Hosts, d.place(n), host.OpEnsure, []host.Item{{File: &host.File{Path: host.RestoreMark, Gone: true}}})
	return err
}

func forgetNodes(ctx context.Context, c client.Client, but intent.Node) error {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if n.Name == but.NodeName {
			continue
		}
		if err := c.Delete(ctx, &n); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// forgetPods deletes pods that their controllers make again. Others stay: kubelet starts them where their node is. It
// may have started pods of this node already, so those end in order: two of kube-proxy at a time would leave rules that
// nobody mends.
func forgetPods(ctx context.Context, c client.Client, here intent.Node) error {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return err
	}
	for _, p := range pods.Items {
		owner := metav1.GetControllerOf(&p)
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if owner == nil || owner.Kind == "Node" || ended { // static pods are kubelet's
			continue
		}
		opts := []client.DeleteOption{client.Preconditions{UID: &p.UID}}
		if p.Spec.NodeName != here.NodeName { // nobody is there who could end it
			opts = append(opts, client.GracePeriodSeconds(0))
		}
		if err := c.Delete(ctx, &p, opts...); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// revived waits until pods run again. What the objects of the backup say of themselves is of before.
func (d *Deployment) revived(ctx context.Context) error {
	if d.Restore == nil {
		return nil
	}
	c, err := d.control().ServingAPI(ctx)
	if err != nil {
		return err
	}
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil {
		return err
	}
	ours := map[string]bool{"kube-system": true} // whether others' pods run is not ours to wait for
	for _, o := range objects {
		ours[o.U.GetNamespace()] = true
	}
	return d.Wait(ctx, restoreStep, site.Cluster, 10*time.Minute, func() (bool, string) {
		late, err := notReady(ctx, c, ours)
		if err != nil {
			return false, err.Error()
		}
		return len(late) == 0, "pods are not ready: " + strings.Join(late, ", ")
	})
}

// notReady counts ready pods of each ReplicaSet and DaemonSet of the namespaces.
func notReady(ctx context.Context, c client.Client, namespaces map[string]bool) ([]string, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return nil, err
	}
	ready := map[types.UID]int64{}
	for _, p := range pods.Items {
		owner := metav1.GetControllerOf(&p)
		if owner != nil && p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			ready[owner.UID]++
		}
	}
	var late []string
	for kind, field := range map[string][]string{"ReplicaSet": {"spec", "replicas"}, "DaemonSet": {"status", "desiredNumberScheduled"}} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind + "List"))
		if err := c.List(ctx, list); err != nil {
			return nil, err
		}
		for _, u := range list.Items {
			want, _, err := unstructured.NestedInt64(u.Object, field...)
			if !namespaces[u.GetNamespace()] {
				continue
			}
			if err != nil || ready[u.GetUID()] < want {
				late = append(late, u.GetNamespace()+"/"+u.GetName())
			}
		}
	}
	slices.Sort(late)
	return late, nil
}
