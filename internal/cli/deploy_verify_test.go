package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// What apply is told of the cluster that it judges by reaches verify.
func TestVerifyIsAskedAsApplyIs(t *testing.T) {
	f := deployVerify{Verify: true, ImageName: "node", ExternalNetwork: "public", Label: map[string]string{"kube_tag": "v1.36.4"}, Conformance: "quick", OSCloud: "mine"}
	want := verifyCommand{
		ImageName: "node", ExternalNetwork: "public", Label: map[string]string{"kube_tag": "v1.36.4"}, Masters: 1, Nodes: 1, Conformance: "quick",
		Timeout: 30 * time.Minute, Output: "json", OSCloud: "mine",
	}
	in := intent.Intent{}
	if diff := cmp.Diff(want, f.command(in, "json")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.Private = true
	if err := f.possible(in); err == nil || !strings.Contains(err.Error(), "mcapi_vexxhost_proxy_hosts names none") {
		t.Errorf("a private cluster without a proxy: %v", err)
	}
	in.Proxy.Hosts = []intent.ProxyHost{{Container: intent.Container{ManagementAddress: "172.29.236.31"}}}
	want.Label, want.MasterLB = map[string]string{"kube_tag": "v1.36.4", "master_lb_floating_ip_enabled": "false"}, true
	want.Proxy = []string{"172.29.236.31:8443"}
	if diff := cmp.Diff(want, f.command(in, "json")); diff != "" || len(f.Label) != 1 {
		t.Errorf("%d labels; (-want +got):\n%s", len(f.Label), diff)
	}
	f.Label["master_lb_floating_ip_enabled"] = "true"
	if err := f.possible(in); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("private, and with a floating IP: %v", err)
	}
}

// What apply has made is judged with the credentials of the operator's own files; without any, it says so before it
// changes something.
func TestVerifyAfterApply(t *testing.T) {
	var asked struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct {
						Name, Password string
						Domain         struct{ Name string }
					}
				}
			}
			Scope struct {
				Project struct{ Name string }
			}
		}
	}
	keystone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_ = json.NewDecoder(r.Body).Decode(&asked)
			w.Header().Set("X-Subject-Token", "t")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"token":{"expires_at":"2100-01-01T00:00:00.000000Z","catalog":[{"type":"compute","endpoints":[{"interface":"internal","region":"RegionOne","region_id":"RegionOne","url":"http://` + r.Host + `"}]}]}}`))
			return
		}
		if r.URL.Path == "/" { // Nova's
			_, _ = w.Write([]byte(`{"versions":[{"id":"v2.1","status":"CURRENT","version":"2.90","min_version":"2.1","links":[{"rel":"self","href":"http://` + r.Host + `/v2.1/"}]}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"version":{"id":"v3.14","status":"stable","links":[]}}`))
	}))
	defer keystone.Close()
	in := intent.Intent{}
	in.Magnum.Service = intent.MagnumService{AuthURL: keystone.URL + "/v3", Admin: "admin", AdminProject: "admin-project", Region: "RegionOne"}
	f := deployVerify{Conformance: "none"}
	var out bytes.Buffer
	streams := Streams{Out: &out, Err: &out}
	if err := f.possible(in); err != nil {
		t.Errorf("nobody has asked for it: %v", err)
	}
	if err := f.judge(t.Context(), in, streams, "text"); err != nil || asked.Auth.Identity.Password.User.Name != "" {
		t.Errorf("nobody has asked for it: %v", err)
	}
	f.Verify = true
	if err := f.possible(in); err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), "keystone_auth_admin_password") {
		t.Errorf("without credentials: %v", err)
	}
	image := filepath.Join(t.TempDir(), "node.raw")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ image, name, want string }{
		{"", "", "--verify-image FILE uploads one"}, {image, "node", "exclude each other"}, {image, "", "node.raw.json: no such file"}, {image + "x", "", "node.rawx: no such file"},
	} {
		none := deployVerify{Verify: true, OSCloud: "mine", Image: tt.image, ImageName: tt.name}
		if err := none.possible(in); err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	f.ImageName = "node"
	f.OSCloud = "mine"
	if err := f.possible(in); err != nil {
		t.Errorf("with a cloud of clouds.yaml: %v", err)
	}
	f.OSCloud, in.Magnum.Service.AdminPassword = "", intent.NewSecret("hunter2")
	if err := f.possible(in); err != nil {
		t.Error(err)
	}
	err := f.judge(t.Context(), in, streams, "text")
	if err == nil || !strings.Contains(err.Error(), "the cloud's catalog has no Magnum") || strings.Contains(err.Error(), "no Nova") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a cloud without Magnum: %v", err)
	}
	user := asked.Auth.Identity.Password.User
	if user.Name != "admin" || user.Password != "hunter2" || user.Domain.Name != "Default" || asked.Auth.Scope.Project.Name != "admin-project" {
		t.Errorf("it logged in as %+v in %+v", user, asked.Auth.Scope)
	}
	in.Magnum.Service.AuthURL = "http://127.0.0.1:1/v3"
	if err := f.judge(t.Context(), in, streams, "text"); err == nil || !strings.Contains(err.Error(), "log in to Keystone at http://127.0.0.1:1/v3 as admin") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a Keystone that is not there: %v", err)
	}
}
