package simcloud

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	groupsAt    = "/compute/v2.1/os-server-groups"
	balancersAt = "/load-balancer/v2.0/lbaas/loadbalancers"
	floatingAt  = "/network/v2.0/floatingips"
)

func TestMicroversions(t *testing.T) {
	r := start(t)
	demo := r.login("demo")
	cases := map[string]struct {
		reason, version, body string
		status                int
		policy, policies      any
	}{
		"Oldest":     {"Without a version it is 2.1: a list.", "", `"policies": ["anti-affinity"]`, 200, nil, "anti-affinity"},
		"NoSoft":     {"No soft policies before 2.15.", "2.14", `"policies": ["soft-anti-affinity"]`, 400, nil, nil},
		"Soft":       {"Since 2.15.", "2.15", `"policies": ["soft-anti-affinity"]`, 200, nil, "soft-anti-affinity"},
		"TwoOf":      {"Exactly one.", "2.15", `"policies": ["affinity", "anti-affinity"]`, 400, nil, nil},
		"OnePolicy":  {"Since 2.64 a word.", "2.64", `"policy": "soft-anti-affinity"`, 200, "soft-anti-affinity", nil},
		"ListIn264":  {"And no list.", "2.64", `"policies": ["affinity"]`, 400, nil, nil},
		"WordIn263":  {"Which it was not before.", "2.63", `"policy": "affinity"`, 400, nil, nil},
		"Latest":     {"latest is the newest.", "latest", `"policy": "affinity"`, 200, "affinity", nil},
		"TooNew":     {"Not acceptable.", "2.999", `"policy": "affinity"`, 406, nil, nil},
		"Malformed":  {"Not a version.", "two", `"policy": "affinity"`, 400, nil, nil},
		"BadPolicy":  {"Not a policy.", "2.64", `"policy": "together"`, 400, nil, nil},
		"MinorWords": {"Not a number.", "2.x", `"policy": "affinity"`, 400, nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if tc.version != "" {
				headers = []string{"OpenStack-API-Version", "compute " + tc.version}
			}
			g := r.want(tc.status, demo, "POST", groupsAt, `{"server_group": {"name": "g", `+tc.body+`}}`, headers...)
			if diff := cmp.Diff(tc.policy, g.at("server_group", "policy")); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.policies, g.at("server_group", "policies", 0)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

// Two projects, two users in one of them, and an admin: who may do what to demo's things.
func TestProjectsAreApart(t *testing.T) {
	r := start(t)
	tokens := map[string]string{}
	for _, user := range []string{"demo", "reader", "other", "admin"} {
		tokens[user] = r.login(user)
	}
	group := r.want(200, tokens["demo"], "POST", groupsAt, `{"server_group": {"name": "g", "policies": ["affinity"]}}`).at("server_group", "id")
	subnet := r.networks[1].Subnets[0].ID
	lb := r.want(201, tokens["demo"], "POST", balancersAt, `{"loadbalancer": {"name": "lb", "vip_subnet_id": "`+subnet+`"}}`).at("loadbalancer", "id")
	ip := r.want(201, tokens["demo"], "POST", floatingAt, `{"floatingip": {"floating_network_id": "`+r.networks[0].ID+`"}}`).at("floatingip", "id")
	r.clock.Add(time.Minute)
	things := map[string]struct{ list, at, name string }{
		"ServerGroup":  {"server_groups", groupsAt, fmt.Sprint(group)},
		"LoadBalancer": {"loadbalancers", balancersAt, fmt.Sprint(lb)},
		"FloatingIP":   {"floatingips", floatingAt, fmt.Sprint(ip)},
	}
	for name, thing := range things {
		t.Run(name, func(t *testing.T) {
			r := &running{Cloud: r.Cloud, t: t, url: r.url, clock: r.clock}
			for user, sees := range map[string]bool{"demo": true, "reader": true, "other": false} {
				list, _ := r.want(200, tokens[user], "GET", thing.at, "").body[thing.list].([]any)
				if (len(list) == 1) != sees {
					t.Errorf("%s sees %d", user, len(list))
				}
			}
			r.want(404, tokens["other"], "GET", thing.at+"/"+thing.name, "")
			r.want(404, tokens["other"], "DELETE", thing.at+"/"+thing.name, "")
			r.want(403, tokens["reader"], "DELETE", thing.at+"/"+thing.name, "")
			r.want(401, "", "DELETE", thing.at+"/"+thing.name, "")
			r.want(200, tokens["admin"], "GET", thing.at+"/"+thing.name, "")
			r.want(204, tokens["admin"], "DELETE", thing.at+"/"+thing.name, "")
		})
	}
	for _, at := range []string{groupsAt, balancersAt, floatingAt} {
		r.want(403, tokens["reader"], "POST", at, `{}`)
	}
}

func TestImages(t *testing.T) {
	text := `
images:
  - {name: mine, project: demo, visibility: private, properties: {os_distro: ubuntu, hw_disk_bus: scsi}}
  - {name: twin}
  - {name: twin, id: 11111111-2222-3333-4444-555555555555}
`
	seed, err := ParseSeed([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	demo, other := r.login("demo"), r.login("other")
	if names := r.want(200, other, "GET", "/image/v2/images", "").names("images"); !cmp.Equal(names, []string{"twin", "twin"}) {
		t.Errorf("other sees %v", names)
	}
	mine := r.want(200, demo, "GET", "/image/v2/images?name=mine", "")
	if mine.at("images", 0, "os_distro") != "ubuntu" || mine.at("images", 0, "visibility") != "private" {
		t.Errorf("properties are fields: %s", mine.text)
	}
	r.want(404, other, "GET", "/image/v2/images/"+fmt.Sprint(mine.at("images", 0, "id")), "")
	first := r.want(200, demo, "GET", "/image/v2/images?limit=2", "")
	next := fmt.Sprint(first.at("next"))
	if !strings.HasPrefix(next, "/v2/images?") {
		t.Fatalf("next: %s", first.text)
	}
	if rest := r.want(200, demo, "GET", "/image"+next, ""); len(rest.names("images")) != 1 || rest.at("next") != nil {
		t.Errorf("the second page has the rest: %s", rest.text)
	}
}

func TestLoadBalancerLife(t *testing.T) {
	r := start(t)
	demo := r.login("demo")
	g := r.want(201, demo, "POST", balancersAt,
		`{"loadbalancer": {"description": "Kubernetes external service x from cluster y", "vip_network_id": "`+r.networks[1].ID+`"}}`)
	at := balancersAt + "/" + fmt.Sprint(g.at("loadbalancer", "id"))
	port := fmt.Sprint(g.at("loadbalancer", "vip_port_id"))
	status := func() any {
		t.Helper()
		return r.want(200, demo, "GET", at, "").at("loadbalancer", "provisioning_status")
	}
	if status() != "PENDING_CREATE" {
		t.Errorf("made: %v", status())
	}
	r.want(409, demo, "DELETE", at, "")
	r.clock.Add(time.Second)
	if status() != "ACTIVE" {
		t.Errorf("a second later: %v", status())
	}
	ip := r.want(201, demo, "POST", floatingAt, `{"floatingip": {"floating_network_id": "`+r.networks[0].ID+`", "port_id": "`+port+`"}}`)
	if n := len(r.want(200, demo, "GET", floatingAt+"?port_id="+port, "").body["floatingips"].([]any)); n != 1 {
		t.Errorf("floating IPs by port: %d", n)
	}
	r.want(204, demo, "DELETE", at+"?cascade=true", "")
	if status() != "PENDING_DELETE" {
		t.Errorf("deleted: %v", status())
	}
	r.want(409, demo, "DELETE", at, "")
	r.clock.Add(time.Second)
	r.want(404, demo, "GET", at, "")
	left := r.want(200, demo, "GET", floatingAt+"/"+fmt.Sprint(ip.at("floatingip", "id")), "")
	if left.at("floatingip", "port_id") != nil || left.at("floatingip", "status") != "DOWN" {
		t.Errorf("the floating IP lost its port: %s", left.text)
	}
	r.want(400, demo, "POST", floatingAt, `{"floatingip": {"floating_network_id": "`+r.networks[1].ID+`"}}`)
	r.want(404, demo, "POST", floatingAt, `{"floatingip": {"floating_network_id": "x"}}`)
	r.want(400, demo, "POST", balancersAt, `{"loadbalancer": {"vip_subnet_id": "x"}}`)
}

func TestKeypairs(t *testing.T) {
	r := start(t)
	demo, reader := r.login("demo"), r.login("reader")
	const at = "/compute/v2.1/os-keypairs"
	made := r.want(200, demo, "POST", at, `{"keypair": {"name": "made"}}`)
	if !strings.Contains(fmt.Sprint(made.at("keypair", "private_key")), "PRIVATE KEY") {
		t.Errorf("Nova makes a key when none is given: %s", made.text)
	}
	r.want(409, demo, "POST", at, `{"keypair": {"name": "made"}}`)
	r.want(400, demo, "POST", at, `{"keypair": {"name": "bad", "public_key": "ssh-rsa AAAA"}}`)
	r.want(400, demo, "POST", at, `{"keypair": {"name": "a/b"}}`)
	r.want(400, demo, "POST", at, `{"keypair": {"name": "latest"}}`, "OpenStack-API-Version", "compute latest")
	r.want(404, reader, "GET", at+"/default", "")
	r.want(200, demo, "GET", at+"/default", "")
	r.want(202, demo, "DELETE", at+"/default", "")
	r.want(404, demo, "DELETE", at+"/default", "")
}

func TestOddRequests(t *testing.T) {
	r := start(t)
	demo := r.login("demo")
	cases := map[string]struct {
		reason, method, path, body string
		status                     int
	}{
		"Slash":       {"Trailing slashes do not matter.", "GET", "/compute/v2.1/flavors/", "", 200},
		"Malformed":   {"Not JSON.", "POST", groupsAt, "{", 400},
		"WrongType":   {"The wrong type.", "POST", groupsAt, `{"server_group": []}`, 400},
		"Huge":        {"Too large.", "POST", groupsAt, `{"server_group": {"name": "` + strings.Repeat("x", maxBody) + `"}}`, 413},
		"BadLimit":    {"Not a number.", "GET", "/compute/v2.1/flavors?limit=x", "", 400},
		"BadMarker":   {"No such marker.", "GET", "/compute/v2.1/flavors?marker=x", "", 400},
		"NoRoute":     {"Nothing there.", "PUT", "/compute/v2.1/flavors/1", "", 404},
		"NoServers":   {"Servers come from Cluster API.", "POST", "/compute/v2.1/servers", `{}`, 403},
		"OtherVolume": {"Cinder's address has the project.", "GET", "/volume/v3/123/types", "", 400},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if g := r.do(demo, tc.method, tc.path, tc.body); g.status != tc.status {
				t.Errorf("%s\nwant %d, got %d %s", tc.reason, tc.status, g.status, g.text)
			}
		})
	}
}

func TestQuota(t *testing.T) {
	seed, err := ParseSeed([]byte("quotas: {server_groups: 3}"))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	demo := r.login("demo")
	var made sync.Map
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			g := r.do(demo, "POST", groupsAt, fmt.Sprintf(`{"server_group": {"name": "g%d", "policies": ["affinity"]}}`, i))
			made.Store(i, g.status)
		})
	}
	wg.Wait()
	counts := map[int]int{}
	made.Range(func(_, status any) bool { counts[status.(int)]++; return true })
	if diff := cmp.Diff(map[int]int{200: 3, 403: 7}, counts); diff != "" {
		t.Error(diff)
	}
}

// python-glanceclient asks for the schema before it lists anything, and makes its images by it.
func TestImageSchema(t *testing.T) {
	r := start(t)
	demo := r.login("demo")
	schema := r.want(200, demo, "GET", "/image/v2/schemas/image", "")
	properties, _ := schema.at("properties").(map[string]any)
	shown, _ := r.want(200, demo, "GET", "/image/v2/images?limit=1", "").at("images", 0).(map[string]any)
	typed := 0
	for name := range shown {
		if _, has := properties[name]; has {
			typed++
		}
	}
	if schema.at("name") != "image" || typed < 15 {
		t.Errorf("%d of %d fields of an image are in its schema: %s", typed, len(shown), schema.text)
	}
}
