package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// credentialWithin is how long the API may take between making a cluster's record and storing its cloud credential. The
// API does both in one request; longer than this means that it was killed in between, and nobody else can make it.
const credentialWithin = 2 * time.Minute

// reconcilePhases are what a cluster goes through as long as it is wanted.
func (r *Reconciler) reconcilePhases() []phase.Phase[*scope] {
	return []phase.Phase[*scope]{
		{Name: "name", Run: r.ownName},                      // nobody else's cluster has it
		{Name: "default node groups", Run: r.defaultGroups}, // the two groups every cluster has
		{Name: "cloud credential", Run: r.awaitCredential},  // stored by the API, with the owner's token
		{Name: "certificates", Run: r.awaitCertificates},    // made by package certificate
		{Name: "upgrade node groups", Run: r.upgradeGroups}, // those that follow the cluster: version and image
		{Name: "server groups", Run: r.serverGroups},        // Nova keeps the nodes of a group apart
		{Name: "machines to remove", Run: r.markMachines},   // before the group shrinks
		{Name: "API address", Run: r.apiAddress},            // where no load balancer holds it
		{Name: "cluster class", Run: r.clusterClass},        // one for each release, never changed
		{Name: "authorities", Run: r.rotate},                // the step of a rotation that is due
		{Name: "cluster", Run: r.cluster},                   // what Cluster API works from
		{Name: "lost machines", Run: r.revive},              // the only master, or workers, gone for good
		{Name: "sizes", Run: r.sizes},                       // of groups that the autoscaler sizes
		{Name: "rotation", Run: r.awaitRotation},            // machines are of that step
	}
}

// deletePhases are how a cluster goes. The order matters: what the cluster's own controllers made in the cloud goes
// while its credential still works, and the credential goes when nothing needs it any more.
func (r *Reconciler) deletePhases() []phase.Phase[*scope] {
	return []phase.Phase[*scope]{
		{Name: "load balancers", Run: r.dropLoadBalancers}, // made by Services of type LoadBalancer
		{Name: "cluster", Run: r.dropCluster},              // Cluster API takes machines and network away
		{Name: "node groups", Run: r.dropGroups},           // records; package nodegroup lets them go
		{Name: "server groups", Run: r.dropServerGroups},   // empty by now
		{Name: "API address", Run: r.dropAPIAddress},       // held by no machine any more
		{Name: "cloud credential", Run: r.dropCredential},  // nothing acts in the cloud any more
		{Name: "secrets", Run: r.dropSecrets},              // authorities and credential
		{Name: "name", Run: r.dropName},                    // somebody else may have it
		{Name: "record", Run: r.dropRecord},                // and the cluster is gone
	}
}

// ownName refuses to work on somebody else's cluster: the store reserves names, but who makes clusters beside us may
// take one.
func (r *Reconciler) ownName(_ context.Context, s *scope) (phase.Outcome, error) {
	if s.stack.Foreign {
		return phase.Fail("Cluster API has a cluster %s that does not belong to this one. Delete this cluster and create it again: it gets "+
			"another name.", s.record.Spec.StackID), nil
	}
	return phase.Done(), nil
}

func (r *Reconciler) defaultGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	made := false
	for _, want := range store.DefaultNodeGroups(s.record) {
		if slices.ContainsFunc(s.groups, func(g v1alpha1.MagnumNodeGroup) bool { return g.Spec.Name == want.Spec.Name }) {
			continue
		}
		if s.record.Status.Status != "" && s.record.Status.Status != "CREATE_IN_PROGRESS" {
			continue // a default group that is gone later was taken away on purpose
		}
		err := r.Client.Create(ctx, want, kube.FieldOwner)
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return phase.Done(), fmt.Errorf("create %s: %w", want.Spec.Name, err)
		}
		made = true
	}
	if made {
		return phase.Wait("making node groups"), nil // the watch brings them
	}
	return phase.Done(), nil
}

func (r *Reconciler) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return s, nil
}

