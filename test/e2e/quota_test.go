package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Quotas, statistics and services are an admin's commands; the project "small" feels them.
func TestQuotasWithTheClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	admin, small := all.client("admin"), all.as(t, "small")
	project := small.project(t)
	of := []string{"--project-id", project, "--resource", "Cluster"}
	limit := func(want string) {
		t.Helper()
		q := admin.table(t, append([]string{"coe", "quotas", "show"}, of...)...)
		if q["hard_limit"] != want || q["project_id"] != project || q["resource"] != "Cluster" {
			t.Errorf("coe quotas show says %v, want a hard_limit of %v", q, want)
		}
	}
	limit("100") // magnum.conf's
	admin.says(t, append(append([]string{"coe", "quotas", "create"}, of...), "--hard-limit", "1")...)
	limit("1")
	if list := admin.says(t, "coe", "quotas", "list", "--all-tenants"); !strings.Contains(list, project) {
		t.Errorf("coe quotas list does not show the quota of project %s:\n%s", project, list)
	}

	template := small.template(t, "tight", "v1.34.2", nil)
	small.start(t, "tight-1", template, nil)
	second := object{"name": "tight-2", "cluster_template_id": template}
	a := small.ask(t, latest, "POST", "/clusters", second)
	if want := "You have reached the maximum clusters per project, 1."; a.status != http.StatusForbidden || !strings.Contains(a.detail(t), want) {
		t.Errorf("a cluster beyond the quota: %d %s, want 403 %s", a.status, a.body, want)
	}
	all.client("small").refused(t, "maximum clusters per project", "coe", "cluster", "create", "tight-2", "--cluster-template", "tight")

	admin.says(t, append(append([]string{"coe", "quotas", "update"}, of...), "--hard-limit", "2")...)
	limit("2")
	uuid := small.start(t, "tight-2", template, nil)
	for _, name := range []string{"tight-1", "tight-2"} {
		small.reaches(t, name, "CREATE_COMPLETE")
	}

	t.Log("statistics count masters too")
	stats := all.client("small").table(t, "coe", "stats", "list", project)
	if stats["clusters"] != "2" || stats["nodes"] != "4" {
		t.Errorf("coe stats list says %v, want 2 clusters and 4 nodes", stats)
	}
	all.client("other").refused(t, "403", "coe", "stats", "list", project)

	var services []object
	admin.shows(t, &services, "coe", "service", "list")
	if len(services) == 0 || slices.ContainsFunc(services, func(s object) bool { return s["state"] != "up" }) {
		t.Errorf("coe service list says %v, want services that are up", services)
	}
	all.client("demo").refused(t, "", "coe", "service", "list")

	admin.says(t, append([]string{"coe", "quotas", "delete"}, of...)...)
	limit("100")
	small.want(t, http.StatusNoContent, "DELETE", "/clusters/"+uuid, nil, nil)
	small.want(t, http.StatusForbidden, "GET", "/quotas", nil, nil)
}
