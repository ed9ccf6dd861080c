package e2e

import (
	"net/http"
	"slices"
	"testing"
)

// Node groups through the client: made, seen, resized, bounded, upgraded with the cluster and taken away again.
func TestNodeGroupsWithTheClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	c := user.make(t, "grouped", object{"node_count": 1})
	config := demo.config(t, "grouped")
	inGroup := func(name string) []string {
		return names(slices.DeleteFunc(nodes(t, config), func(n node) bool { return n.Group != name }))
	}

	demo.says(t, "coe", "nodegroup", "create", "grouped", "batch", "--node-count", "2", "--min-nodes", "1", "--max-nodes", "3",
		"--flavor", "m1.large", "--role", "batch")
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	first := inGroup("batch")
	if len(first) != 2 {
		t.Errorf("nodes of group batch are %v, want 2", first)
	}
	wantNodes(t, config, 1, 3, "v1.34.2")

	var list []object
	demo.shows(t, &list, "coe", "nodegroup", "list", "grouped")
	var have []string
	for _, g := range list {
		have = append(have, g["name"].(string)+" "+g["role"].(string)+" "+g["status"].(string))
	}
	slices.Sort(have)
	if want := []string{"batch batch CREATE_COMPLETE", "default-master master CREATE_COMPLETE", "default-worker worker CREATE_COMPLETE"}; !slices.Equal(have, want) {
		t.Errorf("coe nodegroup list has %q, want %q", have, want)
	}
	show := func(want object) {
		t.Helper()
		var shown object
		demo.shows(t, &shown, "coe", "nodegroup", "show", "grouped", "batch")
		for k, v := range want {
			if shown[k] != v {
				t.Errorf("%s of the node group is %v, want %v", k, shown[k], v)
			}
		}
	}
	show(object{"node_count": 2.0, "min_node_count": 1.0, "max_node_count": 3.0, "flavor_id": "m1.large", "role": "batch", "is_default": false, "cluster_id": c.UUID})

	t.Log("bounds")
	demo.says(t, "coe", "nodegroup", "update", "grouped", "batch", "replace", "max_node_count=4")
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	show(object{"max_node_count": 4.0})
	demo.refused(t, "outside the allowed range", "coe", "cluster", "resize", "grouped", "5", "--nodegroup", "batch")
	demo.says(t, "coe", "cluster", "resize", "grouped", "1", "--nodegroup", "batch")
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	if got := inGroup("batch"); len(got) != 1 || !slices.Contains(first, got[0]) {
		t.Errorf("after a resize to 1 the group has %v, want one of %v", got, first)
	}
	if got := inGroup("default-worker"); len(got) != 1 {
		t.Errorf("the resize of batch changed the default workers: %v", got)
	}

	t.Log("the cluster's upgrade takes every group along")
	old := names(nodes(t, config))
	user.template(t, "grouped-newer", "v1.35.1", nil)
	user.want(t, http.StatusAccepted, "POST", "/clusters/grouped/actions/upgrade", object{"cluster_template": "grouped-newer"}, nil)
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	for _, n := range wantNodes(t, config, 1, 2, "v1.35.1") {
		if slices.Contains(old, n.Name) {
			t.Errorf("node %s was not replaced", n.Name)
		}
	}

	demo.refused(t, "default", "coe", "nodegroup", "delete", "grouped", "default-worker")
	demo.says(t, "coe", "nodegroup", "delete", "grouped", "batch")
	await(t, "node group batch is gone", clusterBound, user.groupGone(c.UUID, "batch"))
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	if got := inGroup("batch"); len(got) != 0 {
		t.Errorf("the group is gone and its nodes %v are not", got)
	}
	wantNodes(t, config, 1, 1, "v1.35.1")
	for _, thing := range user.belongings(t) {
		if thing == "server group "+user.stack(t, c.UUID)+"-batch" {
			t.Errorf("the group is gone and its %s is not", thing)
		}
	}
}