func (r *Reconciler) awaitCredential(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.stack.Cluster != nil {
		return phase.Done(), nil // it was there before the Cluster was made
	}
	secret, err := r.secret(ctx, capi.CloudConfigSecretName(s.record.Spec.StackID))
	if err != nil || secret != nil {
		return phase.Done(), err
	}
	left := credentialWithin - r.Now().Sub(s.record.CreationTimestamp.Time)
	if left <= 0 {
		return phase.Fail("The application credential of this cluster was never stored, because the request that made the " +
			"cluster was cut off. Delete the cluster and create it again."), nil
	}
	return phase.WaitFor(left, "waiting for the cluster's application credential"), nil
}

func (r *Reconciler) awaitCertificates(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.stack.Cluster != nil {
		return phase.Done(), nil
	}
	for _, p := range capi.Purposes() {
		secret, err := r.secret(ctx, capi.KeyPairSecretName(s.record.Spec.StackID, p))
		if err != nil {
			return phase.Done(), err
		}
		if secret == nil {
			return phase.Wait("making certificate authorities"), nil
		}
		if !kube.Belongs(secret, s.record.Name) {
			return phase.Fail("The Secret %s belongs to another cluster. Delete this cluster and create it again: it gets another name.",
				secret.Name), nil
		}
	}
	return phase.Done(), nil
}

// upgradeGroups carries the cluster's version and image over to the groups that follow its upgrade: an upgrade changes
// the cluster's record only, in one write, so that it cannot stop half-way (Magnum 1.8: upgrade takes image and
// kube_tag from the new template). A group with an image of its own keeps image and version until it is upgraded by
// name.
func (r *Reconciler) upgradeGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	asked, changed := s.words.Upgrade, false
	for i := range s.groups {
		g := &s.groups[i]
		if g.DeletionTimestamp != nil || g.Spec.ClusterUpgrade >= asked.Generation || !store.NodeGroupOf(g).Follows(asked) {
			continue
		}
		base := g.DeepCopy()
		want := s.record.Spec.Resolved
		g.Spec.ClusterUpgrade = asked.Generation
		if _, has := g.Spec.Labels[label.KubeTag]; has { // a copy of the cluster's
			g.Spec.Labels = maps.Clone(g.Spec.Labels)
			g.Spec.Labels[label.KubeTag] = s.record.Spec.Labels[label.KubeTag]
		}
		g.Spec.ImageID = s.record.Spec.Template.ImageID
		g.Spec.Resolved.ImageID, g.Spec.Resolved.ImageOSDistro = want.ImageID, want.ImageOSDistro
		g.Spec.Resolved.HardwareDiskBus = want.HardwareDiskBus
		if err := r.Client.Patch(ctx, g, client.MergeFrom(base), kube.FieldOwner); err != nil {
			return phase.Done(), fmt.Errorf("node group %s: %w", g.Spec.Name, err)
		}
		changed = true
	}
	if changed {
		s.refresh()
	}
	return phase.Done(), nil
}

// open opens the owner's cloud, or fails to, once a round; nil when the cluster has no credential.
func (r *Reconciler) open(ctx context.Context, s *scope) (Cloud, error) {
	if s.cloud != nil || s.closed != nil {
		return s.cloud, s.closed
	}
	secret, err := r.secret(ctx, capi.CloudConfigSecretName(s.record.Spec.StackID))
	if err != nil || secret == nil || !kube.Belongs(secret, s.record.Name) {
		return nil, err
	}
	cloud, err := r.CloudFor(ctx, secret.Data["clouds.yaml"])
	if err != nil { // whatever came with it is no cloud
		s.closed = fmt.Errorf("open the owner's cloud: %w", err)
		return nil, s.closed
	}
	s.cloud = cloud
	return cloud, nil
}

