package capi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Request is what the records ask for that replaces machines. Sizes, labels, and groups that come and go need no
// request: the records say how they are to be.
type Request struct {
	// Upgrade asks for the wanted class, version and variables of the whole cluster.
	Upgrade bool
	// Machines asks for the wanted machines of worker groups, by DeploymentName, and says how many may be replaced at
	// once; 0: not said.
	Machines map[string]int
	// Keep are groups that are not wanted only because they cannot be written: they stay as they are.
	Keep []string
	// Rotation is the step of a rotation that machines are to be of; nil: none is on its way.
	Rotation *Rotation
	// Asked is noted on the Cluster, so that everybody sees which requests it carries.
	Asked Asked
}

// Asked says which requests a Cluster carries. It is written with them, in one write.
type Asked struct {
	// Upgrade is the generation of the cluster's upgrade.
	Upgrade int64                 `json:"upgrade,omitempty"`
	Groups  map[string]AskedGroup `json:"groups,omitempty"` // by name
}

// AskedGroup is the same for one node group.
type AskedGroup struct {
	// Record is the generation of the group's record.
	Record int64 `json:"record,omitempty"`
	// Upgrade is the generation of the group's own upgrade, ClusterUpgrade that of the cluster's in which it took part.
	Upgrade        int64 `json:"upgrade,omitempty"`
	ClusterUpgrade int64 `json:"clusterUpgrade,omitempty"`
	// Labels are the labels of nodes that were asked of Cluster API, so that those that are asked for no more can go.
	Labels []string `json:"labels,omitempty"`
}

// AskedOf reads what a Cluster carries; nothing, if nobody noted it: the Cluster is from before, or somebody else's.
func AskedOf(live *clusterv1.Cluster) Asked {
	var a Asked
	if live != nil {
		_ = json.Unmarshal([]byte(live.Annotations[AskedAnnotation]), &a) // what cannot be read was not written by us
	}
	return a
}

// Change is what has to be done to a Cluster. What it does not say stays as it is, and so does everything that others
// set.
type Change struct {
	Scale        []Scale
	NodeMetadata []NodeMetadata
	Machines     []Machines
	Class        *ClassMove
	// Defer are worker groups that do not go along to another version of Kubernetes: they have to be asked for by name.
	Defer  []string
	Add    []clusterv1.MachineDeploymentTopology
	Remove []string
	// Labels and Annotations are the Cluster's own; Network is for one that has none.
	Labels, Annotations map[string]string
	Network             *clusterv1.ClusterNetwork
	// Access is who may reach the cluster: variables that replace no machine.
	Access []clusterv1.ClusterVariable
	// Rotation are the variables of the next step of a rotation.
	Rotation []clusterv1.ClusterVariable
}

// ControlPlane is what a Change calls the control plane where it names groups.
const ControlPlane = ""

// Scale is how many machines a group has; nil: the autoscaler decides, and Annotations tell it what it has to know.
type Scale struct {
	Group       string
	Replicas    *int32
	Annotations map[string]string
}

// NodeMetadata are labels of nodes that Cluster API carries to them from machines. No machine is replaced.
type NodeMetadata struct {
	Group  string
	Set    map[string]string
	Remove []string
}

// Machines are what a worker group's machines are made of. Those that are otherwise are replaced.
type Machines struct {
	Group         string
	Class         string
	HealthCheck   *bool
	FailureDomain string // empty: as it is
	Overrides     []clusterv1.ClusterVariable
	AtOnce        int // how many are replaced at once; 0: as it is
}

// ClassMove is what all machines share.
type ClassMove struct {
	Name, Version string
	HealthCheck   *bool
	Variables     []clusterv1.ClusterVariable
}

