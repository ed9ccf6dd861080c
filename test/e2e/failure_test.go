package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// scheduling is what Nova says about flavor m1.unschedulable.
const scheduling = "No valid host was found"

// A cluster whose machines never come fails when its time is over, says why, and can be deleted.
//
// It begins before the tests in parallel: a machine that is busy with them might not get to the cause in a minute.
func TestMachinesThatNeverCome(t *testing.T) {
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	user.template(t, "hopeless", "v1.34.2", object{"flavor_id": "m1.unschedulable", "master_flavor_id": "m1.unschedulable"})
	demo.says(t, "coe", "cluster", "create", "hopeless", "--cluster-template", "hopeless", "--timeout", "1")
	user.deleteAfter(t, "hopeless")

	await(t, "status_reason names the cause while there is still hope", soonBound, func(ctx context.Context) (bool, string, error) {
		c, _, err := user.get(ctx, "hopeless")
		return c.Status == "CREATE_IN_PROGRESS" && strings.Contains(c.StatusReason, scheduling), c.Status + " " + c.StatusReason, err
	})
	t.Parallel()

	c := user.reaches(t, "hopeless", "CREATE_FAILED")
	if !strings.Contains(c.StatusReason, scheduling) {
		t.Errorf("status_reason is %q and does not say %q", c.StatusReason, scheduling)
	}
	if !strings.Contains(c.Faults["default-master"], scheduling) {
		t.Errorf("faults are %v, want default-master's", c.Faults)
	}
	if c.HealthStatus == "HEALTHY" {
		t.Errorf("a cluster without machines is %s", c.HealthStatus)
	}
	var shown object
	demo.shows(t, &shown, "coe", "cluster", "show", "hopeless")
	if reason, _ := shown["status_reason"].(string); shown["status"] != "CREATE_FAILED" || !strings.Contains(reason, scheduling) {
		t.Errorf("coe cluster show says %v %v", shown["status"], shown["status_reason"])
	}
	demo.says(t, "coe", "cluster", "delete", "hopeless")
	user.gone(t, c.UUID)
	for _, thing := range user.belongings(t) {
		if strings.Contains(thing, c.UUID) || strings.Contains(thing, c.ClusterID) {
			t.Errorf("the failed cluster has left %s", thing)
		}
	}
}

// A node group whose machines never come fails alone: the rest of the cluster works, and goes on when the group is
// gone.
//
// It begins early for the same reason.
func TestNodeGroupThatNeverComes(t *testing.T) {
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	c := user.make(t, "half", object{"create_timeout": 2}) // the group has as long as its cluster had
	user.want(t, http.StatusAccepted, "POST", "/clusters/half/nodegroups", object{"name": "never", "flavor_id": "m1.unschedulable"}, nil)
	t.Parallel()

	c = user.reaches(t, c.UUID, "UPDATE_FAILED")
	if !strings.Contains(c.StatusReason, scheduling) || !strings.Contains(c.StatusReason, "never") {
		t.Errorf("status_reason is %q and does not say which group failed and why", c.StatusReason)
	}
	if len(c.Faults) != 1 || !strings.Contains(c.Faults["never"], scheduling) {
		t.Errorf("faults are %v, want only that of never", c.Faults)
	}
	for name, want := range map[string]string{
		"default-master": "CREATE_COMPLETE", "default-worker": "CREATE_COMPLETE", "never": "CREATE_FAILED",
	} {
		if g := user.groups(t, c.UUID)[name]; g.Status != want {
			t.Errorf("node group %s is %s, want %s", name, g.Status, want)
		}
	}
	var shown object
	demo.shows(t, &shown, "coe", "cluster", "show", "half")
	if faults, _ := shown["faults"].(object); !strings.Contains(strings.TrimSpace(toText(faults["never"])), scheduling) {
		t.Errorf("coe cluster show says faults are %v", shown["faults"])
	}
	config := demo.config(t, "half")
	wantNodes(t, config, 1, 1, "v1.34.2")

	t.Log("the other groups still change, and without the failed one all is well")
	user.want(t, http.StatusNoContent, "DELETE", "/clusters/half/nodegroups/never", nil, nil)
	await(t, "node group never is gone", clusterBound, user.groupGone(c.UUID, "never"))
	user.reachesFrom(t, c.UUID, "UPDATE_COMPLETE", "UPDATE_FAILED")
	user.want(t, http.StatusAccepted, "POST", "/clusters/half/actions/resize", object{"node_count": 2}, nil)
	// On a machine that is slower than the two minutes it fails before it is done.
	if c := user.reachesFrom(t, c.UUID, "UPDATE_COMPLETE", "UPDATE_FAILED"); len(c.Faults) != 0 {
		t.Errorf("faults are %v after the failed group is gone", c.Faults)
	}
	wantNodes(t, config, 1, 2, "v1.34.2")
}

func toText(v any) string {
	s, _ := v.(string)
	return s
}