// markMachines tells Cluster API which machines a shrinking group gives up first. A mark lives as long as the request
// it belongs to: a machine that was named once must not go when the group shrinks for another reason.
func (r *Reconciler) markMachines(ctx context.Context, s *scope) (phase.Outcome, error) {
	for _, g := range s.members {
		for _, m := range s.observed.GroupMachines(g) {
			wanted := g.Resize > g.Resized && slices.ContainsFunc(g.NodesToRemove, func(node string) bool { return kube.NamesMachine(m, node) })
			mark, marked := m.Annotations[capi.DeleteMachineAnnotation]
			if wanted == marked || marked && mark != capi.DeleteMachineValue { // the autoscaler has marks of its own
				continue
			}
			next := m.DeepCopy()
			if wanted {
				metav1.SetMetaDataAnnotation(&next.ObjectMeta, capi.DeleteMachineAnnotation, capi.DeleteMachineValue)
			} else {
				delete(next.Annotations, capi.DeleteMachineAnnotation)
			}
			if err := r.Client.Patch(ctx, next, client.MergeFrom(m), kube.FieldOwner); client.IgnoreNotFound(err) != nil {
				return phase.Done(), fmt.Errorf("mark machine %s: %w", m.Name, err)
			}
		}
	}
	return phase.Done(), nil
}

