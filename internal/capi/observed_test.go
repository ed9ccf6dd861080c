package capi_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

const version = "v1.34.1"

func cond(kind, status, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: message, ObservedGeneration: 3}
}

func aMachine(name, group string) *clusterv1.Machine {
	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{clusterv1.ClusterTopologyMachineDeploymentNameLabel: group}}}
	if group == magnum.DefaultMaster {
		m.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	}
	m.Spec.Version, m.Spec.ProviderID = version, "openstack:///0f5d-"+name
	m.Spec.InfrastructureRef.Name = "infra-" + name
	m.Status.NodeRef.Name = "node-" + name
	m.Status.Addresses = clusterv1.MachineAddresses{
		{Type: clusterv1.MachineInternalDNS, Address: name}, {Type: clusterv1.MachineInternalIP, Address: "10.0.0." + name[len(name)-1:]},
	}
	m.Status.Conditions = []metav1.Condition{
		cond("Ready", "True", "Ready", ""), cond("UpToDate", "True", "UpToDate", ""), cond("NodeHealthy", "True", "NodeHealthy", ""),
		cond("InfrastructureReady", "True", "Ready", ""),
	}
	return m
}

// settled is a cluster with one control plane machine and two workers, as it looks when all is done.
func settled() capi.Observed {
	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "kube-abc12", Generation: 3}}
	c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "198.51.100.7", Port: 6443}
	c.Spec.Topology.Version = version
	c.Spec.Topology.ControlPlane.Replicas = new(int32(1))
	c.Spec.Topology.Workers.MachineDeployments = []clusterv1.MachineDeploymentTopology{{Name: magnum.DefaultWorker, Replicas: new(int32(2))}}
	c.Status.Conditions = []metav1.Condition{
		cond("TopologyReconciled", "True", "ReconcileSucceeded", ""), cond("InfrastructureReady", "True", "Ready", ""),
		cond("ControlPlaneInitialized", "True", "Initialized", ""),
	}
	k := &controlplanev1.KubeadmControlPlane{ObjectMeta: metav1.ObjectMeta{Name: "kube-abc12-cp", Generation: 2}}
	k.Spec.Version, k.Spec.Replicas = version, new(int32(1))
	k.Status = controlplanev1.KubeadmControlPlaneStatus{
		ObservedGeneration: 2, Replicas: new(int32(1)), ReadyReplicas: new(int32(1)), AvailableReplicas: new(int32(1)), UpToDateReplicas: new(int32(1)),
		Conditions: []metav1.Condition{cond("Available", "True", "Available", ""), cond("RollingOut", "False", "NotRollingOut", "")},
	}
	md := &clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{
		Name: "kube-abc12-default-worker-x", Generation: 2, Labels: map[string]string{clusterv1.ClusterTopologyMachineDeploymentNameLabel: magnum.DefaultWorker},
	}}
	md.Spec.Template.Spec.Version, md.Spec.Replicas = version, new(int32(2))
	md.Status = clusterv1.MachineDeploymentStatus{
		ObservedGeneration: 2, Replicas: new(int32(2)), ReadyReplicas: new(int32(2)), AvailableReplicas: new(int32(2)), UpToDateReplicas: new(int32(2)),
		Conditions: []metav1.Condition{cond("Available", "True", "Available", ""), cond("RollingOut", "False", "NotRollingOut", "")},
	}
	return capi.Observed{
		Cluster: c, ControlPlane: k, MachineDeployments: []*clusterv1.MachineDeployment{md}, Wrote: 3,
		Machines: []*clusterv1.Machine{
			aMachine("cp-1", magnum.DefaultMaster), aMachine("w-2", magnum.DefaultWorker), aMachine("w-1", magnum.DefaultWorker),
		},
	}
}

func say(m *clusterv1.Machine, cs ...metav1.Condition) {
	for _, c := range cs {
		m.Status.Conditions = slices.DeleteFunc(m.Status.Conditions, func(have metav1.Condition) bool { return have.Type == c.Type })
		m.Status.Conditions = append(m.Status.Conditions, c)
	}
}

