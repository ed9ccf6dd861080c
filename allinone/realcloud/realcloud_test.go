package realcloud_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
)

const cloudsYAML = `clouds:
  magnum:
    region_name: RegionOne
    interface: internal
    cacert: CA
    auth: {auth_url: 'https://k:5000/v3', username: magnum, project_name: service, user_domain_name: Default, project_domain_id: default}
  plain:
    auth: {auth_url: 'https://k:5000/v3', username: u, password: p, project_name: s}
    endpoint_type: adminURL
    interface: public
    verify: false
  application:
    auth: {auth_url: 'https://k:5000/v3', application_credential_id: a, application_credential_secret: b}
  breaks:
    auth: {auth_url: 'https://k:5000/v3', username: u, password: "a\nb", project_name: s}
  nothing: {}
`

func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	for name, text := range map[string]string{
		"clouds.yaml": strings.Replace(cloudsYAML, "CA", ca, 1),
		"secure.yaml": "clouds:\n  magnum:\n    auth: {password: secret}\n",
		"ca.pem":      authority,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "clouds.yaml")
}

func TestServiceUser(t *testing.T) {
	file := files(t)
	for _, c := range []struct {
		reason, entry, err string
		want               realcloud.ServiceUser
	}{
		{
			reason: "the password is in secure.yaml, as operators keep it", entry: "magnum",
			want: realcloud.ServiceUser{
				AuthURL: "https://k:5000/v3", Username: "magnum", Password: "secret", ProjectName: "service", Region: "RegionOne",
				UserDomainName: "Default", ProjectDomainID: "default", Interface: "internal", CAFile: filepath.Join(filepath.Dir(file), "ca.pem"),
			},
		},
		{
			reason: "endpoint_type wins, and certificates are not looked at", entry: "plain",
			want: realcloud.ServiceUser{AuthURL: "https://k:5000/v3", Username: "u", Password: "p", ProjectName: "s", Interface: "admin", Insecure: true},
		},
		{reason: "Magnum knows passwords only", entry: "application", err: `cloud "application" cannot be Magnum's service user: it has no username, no password, no project_name`},
		{reason: "what cannot be written is not written wrongly", entry: "breaks", err: "a password with a line break"},
		{reason: "a name that is not there", entry: "other", err: `has no cloud "other"; it has application, breaks, magnum, nothing, plain`},
		{reason: "an entry without anything", entry: "nothing", err: "it has no auth"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			e, err := realcloud.Read(file, c.entry)
			var have realcloud.ServiceUser
			if err == nil {
				have, err = e.ServiceUser()
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("want error %q, have %v", c.err, err)
			}
			if err == nil {
				if diff := cmp.Diff(c.want, have); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// keystone is as much of it as registering needs: tokens, services, endpoints.
type keystone struct {
	services  []map[string]any
	endpoints []map[string]any
	forbidden bool
	asked     []string // changes
}

func (k *keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	var in map[string]map[string]any
	_ = json.NewDecoder(r.Body).Decode(&in)
	url := "http://" + r.Host + "/v3"
	if r.Method != http.MethodGet && r.URL.Path != "/v3/auth/tokens" {
		k.asked = append(k.asked, r.Method+" "+r.URL.Path)
		if k.forbidden {
			answer(http.StatusForbidden, map[string]any{"error": map[string]any{"code": 403, "message": "You are not authorized"}})
			return
		}
	}
	switch r.Method + " " + strings.TrimSuffix(r.URL.Path, "/") {
	case "GET /v3":
		answer(http.StatusOK, map[string]any{"version": map[string]any{"id": "v3.14", "status": "stable", "links": []any{map[string]any{"rel": "self", "href": url + "/"}}}})
	case "POST /v3/auth/tokens":
		w.Header().Set("X-Subject-Token", "token")
		catalog := []any{map[string]any{"type": "identity", "name": "keystone", "endpoints": []any{map[string]any{"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": url}}}}
		answer(http.StatusCreated, map[string]any{"token": map[string]any{"catalog": catalog, "expires_at": "2099-01-01T00:00:00.000000Z"}})
	case "GET /v3/services":
		answer(http.StatusOK, map[string]any{"services": k.services})
	case "POST /v3/services":
		s := in["service"]
		s["id"] = "s1"
		k.services = append(k.services, s)
		answer(http.StatusCreated, map[string]any{"service": s})
	case "GET /v3/endpoints":
		answer(http.StatusOK, map[string]any{"endpoints": k.endpoints})
	case "POST /v3/endpoints":
		e := in["endpoint"]
		e["id"] = fmt.Sprint("e", len(k.endpoints))
		k.endpoints = append(k.endpoints, e)
		answer(http.StatusCreated, map[string]any{"endpoint": e})
	default: // PATCH of one
		for _, e := range k.endpoints {
			if r.URL.Path == "/v3/endpoints/"+e["id"].(string) {
				e["url"] = in["endpoint"]["url"]
				answer(http.StatusOK, map[string]any{"endpoint": e})
				return
			}
		}
		http.NotFound(w, r)
	}
}

func TestRegister(t *testing.T) {
	k := &keystone{}
	server := httptest.NewServer(k)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	text := "clouds:\n  admin:\n    region_name: RegionOne\n    auth: {auth_url: '" + server.URL + "/v3', username: a, password: p, project_name: admin, user_domain_name: Default, project_domain_name: Default}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := realcloud.Read(file, "admin")
	if err != nil {
		t.Fatal(err)
	}
	// An endpoint of another region is another Magnum's, and stays.
	k.endpoints = append(k.endpoints, map[string]any{"id": "far", "interface": "public", "region": "RegionTwo", "service_id": "s1", "url": "http://far"})
	const post, patch = "POST /v3/endpoints", "PATCH /v3/endpoints/"
	for _, c := range []struct {
		reason, url string
		changed     bool
		asked       []string
	}{
		{"a cloud without Magnum", "http://10.77.0.1:9511/v1", true, []string{"POST /v3/services", post, post, post}},
		{"once more: nothing to do", "http://10.77.0.1:9511/v1", false, nil},
		{"another address", "http://10.77.0.2:9511/v1", true, []string{patch + "e1", patch + "e2", patch + "e3"}},
	} {
		k.asked = nil
		changed, err := e.Register(t.Context(), c.url)
		if err != nil {
			t.Fatalf("%s: %v", c.reason, err)
		}
		if diff := cmp.Diff(c.asked, k.asked); diff != "" || changed != c.changed {
			t.Errorf("%s: changed %v\n%s", c.reason, changed, diff)
		}
	}
	var have []string
	for _, p := range k.endpoints {
		have = append(have, fmt.Sprint(p["region"], p["region_id"], " ", p["interface"], " ", p["url"]))
	}
	t.Log(have)
	if len(have) != 4 || k.endpoints[0]["url"] != "http://far" {
		t.Errorf("the endpoints: %q", have)
	}
	k.forbidden = true
	if _, err := e.Register(t.Context(), "http://10.77.0.3:9511/v1"); err == nil || !strings.Contains(err.Error(), "--admin-cloud-name") {
		t.Errorf("a user who may not: %v", err)
	}
	k.services = append(k.services, k.services[0])
	if _, err := e.Register(t.Context(), "http://10.77.0.3:9511/v1"); err == nil || !strings.Contains(err.Error(), "more than one service") {
		t.Errorf("two services: %v", err)
	}
}

// authority is a certificate; nobody has its key.
const authority = `-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUcaQpyavTo7KMkM5KSlzygxsIBrswCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjcyMzUzNDBaGA8yMTI2MTEwMzIzNTM0
MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGwF
jZhNT7XS2xkYe6bpaB6TcxVTXJkCj5yatt+qIbD5W4aVyhAMfd9k4C3oPuITw0JI
gQnJvm1uNZ/vHDbmDWWjUzBRMB0GA1UdDgQWBBQfARtyq9h5h93SbM1suGh7tzhI
cTAfBgNVHSMEGDAWgBQfARtyq9h5h93SbM1suGh7tzhIcTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDuyJCOncVUQR1FoDKf7nuNup7aeL4CZS5D
a8ubXlWnqgIhAPzRqLD4ENRcI64hhAqGuMiAlsnbXWRkvOUYb5dfr2Og
-----END CERTIFICATE-----
`
