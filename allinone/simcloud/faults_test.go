package simcloud

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGlob(t *testing.T) {
	cases := map[string]struct {
		pattern, text string
		want          bool
	}{
		"Empty":     {"", "anything", true},
		"Same":      {"/v3", "/v3", true},
		"Longer":    {"/v3", "/v3/x", false},
		"Tail":      {"/v3/*", "/v3/auth/tokens", true},
		"Head":      {"*/tokens", "/v3/auth/tokens", true},
		"Middle":    {"/v3/*/credentials/*", "/v3/users/1/credentials/2", true},
		"Overlap":   {"ab*ba", "aba", false},
		"TwoStars":  {"*a*", "bab", true},
		"NotThere":  {"*x*", "bab", false},
		"OneAndAll": {"*", "", true},
	}
	for name, tc := range cases {
		if got := glob(tc.pattern, tc.text); got != tc.want {
			t.Errorf("%s: glob(%q, %q) = %v", name, tc.pattern, tc.text, got)
		}
	}
}

func TestFaults(t *testing.T) {
	r := start(t)
	demo, admin := r.login("demo"), r.login("admin")
	put := func(status int, token, body string) got {
		t.Helper()
		return r.want(status, token, "PUT", "/_simcloud/faults", body)
	}
	put(403, demo, `{}`)
	put(401, "", `{}`)
	put(400, admin, `{"requests": [{"service": "heat", "status": 500}]}`)
	put(400, admin, `{"requests": [{"service": "nova"}]}`)
	put(400, admin, `{"requests": [{"status": 99}]}`)
	put(400, admin, `{"requests": [{"delay": "soon", "status": 500}]}`)

	put(200, admin, `{"requests": [
		{"service": "keystone", "method": "POST", "path": "/v3/auth/*", "status": 503, "message": "down for tests"},
		{"service": "octavia", "method": "DELETE", "status": 500, "count": 2},
		{"service": "network", "path": "*/subnets", "status": 418, "body": "teapot"},
		{"service": "compute", "delay": "30ms"}],
		"machines": [{"cluster": "kube-*", "message": "no", "delay": "1m30s"}]}`)
	g := r.want(503, "", "POST", "/v3/auth/tokens", passwordAuth("demo", "demo", ""))
	if g.at("error", "message") != "down for tests" {
		t.Errorf("Keystone's own body: %s", g.text)
	}
	r.want(200, demo, "GET", "/v3/auth/projects", "")
	for _, status := range []int{500, 500, 404} {
		g := r.want(status, demo, "DELETE", balancersAt+"/x", "")
		if g.at("faultstring") == nil {
			t.Errorf("Octavia's own body: %s", g.text)
		}
	}
	if g := r.want(418, demo, "GET", "/network/v2.0/subnets", ""); g.text != "teapot" {
		t.Errorf("the rule's body: %s", g.text)
	}
	before := time.Now()
	r.want(200, demo, "GET", "/compute/v2.1/flavors", "")
	if waited := time.Since(before); waited < 30*time.Millisecond {
		t.Errorf("a delay delays: %v", waited)
	}
	shown := r.want(200, admin, "GET", "/_simcloud/faults", "")
	if n := len(shown.body["requests"].([]any)); n != 3 || shown.at("machines", 0, "delay") != "1m30s" {
		t.Errorf("a rule that is used up is not shown: %s", shown.text)
	}
	put(200, admin, `{}`)
	r.want(201, "", "POST", "/v3/auth/tokens", passwordAuth("demo", "demo", ""))
}

func TestFaultsOfTheSeed(t *testing.T) {
	seed, err := ParseSeed([]byte(`
faults:
  requests:
    - {service: glance, status: 503, delay: 1ms}
  machines:
    - {flavor: m1.tiny, message: too small, delay: 5s}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	r.want(503, r.login("demo"), "GET", "/image/v2/images", "")
	want := Verdict{Delay: 5 * time.Second, Fail: "too small"}
	if diff := cmp.Diff(want, r.Schedule(t.Context(), Request{Cluster: "c", Name: "m", Flavor: "m1.tiny"})); diff != "" {
		t.Error(diff)
	}
	if g := r.do("", "GET", "/healthz", ""); fmt.Sprint(g.body) != "map[status:ok]" {
		t.Errorf("healthz: %v", g)
	}
}