func notReady(m *clusterv1.Machine) {
	say(m, cond("Ready", "False", "NotReady", "* InfrastructureReady: No valid host was found. There are not enough hosts available.\n* NodeHealthy: Waiting for Cluster control plane to be initialized"))
}

const noHost = "No valid host was found. There are not enough hosts available."

func TestNodeGroupProgress(t *testing.T) {
	now := metav1.NewTime(time.Unix(1_800_000_000, 0))
	tests := map[string]struct {
		why    string
		change func(*capi.Observed, *magnum.NodeGroup)
		group  int // index in aCluster's groups
		want   capi.Progress
	}{
		"the control plane is done": {"", func(*capi.Observed, *magnum.NodeGroup) {}, 0, capi.Progress{Done: true}},
		"the workers are done":      {"", func(*capi.Observed, *magnum.NodeGroup) {}, 1, capi.Progress{Done: true}},
		"nothing there": {
			"right after the record was made", func(o *capi.Observed, _ *magnum.NodeGroup) { *o = capi.Observed{} }, 1,
			capi.Progress{Reason: "the Cluster does not exist yet"},
		},
		"a cache that lags": {
			"all looks done, but at an older generation", func(o *capi.Observed, _ *magnum.NodeGroup) { o.Wrote = 4 }, 1,
			capi.Progress{Reason: "the change has not been observed yet"},
		},
		"the topology controller sleeps": {
			"its condition is of the old generation", func(o *capi.Observed, _ *magnum.NodeGroup) { o.Cluster.Generation, o.Wrote = 4, 4 }, 1,
			capi.Progress{Reason: "the topology controller has not observed the change yet"},
		},
		"the topology is refused": {
			"", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.Cluster.Status.Conditions[0] = cond("TopologyReconciled", "False", "ReconcileFailed", "failed to apply patches: no such variable")
			}, 0, capi.Progress{Reason: "the cluster cannot be built as asked: failed to apply patches: no such variable"},
		},
		"the topology is refused for a moment": {
			"nothing is wrong with what was asked for: Cluster API tries again", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.Cluster.Status.Conditions[0] = cond("TopologyReconciled", "False", "ReconcileFailed",
					`failed to patch MachineDeployment: Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again`)
			}, 0, capi.Progress{Reason: "waiting until Cluster API has built what was asked for"},
		},
		"an old version": {
			"the control plane goes first", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.MachineDeployments[0].Spec.Template.Spec.Version = "v1.33.0"
			}, 1, capi.Progress{Reason: "waiting for the upgrade to v1.34.1"},
		},
		"the record asks for more": {
			"the Cluster has not been written", func(_ *capi.Observed, g *magnum.NodeGroup) { g.NodeCount = 3 }, 1,
			capi.Progress{Reason: "the Cluster does not ask for 3 machines yet"},
		},
		"the deployment does not know yet": {
			"", func(o *capi.Observed, g *magnum.NodeGroup) {
				g.NodeCount, o.Cluster.Spec.Topology.Workers.MachineDeployments[0].Replicas = 3, new(int32(3))
			}, 1, capi.Progress{Reason: "the machine deployment does not ask for 3 machines yet"},
		},
		"the deployment has not looked": {
			"", func(o *capi.Observed, _ *magnum.NodeGroup) { o.MachineDeployments[0].Generation = 3 }, 1,
			capi.Progress{Reason: "the machine deployment has not been reconciled yet"},
		},
		"one is missing": {
			"", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.MachineDeployments[0].Status.ReadyReplicas = new(int32(1))
			}, 1,
			capi.Progress{Reason: "of 2 machines 2 exist, 2 are up to date, 1 ready and 2 available"},
		},
		"one too many": {
			"a rolled machine is still going", func(o *capi.Observed, _ *magnum.NodeGroup) {
				m := aMachine("w-0", magnum.DefaultWorker)
				m.DeletionTimestamp = &now
				o.Machines = append(o.Machines, m)
			}, 1, capi.Progress{Reason: "of 2 machines 3 exist"},
		},
		"counts that are older than machines": {
			"", func(o *capi.Observed, _ *magnum.NodeGroup) { o.Machines[1].Spec.Version = "v1.33.0" }, 1,
			capi.Progress{Reason: "machine w-2 has version v1.33.0"},
		},
		"an unhealthy machine": {
			"its provider's words are the reason", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.MachineDeployments[0].Status.ReadyReplicas = new(int32(1))
				say(o.Machines[1], cond("InfrastructureReady", "False", "InstanceStateError", noHost))
				notReady(o.Machines[1])
			}, 1, capi.Progress{Reason: "node group default-worker: machine w-2: " + noHost + " (InstanceStateError)"},
		},
		"a machine given up": {
			"", func(o *capi.Observed, _ *magnum.NodeGroup) {
				o.MachineDeployments[0].Status.ReadyReplicas = new(int32(1))
				fail(o.Machines[1])
			}, 1, capi.Progress{Failed: true, Reason: "node group default-worker: machine w-2: " + noHost},
		},
		"another group's trouble": {
			"a group is judged by its own machines", func(o *capi.Observed, _ *magnum.NodeGroup) { fail(o.Machines[1]) }, 0, capi.Progress{Done: true},
		},
		"autoscaled": {
			"the autoscaler's count is the right one", func(o *capi.Observed, g *magnum.NodeGroup) {
				g.NodeCount, o.Cluster.Spec.Topology.Workers.MachineDeployments[0].Replicas = 1, nil
			}, 1, capi.Progress{Done: true},
		},
		"empty": {
			"no machines are easily done", func(o *capi.Observed, g *magnum.NodeGroup) {
				g.NodeCount, o.Cluster.Spec.Topology.Workers.MachineDeployments[0].Replicas = 0, new(int32(0))
				o.MachineDeployments[0].Spec.Replicas = new(int32(0))
				o.MachineDeployments[0].Status = clusterv1.MachineDeploymentStatus{ObservedGeneration: 2}
				o.Machines = o.Machines[:1]
			}, 1, capi.Progress{Done: true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := settled()
			_, groups := aCluster()
			tc.change(&o, groups[tc.group])
			got := o.NodeGroupProgress(groups[tc.group], version)
			if got.Done != (got.Left == 0) {
				t.Errorf("done is %v and %d things are left", got.Done, got.Left)
			}
			tc.want.Left = got.Left
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

// What is left to do becomes less with each step of a roll, and only then.
func TestWhatIsLeftOfARoll(t *testing.T) {
	now := metav1.NewTime(time.Unix(1_800_000_000, 0))
	o := settled()
	_, groups := aCluster()
	workers := groups[1]
	for _, m := range o.Machines[1:] {
		say(m, cond("UpToDate", "False", "NotUpToDate", "Version v1.33.0"))
	}
	fresh := aMachine("w-3", magnum.DefaultWorker)
	say(fresh, cond("Ready", "False", "NotReady", ""))
	for _, step := range []struct {
		reason string
		change func()
		left   int
	}{
		{"two to make, two to go", func() {}, 5},
		{"the first is made, and is not ready", func() { o.Machines = append(o.Machines, fresh) }, 5},
		{"it is ready", func() { say(fresh, cond("Ready", "True", "Ready", "")) }, 4},
		{"an old one is going", func() { o.Machines[1].DeletionTimestamp = &now }, 4},
		{"it is gone", func() { o.Machines = slices.Delete(o.Machines, 1, 2) }, 3},
		{"the new one breaks: no step forward", func() { say(fresh, cond("Ready", "False", "NotReady", "")) }, 4},
	} {
		step.change()
		if got := o.NodeGroupProgress(workers, version); got.Left != step.left {
			t.Errorf("%s: %d left, want %d", step.reason, got.Left, step.left)
		}
	}
}

func fail(m *clusterv1.Machine) {
	text := `Failure detected from referenced resource infrastructure.cluster.x-k8s.io/v1beta1, Kind=OpenStackMachine with name "w-2": ` + noHost
	m.Status.Deprecated = &clusterv1.MachineDeprecatedStatus{V1Beta1: &clusterv1.MachineV1Beta1DeprecatedStatus{FailureMessage: &text}} //nolint:staticcheck // SA1019: providers of the v1beta1 contract fail like this.
}

func TestReason(t *testing.T) {
	now := metav1.NewTime(time.Unix(1_800_000_000, 0))
	tests := map[string]struct {
		why    string
		change func(*capi.Observed)
		want   string
	}{
		"all is well": {"", func(*capi.Observed) {}, ""},
		"nothing yet": {"", func(o *capi.Observed) { *o = capi.Observed{} }, ""},
		"the network waits": {
			"Cluster API's own words say nothing to a user", func(o *capi.Observed) {
				o.Cluster.Status.Conditions[1] = cond("InfrastructureReady", "False", "NotReady", "OpenStackCluster status.initialization.provisioned is false")
			}, "waiting for network and load balancer",
		},
		"the network fails": {
			"without it there are no machines", func(o *capi.Observed) {
				o.Cluster.Status.Conditions[1] = cond("InfrastructureReady", "False", "OpenStackError", "quota exceeded for resources: router")
				say(o.Machines[0], cond("InfrastructureReady", "False", "InstanceStateError", noHost))
			}, "network and load balancer: quota exceeded for resources: router (OpenStackError)",
		},
		"the first machine is not up": {
			"", func(o *capi.Observed) {
				o.Cluster.Status.Conditions[2] = cond("ControlPlaneInitialized", "False", "NotInitialized", "Control plane not yet initialized")
				for _, m := range o.Machines {
					say(m, cond("Ready", "False", "NotReady", "* NodeHealthy: Waiting for Cluster control plane to be initialized"),
						cond("NodeHealthy", "Unknown", "InspectionFailed", "Waiting for Cluster control plane to be initialized"))
				}
			}, "waiting for the first control plane machine",
		},
		"the control plane before workers": {
			"workers wait for it", func(o *capi.Observed) {
				for _, m := range o.Machines {
					say(m, cond("InfrastructureReady", "False", "InstanceStateError", noHost))
					notReady(m)
				}
			}, "node group default-master: machine cp-1: " + noHost + " (InstanceStateError) (and 2 more machines)",
		},
		"what was given up before what may come": {
			"", func(o *capi.Observed) {
				say(o.Machines[0], cond("InfrastructureReady", "False", "InstanceStateError", "building"))
				fail(o.Machines[1])
			}, "node group default-worker: machine w-2: " + noHost,
		},
		"a node that fell ill": {
			"bullets become one line", func(o *capi.Observed) {
				say(o.Machines[2], cond("NodeHealthy", "False", "NodeNotHealthy", "* Node.Ready: Kubelet stopped posting node status.\n* Node.MemoryPressure:\n  * out of\tmemory"))
			}, "node group default-worker: machine w-1: Node.Ready: Kubelet stopped posting node status.; Node.MemoryPressure: out of memory",
		},
		"half of it waits": {
			"what only waits is left out of a summary", func(o *capi.Observed) {
				say(o.Machines[0], cond("BootstrapConfigReady", "False", "NotReady",
					"* DataSecretAvailable: Waiting for Cluster control plane to be initialized\n* Later:\n  * Waiting for the tide\n* CertificatesAvailable: the CA's key does not match"))
			}, "node group default-master: machine cp-1: CertificatesAvailable: the CA's key does not match",
		},
		"a node that does not drain": {
			"", func(o *capi.Observed) {
				o.Machines[1].DeletionTimestamp = &now
				say(o.Machines[1], cond("Deleting", "True", "DrainingNode", "Cannot evict pod as it would violate the pod's disruption budget."))
			}, "node group default-worker: machine w-2: deleting: Cannot evict pod as it would violate the pod's disruption budget. (DrainingNode)",
		},
		"a machine that goes as it should": {
			"nothing to say", func(o *capi.Observed) {
				for i, reason := range []string{"WaitingForInfrastructureDeletion", "DeletionCompleted"} {
					o.Machines[i].DeletionTimestamp = &now
					say(o.Machines[i], cond("Deleting", "True", reason, "Deletion in progress"))
				}
			}, "",
		},
		"a group that goes": {
			"", func(o *capi.Observed) {
				o.MachineDeployments[0].DeletionTimestamp = &now
				o.MachineDeployments[0].Status.Conditions[0] = cond("Available", "False", "NotAvailable", "Deletion in progress")
			}, "node group default-worker is being deleted",
		},
		"only slow": {
			"Cluster API's own words are about its fields", func(o *capi.Observed) {
				o.MachineDeployments[0].Status.ReadyReplicas = new(int32(1))
				o.MachineDeployments[0].Status.Conditions[0] = cond("Available", "False", "NotAvailable",
					"1 available replicas, at least 2 required (spec.strategy.rollout.maxUnavailable is 0, spec.replicas is 2)")
			}, "node group default-worker: 1 of 2 machines are ready",
		},
		"etcd": {
			"the control plane's own condition, when no machine says more", func(o *capi.Observed) {
				o.ControlPlane.Status.Conditions = append(o.ControlPlane.Status.Conditions, cond("EtcdClusterHealthy", "False", "NotHealthy", "* Machine cp-1:\n  * EtcdMemberHealthy: alarm NOSPACE"))
			}, "node group default-master: Machine cp-1: EtcdMemberHealthy: alarm NOSPACE",
		},
		"a long story": {
			"status_reason stands in a table", func(o *capi.Observed) {
				say(o.Machines[0], cond("InfrastructureReady", "False", "X", strings.Repeat("é", 1000)))
			}, "node group default-master: machine cp-1: " + strings.Repeat("é", 228) + "...",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := settled()
			tc.change(&o)
			got := o.Reason()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
			if len(got) > 500 || !utf8.ValidString(got) {
				t.Errorf("the reason has %d bytes: %q", len(got), got)
			}
			slices.Reverse(o.Machines)
			slices.Reverse(o.MachineDeployments)
			if again := o.Reason(); again != got {
				t.Errorf("in another order it reads %q", again)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	o := settled()
	health, reasons := o.Health()
	all := map[string]string{"api": "ok", "infra-cp-1.Ready": "True", "infra-w-1.Ready": "True", "infra-w-2.Ready": "True"}
	if diff := cmp.Diff(all, reasons); health != magnum.Healthy || diff != "" {
		t.Errorf("a healthy cluster is %s: -want +got\n%s", health, diff)
	}
	say(o.Machines[2], cond("NodeHealthy", "Unknown", "NodeHealthyUnknown", ""))
	all["infra-w-1.Ready"] = "False"
	if health, reasons = o.Health(); health != magnum.Unhealthy || !cmp.Equal(all, reasons) {
		t.Errorf("with a node unheard of it is %s %v", health, reasons)
	}
	o = settled()
	o.ControlPlane.Status.Conditions = nil
	if health, reasons = o.Health(); health != magnum.Unhealthy || reasons["api"] != "nok" {
		t.Errorf("without an API it is %s %v", health, reasons)
	}
	if health, reasons = (capi.Observed{}).Health(); health != magnum.HealthUnknown || reasons != nil {
		t.Errorf("of nothing it is %s %v", health, reasons)
	}
}

func TestAddresses(t *testing.T) {
	o := settled()
	o.Machines[1].Status.Addresses = append(o.Machines[1].Status.Addresses, clusterv1.MachineAddress{Type: clusterv1.MachineExternalIP, Address: "203.0.113.2"})
	_, groups := aCluster()
	got := [][]string{{o.APIAddress(), capi.Observed{}.APIAddress()}, o.Addresses(groups[0]), o.Addresses(groups[1])}
	if diff := cmp.Diff([][]string{{"https://198.51.100.7:6443", ""}, {"10.0.0.1"}, {"10.0.0.1", "203.0.113.2"}}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	o.Cluster.Spec.ControlPlaneEndpoint.Host = "2001:db8::7"
	if got := o.APIAddress(); got != "https://[2001:db8::7]:6443" {
		t.Errorf("an IPv6 address reads %s", got)
	}
}

func TestSecrets(t *testing.T) {
	c, _ := aCluster()
	var all []any
	for _, p := range capi.Purposes() {
		all = append(all, capi.KeyPairSecret(c, p, capi.KeyPair{Certificate: []byte("certificate of " + p), Key: []byte("key of " + p)}))
	}
	golden(t, "secrets", all...)
}