// Plan compares a live Cluster with a wanted one and says what to do of what was asked for. It changes neither.
//
// Only an upgrade takes over class, version and variables; even then, what an OpenStackCluster can never change stays
// as it is (CAPO's webhook refuses it). Only groups that are asked for get other machines.
func Plan(live, wanted *clusterv1.Cluster, r Request) Change {
	l, w := &live.Spec.Topology, &wanted.Spec.Topology
	var ch Change
	ch.Labels = missing(live.Labels, wanted.Labels)
	ch.Annotations = missing(live.Annotations, map[string]string{AskedAnnotation: r.Note(wanted)})
	if reflect.ValueOf(live.Spec.ClusterNetwork).IsZero() && !reflect.ValueOf(wanted.Spec.ClusterNetwork).IsZero() {
		ch.Network = &wanted.Spec.ClusterNetwork
	}
	sameClass := l.ClassRef.Name == w.ClassRef.Name
	variables := l.Variables
	desired := keepAllowed(l.Variables, keepNodePorts(l.Variables, w.Variables))
	if !r.Upgrade {
		ch.Access = access(l.Variables, desired)
		ch.Rotation = rotated(l.Variables, r.Rotation)
	}
	if r.Upgrade {
		variables = mergeVariables(keepImmutable(l.Variables), desired, sameClass, immutable())
		move := &ClassMove{Name: w.ClassRef.Name, Version: w.Version, HealthCheck: w.ControlPlane.HealthCheck.Enabled, Variables: variables}
		was := &ClassMove{Name: l.ClassRef.Name, Version: l.Version, HealthCheck: l.ControlPlane.HealthCheck.Enabled, Variables: l.Variables}
		if !apiequality.Semantic.DeepEqual(move, was) {
			ch.Class = move
		}
	}
	ch.scale(ControlPlane, l.ControlPlane.Replicas, w.ControlPlane.Replicas, nil, nil)
	ch.metadata(ControlPlane, l.ControlPlane.Metadata.Labels, w.ControlPlane.Metadata.Labels, nil)
	ch.workers(live, wanted, r, variables, sameClass)
	return ch
}

func (ch *Change) workers(live, wanted *clusterv1.Cluster, r Request, variables []clusterv1.ClusterVariable, sameClass bool) {
	l, w := &live.Spec.Topology, &wanted.Spec.Topology
	had := map[string]bool{}
	carried := AskedOf(live)
	for i := range l.Workers.MachineDeployments {
		have := &l.Workers.MachineDeployments[i]
		had[have.Name] = true
		at := slices.IndexFunc(w.Workers.MachineDeployments, func(t clusterv1.MachineDeploymentTopology) bool { return t.Name == have.Name })
		if at < 0 {
			if !slices.Contains(r.Keep, have.Name) {
				ch.Remove = append(ch.Remove, have.Name)
			}
			continue
		}
		want := &w.Workers.MachineDeployments[at]
		ch.scale(have.Name, have.Replicas, want.Replicas, have.Metadata.Annotations, want.Metadata.Annotations)
		ch.metadata(have.Name, have.Metadata.Labels, want.Metadata.Labels, carried.labels(have.Name))
		if atOnce, asked := r.Machines[have.Name]; asked {
			ch.machines(have, want, variables, sameClass, r.Upgrade, atOnce)
		} else if _, deferred := have.Metadata.Annotations[clusterv1.ClusterTopologyDeferUpgradeAnnotation]; r.Upgrade && l.Version != w.Version && !deferred {
			ch.Defer = append(ch.Defer, have.Name)
		}
	}
	for _, want := range w.Workers.MachineDeployments {
		if had[want.Name] {
			continue
		}
		if !r.Upgrade && !sameClass {
			want.Variables.Overrides = knownTo(variables, want.Variables.Overrides)
		}
		ch.Add = append(ch.Add, want)
	}
}

func (ch *Change) scale(group string, have, want *int32, haveNotes, wantNotes map[string]string) {
	notes := map[string]string{}
	for _, k := range autoscalerAnnotations() {
		if v, ok := haveNotes[k]; ok {
			notes[k] = v
		}
	}
	// What is known of a flavor is told even when this round does not know it.
	for k, v := range notes {
		if _, ok := wantNotes[k]; !ok && want == nil && strings.HasPrefix(k, capacity) && k != capacity+"taints" {
			wantNotes = setAll(maps.Clone(wantNotes), map[string]string{k: v})
		}
	}
	if !apiequality.Semantic.DeepEqual(have, want) || !maps.Equal(notes, wantNotes) {
		ch.Scale = append(ch.Scale, Scale{Group: group, Replicas: want, Annotations: wantNotes})
	}
}

