package capi_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// The texts are those of cluster-api-provider-openstack 0.13, around what Neutron, Nova and gophercloud say.
func TestTheTrueCause(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	bare := func(o *capi.Observed) { // network and load balancer are not there yet
		o.Cluster.Status.Conditions[1] = cond("InfrastructureReady", "False", "NotReady", "OpenStackCluster status.initialization.provisioned is false")
		o.Machines, o.MachineDeployments, o.ControlPlane = nil, nil, nil
	}
	making := func(o *capi.Observed) { // the first machine's server is not there yet
		o.Machines = o.Machines[:1]
		o.Machines[0].Status.NodeRef = clusterv1.MachineNodeReference{}
		say(o.Machines[0], cond("InfrastructureReady", "False", "WaitingForServer", ""), cond("Ready", "False", "NotReady", "* InfrastructureReady: waiting for"))
		o.ControlPlane.Status.ReadyReplicas = new(int32(0))
	}
	runs := func(since time.Duration) func(o *capi.Observed) {
		return func(o *capi.Observed) {
			making(o)
			c := cond("InfrastructureReady", "True", "Ready", "")
			c.LastTransitionTime = metav1.NewTime(now.Add(-since))
			say(o.Machines[0], c)
		}
	}
	const id = "5f1e4c0a-0000-4000-8000-000000000001"
	server := kube.ProviderServer{Name: "infra-cp-1"}
	failed := server
	failed.ID, failed.Failed = id, true
	for name, is := range map[string]struct {
		reason string
		change func(*capi.Observed)
		says   kube.Provider
		fault  string
		shows  string // on the server's console
		want   string // part of the cluster's reason
		never  []string
	}{
		"network quota": {
			reason: "Neutron's sentence, without its URL and its JSON", change: bare,
			says: kube.Provider{Warning: `Failed to create router k8s-clusterapi-cluster-magnum-system-kube-abc12: Expected HTTP response code [201 202] ` +
				`when accessing [POST http://10.77.0.10:9696/v2.0/routers], but got 409 instead: {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['router'].", "detail": ""}}`},
			want:  "network and load balancer: Failed to create router k8s-clusterapi-cluster-magnum-system-kube-abc12: Quota exceeded for resources: ['router']. (HTTP 409)",
			never: []string{"10.77.0.10", "NeutronError", "{"},
		},
		"given up": {
			reason: "what the provider itself will not try again comes first", change: bare,
			says: kube.Provider{Failure: "failed to find loadbalancer network: no network matches", Warning: "Failed to create subnet"}, want: "failed to find loadbalancer network",
		},
		"no word at all": {
			reason: "a rule that Neutron has already is no event: seen on the real cloud, where the reason was that machines are waited for",
			change: func(o *capi.Observed) {
				bare(o)
				o.Cluster.CreationTimestamp = metav1.NewTime(now.Add(-4 * time.Minute))
			}, says: kube.Provider{Missing: "the router and the security groups"},
			want: "since 03:10 UTC the OpenStack provider of Cluster API has not made the router and the security groups",
		},
		"a young network": {
			reason: "it takes a while",
			change: func(o *capi.Observed) {
				bare(o)
				o.Cluster.CreationTimestamp = metav1.NewTime(now.Add(-2 * time.Minute))
			}, says: kube.Provider{Missing: "the network"}, never: []string{"provider"},
		},
		"a warning that is over": {
			reason: "network and load balancer are there", change: func(*capi.Observed) {}, says: kube.Provider{Warning: "Failed to create router"}, never: []string{"router"},
		},
		"no valid host": {
			reason: "CAPO's condition is empty: Nova is asked", change: making, says: kube.Provider{Servers: []kube.ProviderServer{failed}},
			fault: "No valid host was found. There are not enough hosts available.",
			want:  "node group default-master: machine cp-1: Nova could not start its server " + id + ": No valid host was found.",
		},
		"Nova has no words": {
			reason: "that it failed is known all the same", change: making, says: kube.Provider{Servers: []kube.ProviderServer{failed}}, want: "Nova could not start its server " + id,
		},
		"instance quota": {
			reason: "Nova refuses the server", change: making,
			says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-cp-1", Failed: true, Message: "error creating Openstack instance: Expected HTTP response code [200 201 202] when accessing " +
				`[POST http://10.77.0.10:8774/v2.1/servers], but got 403 instead: {"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances"}}`}}},
			want: "its server cannot be made: error creating Openstack instance: Quota exceeded for instances: Requested 1, but already used 2 of 2 instances (HTTP 403)", never: []string{"8774"},
		},
		"port quota": {
			reason: "an event of the server is all there is", change: making,
			says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-cp-1", Warning: `Failed to create port p-0: Expected HTTP response code [201] when accessing [POST http://n/v2.0/ports], but got 502 instead`}}},
			want: "machine cp-1: Failed to create port p-0: HTTP 502", never: []string{"http://"},
		},
		"an image that boots no kubelet": {
			reason: "the server runs, and that is all anybody knows", change: runs(6 * time.Minute), says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-cp-1", ID: id, Ready: true}}},
			want: "machine cp-1: its server " + id + " has run since 03:08 UTC without becoming a node; \"openstack console log show " + id + "\"",
		},
		"an image without kubeadm": {
			reason: "its console says it as soon as cloud-init has run", change: runs(2 * time.Minute), says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-cp-1", ID: id, Ready: true}}},
			shows: "[   12.3] cloud-init[99]: /var/lib/cloud/instance/scripts/runcmd: 2: kubeadm: not found\r\n",
			want:  "machine cp-1: its server " + id + " has run since 03:12 UTC without becoming a node: its image has no kubeadm; \"openstack console log show " + id + "\"",
		},
		"a node on its way": {
			reason: "kubeadm needs minutes", change: runs(4 * time.Minute), says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-cp-1", ID: id, Ready: true}}}, never: []string{"console"},
		},
		"somebody else's server": {
			reason: "machines are known by their infrastructure", change: making, says: kube.Provider{Servers: []kube.ProviderServer{{Name: "infra-other", Message: "no"}}}, never: []string{"no)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := settled()
			is.change(&o)
			o.Troubles = o.ProviderTroubles(&is.says, capi.ServerReports{Fault: map[string]string{id: is.fault}, Console: map[string]string{id: is.shows}}, now)
			got := o.Reason()
			if !strings.Contains(got, is.want) {
				t.Errorf("%q, want %q: %s", got, is.want, is.reason)
			}
			for _, word := range is.never {
				if strings.Contains(got, word) {
					t.Errorf("%q has %q in it: %s", got, word, is.reason)
				}
			}
			if strings.Contains(is.want, "default-master") { // the group tells it as well: its reason stays when time is up
				master := &magnum.NodeGroup{Name: magnum.DefaultMaster, Role: magnum.RoleMaster, NodeCount: 1}
				if p := o.NodeGroupProgress(master, version); !strings.Contains(p.Reason, is.want) {
					t.Errorf("the node group says %q: %s", p.Reason, is.reason)
				}
			}
		})
	}
}

