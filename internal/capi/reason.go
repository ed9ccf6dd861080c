package capi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// maxReason bounds a reason; it becomes status_reason, which people read in a table.
const maxReason = 500

// The ranks of what can be wrong, the most telling first: what stops everything, then what a machine's provider says,
// then what follows from it, then what is only not there yet.
const (
	rankTopology = iota
	rankTrouble
	rankInfrastructure
	rankMachineTrouble
	rankMachineFailed
	rankMachineInfrastructure
	rankMachine
	rankDeletion
	rankGroup
	rankWaiting
)

// finding is one thing that is wrong or missing.
type finding struct {
	rank    int
	group   string
	machine string
	text    string
}

// Reason is one sentence about what matters most in a cluster that is not as it should be, "" when nothing is missing.
// Equal objects give the equal sentence, whatever their order.
func (o Observed) Reason() string {
	fs := o.clusterFindings()
	for _, m := range o.Machines {
		fs = append(fs, o.machineFindings(m)...)
	}
	if k := o.ControlPlane; k != nil {
		fs = append(fs, groupFinding(magnum.DefaultMaster, k.DeletionTimestamp, k.Status.Conditions), countFinding(magnum.DefaultMaster, k.Spec.Replicas, k.Status.ReadyReplicas))
	}
	for _, md := range o.MachineDeployments {
		name := md.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel]
		fs = append(fs, groupFinding(name, md.DeletionTimestamp, md.Status.Conditions), countFinding(name, md.Spec.Replicas, md.Status.ReadyReplicas))
	}
	return sentence(fs)
}

// DeletionReason is one sentence about what keeps a cluster that is being deleted from being gone, "" when nothing is
// known to. What a provider says counts here although its machines are on their way out.
func (o Observed) DeletionReason() string {
	if o.Cluster == nil {
		return ""
	}
	fs := o.clusterTroubles()
	for _, m := range o.Machines {
		fs = append(fs, o.machineTroubles(m)...)
		fs = append(fs, machineDeletion(m))
	}
	cs := o.Cluster.Status.Conditions
	if c := condition(cs, clusterv1.ClusterInfrastructureReadyCondition); isNotTrue(c) && !waiting(c) && len(o.Machines) == 0 {
		fs = append(fs, finding{rank: rankInfrastructure, text: "network and load balancer: " + told(c)})
	}
	if c := condition(cs, clusterv1.ClusterDeletingCondition); c != nil && c.Status == metav1.ConditionTrue && clean(telling(c.Message)) != "" {
		fs = append(fs, finding{rank: rankWaiting, text: "deleting: " + told(c)})
	}
	return sentence(fs)
}

// machineDeletion is what keeps one machine from going.
func machineDeletion(m *clusterv1.Machine) finding {
	f := finding{group: groupOf(m), machine: m.Name}
	name := "node group " + f.group + ": machine " + m.Name + ": "
	if c := condition(m.Status.Conditions, clusterv1.MachineInfrastructureReadyCondition); isNotTrue(c) && !waiting(c) && !strings.Contains(c.Reason, "Delet") {
		f.rank, f.text = rankMachineInfrastructure, name+told(c)
		return f
	}
	f, _ = machineFinding(m)
	return f
}

// groupReason is the same for one node group; waiting is what to say when nothing is wrong.
func (o Observed) groupReason(g *magnum.NodeGroup, waiting string) string {
	fs := o.clusterFindings()
	for _, m := range o.GroupMachines(g) {
		fs = append(fs, o.machineFindings(m)...)
	}
	fs = slices.DeleteFunc(fs, func(f finding) bool { return f.rank >= rankGroup })
	if s := sentence(fs); s != "" {
		return s
	}
	return shorten(waiting)
}

func sentence(fs []finding) string {
	fs = slices.DeleteFunc(fs, func(f finding) bool { return f.text == "" })
	if len(fs) == 0 {
		return ""
	}
	slices.SortFunc(fs, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), masterFirst(a.group, b.group), strings.Compare(a.machine, b.machine), strings.Compare(a.text, b.text))
	})
	first := fs[0]
	same := 0
	for _, f := range fs[1:] {
		if f.rank == first.rank && f.machine != "" {
			same++
		}
	}
	if same == 0 {
		return shorten(first.text)
	}
	more := fmt.Sprintf(" (and %d more machines)", same)
	if same == 1 {
		more = " (and one more machine)"
	}
	return magnum.Shorten(first.text, maxReason-len(more)) + more
}

func masterFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == magnum.DefaultMaster:
		return -1
	case b == magnum.DefaultMaster:
		return 1
	}
	return strings.Compare(a, b)
}

// clusterFindings are about what all groups share.
func (o Observed) clusterFindings() []finding {
	if o.Cluster == nil {
		return nil
	}
	fs := append(o.clusterTroubles(), finding{rank: rankTrouble, text: o.lostControlPlane()})
	cs := o.Cluster.Status.Conditions
	if c := condition(cs, clusterv1.ClusterTopologyReconciledCondition); isNotTrue(c) && c.Reason == clusterv1.ClusterTopologyReconciledFailedReason && !passes(c.Message) {
		fs = append(fs, finding{rank: rankTopology, text: "the cluster cannot be built as asked: " + told(c)})
	}
	if c := condition(cs, clusterv1.ClusterInfrastructureReadyCondition); isNotTrue(c) {
		f := finding{rank: rankInfrastructure, text: "network and load balancer: " + told(c)}
		if waiting(c) {
			f = finding{rank: rankWaiting, text: "waiting for network and load balancer"}
		}
		fs = append(fs, f)
	} else if c := condition(cs, clusterv1.ClusterControlPlaneInitializedCondition); isNotTrue(c) {
		fs = append(fs, finding{rank: rankWaiting, text: "waiting for the first control plane machine"})
	}
	return fs
}

// passes tells that a failure to build a cluster is one of a moment, which Cluster API gets over by trying again:
// nothing is wrong with what was asked for. The sentences are those of Kubernetes' API machinery and of Cluster API
// 1.14.
func passes(message string) bool {
	return slices.ContainsFunc([]string{
		"the object has been modified", "already exists", "connection refused", "context deadline exceeded", "i/o timeout", "EOF",
		"failed calling webhook", "etcdserver: request timed out", "too many requests", "not found", "the server is currently unable",
		"is not successfully reconciled", "has not been reconciled", "try again",
	}, func(s string) bool { return strings.Contains(message, s) })
}

// machineFindings are what is wrong with a machine: what its cloud says explains better than what follows from it.
func (o Observed) machineFindings(m *clusterv1.Machine) []finding {
	if fs := o.machineTroubles(m); len(fs) > 0 {
		return fs
	}
	if f, _ := machineFinding(m); f.text != "" {
		return []finding{f}
	}
	return nil
}

// machineConditions are what can be wrong with a machine, causes before effects.
func machineConditions() []string {
	return []string{
		clusterv1.MachineInfrastructureReadyCondition, clusterv1.MachineBootstrapConfigReadyCondition,
		clusterv1.MachineHealthCheckSucceededCondition, clusterv1.MachineNodeHealthyCondition,
		controlplanev1.KubeadmControlPlaneMachineAPIServerPodHealthyCondition,
		controlplanev1.KubeadmControlPlaneMachineControllerManagerPodHealthyCondition,
		controlplanev1.KubeadmControlPlaneMachineSchedulerPodHealthyCondition,
		controlplanev1.KubeadmControlPlaneMachineEtcdPodHealthyCondition, controlplanev1.KubeadmControlPlaneMachineEtcdMemberHealthyCondition,
		clusterv1.MachineReadyCondition,
	}
}

// machineFinding is the first thing wrong with a machine, and whether its provider has given it up.
func machineFinding(m *clusterv1.Machine) (f finding, failed bool) {
	f = finding{group: groupOf(m), machine: m.Name}
	say := func(rank int, text string) finding {
		f.rank, f.text = rank, "node group "+f.group+": machine "+m.Name+": "+text
		return f
	}
	if text := failure(m); text != "" {
		return say(rankMachineFailed, clean(afterReference(text))), true
	}
	if m.DeletionTimestamp != nil {
		c := condition(m.Status.Conditions, clusterv1.MachineDeletingCondition)
		if c != nil && c.Status == metav1.ConditionTrue && !waiting(c) && c.Reason != clusterv1.MachineDeletingDeletionCompletedReason {
			return say(rankDeletion, "deleting: "+told(c)), false
		}
		return finding{}, false
	}
	for _, kind := range machineConditions() {
		c := condition(m.Status.Conditions, kind)
		if !isNotTrue(c) || waiting(c) {
			continue
		}
		rank := rankMachine
		if kind == clusterv1.MachineInfrastructureReadyCondition {
			rank = rankMachineInfrastructure
		}
		return say(rank, told(c)), false
	}
	return finding{}, false
}