func (ch *Change) metadata(group string, have, want map[string]string, carried []string) {
	m := NodeMetadata{Group: group, Set: missing(have, want)}
	for _, k := range carried {
		_, there := have[k]
		if _, wanted := want[k]; there && !wanted {
			m.Remove = append(m.Remove, k)
		}
	}
	if len(m.Set)+len(m.Remove) > 0 {
		ch.NodeMetadata = append(ch.NodeMetadata, m)
	}
}

func (ch *Change) machines(have, want *clusterv1.MachineDeploymentTopology, variables []clusterv1.ClusterVariable, sameClass, upgrade bool, atOnce int) {
	overrides := want.Variables.Overrides
	if !upgrade && !sameClass {
		overrides = knownTo(variables, overrides)
	}
	m := Machines{
		Group: have.Name, Class: want.Class, HealthCheck: want.HealthCheck.Enabled, AtOnce: atOnce,
		FailureDomain: cmp.Or(want.FailureDomain, have.FailureDomain),
		Overrides:     mergeVariables(have.Variables.Overrides, overrides, sameClass || !upgrade, nil),
	}
	if gone := registration(m.Overrides, overrides); len(gone) > 0 { // labels and taints that are wanted no more
		m.Overrides = slices.DeleteFunc(slices.Clone(m.Overrides), func(v clusterv1.ClusterVariable) bool { return slices.Contains(gone, v.Name) })
	}
	_, deferred := have.Metadata.Annotations[clusterv1.ClusterTopologyDeferUpgradeAnnotation]
	was := Machines{
		Group: have.Name, Class: have.Class, HealthCheck: have.HealthCheck.Enabled, AtOnce: atOnce, FailureDomain: have.FailureDomain,
		Overrides: have.Variables.Overrides,
	}
	surge := have.Rollout.Strategy.RollingUpdate.MaxSurge
	slower := atOnce > 0 && (surge == nil || surge.IntValue() != atOnce)
	if deferred || slower || !apiequality.Semantic.DeepEqual(m, was) {
		ch.Machines = append(ch.Machines, m)
	}
}

// registration names the variables of what kubelets register with that a group has and is to have no more.
func registration(have, want []clusterv1.ClusterVariable) []string {
	h, w := varsByName(have), varsByName(want)
	return slices.DeleteFunc([]string{varNodeLabels, varNodeTaints}, func(name string) bool {
		_, there := h[name]
		_, wanted := w[name]
		return !there || wanted
	})
}

// Note is the annotation that says what a Cluster carries when the request has been carried out.
func (r Request) Note(wanted *clusterv1.Cluster) string {
	a := r.Asked
	a.Groups = maps.Clone(a.Groups)
	for _, md := range wanted.Spec.Topology.Workers.MachineDeployments {
		for name, g := range a.Groups {
			if (&magnum.NodeGroup{Name: name}).DeploymentName() == md.Name {
				g.Labels = slices.Sorted(maps.Keys(md.Metadata.Labels))
				a.Groups[name] = g
			}
		}
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic("capi: what was asked does not marshal: " + err.Error())
	}
	return string(b)
}

func (a Asked) labels(deployment string) []string {
	for name, g := range a.Groups {
		if (&magnum.NodeGroup{Name: name}).DeploymentName() == deployment {
			return g.Labels
		}
	}
	return nil
}

// Empty tells that there is nothing to do.
func (ch Change) Empty() bool { return reflect.ValueOf(ch).IsZero() }