// clusterClass makes the objects of this release's class. They are named by their content: what exists is right.
func (r *Reconciler) clusterClass(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.stack.Cluster != nil && s.stack.Cluster.Spec.Topology.ClassRef.Name == r.Class.Name {
		return phase.Done(), nil
	}
	if r.hasClass(ctx) {
		return phase.Done(), nil
	}
	for _, o := range r.Class.Objects {
		if err := r.Client.Create(ctx, o.DeepCopy(), kube.FieldOwner); err != nil && !apierrors.IsAlreadyExists(err) {
			return phase.Done(), fmt.Errorf("create %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return phase.Done(), nil
}

// hasClass spares the API server creations that would go through webhooks only to find that the objects exist. The
// class is made last: when it is there, all is. An error means no; creating tells more.
func (r *Reconciler) hasClass(ctx context.Context) bool {
	class := &metav1.PartialObjectMetadata{}
	last := r.Class.Objects[len(r.Class.Objects)-1]
	class.SetGroupVersionKind(last.GroupVersionKind())
	return r.Reader.Get(ctx, client.ObjectKeyFromObject(last), class) == nil
}

func (r *Reconciler) cluster(ctx context.Context, s *scope) (phase.Outcome, error) {
	live := s.stack.Cluster
	want, err := capi.Cluster(s.words, s.members, r.options(s))
	if live == nil && err == nil {
		err = errors.Join(want.Warnings...) // what exists goes on with labels that a new cluster may not have
	}
	if err != nil {
		return phase.Fail("%s", magnum.OneLine(err)), nil
	}
	if live == nil {
		capi.Apply(want.Cluster, capi.Change{Annotations: map[string]string{capi.AskedAnnotation: r.request(s, want).Note(want.Cluster)}})
		if err := r.Client.Create(ctx, want.Cluster, kube.FieldOwner); err != nil {
			if apierrors.IsAlreadyExists(err) {
				return phase.Wait("reading the cluster"), nil
			}
			return refused(err)
		}
		r.event(s, "Created", "created Cluster API cluster %s of class %s", want.Cluster.Name, r.Class.Name)
		r.warnOf(s, "NoEffect", "without effect in this cluster", capi.Idle(s.words, r.options(s)))
		s.stack.Cluster = want.Cluster
		return phase.Done(), nil
	}
	req := r.request(s, want)
	if req.Upgrade && r.Addons && !addonsReady(s.record, live, want.Cluster) {
		return phase.Wait("waiting for the addons that have to be first in an upgrade to Kubernetes %s: %s", want.Cluster.Spec.Topology.Version,
			addonsPending(s.record)), nil
	}
	ch := capi.Plan(live, want.Cluster, req)
	if ch.Empty() {
		return phase.Done(), nil
	}
	next := live.DeepCopy()
	capi.Apply(next, ch)
	patch := kube.IfUnchanged(live)
	if err := r.Client.Patch(ctx, next, patch, kube.FieldOwner); err != nil {
		if apierrors.IsConflict(err) {
			return phase.Done(), err
		}
		return refused(err)
	}
	s.stack.Cluster, s.observed.Cluster = next, next
	if what := ch.String(); what != "" {
		r.event(s, "Changed", "changed Cluster API cluster %s: %s", next.Name, what)
	}
	r.warnOf(s, "Labels", "labels that have no effect", want.Warnings)
	return phase.Done(), nil
}

// request compares what the records ask for with what the Cluster carries.
func (r *Reconciler) request(s *scope, want capi.Wanted) capi.Request {
	carries := capi.AskedOf(s.stack.Cluster)
	req := capi.Request{
		Upgrade: s.record.Spec.Upgrade.Generation > carries.Upgrade, Machines: map[string]int{}, Rotation: s.rotation,
		Asked: capi.Asked{Upgrade: s.record.Spec.Upgrade.Generation, Groups: map[string]capi.AskedGroup{}},
	}
	for i := range s.groups {
		g := &s.groups[i]
		if g.DeletionTimestamp != nil {
			continue
		}
		was, name := carries.Groups[g.Spec.Name], store.NodeGroupOf(g).DeploymentName()
		if want.Faults[g.Spec.Name] != nil {
			req.Keep = append(req.Keep, name)
			if _, there := carries.Groups[g.Spec.Name]; there {
				req.Asked.Groups[g.Spec.Name] = was
			}
			continue
		}
		switch {
		case g.Spec.Upgrade.Generation > was.Upgrade:
			req.Machines[name] = g.Spec.Upgrade.MaxBatchSize
		case g.Spec.ClusterUpgrade > was.ClusterUpgrade:
			req.Machines[name] = s.record.Spec.Upgrade.MaxBatchSize
		}
		req.Asked.Groups[g.Spec.Name] = capi.AskedGroup{
			Record: g.Generation, Upgrade: g.Spec.Upgrade.Generation, ClusterUpgrade: g.Spec.ClusterUpgrade, Labels: was.Labels,
		}
	}
	return req
}

// sizes gives the groups that the autoscaler sizes what their owner asked for, and their minimum.
func (r *Reconciler) sizes(ctx context.Context, s *scope) (phase.Outcome, error) {
	for _, t := range s.stack.Cluster.Spec.Topology.Workers.MachineDeployments {
		md := s.observed.MachineDeployment(t.Name)
		at := slices.IndexFunc(s.members, func(g *magnum.NodeGroup) bool { return g.DeploymentName() == t.Name && g.Role != magnum.RoleMaster })
		if t.Replicas != nil || md == nil || at < 0 {
			continue
		}
		g := s.members[at]
		size := capi.Size(md, g)
		if !capi.NeedsSize(md, g) && md.Spec.Replicas != nil && *md.Spec.Replicas == size {
			continue
		}
		next := md.DeepCopy()
		next.Spec.Replicas = &size
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, capi.ResizeAnnotation, strconv.FormatInt(g.Resize, 10))
		patch := kube.IfUnchanged(md)
		if err := r.Client.Patch(ctx, next, patch, kube.FieldOwner); err != nil {
			if apierrors.IsConflict(err) {
				return phase.Done(), err
			}
			return phase.Done(), fmt.Errorf("set the size of node group %s: %w", g.Name, err)
		}
		r.event(s, "Sized", "node group %s has %s now", g.Name, magnum.Count(int(size), "node"))
	}
	return phase.Done(), nil
}

func (r *Reconciler) options(s *scope) capi.Options {
	o := capi.Options{
		Class: r.Class.Name, ServerGroups: s.servers, APIAddress: s.address,
		BootVolumeSize: r.BootVolumeSize, BootVolumeType: r.BootVolumeType, ManagementCIDRs: r.ManagementCIDRs,
	}
	if s.stack.Cluster != nil {
		o.Version = s.stack.Cluster.Spec.Topology.Version
	}
	return o
}

// refused tells what Cluster API's webhooks will never accept from what may pass.
func refused(err error) (phase.Outcome, error) {
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return phase.Fail("Cluster API refuses the cluster: %s", kube.Refusal(err)), nil
	}
	return phase.Done(), err
}
