package simcloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/test/contract"
)

// These tests hold the two sides together: what internal/openstack says through gophercloud is what the simulated cloud
// answers.

// cloudOf is Jeroboam's own client, as the service user magnum.
func cloudOf(t *testing.T, r *running) *openstack.Cloud {
	t.Helper()
	cloud, err := openstack.New(openstack.Settings{
		AuthURL: r.url, Username: "magnum", Password: "magnum", ProjectName: "service", Region: "RegionOne",
		Now: r.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	return cloud
}

// TestContractShared is what the real cloud is held to as well.
func TestContractShared(t *testing.T) {
	r := start(t)
	contract.Run(t, contract.Cloud{
		Service: openstack.Settings{
			AuthURL: r.url, Username: "magnum", Password: "magnum", ProjectName: "service", Region: "RegionOne", Now: r.clock.Now,
		},
		Login: func(_ *testing.T, user string) string { return r.login(user) },
	})
}

func userOf(t *testing.T, r *running, cloud *openstack.Cloud, name string) (*openstack.User, openstack.Identity) {
	t.Helper()
	token := r.login(name)
	identity, err := cloud.Validator().Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return cloud.ForUser(token, identity), identity
}

func TestContractIdentity(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	_, identity := userOf(t, r, cloud, "demo")
	want := openstack.Identity{
		UserID: r.userNamed("demo"), UserName: "demo", UserDomainID: "default", UserDomainName: "Default",
		ProjectID: r.projectNamed("demo"), ProjectName: "demo", ProjectDomainID: "default", ProjectDomainName: "Default",
		Roles: []string{"member", "reader"}, ExpiresAt: r.clock.Now().Add(time.Hour),
	}
	if diff := cmp.Diff(want, identity); diff != "" {
		t.Error(diff)
	}
	system := r.want(201, "", "POST", "/v3/auth/tokens", passwordAuth("admin", "admin", `{"system": {"all": true}}`))
	v := cloud.Validator()
	got, err := v.Validate(t.Context(), system.header.Get("X-Subject-Token"))
	if err != nil || got.SystemScope != "all" || got.ProjectID != "" || !got.HasRole("admin") {
		t.Errorf("a system-scoped token: %+v, %v", got, err)
	}
}

// A token is revoked, Keystone goes down and comes back, the service token ends: what clients of the API see of it.
func TestContractValidatorThroughTrouble(t *testing.T) {
	r := start(t)
	v := cloudOf(t, r).Validator()
	token := r.login("demo")
	validate := func(want error, reason string) {
		t.Helper()
		if _, err := v.Validate(t.Context(), token); !errors.Is(err, want) {
			t.Fatalf("%s: want %v, got %v", reason, want, err)
		}
	}
	validate(nil, "a good token")
	if err := r.SetFaults(Faults{Requests: []RequestFault{{Service: "keystone", Status: 503}}}); err != nil {
		t.Fatal(err)
	}
	r.clock.Add(299 * time.Second)
	validate(nil, "Keystone is down, the cache serves")
	r.clock.Add(time.Second)
	validate(openstack.ErrUnavailable, "Keystone is down, the cache is at its bound")
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	validate(nil, "Keystone is back")
	r.want(204, token, "DELETE", "/v3/auth/tokens", "", "X-Subject-Token", token)
	validate(nil, "revoked, and known to the cache")
	r.clock.Add(300 * time.Second)
	validate(openstack.ErrUnauthorized, "revoked, and the cache is at its bound")

	r.clock.Add(50 * time.Minute) // The service user's own token is from the beginning: it has expired too.
	token = r.login("demo")
	validate(nil, "the service token is renewed")
	token = "nonsense"
	validate(openstack.ErrUnauthorized, "nonsense")
}

const twins = `
images:
  - {name: ubuntu, min_disk: 10, properties: {os_distro: ubuntu, hw_disk_bus: scsi, kube_version: v1.35.1}}
  - {name: plain}
  - {name: twin, id: 11111111-2222-3333-4444-555555555555}
  - {name: twin, id: 11111111-2222-3333-4444-666666666666}
  - {name: hidden, project: other, visibility: private}
networks:
  - {name: public, external: true, project: admin, subnets: [{name: out, cidr: 203.0.113.0/24}]}
  - {name: private, project: demo, subnets: [{name: in, cidr: 10.0.0.0/24}]}
  - {name: twin, project: demo, id: 21111111-2222-3333-4444-555555555555}
  - {name: twin, project: demo, id: 21111111-2222-3333-4444-666666666666}
  - {name: theirs, project: other}
`

func TestContractUser(t *testing.T) {
	seed, err := ParseSeed([]byte(twins))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	cloud := cloudOf(t, r)
	demo, _ := userOf(t, r, cloud, "demo")
	ctx := t.Context()
	ask := map[string]func(string) (any, error){
		"image":    func(n string) (any, error) { i, err := demo.Image(ctx, n); return i.Name, err },
		"flavor":   func(n string) (any, error) { f, err := demo.Flavor(ctx, n); return f.Name, err },
		"external": func(n string) (any, error) { x, err := demo.Network(ctx, n, true); return x.Name, err },
		"network":  func(n string) (any, error) { x, err := demo.Network(ctx, n, false); return x.Name, err },
		"subnet":   func(n string) (any, error) { s, err := demo.Subnet(ctx, n); return s.Name, err },
		"keypair":  func(n string) (any, error) { k, err := demo.Keypair(ctx, n); return k.Name, err },
	}
	cases := map[string]struct {
		reason, kind, ask string
		want              string
		err               error
	}{
		"ImageByName":     {"By name.", "image", "ubuntu", "ubuntu", nil},
		"ImageByID":       {"By id.", "image", r.images[1].ID, "plain", nil},
		"ImageTwin":       {"Two of a name.", "image", "twin", "", openstack.ErrAmbiguous},
		"ImageOneTwin":    {"One of them by id.", "image", "11111111-2222-3333-4444-555555555555", "twin", nil},
		"ImageHidden":     {"Somebody else's.", "image", "hidden", "", openstack.ErrNotFound},
		"ImageHiddenID":   {"Nor by id.", "image", r.images[4].ID, "", openstack.ErrNotFound},
		"ImageOperator":   {"Glance's operators are no names.", "image", "in:ubuntu,plain", "", openstack.ErrNotFound},
		"ImageMeta":       {"Nor are odd characters.", "image", "a&b=c/../%2e%2e?limit=1", "", openstack.ErrNotFound},
		"FlavorByName":    {"By name.", "flavor", "m1.small", "m1.small", nil},
		"FlavorByID":      {"By id.", "flavor", "3", "m1.medium", nil},
		"FlavorNone":      {"None.", "flavor", "m1.nothing", "", openstack.ErrNotFound},
		"FlavorPath":      {"A path is no name.", "flavor", "../servers", "", openstack.ErrNotFound},
		"External":        {"External.", "external", "public", "public", nil},
		"ExternalByID":    {"By id.", "external", r.networks[0].ID, "public", nil},
		"NotExternal":     {"A network that is not external.", "external", "private", "", openstack.ErrNotFound},
		"Network":         {"A tenant's network.", "network", "private", "private", nil},
		"NotInternal":     {"An external network is none to put nodes in.", "network", "public", "", openstack.ErrNotFound},
		"NetworkTwin":     {"Two of a name.", "network", "twin", "", openstack.ErrAmbiguous},
		"NetworkTheirs":   {"Somebody else's.", "network", "theirs", "", openstack.ErrNotFound},
		"Subnet":          {"By name.", "subnet", "in", "in", nil},
		"SubnetByID":      {"By id.", "subnet", r.networks[1].Subnets[0].ID, "in", nil},
		"SubnetNone":      {"None.", "subnet", "nowhere", "", openstack.ErrNotFound},
		"Keypair":         {"By name.", "keypair", "default", "default", nil},
		"KeypairNone":     {"None.", "keypair", "other", "", openstack.ErrNotFound},
		"KeypairDots":     {"A path is no name.", "keypair", "..", "", openstack.ErrNotFound},
		"KeypairNewlines": {"Nor are line breaks.", "keypair", "a\r\nb", "", openstack.ErrNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ask[tc.kind](tc.ask)
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%s\ngot %q, %v", tc.reason, got, err)
			}
		})
	}
	image, err := demo.Image(ctx, "ubuntu")
	if err != nil || image.OSDistro != "ubuntu" || image.HWDiskBus != "scsi" || image.MinDisk != 10 || image.Properties["kube_version"] != "v1.35.1" {
		t.Errorf("image: %+v, %v", image, err)
	}
	flavor, err := demo.Flavor(ctx, "m1.large")
	if diff := cmp.Diff(openstack.Flavor{ID: "4", Name: "m1.large", Disk: 80, RAM: 8192, VCPUs: 4}, flavor); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	limits, err := demo.Limits(ctx)
	want := openstack.Limits{Instances: -1, Cores: -1, RAM: -1, ServerGroups: 1000, ServerGroupMembers: -1}
	if diff := cmp.Diff(want, limits); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if address, err := demo.IdentityEndpoint(ctx, "internalURL", "RegionOne"); err != nil || address != r.url+"/v3" {
		t.Errorf("Keystone's endpoint: %q, %v", address, err)
	}
	if _, err := demo.IdentityEndpoint(ctx, "public", "RegionTwo"); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("no such region: %v", err)
	}
}