// String says for people what is done.
func (ch Change) String() string {
	var say []string
	add := func(format string, args ...any) { say = append(say, fmt.Sprintf(format, args...)) }
	if ch.Class != nil {
		add("class %s, Kubernetes %s", ch.Class.Name, ch.Class.Version)
	}
	if len(ch.Access) > 0 {
		add("who may reach it")
	}
	if len(ch.Rotation) > 0 {
		add("the next step of a rotation")
	}
	for _, s := range ch.Scale {
		if s.Replicas == nil {
			add("bounds of %s", cmp.Or(s.Group, magnum.DefaultMaster))
		} else {
			add("%s to %s", cmp.Or(s.Group, magnum.DefaultMaster), magnum.Count(int(*s.Replicas), "node"))
		}
	}
	for _, m := range ch.Machines {
		add("new machines for %s", m.Group)
	}
	for _, m := range ch.NodeMetadata {
		add("labels of %s", cmp.Or(m.Group, magnum.DefaultMaster))
	}
	for _, a := range ch.Add {
		add("new group %s", a.Name)
	}
	for _, name := range ch.Remove {
		add("group %s goes", name)
	}
	for _, name := range ch.Defer {
		add("%s stays at its version", name)
	}
	return strings.Join(say, "; ")
}

// immutable are the variables whose values CAPO's webhook refuses to see changed in an OpenStackCluster, and those that
// no upgrade changes.
func immutable() []string {
	return []string{
		varAPIServerLoadBalancer, varAPIServerFloatingIP, varDisableFloatingIP, varExternalNetwork, varFixedNetwork, varFixedSubnet, varNodeCIDR,
		varControlPlaneRotation, varWorkerRotation, // theirs is another way
	}
}

// oldDisableManaged is how magnum-cluster-api's classes say that disableAPIServerFloatingIP was never written.
const oldDisableManaged = "disableAPIServerFloatingIPManaged"

func keepImmutable(live []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	if v, ok := varsByName(live)[oldDisableManaged]; !ok || string(v.Raw) != "false" {
		return live
	}
	return slices.DeleteFunc(slices.Clone(live), func(v clusterv1.ClusterVariable) bool { return v.Name == varDisableFloatingIP })
}

// mergeVariables sets desired values in the live list. Variables that only the live list has are kept within one class;
// another class would refuse them. Of those in keep, the live value wins, and the live silence about
// disableAPIServerFloatingIP too.
func mergeVariables(live, desired []clusterv1.ClusterVariable, sameClass bool, keep []string) []clusterv1.ClusterVariable {
	want, have := varsByName(desired), varsByName(live)
	var merged []clusterv1.ClusterVariable
	for _, v := range live {
		w, wanted := want[v.Name]
		switch {
		case !wanted && !sameClass:
			continue
		case wanted && !slices.Contains(keep, v.Name) && !sameJSON(v.Value, w):
			v.Value = w
		}
		merged = append(merged, v)
	}
	for _, v := range desired {
		_, there := have[v.Name]
		silent := v.Name == varDisableFloatingIP && slices.Contains(keep, v.Name)
		if !there && !silent {
			merged = append(merged, v)
		}
	}
	return merged
}

func sameJSON(a, b apiextensionsv1.JSON) bool {
	var x, y any
	if json.Unmarshal(a.Raw, &x) != nil || json.Unmarshal(b.Raw, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// knownTo leaves away what an older class does not define and would refuse. Every class's clusters give all its
// variables a value, by us or by its defaults, so what it defines can be seen in the Cluster.
func knownTo(class, overrides []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	known := varsByName(class)
	return slices.DeleteFunc(slices.Clone(overrides), func(v clusterv1.ClusterVariable) bool {
		_, ok := known[v.Name]
		return !ok
	})
}

// missing is what of want is not so in have; nil when all is.
func missing(have, want map[string]string) map[string]string {
	var out map[string]string
	for k, v := range want {
		if is, there := have[k]; !there || is != v {
			out = setAll(out, map[string]string{k: v})
		}
	}
	return out
}

func setAll(m, with map[string]string) map[string]string {
	if m == nil && len(with) > 0 {
		m = map[string]string{}
	}
	for k, v := range with {
		m[k] = v
	}
	return m
}
