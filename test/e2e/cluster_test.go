package e2e

import (
	"slices"
	"strings"
	"testing"
)

// A tenant's whole day with one cluster, through the client they have.
func TestClusterWithTheClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	clusterDay(t, all.client("demo"), "day", "replace", "node_count=1")
}

// clusterDay is the day of a cluster; one is how this client's "coe cluster update" asks for one node.
func clusterDay(t *testing.T, demo client, name string, one ...string) {
	t.Helper()
	all := demo.all
	user := all.as(t, "demo")
	user.template(t, name, "v1.34.2", nil)
	newer := user.template(t, name+"-newer", "v1.35.1", nil)

	demo.says(t, "coe", "cluster", "create", name, "--cluster-template", name, "--keypair", "default",
		"--master-count", "1", "--node-count", "2", "--timeout", "30")
	user.deleteAfter(t, name)
	jeroboam(t, all, "demo", "cluster", "wait", name, "--timeout", "5m")
	made := user.reaches(t, name, "CREATE_COMPLETE")
	if said := jeroboam(t, all, "demo", "cluster", "events", name); !strings.Contains(said, "CREATE_COMPLETE") {
		t.Errorf("jeroboam cluster events does not tell that the cluster is complete:\n%s", said)
	}
	said := jeroboam(t, all, "demo", "cluster", "describe", made.UUID)
	for _, want := range []string{"v1.34.2", "default-worker", made.APIAddress, "kube_tag=v1.34.2"} {
		if !strings.Contains(said, want) {
			t.Errorf("jeroboam cluster describe does not show %q:\n%s", want, said)
		}
	}

	var list []object
	demo.shows(t, &list, "coe", "cluster", "list")
	if !slices.ContainsFunc(list, func(c object) bool {
		return c["uuid"] == made.UUID && c["name"] == name && c["status"] == "CREATE_COMPLETE" && c["node_count"] == 2.0 &&
			c["master_count"] == 1.0 && c["keypair"] == "default"
	}) {
		t.Errorf("coe cluster list does not show the cluster as it is: %v", list)
	}
	var shown object
	demo.shows(t, &shown, "coe", "cluster", "show", made.UUID)
	for k, want := range map[string]any{
		"name": name, "status": "CREATE_COMPLETE", "coe_version": "v1.34.2", "create_timeout": 30.0, "flavor_id": "m1.small",
		"master_lb_enabled": true, "faults": "", "api_address": made.APIAddress,
	} {
		if shown[k] != want {
			t.Errorf("coe cluster show: %s is %v, want %v", k, shown[k], want)
		}
	}

	config := demo.config(t, name)
	before := wantNodes(t, config, 1, 2, "v1.34.2")

	t.Log("resize up")
	demo.says(t, "coe", "cluster", "resize", name, "3")
	user.reaches(t, name, "UPDATE_COMPLETE")
	grown := wantNodes(t, config, 1, 3, "v1.34.2")
	for _, n := range names(before) {
		if !slices.Contains(names(grown), n) {
			t.Errorf("resize up took node %s away", n)
		}
	}

	t.Log("resize down, and choose which node goes")
	leaves := names(slices.DeleteFunc(slices.Clone(grown), func(n node) bool { return n.Role == "master" }))[1]
	var servers []object
	demo.shows(t, &servers, "server", "list")
	i := slices.IndexFunc(servers, func(s object) bool { return s["Name"] == leaves })
	if i < 0 {
		t.Fatalf("openstack server list does not know node %s: %v", leaves, servers)
	}
	demo.says(t, "coe", "cluster", "resize", name, "2", "--nodes-to-remove", leaves)
	if c := user.reaches(t, name, "UPDATE_COMPLETE"); c.NodeCount != 2 {
		t.Errorf("node_count is %d after a resize to 2", c.NodeCount)
	}
	want := slices.DeleteFunc(names(grown), func(n string) bool { return n == leaves })
	if got := names(wantNodes(t, config, 1, 2, "v1.34.2")); !slices.Equal(got, want) {
		t.Errorf("after removing %s the nodes are %v, want %v", leaves, got, want)
	}

	t.Log("patch: coe cluster update means the default workers")
	demo.says(t, append([]string{"coe", "cluster", "update", name}, one...)...)
	user.reaches(t, name, "UPDATE_COMPLETE")
	old := wantNodes(t, config, 1, 1, "v1.34.2")

	t.Log("upgrade")
	demo.says(t, "coe", "cluster", "upgrade", name, name+"-newer")
	upgraded := user.reaches(t, name, "UPDATE_COMPLETE")
	if upgraded.COEVersion != "v1.35.1" || upgraded.Labels["kube_tag"] != "v1.35.1" || upgraded.ClusterTemplateID != newer {
		t.Errorf("after the upgrade the cluster is %+v", upgraded)
	}
	for _, n := range wantNodes(t, config, 1, 1, "v1.35.1") {
		if slices.Contains(names(old), n.Name) {
			t.Errorf("node %s was there before the upgrade: it was not replaced", n.Name)
		}
	}

	t.Log("delete")
	demo.says(t, "coe", "cluster", "delete", name)
	jeroboam(t, all, "demo", "cluster", "wait", made.UUID, "--gone", "--timeout", "5m")
	user.gone(t, made.UUID)
	demo.refused(t, "could not be found", "coe", "cluster", "show", name)
	if out, problems, err := kubectl(t, "--kubeconfig", config, "get", "nodes"); err == nil {
		t.Errorf("the API server of a deleted cluster still answers: %s%s", out, problems)
	}
}

// The other end of the sizes: a control plane of three, workers down to none.
func TestThreeMasters(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	// Two of four are to go, so that they rarely go by chance.
	c := user.make(t, "three", object{"master_count": 3, "node_count": 4})
	if c.MasterCount != 3 || c.NodeCount != 4 {
		t.Errorf("masters %d, nodes %d, want 3 and 4", c.MasterCount, c.NodeCount)
	}
	config := demo.config(t, "three")
	list := wantNodes(t, config, 3, 4, "v1.34.2")

	workers := slices.DeleteFunc(slices.Clone(list), func(n node) bool { return n.Role == "master" })
	named := []string{workers[0].Name, workers[2].Name}
	user.want(t, 202, "POST", "/clusters/three/actions/resize", object{
		"node_count": 2, "nodes_to_remove": named,
	}, nil)
	user.reaches(t, "three", "UPDATE_COMPLETE")
	left := names(wantNodes(t, config, 3, 2, "v1.34.2"))
	for _, gone := range named {
		if slices.Contains(left, gone) {
			t.Errorf("node %s was to be removed and is still there: %v", gone, left)
		}
	}

	t.Log("no workers at all")
	user.want(t, 202, "POST", "/clusters/three/actions/resize", object{"node_count": 0}, nil)
	user.reaches(t, "three", "UPDATE_COMPLETE")
	wantNodes(t, config, 3, 0, "v1.34.2")

	user.template(t, "three-newer", "v1.35.1", nil)
	user.want(t, 202, "POST", "/clusters/three/actions/upgrade", object{"cluster_template": "three-newer"}, nil)
	user.reaches(t, "three", "UPDATE_COMPLETE")
	for _, n := range wantNodes(t, config, 3, 0, "v1.35.1") {
		if slices.Contains(names(list), n.Name) {
			t.Errorf("master %s was there before the upgrade: it was not replaced", n.Name)
		}
	}
}
