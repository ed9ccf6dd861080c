package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// Machines that are gone for good are made anew here, on proof only: what package capi sees, read from the API server
// itself, and Nova's word.
//
// Of a cluster's only control plane machine that gives up for lost what etcd held; the cluster comes back empty, at its
// address, with its authorities. Each step is found undone or done by whoever comes after a kill: its control plane is
// forgotten, the machine is deleted, workers of before are replaced. In this order, because Cluster API prepares the
// next machine for joining at once (decision 0032). With a worker that Nova has no server of nothing is lost, so it is
// replaced as it is found (decision 0034).

// Servers are what is asked of Nova before anything is given up.
type Servers interface {
	// ProjectID is the project that the cluster's credential belongs to: another one sees none of its servers.
	ProjectID() string
	ServerGone(ctx context.Context, id string) (bool, error)
	ServersNamed(ctx context.Context, prefix string) ([]string, error)
	FindServerGroup(ctx context.Context, name string) (id string, err error)
}

func (r *Reconciler) revive(ctx context.Context, s *scope) (phase.Outcome, error) {
	var every time.Duration
	switch o := s.observed; {
	case o.SilentMaster() != nil, o.Orphaned(), len(o.Strangers()) > 0:
		every = lookEvery
	case len(o.SilentWorkers()) > 0:
		every = lookSeldom
	default:
		r.lost.forget(s.record.Name)
		return phase.Done(), nil
	}
	due, again := r.lost.due(s.record.Name, r.Now(), every)
	if s.again = again; !due {
		return phase.Done(), nil
	}
	stack, err := kube.ReadStackLive(ctx, r.Reader, s.record.Spec.StackID, s.record.Name)
	if err != nil {
		return phase.Done(), err
	}
	live := capi.Observed{Cluster: stack.Cluster, ControlPlane: stack.ControlPlane, Machines: stack.Machines}
	master, strangers, workers := live.SilentMaster(), live.Strangers(), live.SilentWorkers()
	switch {
	case master != nil:
		err = r.giveUp(ctx, s, live, master)
	case live.Orphaned():
		err = r.beginAnew(ctx, s, live)
	case len(strangers) > 0:
		err = r.replace(ctx, s, strangers, "WorkerReplaced", unknown)
	case len(workers) > 0:
		err = r.replaceGone(ctx, s, workers)
	}
	if conflicted(err) {
		r.lost.again(s.record.Name)
		s.again = conflictAgain
	} else if err != nil { // a cloud that does not answer is no reason to stop everything else
		s.log.WarnContext(ctx, "cannot bring lost machines back", "error", err)
	}
	return phase.Done(), nil
}

// conflictAgain is when to judge again what Cluster API has written to in the same moment. It does so several times
// when it sees that something is gone, and the machine is as gone as before.
const conflictAgain = 2 * time.Second

// conflicted tells whether anything was not done because somebody else had written to it.
func conflicted(err error) bool {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		return slices.ContainsFunc(several.Unwrap(), conflicted)
	}
	return apierrors.IsConflict(err)
}

// nova opens the owner's cloud where it can tell what is gone; nil where it cannot.
func (r *Reconciler) nova(ctx context.Context, s *scope) (Cloud, error) {
	cloud, err := r.open(ctx, s)
	if err != nil || cloud == nil {
		return nil, err
	}
	if id := cloud.ProjectID(); id != s.record.Spec.ProjectID {
		return nil, fmt.Errorf("the cluster's credential is of project %s and not of the cluster's own, %s", id, s.record.Spec.ProjectID)
	}
	// A Nova that has never had the cluster's servers, of another region, would say the same of them.
	group := capi.ServerGroupName(s.record.Spec.StackID, &magnum.NodeGroup{Name: magnum.DefaultMaster, Role: magnum.RoleMaster, IsDefault: true})
	if _, err := cloud.FindServerGroup(ctx, group); err != nil {
		return nil, fmt.Errorf("the control plane's server group is not in the Nova that was asked, so it may be another one: %w", err)
	}
	return cloud, nil
}

// giveUp lets the control plane be initialized anew by the machine after the only one, which does not answer and whose
// server Nova does not have any more.
func (r *Reconciler) giveUp(ctx context.Context, s *scope, live capi.Observed, m *clusterv1.Machine) error {
	id := capi.ServerID(m)
	if id == "" {
		return nil
	}
	cloud, err := r.nova(ctx, s)
	if err != nil || cloud == nil {
		return err
	}
	gone, err := cloud.ServerGone(ctx, id)
	if err != nil || !gone {
		return err
	}
	if err := r.forget(ctx, live); err != nil {
		return err
	}
	if err := client.IgnoreNotFound(r.Client.Delete(ctx, m, client.Preconditions{UID: &m.UID})); err != nil {
		return fmt.Errorf("delete machine %s: %w", m.Name, err)
	}
	r.warn(s, "ControlPlaneLost", "Nova has no server %s any more: machine %s, the only one of the control plane, is lost and given up", id, m.Name)
	r.tellAnew(s)
	return nil
}

