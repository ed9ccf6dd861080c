package e2e

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A tenant rotates the authority of a cluster with the client they have: the kubeconfig of before ends, a new one
// works, and the cluster is what it was.
func TestRotationWithTheClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	user.start(t, "turned", user.template(t, "turned", "v1.34.2", nil), object{"node_count": 1})
	made := user.reaches(t, "turned", "CREATE_COMPLETE")
	config := demo.config(t, "turned")
	old := readAccess(t, config)
	before := wantNodes(t, config, 1, 1, "v1.34.2")
	kubectlSays(t, "--kubeconfig", config, "create", "namespace", "kept")

	if said := demo.says(t, "coe", "ca", "rotate", "turned"); !strings.Contains(said, "accepted") {
		t.Errorf("coe ca rotate: %q", said)
	}
	user.reaches(t, made.UUID, "UPDATE_IN_PROGRESS")
	demo.refused(t, "UPDATE_IN_PROGRESS", "coe", "ca", "rotate", "turned") // one at a time
	step := ""
	await(t, "the rotation is complete", 15*time.Minute, func(ctx context.Context) (bool, string, error) {
		now, ok, err := user.get(ctx, "turned")
		if err != nil {
			return false, "", err
		}
		if !ok || strings.HasSuffix(now.Status, "_FAILED") {
			return false, "", giveUp(now.Status + " " + now.StatusReason)
		}
		if at, _, _ := strings.Cut(now.StatusReason, ":"); at != step && strings.Contains(at, ", step ") {
			step = at
			t.Log(step)
		}
		return now.Status == "UPDATE_COMPLETE", now.Status + " " + now.StatusReason, nil
	})

	// Whoever learns of the new authority and still has a certificate of the old one is nobody; so is the whole old
	// kubeconfig.
	fresh := demo.config(t, "turned")
	now := readAccess(t, fresh)
	if string(now.ca) == string(old.ca) || !strings.Contains(demo.says(t, "coe", "ca", "show", "turned"), strings.TrimSpace(string(now.ca))) {
		t.Error("the authority is the one of before, or coe ca show shows another one")
	}
	if out, _, err := kubectl(t, "--kubeconfig", config, "get", "nodes"); err == nil {
		t.Errorf("the kubeconfig of before is let in: %s", out)
	}
	wantUnauthorized(t, now, old.cert, old.key)

	after := wantNodes(t, fresh, 1, 1, "v1.34.2")
	for _, n := range names(after) {
		for _, was := range names(before) {
			if n == was {
				t.Errorf("node %s was not replaced", n)
			}
		}
	}
	kubectlSays(t, "--kubeconfig", fresh, "get", "namespace", "kept")
	csr, key := newRequest(t)
	signed := demo.says(t, "coe", "ca", "sign", "turned", file(t, "csr.pem", csr))
	kubectlSays(t, to(t, now, []byte(signed), key, "get", "nodes")...)
}
