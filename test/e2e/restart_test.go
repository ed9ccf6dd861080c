package e2e

import (
	"context"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The life of one data directory: a first cluster and an end, a second start, a second process, a kill in the middle of
// work, and a start that forgets everything.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all, config, before := firstRun(t, dir)

	t.Log("a second process on the same data is refused")
	second, err := launch(dir, "--first-cluster=false")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.wait(startBound); err == nil || !strings.Contains(second.errors(), "is in use by process") {
		t.Errorf("a second process on the same data directory: %v, %s", err, second.errors())
	}

	t.Log("killed while a cluster is being made, another changed and a third deleted")
	user := all.as(t, "demo")
	template := user.template(t, "survivor", "v1.34.2", nil)
	doomed := user.start(t, "doomed", template, nil)
	user.reaches(t, doomed, "CREATE_COMPLETE")
	user.want(t, http.StatusAccepted, "POST", "/clusters/first/actions/resize", object{"node_count": 2}, nil)
	user.want(t, http.StatusNoContent, "DELETE", "/clusters/"+doomed, nil, nil)
	survivor := user.start(t, "survivor", template, nil)
	time.Sleep(time.Second) // some of the work is done, most is not; the test holds wherever the kill comes
	all.kill()

	all = runAt(t, dir, all.ports, "--first-cluster=false")
	user = all.as(t, "demo")
	user.reaches(t, survivor, "CREATE_COMPLETE")
	user.reaches(t, before.UUID, "UPDATE_COMPLETE")
	user.gone(t, doomed)
	var clusters []string
	for _, uuid := range user.uuids(t, "/clusters") {
		clusters = append(clusters, user.show(t, uuid).Name)
	}
	slices.Sort(clusters)
	if want := []string{"first", "survivor"}; !slices.Equal(clusters, want) {
		t.Errorf("after the kill there are clusters %v, want %v", clusters, want)
	}
	wantNodes(t, config, 1, 2, "v1.34.2")
	wantNodes(t, all.client("demo").config(t, "survivor"), 1, 1, "v1.34.2")
	for _, thing := range user.belongings(t) {
		if strings.Contains(thing, doomed) {
			t.Errorf("the deleted cluster has left %s", thing)
		}
	}
	if err := all.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}

	t.Log("--fresh starts over")
	all = runAt(t, dir, all.ports, "--first-cluster=false", "--fresh")
	user = all.as(t, "demo")
	if have := user.uuids(t, "/clusters"); len(have) != 0 {
		t.Errorf("after --fresh there are clusters %v", have)
	}
	if have := user.belongings(t); len(have) != 0 {
		t.Errorf("after --fresh demo still has %v", have)
	}
	if out, _, err := kubectl(t, "--kubeconfig", config, "get", "nodes"); err == nil {
		t.Errorf("after --fresh the old kubeconfig still works: %s", out)
	}
	if err := all.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// firstRun makes the first cluster with one process, which ends, and finds it again with another one, which it returns.
func firstRun(t *testing.T, dir string) (*allinone, string, cluster) {
	t.Helper()
	p, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	all, err := launchAt(dir, p, "--exit-after-first-cluster")
	if err != nil {
		t.Fatal(err)
	}
	if err := all.wait(startBound + clusterBound + stopBound); err != nil {
		t.Fatalf("--exit-after-first-cluster: %v\n%s", err, all.tail())
	}
	if err := all.saw("CREATE_COMPLETE", 0, func(e event) bool { return e.Event == "cluster first" && e.Status == "CREATE_COMPLETE" }); err != nil {
		t.Errorf("ended with 0 before the first cluster was complete: %v", err)
	}

	all = runAt(t, dir, p)
	user := all.as(t, "demo")
	var before cluster
	await(t, "its health is known", clusterBound, func(context.Context) (bool, string, error) {
		before = user.show(t, "first")
		return before.HealthStatus == "HEALTHY", before.HealthStatus, nil
	})
	if before.Status != "CREATE_COMPLETE" {
		t.Errorf("the first cluster is %s after a restart", before.Status)
	}
	config := all.client("demo").config(t, "first")
	nodesBefore := wantNodes(t, config, 1, 1, "v1.34.2")
	if err := all.stop(); err != nil {
		t.Fatalf("stop: %v\n%s", err, all.tail())
	}

	all = runAt(t, dir, p, "--first-cluster=false")
	user = all.as(t, "demo")
	after := user.show(t, "first")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the cluster is another one after a stop and a start (-before +after):\n%s", diff)
	}
	await(t, "the kubeconfig works again", soonBound, func(context.Context) (bool, string, error) {
		_, problems, err := kubectl(t, "--kubeconfig", config, "get", "nodes")
		return err == nil, problems, nil
	})
	if diff := cmp.Diff(nodesBefore, nodes(t, config)); diff != "" {
		t.Errorf("the nodes are others after a stop and a start (-before +after):\n%s", diff)
	}
	return all, config, before
}

// runAt is run on given ports: kubeconfigs and clouds.yaml of an earlier process hold.
func runAt(t *testing.T, dir string, p ports, args ...string) *allinone {
	t.Helper()
	a, err := launchAt(dir, p, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.kill() // harmless when it has ended
		if t.Failed() {
			t.Logf("all-in-one with %q: %s", args, a.tail())
		}
	})
	if err := a.serving(); err != nil {
		t.Fatal(err)
	}
	return a
}

// A newcomer's mistakes are told in words, and end with a status other than 0.
func TestStartRefusals(t *testing.T) {
	t.Parallel()
	all := shared(t)
	taken := all.ports
	p, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		ports ports
		args  []string
		words string
	}{
		"port of Keystone": {ports{p.magnum, taken.keystone, p.management, p.admin, p.workload}, nil, "--keystone-port"},
		"port of Magnum":   {ports{taken.magnum, p.keystone, p.management, p.admin, p.workload}, nil, "address already in use"},
		"unknown flag":     {p, []string{"--colour"}, "--colour"},
		"no simcloud file": {p, []string{"--simcloud", "/nowhere.yaml"}, "/nowhere.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := launchAt(t.TempDir(), is.ports, is.args...)
			if err != nil {
				t.Fatal(err)
			}
			err = a.wait(startBound)
			if _, exited := err.(*exec.ExitError); !exited || !strings.Contains(a.errors(), is.words) { //nolint:errorlint // Wait returns it bare.
				t.Errorf("ended with %v and %q, want a failure that says %q", err, a.errors(), is.words)
			}
		})
	}
}
