package kubeadm

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// RestoreStep is what a run says that it is doing, in words.
const RestoreStep = "restore the backup"

// ClearOld takes the cluster away that a restore replaces. Until the last node is clear, nothing of the new one is
// there: a run that is killed here is begun again, with the operator's word again.
func (r *Run) ClearOld(ctx context.Context) error {
	for _, c := range plan.Of[Reset](r.Plan) {
		r.Say(RestoreStep, c.Node, "kubeadm reset")
		p := r.Wanted.Places[c.Node]
		if _, err := r.Command(ctx, p, 10*time.Minute, "kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member", "--cri-socket", r.Wanted.Intent.Kubernetes.CRISocket); err != nil {
			return err
		}
		gone := []host.Item{{File: &host.File{Path: host.RestoreMark, Gone: true}}, {File: &host.File{Path: "/var/lib/etcd/member", Gone: true}}}
		if _, err := site.Ask[struct{}](ctx, r.Hosts, p, host.OpEnsure, gone); err != nil {
			return err
		}
	}
	return nil
}

// ForgetOld takes away what the backup has of nodes that are not there, and of pods that run no longer: a node may not
// join while there is a Node of its name that looks Ready, and a pod that looks Running would be waited for in vain.
// Then the restore is over.
func (r *Run) ForgetOld(ctx context.Context) error {
	n := r.Wanted.Living()[0]
	c, err := r.api(ctx, n)
	if err != nil {
		return err
	}
	err = r.Wait(ctx, RestoreStep, n.Name, 5*time.Minute, func() (bool, string) { // an API server that has just begun to serve may still refuse
		err := forgetNodes(ctx, c, n)
		if err == nil {
			err = forgetPods(ctx, c, n)
		}
		return err == nil, fmt.Sprint(err)
	})
	if err != nil {
		return err
	}
	r.Say(RestoreStep, n.Name, "restored")
	_, err = site.Ask[struct{}](ctx, r.Hosts, r.place(n), host.OpEnsure, []host.Item{{File: &host.File{Path: host.RestoreMark, Gone: true}}})
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

// Overwrites finds clusters that are there and would be lost.
func Overwrites(w Wanted, world World, digest string) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, n := range w.Intent.Nodes {
			state := world.Nodes[n.Name]
			switch {
			case state.Restoring != "" && (state.Restoring != digest || i > 0):
				out = append(out, plan.Finding{Judge: "overwrite", Where: n.Name, Blocks: true, Text: "the restore of " + short(state.Restoring) + " has begun here and has not ended: restore that one"})
			case state.Touched() && state.Restoring != digest:
				out = append(out, plan.Finding{
					Judge: "overwrite", Where: n.Name, Blocks: true,
					Text: fmt.Sprintf("there is a cluster (API server: %s; etcd: %s): everything since the backup is lost. What an interrupted restore left after its cluster was made, deploy apply finishes", cmp.Or(state.Ready, "none"), cmp.Or(state.Etcd, "none")),
				})
			}
		}
		return out
	}
}

// UnfinishedRestore finds what an interrupted restore has left: apply would make an empty cluster of it, or take it for
// a whole one.
func UnfinishedRestore(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			if d := world.Nodes[n.Name].Restoring; d != "" {
				out = append(out, plan.Finding{Judge: "restore", Where: n.Name, Blocks: true, Text: "the restore of the backup " + short(d) + " has begun here and has not ended: run deploy restore again"})
			}
		}
		return out
	}
}

func short(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return d[:min(12, len(d))]
}
