package simcloud

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	kept := func(o *Options) { o.Dir = dir }
	one := start(t, kept)
	demo := one.login("demo")
	revoked := one.login("demo")
	one.want(204, revoked, "DELETE", "/v3/auth/tokens", "", "X-Subject-Token", revoked)
	one.want(200, demo, "POST", groupsAt, `{"server_group": {"name": "kube-abcde", "policies": ["affinity"]}}`)
	one.want(200, demo, "POST", "/compute/v2.1/os-keypairs", `{"keypair": {"name": "mine"}}`)
	one.want(202, demo, "DELETE", "/compute/v2.1/os-keypairs/default", "")
	one.want(201, demo, "POST", balancersAt, `{"loadbalancer": {"name": "lb", "vip_network_id": "`+one.networks[1].ID+`"}}`)
	credential := one.want(201, demo, "POST", "/v3/users/"+one.userNamed("demo")+"/application_credentials", `{"application_credential": {"name": "c"}}`)
	id, secret := credential.at("application_credential", "id"), fmt.Sprint(credential.at("application_credential", "secret"))
	one.Schedule(t.Context(), Request{Cluster: "kube-abcde", Name: "kube-abcde-x", Flavor: "m1.small"})
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{secret, demo, revoked} {
		if strings.Contains(string(text), token) {
			t.Error("the state file shows a secret")
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file is the owner's only: %v, %v", info.Mode(), err)
	}

	two := start(t, kept)
	two.want(401, revoked, "GET", groupsAt, "")
	if names := two.want(200, demo, "GET", groupsAt, "").names("server_groups"); !cmp.Equal(names, []string{"kube-abcde"}) {
		t.Errorf("server groups: %v", names)
	}
	if names := two.want(200, demo, "GET", balancersAt, "").names("loadbalancers"); !cmp.Equal(names, []string{"lb"}) {
		t.Errorf("load balancers: %v", names)
	}
	if names := two.want(200, demo, "GET", "/compute/v2.1/servers", "").names("servers"); !cmp.Equal(names, []string{"kube-abcde-x"}) {
		t.Errorf("servers: %v", names)
	}
	two.want(200, demo, "GET", "/compute/v2.1/os-keypairs/mine", "")
	two.want(404, demo, "GET", "/compute/v2.1/os-keypairs/default", "")
	two.want(201, "", "POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth": {"identity": {"methods": ["application_credential"],
		"application_credential": {"id": %q, "secret": %q}}}}`, id, secret))
}

// What cannot be written did not happen, and the cloud goes on when it can be written again.
func TestDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := start(t, func(o *Options) { o.Dir = dir })
	demo := r.login("demo")
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	body := `{"server_group": {"name": "g", "policies": ["affinity"]}}`
	g := r.want(500, demo, "POST", groupsAt, body)
	if strings.Contains(g.text, dir) {
		t.Errorf("the client does not learn our paths: %s", g.text)
	}
	r.Schedule(t.Context(), Request{Cluster: "c", Name: "m"})
	r.login("other")
	if names := r.want(200, demo, "GET", groupsAt, "").names("server_groups"); names != nil {
		t.Errorf("what failed is there: %v", names)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	r.want(200, demo, "POST", groupsAt, body)
}

func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"Cut": `{"TokenKey": "ab`, "NoKey": `{}`} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), stateFile) {
				t.Errorf("a damaged file is told by name, not replaced: %v", err)
			}
		})
	}
}

func TestMachines(t *testing.T) {
	r := start(t)
	demo := r.login("demo")
	r.want(200, demo, "POST", groupsAt, `{"server_group": {"name": "kube-abcde", "policies": ["affinity"]}}`)
	const noHost = "No valid host was found. There are not enough hosts available."
	err := r.SetFaults(Faults{Machines: []MachineFault{
		{Cluster: "kube-slow*", Delay: Duration(time.Minute)},
		{Cluster: "kube-bad", Flavor: "m1.sm*", Message: "quota", Delay: Duration(time.Second)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason  string
		request Request
		want    Verdict
	}{
		"Comes":         {"At once.", Request{Cluster: "kube-abcde", Flavor: "m1.small", Image: "cirros"}, Verdict{}},
		"ByID":          {"Flavors have ids, too.", Request{Cluster: "kube-abcde", Flavor: "7"}, Verdict{Fail: noHost}},
		"Unschedulable": {"The flavor that has no host.", Request{Cluster: "kube-abcde", Flavor: "m1.unschedulable"}, Verdict{Fail: noHost}},
		"NoFlavor":      {"No such flavor.", Request{Cluster: "kube-abcde", Flavor: "x"}, Verdict{Fail: "Flavor x could not be found."}},
		"NoImage":       {"No such image.", Request{Cluster: "kube-abcde", Image: "x"}, Verdict{Fail: "Image x could not be found."}},
		"Unsaid":        {"What is not said is not judged.", Request{Cluster: "kube-abcde"}, Verdict{}},
		"Slow":          {"A rule that only delays.", Request{Cluster: "kube-slow1", Flavor: "m1.small"}, Verdict{Delay: time.Minute}},
		"Bad":           {"A rule by cluster and flavor.", Request{Cluster: "kube-bad", Flavor: "2"}, Verdict{Delay: time.Second, Fail: "quota"}},
		"OtherFlavor":   {"The rule does not fit.", Request{Cluster: "kube-bad", Flavor: "m1.large"}, Verdict{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.request.Name = "machine-" + name
			if diff := cmp.Diff(tc.want, r.Schedule(context.Background(), tc.request)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
	servers := r.want(200, demo, "GET", "/compute/v2.1/servers/detail?name=machine-Uns", "")
	var unschedulable got
	for i, name := range servers.names("servers") {
		if name == "machine-Unschedulable" {
			unschedulable.body, _ = servers.at("servers", i).(map[string]any)
		}
	}
	if unschedulable.at("status") != "ERROR" || unschedulable.at("fault", "message") != noHost {
		t.Errorf("Nova shows why: %s", servers.text)
	}
	if names := r.want(200, r.login("other"), "GET", "/compute/v2.1/servers", "").names("servers"); names != nil {
		t.Errorf("other sees %v", names)
	}
	if names := r.want(200, r.login("admin"), "GET", "/compute/v2.1/servers?all_tenants=1", "").names("servers"); len(names) != len(cases) {
		t.Errorf("an admin sees all: %v", names)
	}
	r.Schedule(t.Context(), Request{Cluster: "kube-abcde", Name: "machine-Comes", Flavor: "7", Existing: true, Failure: "old"})
	if status := r.want(200, demo, "GET", "/compute/v2.1/servers/detail?name=machine-Comes", "").at("servers", 0, "status"); status != "ACTIVE" {
		t.Errorf("what is known keeps its fate: %v", status)
	}
	r.Schedule(t.Context(), Request{Cluster: "kube-abcde", Name: "machine-Old", Existing: true, Failure: "old"})
	if status := r.want(200, demo, "GET", "/compute/v2.1/servers/detail?name=machine-Old", "").at("servers", 0, "status"); status != "ERROR" {
		t.Errorf("what is new to us has the fate it came with: %v", status)
	}
	for range 2 {
		r.Release(t.Context(), "machine-Comes")
	}
	if names := r.want(200, demo, "GET", "/compute/v2.1/servers?name=machine-Comes", "").names("servers"); names != nil {
		t.Errorf("released: %v", names)
	}
}
