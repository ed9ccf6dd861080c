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
			want: "machine cp-1: its server " + id + " runs since 03:08 UTC and no node has come of it; \"openstack console log show " + id + "\"",
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
			o.Troubles = o.ProviderTroubles(&is.says, map[string]string{id: is.fault}, now)
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
func TestAils(t *testing.T) {
	o := settled()
	if o.Ails() {
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
		if !o.Ails() {
			t.Errorf("%s: it does not ail", name)
		}
	}
	if (capi.Observed{}).Ails() {
		t.Error("there is nothing to ask about yet")
	}
}
