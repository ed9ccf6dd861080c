package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
)

// verbs are all that can be done to a cluster. Each is what the owner would send, so that nothing but who asks is
// wrong.
func verbs(ident string) []struct {
	method, path string
	body         any
} {
	at := "/clusters/" + ident
	return []struct {
		method, path string
		body         any
	}{
		{"GET", at, nil},
		{"PATCH", at, []object{{"op": "replace", "path": "/node_count", "value": 2}}},
		{"POST", at + "/actions/resize", object{"node_count": 2}},
		{"POST", at + "/actions/upgrade", object{"cluster_template": "tenancy-newer"}},
		{"GET", at + "/nodegroups", nil},
		{"GET", at + "/nodegroups/default-worker", nil},
		{"POST", at + "/nodegroups", object{"name": "mine"}},
		{"PATCH", at + "/nodegroups/default-worker", []object{{"op": "replace", "path": "/max_node_count", "value": 9}}},
		{"DELETE", at + "/nodegroups/default-worker", nil},
		{"GET", "/certificates/" + ident, nil},
		{"PATCH", "/certificates/" + ident, nil},
		{"PATCH", "/credentials/" + ident, nil},
		{"DELETE", at, nil},
	}
}

// Nobody sees or touches another project's cluster, a reader only reads, an admin sees all, and certificates are the
// owner's.
func TestTenancy(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, other, reader, colleague, admin := all.as(t, "demo"), all.as(t, "other"), all.as(t, "reader"), all.as(t, "colleague"), all.as(t, "admin")
	for _, u := range []*tenant{demo, other} {
		u.template(t, "tenancy-newer", "v1.35.1", nil)
	}
	c := demo.make(t, "private-matter", nil)
	theirs := other.make(t, "their-matter", nil)

	t.Run("another project finds nothing", func(t *testing.T) {
		for _, ident := range []string{c.Name, c.UUID} {
			for _, v := range verbs(ident) {
				if a := other.ask(t, latest, v.method, v.path, v.body); a.status != http.StatusNotFound {
					t.Errorf("%s %s as another project: %d, want 404: %s", v.method, v.path, a.status, a.body)
				} else {
					a.detail(t)
				}
			}
			csr, _ := newRequest(t)
			a := other.ask(t, latest, "POST", "/certificates", object{"cluster_uuid": ident, "csr": string(csr)})
			if a.status != http.StatusBadRequest { // Magnum says 400 here
				t.Errorf("POST /certificates for another project's cluster: %d, want 400: %s", a.status, a.body)
			}
		}
		for u, want := range map[*tenant][]string{demo: {c.UUID}, reader: {c.UUID}, other: {theirs.UUID}, admin: {c.UUID, theirs.UUID}} {
			for _, path := range []string{"/clusters", "/clusters/detail"} {
				have := u.uuids(t, path)
				for _, uuid := range []string{c.UUID, theirs.UUID} {
					if slices.Contains(have, uuid) != slices.Contains(want, uuid) {
						t.Errorf("GET %s as %s: cluster %s: %v, want %v", path, u.name, uuid, !slices.Contains(want, uuid), slices.Contains(want, uuid))
					}
				}
			}
		}
		all.client("other").refused(t, "could not be found", "coe", "cluster", "show", c.Name)
		all.client("other").refused(t, "could not be found", "coe", "cluster", "delete", c.UUID)
	})
	t.Run("a reader reads and does not write", func(t *testing.T) {
		for _, v := range verbs(c.Name) {
			want := http.StatusForbidden
			if v.method == "GET" && v.path != "/certificates/"+c.Name {
				want = http.StatusOK
			}
			if a := reader.ask(t, latest, v.method, v.path, v.body); a.status != want {
				t.Errorf("%s %s as a reader: %d, want %d: %s", v.method, v.path, a.status, want, a.body)
			}
		}
		for _, path := range []string{"/clusters", "/clustertemplates"} {
			body := object{"name": "nope", "cluster_template_id": "tenancy-newer"}
			if path == "/clustertemplates" {
				body = object{"coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.34.2", "external_network_id": "public"}
			}
			if a := reader.ask(t, latest, "POST", path, body); a.status != http.StatusForbidden {
				t.Errorf("POST %s as a reader: %d, want 403: %s", path, a.status, a.body)
			}
		}
		all.client("reader").says(t, "coe", "cluster", "show", c.Name)
		all.client("reader").refused(t, "403", "coe", "cluster", "resize", c.Name, "2")
	})
	t.Run("certificates are the owner's", func(t *testing.T) {
		csr, _ := newRequest(t)
		for u, want := range map[*tenant][2]int{
			demo: {http.StatusOK, http.StatusCreated}, colleague: {http.StatusForbidden, http.StatusForbidden},
			reader: {http.StatusForbidden, http.StatusForbidden}, admin: {http.StatusNotFound, http.StatusBadRequest},
		} {
			if a := u.ask(t, latest, "GET", "/certificates/"+c.UUID, nil); a.status != want[0] {
				t.Errorf("GET /certificates as %s: %d, want %d: %s", u.name, a.status, want[0], a.body)
			}
			if a := u.ask(t, latest, "POST", "/certificates", object{"cluster_uuid": c.UUID, "csr": string(csr)}); a.status != want[1] {
				t.Errorf("POST /certificates as %s: %d, want %d: %s", u.name, a.status, want[1], a.body)
			}
		}
	})
	t.Run("an admin sees all", func(t *testing.T) {
		for _, seen := range []cluster{c, theirs} {
			if got := admin.show(t, seen.UUID); got.Name != seen.Name || got.ProjectID != seen.ProjectID {
				t.Errorf("an admin sees %+v, want %+v", got, seen)
			}
		}
		all.client("admin").says(t, "coe", "cluster", "show", c.UUID)
	})
	t.Run("no token, no answer", func(t *testing.T) {
		nobody := *demo.provider
		nobody.TokenID = "stolen"
		a := (&tenant{all: all, name: "nobody", provider: &nobody, magnum: demo.magnum}).ask(t, latest, "GET", "/clusters", nil)
		if a.status != http.StatusUnauthorized {
			t.Errorf("with a wrong token: %d %s", a.status, a.body)
		}
	})
	// Nothing of all this has had an effect.
	if now := demo.show(t, c.UUID); now.Status != "CREATE_COMPLETE" || now.NodeCount != 1 || len(demo.groups(t, c.UUID)) != 2 {
		t.Errorf("the cluster has changed: %+v", now)
	}
	t.Run("a colleague may work on it", func(t *testing.T) {
		colleague.want(t, http.StatusAccepted, "POST", "/clusters/"+c.UUID+"/actions/resize", object{"node_count": 2}, nil)
		demo.reaches(t, c.UUID, "UPDATE_COMPLETE")
	})
}

// uuids lists the clusters somebody sees.
func (u *tenant) uuids(t *testing.T, path string) []string {
	t.Helper()
	a := u.ask(t, latest, http.MethodGet, path, nil)
	var list struct{ Clusters []cluster }
	if err := json.Unmarshal(a.body, &list); err != nil || a.status != http.StatusOK {
		t.Fatalf("GET %s as %s: %d %s", path, u.name, a.status, a.body)
	}
	var out []string
	for _, c := range list.Clusters {
		out = append(out, c.UUID)
	}
	return out
}
