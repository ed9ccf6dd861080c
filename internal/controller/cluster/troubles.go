package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// Why the cloud does not make what was asked for is seldom in Cluster API's objects, and the cloud sends no events. So
// while something is missing, and only then, the provider's objects are read and the cloud is asked, at most once in
// lookEvery for each cluster.
const (
	lookEvery, lookSeldom = 15 * time.Second, 2 * time.Minute
	// patience is how long the cloud may take before it is asked itself: most of what is missing is only being made.
	patience = 20 * time.Second
	// pendingWithin is how long Octavia may work on a load balancer before that is told.
	pendingWithin = time.Minute
)

// Doctor is what can be asked of a cloud that does not make what it was asked for, with the cluster's own credential.
type Doctor interface {
	// Works tells whether the credential is still good: openstack.ErrUnauthorized when it is not.
	Works(ctx context.Context) error
	// ServerFault is why Nova gave a server up.
	ServerFault(ctx context.Context, id string) (string, error)
	// ServerConsole is the end of what a server has written to its console.
	ServerConsole(ctx context.Context, id string) (string, error)
	// LoadBalancerState is a load balancer's provisioning status and since when; "" when there is none.
	LoadBalancerState(ctx context.Context, name string) (status string, since time.Time, err error)
}

// looks remembers when each cluster's cloud was asked, and what never changes. All of it can be learned again.
type looks struct {
	mu     sync.Mutex
	at     map[string]time.Time
	faults map[string]map[string]string // cluster -> server -> Nova's words
}

// due tells whether to look now, and if not, in how long.
func (l *looks) due(cluster string, now time.Time, every time.Duration) (bool, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest := every - now.Sub(l.at[cluster]); rest > 0 {
		return false, rest
	}
	if l.at == nil {
		l.at, l.faults = map[string]time.Time{}, map[string]map[string]string{}
	}
	l.at[cluster] = now
	return true, every
}

// again makes a look due that came to nothing, and keeps what is known.
func (l *looks) again(cluster string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, cluster)
}

func (l *looks) forget(cluster string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, cluster)
	delete(l.faults, cluster)
}