// beginAnew makes Cluster API initialize a control plane whose machine somebody else has deleted.
func (r *Reconciler) beginAnew(ctx context.Context, s *scope, live capi.Observed) error {
	cloud, err := r.nova(ctx, s)
	if err != nil || cloud == nil {
		return err
	}
	prefix := live.ControlPlane.Name + "-" // Cluster API and its OpenStack provider name machines and their servers so
	servers, err := cloud.ServersNamed(ctx, prefix)
	if err != nil {
		return err
	}
	servers = slices.DeleteFunc(servers, func(name string) bool { return strings.Contains(strings.TrimPrefix(name, prefix), "-") }) // of a node group
	if len(servers) > 0 {
		return fmt.Errorf("machines of the control plane are gone and their servers are not: %s", strings.Join(servers, ", "))
	}
	if err := r.forget(ctx, live); err != nil {
		return err
	}
	r.tellAnew(s)
	return nil
}

// forget makes Cluster API believe that the control plane has never been initialized.
func (r *Reconciler) forget(ctx context.Context, live capi.Observed) error {
	marked := live.Cluster.DeepCopy()
	metav1.SetMetaDataAnnotation(&marked.ObjectMeta, capi.LostAnnotation, r.Now().UTC().Format(time.RFC3339))
	if err := r.Client.Patch(ctx, marked, kube.IfUnchanged(live.Cluster), kube.FieldOwner); err != nil {
		return fmt.Errorf("mark cluster %s: %w", marked.Name, err)
	}
	plane, cluster := capi.ForgetControlPlane(live.ControlPlane, marked)
	if err := r.Client.Status().Patch(ctx, plane, kube.IfUnchanged(live.ControlPlane), kube.FieldOwner); err != nil {
		return fmt.Errorf("forget that control plane %s was initialized: %w", plane.Name, err)
	}
	if err := r.Client.Status().Patch(ctx, cluster, kube.IfUnchanged(marked), kube.FieldOwner); err != nil {
		return fmt.Errorf("forget that the control plane of %s was initialized: %w", cluster.Name, err)
	}
	return nil
}

func (r *Reconciler) tellAnew(s *scope) {
	r.warn(s, "ControlPlaneAnew", "the control plane is initialized anew, at the same address and with the same authorities. Everything that the Kubernetes API "+
		"held is lost; load balancers and volumes that it had made are still in the project")
}

// maxSilent bounds for how many silent workers Nova is asked in one look: where there are more, the cause is elsewhere.
const maxSilent = 20

// replaceGone makes workers anew that Nova has no server of any more.
func (r *Reconciler) replaceGone(ctx context.Context, s *scope, workers []*clusterv1.Machine) error {
	workers = slices.DeleteFunc(slices.Clone(workers), func(m *clusterv1.Machine) bool { return capi.ServerID(m) == "" })
	if len(workers) == 0 {
		return nil
	}
	cloud, err := r.nova(ctx, s)
	if err != nil || cloud == nil {
		return err
	}
	var gone []*clusterv1.Machine
	for _, m := range workers[:min(len(workers), maxSilent)] {
		is, err := cloud.ServerGone(ctx, capi.ServerID(m))
		if err != nil {
			return err
		}
		if is {
			gone = append(gone, m)
		}
	}
	return r.replace(ctx, s, gone, "WorkerReplaced", func(m *clusterv1.Machine) string {
		return "Nova has no server " + capi.ServerID(m) + " any more"
	})
}

// replace deletes machines as they were judged; their owners make others.
func (r *Reconciler) replace(ctx context.Context, s *scope, machines []*clusterv1.Machine, event string, why func(*clusterv1.Machine) string) error {
	var errs []error
	for _, m := range machines {
		err := r.Client.Delete(ctx, m, client.Preconditions{UID: &m.UID, ResourceVersion: &m.ResourceVersion}) // as it was read
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("delete machine %s: %w", m.Name, err))
			continue
		}
		r.warn(s, event, "machine %s is replaced: %s", m.Name, why(m))
	}
	return errors.Join(errs...)
}

// unknown is why workers of before are replaced.
func unknown(*clusterv1.Machine) string {
	return "its node is unknown since the control plane was initialized anew"
}