// Nobody is asked about a cluster in which nothing is missing.
func TestUnfinished(t *testing.T) {
	o := settled()
	if o.Unfinished() {
		t.Error("a settled cluster ails")
	}
	for name, change := range map[string]func(*capi.Observed){
		"no network":     func(o *capi.Observed) { o.Cluster.Status.Conditions[1].Status = "False" },
		"nothing known":  func(o *capi.Observed) { o.Cluster.Status.Conditions = slices.Delete(o.Cluster.Status.Conditions, 1, 2) },
		"no node":        func(o *capi.Observed) { o.Machines[1].Status.NodeRef = clusterv1.MachineNodeReference{} },
		"it is to go":    func(o *capi.Observed) { o.Cluster.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
		"a machine goes": func(o *capi.Observed) { o.Machines[2].DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
	} {
		o := settled()
		change(&o)
		if !o.Unfinished() {
			t.Errorf("%s: it does not ail", name)
		}
	}
	if (capi.Observed{}).Unfinished() {
		t.Error("there is nothing to ask about yet")
	}
}

// The texts are what Debian's shells and systemd, and kubeadm 1.36, write.
func TestBootFailure(t *testing.T) {
	for name, is := range map[string]struct{ reason, console, want string }{
		"nothing":      {"a console that is not kept", "", ""},
		"on its way":   {"what kubeadm says while all is well", "[init] Using Kubernetes version: v1.36.4\n[preflight] Running pre-flight checks\n\t[WARNING SystemVerification]: cgroups v1\n", ""},
		"no kubeadm":   {"dash", "/var/lib/cloud/instance/scripts/runcmd: 2: kubeadm: not found\nFailed to run module scripts_user", "its image has no kubeadm"},
		"bash":         {"other words of the same", "runcmd: line 3: kubeadm: command not found\r\n", "its image has no kubeadm"},
		"another tool": {"user data of a tenant's image may ask for anything", "runcmd: 2: growfs: not found\n", ""},
		"no unit":      {"kubeadm is there, kubelet is not", "Failed to enable unit: Unit file kubelet.service does not exist.\n", "its image has no kubelet.service"},
		"preflight":    {"the first three checks", "\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\r\n\t[ERROR Mem]: the system RAM (512 MB) is less than the minimum 1700 MB\r\n\t[ERROR A]: a\n\t[ERROR B]: b\n", "kubeadm refuses: NumCPU: the number of available CPUs 1 is less than the required 2; Mem: the system RAM (512 MB) is less than the minimum 1700 MB; A: a"},
		"empty mirror": {
			"container_infra_prefix names a registry that has nothing",
			"\t[ERROR ImagePull]: failed to pull image m:5000/x/kube-apiserver:v1.36.4: rpc error: code = NotFound desc = " +
				"failed to pull and unpack image \"m:5000/x/kube-apiserver:v1.36.4\": m:5000/x/kube-apiserver:v1.36.4: not found\n",
			"kubeadm refuses: ImagePull: failed to pull image m:5000/x/kube-apiserver:v1.36.4: rpc error: code = NotFound desc = " +
				"failed to pull and unpack image \"m:5000/x/kube-apiserver:v1.36.4\": m:5000/x/kube-apiserver:v1.36.4: not found",
		},
		"gave up":       {"the last of several", "error: error execution phase a: b\nerror: error execution phase wait-control-plane: failed while waiting for the kubelet to start: context deadline exceeded\n", "kubeadm gave up in the phase wait-control-plane: failed while waiting for the kubelet to start: context deadline exceeded"},
		"a missing one": {"what is missing is the cause of what follows", "error execution phase preflight: x\nruncmd: 9: containerd: not found\n", "its image has no containerd"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := capi.BootFailure(is.console); got != is.want {
				t.Errorf("%q, want %q: %s", got, is.want, is.reason)
			}
		})
	}
	if got := capi.BootFailure("error execution phase " + strings.Repeat("x", 100_000)); len(got) > 500 {
		t.Errorf("a line of a console makes a reason of %d bytes", len(got))
	}
}

// TestALostControlPlane: Cluster API waits for ever, and says so nowhere that a tenant can see.
func TestALostControlPlane(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	bare := func(m *clusterv1.Machine, made time.Duration) {
		m.Status.NodeRef, m.CreationTimestamp = clusterv1.MachineNodeReference{}, metav1.NewTime(began.Add(made))
		say(m, cond("NodeHealthy", "Unknown", "NodeInternalError", ""), cond("BootstrapConfigReady", "False", "NotReady", ""))
	}
	unhealthy := cond("OwnerRemediated", "False", "CannotBeRemediated", "KCP can't remediate if current replicas are less or equal to 1")
	for name, is := range map[string]struct {
		reason string
		change func(*capi.Observed)
		want   string // part of the reason; "": none
	}{
		"the only one is gone": {
			"another one has come, and has nothing to join", func(o *capi.Observed) { bare(o.Machines[0], time.Hour) },
			"every machine that was part of the control plane is gone, and the cluster's data with them. Machine cp-1 waits for ever",
		},
		"the only one is lost": {
			"its server was deleted in Nova", func(o *capi.Observed) { say(o.Machines[0], unhealthy) },
			"machine cp-1 is unhealthy, and Cluster API does not replace it (KCP can't remediate if current replicas are less or equal to 1). Bring",
		},
		"the only one is gone, and comes back": {"it heals", func(o *capi.Observed) {
			o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
			bare(o.Machines[0], time.Hour)
		}, "every machine that was part of the control plane is gone, and what etcd held with them. It is initialized anew on machine cp-1"},
		"the only one is lost, and heals": {"if that is what its owner wants", func(o *capi.Observed) {
			o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
			say(o.Machines[0], unhealthy)
		}, "machine cp-1 is unhealthy, and Cluster API does not replace it (KCP can't remediate if current replicas are less or equal to 1). Bring its server back, or delete its server in Nova"},
		"it is replaced": {"its turn will come", func(o *capi.Observed) {
			say(o.Machines[0], cond("OwnerRemediated", "False", "Remediating", "Machine cp-1 is being deleted"))
		}, ""},
		"a worker": {"it is replaced by its set", func(o *capi.Observed) { say(o.Machines[1], unhealthy) }, ""},
		"two more are made": {"they join the first", func(o *capi.Observed) {
			second := aMachine("cp-2", magnum.DefaultMaster)
			bare(second, time.Hour)
			o.Machines = append(o.Machines, second)
		}, ""},
		"lost while it is replaced": {"etcd has one member or two, and nobody outside knows which of them has the data", func(o *capi.Observed) {
			second := aMachine("cp-2", magnum.DefaultMaster)
			bare(second, time.Hour)
			o.Machines = append(o.Machines, second)
			o.Cluster.Status.Conditions = append(o.Cluster.Status.Conditions, cond("RemoteConnectionProbe", "False", "ProbeFailed", ""))
		}, "the API server does not answer, since the only machine of the control plane was being replaced by another one (cp-1, cp-2)"},
		"silent, of three": {"an owner may have two members left, and a snapshot", func(o *capi.Observed) {
			o.ControlPlane.Spec.Replicas = new(int32(3))
			o.Machines = append(o.Machines, aMachine("cp-2", magnum.DefaultMaster), aMachine("cp-3", magnum.DefaultMaster))
			o.Cluster.Status.Conditions = append(o.Cluster.Status.Conditions, cond("RemoteConnectionProbe", "False", "ProbeFailed", ""))
		}, ""},
		"on its way": {"it has initialized the control plane, and its node is not known yet", func(o *capi.Observed) { bare(o.Machines[0], -time.Minute) }, ""},
		"never there": {"nothing was initialized", func(o *capi.Observed) {
			o.ControlPlane.Status.Conditions = nil
			bare(o.Machines[0], time.Hour)
		}, ""},
		"as it should be": {"", func(*capi.Observed) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := settled()
			initialized := cond("Initialized", "True", "Initialized", "")
			initialized.LastTransitionTime = metav1.NewTime(began)
			o.ControlPlane.Status.Conditions = append(o.ControlPlane.Status.Conditions, initialized)
			is.change(&o)
			health, reasons := o.Health()
			if got := reasons["control_plane"]; !strings.HasPrefix(got, is.want) || (got == "") != (is.want == "") || got != "" && health != magnum.Unhealthy {
				t.Errorf("it is %s: %q, want %q: %s", health, got, is.want, is.reason)
			}
			if got := o.Reason(); is.want != "" && got != reasons["control_plane"] {
				t.Errorf("a change that waits for it says %q", got)
			}
			if got := o.DeletionReason(); strings.Contains(got, "create it again") {
				t.Errorf("a deletion is told to delete: %q", got)
			}
		})
	}
}

// Consoles are asked for of servers that have run for a quarter of a minute, and of no others.
func TestNodeless(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	o := settled()
	p := &kube.Provider{Servers: []kube.ProviderServer{{Name: o.Machines[0].Spec.InfrastructureRef.Name, ID: "first"}, {Name: o.Machines[1].Spec.InfrastructureRef.Name, ID: "second"}}}
	if got := o.Nodeless(p, now); len(got) > 0 {
		t.Errorf("all are nodes, and %v are asked", got)
	}
	for i, since := range []time.Duration{10 * time.Second, 20 * time.Second} {
		o.Machines[i].Status.NodeRef = clusterv1.MachineNodeReference{}
		c := cond("InfrastructureReady", "True", "Ready", "")
		c.LastTransitionTime = metav1.NewTime(now.Add(-since))
		say(o.Machines[i], c)
	}
	if got := o.Nodeless(p, now); !slices.Equal(got, []string{"second"}) {
		t.Errorf("%v, want the second: the first has run for ten seconds", got)
	}
	if got := o.Nodeless(nil, now); len(got) > 0 {
		t.Errorf("the provider says nothing, and %v are asked", got)
	}
}
