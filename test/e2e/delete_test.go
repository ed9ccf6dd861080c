package e2e

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// classes are what the clusters of one release share. They stay.
var classes = regexp.MustCompile(`^(clusterclass|[a-z]+template)\.(cluster|controlplane\.cluster|bootstrap\.cluster|infrastructure\.cluster)\.x-k8s\.io/`)

// A deleted cluster leaves nothing. This test runs before those in parallel, because it looks at everything there is.
func TestDeleteLeavesNothing(t *testing.T) {
	all := shared(t)
	user := all.as(t, "demo")
	template := user.template(t, "leave", "v1.34.2", nil)
	wasObjects, wasBelongings := all.objects(t), user.belongings(t)

	uuid := user.start(t, "leave", template, nil)
	user.reaches(t, uuid, "CREATE_COMPLETE")
	user.want(t, http.StatusAccepted, "POST", "/clusters/leave/nodegroups", object{"name": "more", "node_count": 1}, nil)
	c := user.reaches(t, uuid, "UPDATE_COMPLETE")
	stack := user.stack(t, uuid)

	// What a Service of type LoadBalancer in the cluster makes, and one that is somebody else's.
	address := user.loadBalancer(t, "web", "Kubernetes external service default/web from cluster "+uuid)
	bystander := user.loadBalancer(t, "mine", "Kubernetes external service default/web from cluster "+user.project(t))
	if have := all.objects(t); !slices.ContainsFunc(have, func(o string) bool { return strings.Contains(o, stack) }) {
		t.Fatalf("no object carries the name of stack %s: this test could not see what is left: %v", stack, have)
	}
	during := user.belongings(t)
	for _, thing := range []string{
		"application_credentials " + uuid, "server group " + stack, "server group " + stack + "-default-worker", "server group " + stack + "-more",
		"loadbalancers web", "floatingips " + address, "servers " + stack + "-more",
	} {
		if !slices.ContainsFunc(during, func(have string) bool { return strings.HasPrefix(have, thing) }) {
			t.Errorf("the cluster has no %q in the cloud, so its deletion proves nothing: %q", thing, during)
		}
	}

	all.client("demo").says(t, "coe", "cluster", "delete", c.Name)
	user.gone(t, uuid)
	wasObjects = slices.DeleteFunc(wasObjects, classes.MatchString)
	// What belongs to the Cluster and its machines is taken away by the garbage collector, a moment after the record is
	// gone.
	await(t, "the management cluster is as it was", soonBound, func(context.Context) (bool, string, error) {
		left := slices.DeleteFunc(all.objects(t), func(o string) bool {
			return classes.MatchString(o) && !strings.Contains(o, stack)
		})
		diff := cmp.Diff(wasObjects, left)
		return diff == "", "-before +after:\n" + diff, nil
	})
	want := append(slices.Clone(wasBelongings), "loadbalancers mine", "floatingips "+bystander)
	slices.Sort(want)
	if diff := cmp.Diff(want, user.belongings(t)); diff != "" {
		t.Errorf("things in the cloud (-want +after):\n%s", diff)
	}
}

// stack is what the objects of a cluster are called.
func (u *tenant) stack(t *testing.T, ident string) string {
	t.Helper()
	var c struct {
		ClusterID string `json:"cluster_id"`
	}
	u.want(t, http.StatusOK, "GET", "/clusters/"+ident, nil, &c)
	if c.ClusterID == "" {
		t.Fatalf("cluster %s shows no cluster_id", ident)
	}
	return c.ClusterID
}

// loadBalancer makes one with a floating IP, as the cloud provider in a cluster does, and returns the address.
func (u *tenant) loadBalancer(t *testing.T, name, description string) string {
	t.Helper()
	var networks struct {
		Networks []struct{ ID, Name string }
	}
	u.cloud(t, http.StatusOK, "GET", "/network/v2.0/networks", nil, &networks)
	id := map[string]string{}
	for _, n := range networks.Networks {
		id[n.Name] = n.ID
	}
	var made struct {
		LoadBalancer struct {
			ID   string
			Port string `json:"vip_port_id"`
		}
	}
	u.cloud(t, http.StatusCreated, "POST", "/load-balancer/v2/lbaas/loadbalancers", object{"loadbalancer": object{
		"name": name, "description": description, "vip_network_id": id["private"],
	}}, &made)
	var ip struct {
		FloatingIP struct {
			Address string `json:"floating_ip_address"`
		}
	}
	u.cloud(t, http.StatusCreated, "POST", "/network/v2.0/floatingips", object{"floatingip": object{
		"floating_network_id": id["public"], "port_id": made.LoadBalancer.Port,
		"description": "Floating IP for " + description, // as the cloud controller manager describes its own
	}}, &ip)
	return ip.FloatingIP.Address
}