// fault returns what Nova said of a server, asking it once.
func (l *looks) fault(cluster, server string, ask func() (string, error)) (string, error) {
	l.mu.Lock()
	known := l.faults[cluster][server]
	l.mu.Unlock()
	if known != "" {
		return known, nil
	}
	said, err := ask()
	if err != nil || said == "" {
		return said, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults[cluster] == nil {
		l.faults[cluster] = map[string]string{}
	}
	l.faults[cluster][server] = said
	return said, nil
}

// troubles finds out what is wrong in the cloud, and returns when to look again; 0: nothing ails.
func (r *Reconciler) troubles(ctx context.Context, s *scope) time.Duration {
	st := &s.record.Status
	resting := magnum.Status(st.Status).Complete() && st.ObservedGeneration == s.record.Generation
	replacing := resting && s.observed.Replacing() // nobody has asked for it: a health check, or an autoscaler, makes a machine
	onOpenStack := s.stack.Cluster != nil && s.stack.Cluster.Spec.InfrastructureRef.Kind == "OpenStackCluster"
	if !onOpenStack || resting && !replacing && s.record.DeletionTimestamp == nil || !s.observed.Unfinished() {
		r.looks.forget(s.record.Name)
		st.Troubles = nil
		return 0
	}
	every := lookEvery
	if magnum.Status(st.Status).Failed() || replacing { // it is tried on, and may have another reason some day
		every = lookSeldom
	}
	due, again := r.looks.due(s.record.Name, r.Now(), every)
	if due {
		found, refused, err := r.examine(ctx, s)
		if err != nil { // what was known stays; the round does not hang on it
			s.log.WarnContext(ctx, "cannot find out what ails a cluster", "error", err)
		} else {
			r.tell(s, found)
			st.Troubles = found
			if r.replaceRefused(ctx, s, refused) {
				r.looks.again(s.record.Name)
				again = conflictAgain
			}
		}
	}
	s.observed.Troubles = nil
	for _, t := range st.Troubles {
		s.observed.Troubles = append(s.observed.Troubles, capi.Trouble(t))
	}
	return again
}

// tell makes an event of each trouble that is new: of the node group, where it is one of its machines that has it.
func (r *Reconciler) tell(s *scope, found []v1alpha1.Trouble) {
	for _, t := range found {
		if slices.Contains(s.before.Status.Troubles, t) {
			continue
		}
		if t.Machine == "" {
			r.warn(s, "Cloud", "%s", t.Text)
			continue
		}
		of, machine := s.machine(t.Machine)
		r.Recorder.Eventf(of, nil, corev1.EventTypeWarning, "Cloud", "Cloud", "machine %s: %s", machine, t.Text)
	}
}

// machine finds by the name of its infrastructure object whose machine that is, and the machine's own name.
func (s *scope) machine(infrastructure string) (of client.Object, name string) {
	for i := range s.groups {
		for _, m := range s.observed.GroupMachines(store.NodeGroupOf(&s.groups[i])) {
			if m.Spec.InfrastructureRef.Name == infrastructure {
				return &s.groups[i], m.Name
			}
		}
	}
	return s.record, infrastructure
}

// examine asks the provider's objects first, and the cloud itself where they do not say. It names machines whose
// servers Nova refused as well, if they are due to be replaced.
func (r *Reconciler) examine(ctx context.Context, s *scope) ([]v1alpha1.Trouble, []*clusterv1.Machine, error) {
	p, err := kube.ReadProvider(ctx, r.Reader, r.Client.RESTMapper(), s.stack.Cluster, r.Now())
	if err != nil {
		return nil, nil, err
	}
	found := r.cloudTroubles(ctx, s, p)
	var refused []*clusterv1.Machine
	if len(found) == 0 { // a cloud that cannot be asked makes no other server either
		found = s.observed.ProviderTroubles(p, capi.ServerReports{Fault: r.faults(ctx, s, p), Console: r.consoles(ctx, s, p)}, r.Now())
		refused = s.observed.Refused(p, r.Now())
	}
	out := make([]v1alpha1.Trouble, len(found))
	for i, t := range found {
		out[i] = v1alpha1.Trouble(t)
	}
	return out, refused, nil
}

// replaceRefused makes machines anew whose servers Nova has refused, and tells whether to try again soon.
func (r *Reconciler) replaceRefused(ctx context.Context, s *scope, machines []*clusterv1.Machine) (soon bool) {
	if s.record.DeletionTimestamp != nil {
		return false
	}
	err := r.replace(ctx, s, machines, "MachineReplaced", func(m *clusterv1.Machine) string {
		for _, t := range s.record.Status.Troubles {
			if t.Machine == m.Spec.InfrastructureRef.Name {
				return t.Text
			}
		}
		return "Nova has refused its server"
	})
	if soon = conflicted(err); err != nil && !soon { // the next look finds them again
		s.log.WarnContext(ctx, "cannot replace machines whose servers Nova has refused", "error", err)
	}
	return soon
}

// deadCredential says that a cluster's credential is dead, and what to do.
func deadCredential(record *v1alpha1.MagnumCluster) string {
	what := "Give the cluster a new one with PATCH /v1/credentials/" + record.Name
	if record.DeletionTimestamp == nil && !magnum.Status(record.Status.Status).AllowsCredential() {
		what = "Delete the cluster and make it again"
	}
	return "the cluster's application credential no longer works: it has expired, was deleted, or its user was. " + what
}

// cloudTroubles are those for which the provider has no words: a credential that is dead, an Octavia that is.
func (r *Reconciler) cloudTroubles(ctx context.Context, s *scope, p *kube.Provider) []capi.Trouble {
	if r.Now().Sub(s.stack.Cluster.CreationTimestamp.Time) < patience {
		return nil
	}
	cloud, err := r.open(ctx, s)
	if err == nil && cloud == nil {
		return nil // deleted already
	}
	if err == nil {
		err = cloud.Works(ctx)
	}
	switch {
	case errors.Is(err, openstack.ErrUnauthorized):
		return []capi.Trouble{{Text: deadCredential(s.record)}}
	case err != nil:
		return []capi.Trouble{{Text: "the cloud cannot be asked: " + sentence(err)}}
	}
	if !s.record.Spec.MasterLBEnabled || s.record.DeletionTimestamp != nil || s.observed.InfrastructureReady() || p != nil && p.Failure != "" {
		return nil
	}
	name := capi.LoadBalancerName(s.record.Spec.StackID)
	status, since, err := cloud.LoadBalancerState(ctx, name)
	switch {
	case err != nil:
		return []capi.Trouble{{Text: "the load balancer of the API: " + sentence(err)}}
	case status == "ERROR":
		return []capi.Trouble{{Text: "Octavia could not make the load balancer of the API, " + name + ": its provisioning status is ERROR"}}
	case status != "" && status != "ACTIVE" && r.Now().Sub(since) > pendingWithin:
		return []capi.Trouble{{Text: fmt.Sprintf("Octavia works on the load balancer of the API, %s, since %s: its provisioning status is %s",
			name, since.UTC().Format("15:04 MST"), status)}}
	}
	return nil
}

// faults are what Nova says of the servers that it gave up.
func (r *Reconciler) faults(ctx context.Context, s *scope, p *kube.Provider) map[string]string {
	out := map[string]string{}
	if p == nil {
		return out
	}
	for _, server := range p.Servers {
		if !server.Failed || server.ID == "" || len(out) == maxFaults {
			continue
		}
		said, err := r.looks.fault(s.record.Name, server.ID, func() (string, error) {
			cloud, err := r.open(ctx, s)
			if err != nil || cloud == nil {
				return "", err
			}
			return cloud.ServerFault(ctx, server.ID)
		})
		if err != nil {
			said = sentence(err)
		}
		out[server.ID] = said
	}
	return out
}

// consoles are those of servers that run and do not become nodes. Not every cloud keeps a console, nor lets its users
// read it: then time tells.
func (r *Reconciler) consoles(ctx context.Context, s *scope, p *kube.Provider) map[string]string {
	out := map[string]string{}
	for _, id := range s.observed.Nodeless(p, r.Now()) {
		cloud, err := r.open(ctx, s)
		if err != nil || cloud == nil || len(out) == maxFaults {
			return out
		}
		if out[id], err = cloud.ServerConsole(ctx, id); err != nil {
			s.log.DebugContext(ctx, "a server's console cannot be read", "server", id, "error", err)
		}
	}
	return out
}

// maxFaults bounds how many servers Nova is asked about in one look: they have the same reason.
const maxFaults = 3