// countFinding is the least that can be said: machines are still to come.
func countFinding(name string, want, ready *int32) finding {
	if n(ready) >= n(want) {
		return finding{}
	}
	return finding{rank: rankWaiting, group: name, text: fmt.Sprintf("node group %s: %d of %d machines are ready", name, n(ready), n(want))}
}

// failure is what a provider says when it gives a machine up.
func failure(m *clusterv1.Machine) string {
	//nolint:staticcheck // SA1019: CAPO 0.13 speaks the v1beta1 contract, where this is the only way to say it.
	if d := m.Status.Deprecated; d != nil && d.V1Beta1 != nil && d.V1Beta1.FailureMessage != nil {
		return *d.V1Beta1.FailureMessage //nolint:staticcheck // SA1019: see above.
	}
	return ""
}

// groupFinding is what the control plane or a machine deployment itself says.
func groupFinding(name string, deleted *metav1.Time, cs []metav1.Condition) finding {
	if deleted != nil {
		return finding{rank: rankWaiting, group: name, text: "node group " + name + " is being deleted"}
	}
	for _, kind := range []string{
		controlplanev1.KubeadmControlPlaneCertificatesAvailableCondition, controlplanev1.KubeadmControlPlaneEtcdClusterHealthyCondition,
		controlplanev1.KubeadmControlPlaneControlPlaneComponentsHealthyCondition, clusterv1.AvailableCondition,
	} {
		if c := condition(cs, kind); isNotTrue(c) && !waiting(c) {
			return finding{rank: rankGroup, group: name, text: "node group " + name + ": " + told(c)}
		}
	}
	return finding{}
}

// waiting tells that a condition only says that its turn has not come.
func waiting(c *metav1.Condition) bool {
	return strings.HasPrefix(c.Reason, "WaitingFor") || clean(telling(c.Message)) == ""
}

// telling drops the lines of a message that only wait, and headings left without a line. The sentences are Cluster
// API's (1.14), the last two because they tell a user nothing: a count that follows from something else, and a pointer
// to logs.
func telling(message string) string {
	var kept []string
	for line := range strings.Lines(message) {
		waits := slices.ContainsFunc([]string{
			"Waiting for", "waiting for", "WaitingFor", "status.initialization.", "not yet reported", "not yet initialized", "not established yet",
			"available replicas, at least", "Please check controller logs",
		}, func(s string) bool { return strings.Contains(line, s) })
		if !waits {
			kept = append(kept, line)
		}
	}
	var out []string
	for i, line := range kept {
		heading := strings.HasSuffix(strings.TrimSpace(line), ":")
		last := i == len(kept)-1 || indent(kept[i+1]) <= indent(line)
		if !heading || !last {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// told is a condition's message, with its reason when that says more than that something is not so.
func told(c *metav1.Condition) string {
	text := clean(telling(c.Message))
	if c.Reason == "" || strings.Contains(c.Reason, "Not") || strings.HasSuffix(c.Reason, "Failed") || strings.HasSuffix(c.Reason, "Unknown") {
		return text
	}
	return text + " (" + c.Reason + ")"
}

// afterReference drops the part of a failure message that names the object it was copied from.
func afterReference(s string) string {
	if strings.HasPrefix(s, "Failure detected from referenced resource") {
		if _, rest, ok := strings.Cut(s, `": `); ok {
			return rest
		}
	}
	return s
}

// clean makes one line of Cluster API's indented bullets.
func clean(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ToValidUTF8(s, "?")) {
		line = strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r < ' ' || r == ' ' || r == 0x7f }), " ")
		line = strings.TrimPrefix(line, "* ")
		switch {
		case line == "":
			continue
		case b.Len() == 0:
		case strings.HasSuffix(b.String(), ":"):
			b.WriteByte(' ')
		default:
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

func shorten(s string) string { return magnum.Shorten(s, maxReason) }