func TestContractServicesFail(t *testing.T) {
	r := start(t)
	demo, _ := userOf(t, r, cloudOf(t, r), "demo")
	for status, want := range map[int]error{
		503: openstack.ErrUnavailable, 500: openstack.ErrUnavailable, 403: openstack.ErrForbidden, 401: openstack.ErrUnauthorized,
		400: openstack.ErrRejected,
	} {
		err := r.SetFaults(Faults{Requests: []RequestFault{{Service: "glance", Status: status, Message: "told so"}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = demo.Image(t.Context(), "cirros")
		if !errors.Is(err, want) || !strings.Contains(err.Error(), `find image "cirros"`) || !strings.Contains(err.Error(), "told so") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A cluster's life in the cloud: credential, server groups, load balancers, and all of it gone.
func TestContractClusterLife(t *testing.T) {
	const uuid = "7a1c6c1e-0000-4000-8000-0123456789ab"
	seed, err := ParseSeed(fmt.Appendf(nil, `
load_balancers:
  - {project: demo, name: a, floating_ip: true, description: Kubernetes external service web from cluster %[1]s}
  - {project: demo, name: b, description: Kubernetes external service api/v1 from cluster %[1]s}
  - {project: demo, name: c, floating_ip: true, description: Kubernetes external service web from cluster another}
  - {project: demo, name: d, description: "made by hand, from cluster %[1]s"}
  - {project: other, name: e, description: Kubernetes external service web from cluster %[1]s}
`, uuid))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	cloud := cloudOf(t, r)
	demo, identity := userOf(t, r, cloud, "demo")
	ctx := t.Context()

	credential, err := demo.CreateApplicationCredential(ctx, uuid, "Magnum cluster ("+uuid+")")
	if err != nil || credential.Secret == "" {
		t.Fatalf("credential: %v, %v", credential, err)
	}
	if _, err := demo.CreateApplicationCredential(ctx, uuid, ""); !errors.Is(err, openstack.ErrConflict) {
		t.Errorf("the second of a name: %v", err)
	}
	project, err := cloud.ForProject(ctx, credential)
	if err != nil || project.ProjectID() != identity.ProjectID {
		t.Fatalf("log in with the credential: %v", err)
	}
	if _, err := cloud.ForProject(ctx, openstack.Credential{ID: credential.ID, Secret: "wrong"}); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("a wrong secret: %v", err)
	}

	if err := r.SetFaults(Faults{Requests: []RequestFault{{Service: "keystone", Status: 404, Body: "<html>", Count: 1}}}); err != nil {
		t.Fatal(err)
	}
	_, err = cloud.ForProject(ctx, openstack.Credential{ID: credential.ID, Secret: "other"})
	if !errors.Is(err, openstack.ErrUnavailable) {
		t.Errorf("a proxy's 404 is no dead credential: %v", err)
	}
	t.Run("ServerGroups", func(t *testing.T) { serverGroups(t, project) })
	t.Run("ServerGroupsOfOneName", func(t *testing.T) { sameName(t, r, project) })
	t.Run("FloatingIPs", func(t *testing.T) { floatingIPsOf(t, r, project) })
	t.Run("LoadBalancers", func(t *testing.T) { loadBalancers(t, r, project, uuid) })

	bare, err := openstack.New(openstack.Settings{
		AuthURL: r.url, Username: "magnum", Password: "magnum", ProjectName: "service", Now: r.clock.Now,
		Endpoints: map[string]openstack.Endpoint{openstack.LoadBalancer: {Region: "Nowhere"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bare.Close)
	withoutOctavia, err := bare.ForProject(ctx, credential)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := withoutOctavia.DeleteLoadBalancers(ctx, uuid); len(left) > 0 || err != nil {
		t.Errorf("a cloud without Octavia has no load balancers: %q, %v", left, err)
	}

	for range 2 {
		if err := cloud.Admin().DeleteApplicationCredential(ctx, identity.UserID, uuid); err != nil {
			t.Errorf("deleting what is gone is fine: %v", err)
		}
	}
	if err := cloud.Admin().DeleteApplicationCredential(ctx, "0123456789abcdef", uuid); err != nil {
		t.Errorf("so is a user that is gone: %v", err)
	}
	if _, err := project.FindServerGroup(ctx, "kube-abcde"); err == nil || errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("with a dead credential nothing is known: %v", err)
	}
	if _, err := cloud.ForProject(ctx, credential); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("a dead credential: %v", err)
	}
	if _, err := withoutOctavia.DeleteLoadBalancers(ctx, uuid); err == nil {
		t.Error("nothing is asked of a cloud without Octavia, and nobody hears that the credential is dead")
	}
	if _, err := bare.ForProject(ctx, credential); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("the session of a dead credential is kept: %v", err)
	}
}

func serverGroups(t *testing.T, project *openstack.Project) {
	t.Helper()
	ctx := t.Context()
	if _, err := project.FindServerGroup(ctx, "kube-abcde"); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("none yet: %v", err)
	}
	id, err := project.EnsureServerGroup(ctx, "kube-abcde", "soft-anti-affinity")
	if err != nil || id == "" {
		t.Fatal(err)
	}
	if again, err := project.EnsureServerGroup(ctx, "kube-abcde", "affinity"); again != id || err != nil {
		t.Errorf("there is one already: %q, %v", again, err)
	}
	if _, err := project.EnsureServerGroup(ctx, "kube-abcde-workers", "together"); !errors.Is(err, openstack.ErrRejected) {
		t.Errorf("not a policy: %v", err)
	}
	for range 2 {
		if err := project.DeleteServerGroup(ctx, "kube-abcde"); err != nil {
			t.Errorf("deleting is idempotent: %v", err)
		}
	}
	for _, name := range []string{"kube-abcde", "kube-abcde-workers", "kube-abcdef", "theirs"} {
		if _, err := project.EnsureServerGroup(ctx, name, "affinity"); err != nil {
			t.Fatal(err)
		}
	}
	if err := project.DeleteServerGroups(ctx, "kube-abcde"); err != nil {
		t.Errorf("a whole stack's: %v", err)
	}
	for name, there := range map[string]bool{"kube-abcde": false, "kube-abcde-workers": false, "kube-abcdef": true, "theirs": true} {
		if _, err := project.FindServerGroup(ctx, name); (err == nil) != there {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

// sameName is about two server groups of one name, which two processes made at the same moment: whoever asks gets the
// same one, and both go.
func sameName(t *testing.T, r *running, project *openstack.Project) {
	t.Helper()
	token, ids := r.login("demo"), []string{}
	for range 2 {
		made := r.want(200, token, "POST", "/compute/v2.1/os-server-groups", `{"server_group": {"name": "kube-twins", "policies": ["affinity"]}}`)
		ids = append(ids, made.body["server_group"].(map[string]any)["id"].(string)) //nolint:forcetypeassert // the test ends
	}
	for range 2 {
		if id, err := project.EnsureServerGroup(t.Context(), "kube-twins", "affinity"); id != slices.Min(ids) || err != nil {
			t.Errorf("%q of %q, %v", id, ids, err)
		}
	}
	if err := project.DeleteServerGroup(t.Context(), "kube-twins"); err != nil {
		t.Error(err)
	}
	if id, err := project.FindServerGroup(t.Context(), "kube-twins"); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("left: %q, %v", id, err)
	}
}

// floatingIPsOf are found by their description alone, so that one is not made again after a crash.
func floatingIPsOf(t *testing.T, r *running, project *openstack.Project) {
	t.Helper()
	ctx := t.Context()
	const ours = "Kubernetes API of Magnum cluster 7a1c6c1e"
	network := r.networks[0].ID
	address, err := project.EnsureFloatingIP(ctx, network, ours)
	if err != nil || address == "" {
		t.Fatalf("%q, %v", address, err)
	}
	if again, err := project.EnsureFloatingIP(ctx, network, ours); again != address || err != nil {
		t.Errorf("there is one already: %q, %v", again, err)
	}
	other, err := project.EnsureFloatingIP(ctx, network, ours+"-2")
	if err != nil || other == address {
		t.Errorf("another cluster's: %q, %v", other, err)
	}
	if _, err := project.EnsureFloatingIP(ctx, r.networks[1].ID, "of a network that is not external"); !errors.Is(err, openstack.ErrRejected) {
		t.Errorf("not external: %v", err)
	}
	for range 2 {
		if err := project.DeleteFloatingIPs(ctx, ours); err != nil {
			t.Errorf("deleting is idempotent: %v", err)
		}
	}
	if still, err := project.EnsureFloatingIP(ctx, network, ours+"-2"); still != other || err != nil {
		t.Errorf("what is another cluster's stays: %q, %v", still, err)
	}
	if err := project.DeleteFloatingIPs(ctx, ours+"-2"); err != nil {
		t.Error(err)
	}
}

func loadBalancers(t *testing.T, r *running, project *openstack.Project, uuid string) {
	t.Helper()
	ctx := t.Context()
	clean := func(want int, fails bool, reason string) {
		t.Helper()
		got, err := project.DeleteLoadBalancers(ctx, uuid)
		if len(got) != want || (err != nil) != fails {
			t.Fatalf("%s: want %d, got %q, %v", reason, want, got, err)
		}
	}
	// The tenant reserved an address and gave it to a Service (loadBalancerIP, keep-floatingip).
	var port, reserved string
	admin := r.login("admin")
	for _, lb := range r.want(200, admin, "GET", balancersAt, "").body["loadbalancers"].([]any) { //nolint:forcetypeassert // the test ends
		if lb := lb.(map[string]any); lb["name"] == "b" { //nolint:forcetypeassert // the test ends
			port = lb["vip_port_id"].(string) //nolint:forcetypeassert // the test ends
		}
	}
	ips := r.want(200, admin, "GET", floatingAt, "").body["floatingips"].([]any) //nolint:forcetypeassert // the test ends
	net := ips[0].(map[string]any)["floating_network_id"]                        //nolint:forcetypeassert // the test ends
	made := r.want(201, r.login("demo"), "POST", floatingAt, fmt.Sprintf(`{"floatingip": {"floating_network_id": %q, "port_id": %q, "description": "my web site"}}`, net, port))
	reserved = made.body["floatingip"].(map[string]any)["id"].(string) //nolint:forcetypeassert // the test ends
	// Taken off by hand, as the deletion of a router wants it; and kept from a Service that is gone.
	for _, service := range []string{"api/v1", "old/one"} {
		r.want(201, r.login("demo"), "POST", floatingAt, fmt.Sprintf(
			`{"floatingip": {"floating_network_id": %q, "description": "Floating IP for Kubernetes external service %s from cluster %s"}}`, net, service, uuid))
	}
	if err := r.SetFaults(Faults{Requests: []RequestFault{{Service: "octavia", Method: "DELETE", Status: 500, Count: 2}}}); err != nil {
		t.Fatal(err)
	}
	clean(2, true, "Octavia fails, both are still there")
	clean(2, false, "asked for")
	clean(2, false, "pending: nothing new is asked for")
	r.clock.Add(time.Second)
	clean(0, false, "gone")
	clean(0, false, "and stays so")
	names := r.want(200, admin, "GET", balancersAt, "").names("loadbalancers")
	slices.Sort(names)
	if diff := cmp.Diff([]string{"c", "d", "e"}, names); diff != "" {
		t.Errorf("what is not the cluster's stays: %s", diff)
	}
	if ips, _ := r.want(200, admin, "GET", floatingAt, "").body["floatingips"].([]any); len(ips) != 3 {
		t.Errorf("the cluster's floating IPs go, with and without a port; the others stay: %d", len(ips))
	}
	r.want(200, admin, "GET", floatingAt+"/"+reserved, "")
	still, err := project.ServiceAddresses(ctx, uuid)
	if err != nil || len(still) != 1 || !strings.HasSuffix(still[0], " (old/one)") {
		t.Errorf("what stays without a load balancer is named: %q, %v", still, err)
	}
}

func TestContractRestrictedCredential(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	demo, identity := userOf(t, r, cloud, "demo")
	credential, err := demo.CreateApplicationCredential(t.Context(), "first", "")
	if err != nil {
		t.Fatal(err)
	}
	g := r.want(201, "", "POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth": {"identity": {"methods": ["application_credential"],
		"application_credential": {"id": %q, "secret": %q}}}}`, credential.ID, credential.Secret))
	_, err = cloud.ForUser(g.header.Get("X-Subject-Token"), identity).CreateApplicationCredential(t.Context(), "second", "")
	if !errors.Is(err, openstack.ErrForbidden) {
		t.Errorf("a restricted credential makes no other: %v", err)
	}
	reader, _ := userOf(t, r, cloud, "reader")
	if _, err := reader.CreateApplicationCredential(t.Context(), "reads", ""); err != nil {
		t.Errorf("a reader may have a credential: %v", err)
	}
}

// Many reconcilers share one session and renew it together.
func TestContractSharedSession(t *testing.T) {
	seed, err := ParseSeed([]byte("token_lifetime: 10m"))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Seed = seed })
	cloud := cloudOf(t, r)
	demo, _ := userOf(t, r, cloud, "demo")
	credential, err := demo.CreateApplicationCredential(t.Context(), "c", "")
	if err != nil {
		t.Fatal(err)
	}
	work := func(round int) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				project, err := cloud.ForProject(context.Background(), credential)
				if err != nil {
					t.Error(err)
					return
				}
				name := fmt.Sprintf("kube-%d-%d", round, i)
				if _, err := project.EnsureServerGroup(context.Background(), name, "soft-anti-affinity"); err != nil {
					t.Error(err)
				}
				if err := project.DeleteServerGroup(context.Background(), name); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	work(1)
	r.clock.Add(11 * time.Minute)
	work(2) // The token has ended, all sixteen meet a 401.
	r.clock.Add(time.Hour)
	work(3) // The session itself is older than we keep one.
}

func TestContractCloudsYAML(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	address, err := cloud.Admin().IdentityEndpoint(t.Context(), "publicURL", "RegionOne")
	if err != nil {
		t.Fatal(err)
	}
	text, err := openstack.CloudConfig{
		AuthURL: address, Region: "RegionOne", EndpointType: "publicURL", Credential: openstack.Credential{ID: "i", Secret: "s"},
	}.CloudsYAML()
	if err != nil || !strings.Contains(string(text), "auth_url: "+r.url+"/v3\n") {
		t.Errorf("%s %v", text, err)
	}
}

func TestContractProjectExists(t *testing.T) {
	r := start(t)
	admin := cloudOf(t, r).Admin()
	for id, want := range map[string]bool{r.projectNamed("demo"): true, "0123": false, "../users": false} {
		got, err := admin.ProjectExists(t.Context(), id)
		if got != want || err != nil {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
}

// TestListsOfNames: what labels may name is there to be looked up, as the caller sees it.
func TestListsOfNames(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	demo, _ := userOf(t, r, cloud, "demo")
	types, err := demo.VolumeTypes(t.Context())
	if err != nil || !slices.Contains(types, "__DEFAULT__") || !slices.Contains(types, "lvmdriver-1") {
		t.Errorf("volume types: %v %v", types, err)
	}
	for what, list := range map[string]func(context.Context) ([]string, error){"Nova": demo.Zones, "Cinder": demo.VolumeZones} {
		zones, err := list(t.Context())
		if diff := cmp.Diff([]string{"nova"}, zones); diff != "" || err != nil {
			t.Errorf("zones of %s: %v %s", what, err, diff)
		}
	}
	if ids, err := demo.SecurityGroupIDs(t.Context()); err != nil || len(ids) != 1 {
		t.Errorf("each project has one security group: %v %v", ids, err)
	}
	network, err := demo.Network(t.Context(), "blue", false)
	if err != nil || len(network.Subnets) != 1 {
		t.Fatalf("a network shows its subnets: %+v %v", network, err)
	}
	subnets, err := demo.Subnets(t.Context(), network.ID)
	if err != nil || len(subnets) != 1 || subnets[0].Name != "blue-subnet" || subnets[0].IPVersion != 4 || subnets[0].NetworkID != network.ID {
		t.Errorf("subnets: %+v %v", subnets, err)
	}
	other, _ := userOf(t, r, cloud, "other")
	if ids, err := demo.NetworkIDs(t.Context()); err != nil || !slices.Contains(ids, network.ID) {
		t.Errorf("networks: %v %v", ids, err)
	}
	if ids, err := other.NetworkIDs(t.Context()); err != nil || slices.Contains(ids, network.ID) {
		t.Errorf("another project does not see it: %v %v", ids, err)
	}
	if subnets, err := other.Subnets(t.Context(), network.ID); err != nil || len(subnets) != 0 {
		t.Errorf("another project sees none of them: %+v %v", subnets, err)
	}
}
