package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// cloud asks the simulated OpenStack itself and reads what it answers into out.
func (u *tenant) cloud(t *testing.T, status int, method, path string, in, out any) {
	t.Helper()
	a, err := u.send(t.Context(), method, u.all.keystone(path), nil, in)
	if err != nil || a.status != status {
		t.Fatalf("%s %s as %s: %d, want %d: %s %v", method, path, u.name, a.status, status, a.body, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
	}
}

// belongings are a project's and its user's things in the cloud that a cluster may leave behind, each as "kind name".
func (u *tenant) belongings(t *testing.T) []string {
	t.Helper()
	var out []string
	for kind, path := range map[string]string{
		"servers": "/compute/v2.1/servers", "loadbalancers": "/load-balancer/v2/lbaas/loadbalancers",
		"floatingips":             "/network/v2.0/floatingips",
		"application_credentials": "/v3/users/" + u.token(t).User.ID + "/application_credentials",
	} {
		var list map[string]json.RawMessage
		u.cloud(t, http.StatusOK, "GET", path, nil, &list)
		var items []struct {
			Name    string
			Address string `json:"floating_ip_address"`
		}
		if err := json.Unmarshal(list[kind], &items); err != nil {
			t.Fatalf("%s: %v: %s", path, err, list[kind])
		}
		for _, i := range items {
			out = append(out, kind+" "+i.Name+i.Address)
		}
	}
	var groups struct {
		ServerGroups []struct{ Name string } `json:"server_groups"`
	}
	u.cloud(t, http.StatusOK, "GET", "/compute/v2.1/os-server-groups", nil, &groups)
	for _, g := range groups.ServerGroups {
		out = append(out, "server group "+g.Name)
	}
	slices.Sort(out)
	return out
}

func (u *tenant) project(t *testing.T) string {
	t.Helper()
	return u.token(t).Project.ID
}

type token struct{ User, Project struct{ ID string } }

func (u *tenant) token(t *testing.T) token {
	t.Helper()
	a, err := u.send(t.Context(), "GET", u.all.keystone("/v3/auth/tokens"), map[string]string{"X-Subject-Token": u.provider.Token()}, nil)
	var body struct{ Token token }
	if err != nil || json.Unmarshal(a.body, &body) != nil || body.Token.User.ID == "" {
		t.Fatalf("read the token of %s: %d %s %v", u.name, a.status, a.body, err)
	}
	return body.Token
}

// objects lists everything in the management cluster's namespace for clusters, as "kind/name". Events tell what was and
// go by themselves; leases are the controllers' own.
func (a *allinone) objects(t *testing.T) []string {
	t.Helper()
	kubeconfig := "--kubeconfig=" + a.stateDir + "/management.kubeconfig"
	kinds := strings.Fields(kubectlSays(t, kubeconfig, "api-resources", "--namespaced", "--verbs=list", "-o", "name"))
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return strings.HasPrefix(k, "events") || strings.HasPrefix(k, "leases.") })
	if len(kinds) < 20 {
		t.Fatalf("the management cluster knows only %v", kinds)
	}
	out := strings.Fields(kubectlSays(t, kubeconfig, "-n", "magnum-system", "get", strings.Join(kinds, ","), "-o", "name"))
	slices.Sort(out)
	return out
}

// groupGone is a condition: a node group is no more.
func (u *tenant) groupGone(cluster, group string) func(context.Context) (bool, string, error) {
	return func(ctx context.Context) (bool, string, error) {
		a, err := u.do(ctx, latest, http.MethodGet, "/clusters/"+cluster+"/nodegroups/"+group, nil)
		return a.status == http.StatusNotFound, string(a.body), err
	}
}
