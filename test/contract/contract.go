// Package contract is what Jeroboam relies on in an OpenStack, said by its own client (internal/openstack) as tests
// that run against any cloud. The simulated one runs them with its own tests; the real one (test/cloud) with
//
//	go run ./test/cloud exec -- go test -count=1 -v ./test/contract
//
// What a real cloud turns out to answer differently is added here, so that the simulated one learns it and keeps it.
package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// Cloud is a cloud with the projects demo and other, the users demo (a member), reader (who may only look at demo) and
// the service user magnum, a public network "public", a flavor "m1.small" and demo's key pair "default".
type Cloud struct {
	Service openstack.Settings // as the service user
	Login   func(t *testing.T, user string) (token string)
}

// uuid names what the tests make; two runs at once do not meet.
func uuid() string {
	return fmt.Sprintf("c0de0000-0000-4000-8000-%012x", time.Now().UnixNano()&0xffffffffffff)
}

// Run runs all of it.
func Run(t *testing.T, c Cloud) {
	t.Helper()
	cloud, err := openstack.New(c.Service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	s := &session{Cloud: c, cloud: cloud, validator: cloud.Validator()}
	t.Run("Identity", s.identity)
	t.Run("Names", s.names)
	t.Run("Endpoints", s.endpoints)
	t.Run("Projects", s.projects)
	t.Run("Lists", s.lists)
	t.Run("Credential", s.credential)
	t.Run("RestrictedCredential", s.restricted)
	t.Run("NothingToDelete", s.nothing)
}

type session struct {
	Cloud

	cloud     *openstack.Cloud
	validator *openstack.Validator
}

func (s *session) user(t *testing.T, name string) (*openstack.User, openstack.Identity) {
	t.Helper()
	token := s.Login(t, name)
	identity, err := s.validator.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return s.cloud.ForUser(token, identity), identity
}

func (s *session) identity(t *testing.T) {
	_, demo := s.user(t, "demo")
	if demo.UserName != "demo" || demo.ProjectName != "demo" || demo.UserDomainName != "Default" || demo.ProjectDomainID != "default" || demo.SystemScope != "" {
		t.Errorf("demo is %+v", demo)
	}
	// Keystone's "member" implies "reader", and a token carries both.
	if !demo.HasRole("member") || !demo.HasRole("reader") || demo.HasRole("admin") {
		t.Errorf("demo's roles are %v", demo.Roles)
	}
	_, reader := s.user(t, "reader")
	if !reader.HasRole("reader") || reader.HasRole("member") || reader.ProjectID != demo.ProjectID {
		t.Errorf("reader is %+v", reader)
	}
	if _, err := s.validator.Validate(t.Context(), "nonsense"); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("nonsense: %v", err)
	}
}

func (s *session) names(t *testing.T) {
	ctx := t.Context()
	demo, _ := s.user(t, "demo")
	small, err := demo.Flavor(ctx, "m1.small")
	if err != nil {
		t.Fatal(err)
	}
	if limits, err := demo.Limits(ctx); err != nil || limits.Instances == 0 || limits.ServerGroups == 0 {
		t.Errorf("Nova's quotas: %+v, %v", limits, err)
	}
	public, err := demo.Network(ctx, "public", true)
	if err != nil {
		t.Fatal(err)
	}
	ask := map[string]func(string) (any, error){
		"image":    func(n string) (any, error) { i, err := demo.Image(ctx, n); return i.Name, err },
		"flavor":   func(n string) (any, error) { f, err := demo.Flavor(ctx, n); return f.Name, err },
		"external": func(n string) (any, error) { x, err := demo.Network(ctx, n, true); return x.Name, err },
		"network":  func(n string) (any, error) { x, err := demo.Network(ctx, n, false); return x.Name, err },
		"subnet":   func(n string) (any, error) { x, err := demo.Subnet(ctx, n); return x.Name, err },
		"keypair":  func(n string) (any, error) { k, err := demo.Keypair(ctx, n); return k.Name, err },
	}
	for _, c := range []struct {
		reason, kind, name, want string
		err                      error
	}{
		{"by id", "flavor", small.ID, "m1.small", nil},
		{"none", "flavor", "m1.nothing", "", openstack.ErrNotFound},
		{"a path is no name", "flavor", "../servers", "", openstack.ErrNotFound},
		{"by id", "external", public.ID, "public", nil},
		{"an external network is none to put nodes in", "network", "public", "", openstack.ErrNotFound},
		{"none", "network", "nothing", "", openstack.ErrNotFound},
		{"a filter's characters", "network", "a&b=c", "", openstack.ErrNotFound},
		{"none", "subnet", "nowhere", "", openstack.ErrNotFound},
		{"none", "image", "nothing", "", openstack.ErrNotFound},
		{"an id that is none", "image", "11111111-2222-3333-4444-555555555555", "", openstack.ErrNotFound},
		{"Glance's operators are no names", "image", "in:ubuntu,plain", "", openstack.ErrNotFound},
		{"nor are odd characters", "image", "a&b=c/../%2e%2e?limit=1", "", openstack.ErrNotFound},
		{"by name", "keypair", "default", "default", nil},
		{"none", "keypair", "other", "", openstack.ErrNotFound},
		{"a path is no name", "keypair", "..", "", openstack.ErrNotFound},
		{"nor are line breaks", "keypair", "a\r\nb", "", openstack.ErrNotFound},
	} {
		if got, err := ask[c.kind](c.name); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s %q, %s: got %q, %v, want %q, %v", c.kind, c.name, c.reason, got, err, c.want, c.err)
		}
	}
}

func (s *session) endpoints(t *testing.T) {
	demo, _ := s.user(t, "demo")
	for _, kind := range []string{"publicURL", "internalURL"} {
		mine, err := demo.IdentityEndpoint(t.Context(), kind, "RegionOne")
		if err != nil || mine == "" {
			t.Errorf("%s for demo: %q, %v", kind, mine, err)
		}
		own, err := s.cloud.Admin().IdentityEndpoint(t.Context(), kind, "RegionOne")
		if err != nil || own != mine {
			t.Errorf("%s for the service user: %q, %v", kind, own, err)
		}
	}
	if _, err := demo.IdentityEndpoint(t.Context(), "publicURL", "RegionTwo"); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("no such region: %v", err)
	}
}

func (s *session) projects(t *testing.T) {
	_, demo := s.user(t, "demo")
	for id, want := range map[string]bool{demo.ProjectID: true, "0123": false, "../users": false} {
		if got, err := s.cloud.Admin().ProjectExists(t.Context(), id); got != want || err != nil {
			t.Errorf("project %q: %v, %v", id, got, err)
		}
	}
}

func (s *session) lists(t *testing.T) {
	ctx := t.Context()
	demo, _ := s.user(t, "demo")
	if zones, err := demo.Zones(ctx); err != nil || !slices.Contains(zones, "nova") {
		t.Errorf("zones: %v, %v", zones, err)
	}
	if zones, err := demo.VolumeZones(ctx); err != nil || !slices.Contains(zones, "nova") {
		t.Errorf("zones of volumes: %v, %v", zones, err)
	}
	for what, list := range map[string]func(context.Context) ([]string, error){"networks": demo.NetworkIDs, "security groups": demo.SecurityGroupIDs} {
		if ids, err := list(ctx); err != nil || len(ids) == 0 || slices.Contains(ids, "lost") {
			t.Errorf("%s: %v, %v", what, ids, err)
		}
	}
	if types, err := demo.VolumeTypes(ctx); err != nil || len(types) == 0 {
		t.Errorf("volume types: %v, %v", types, err)
	}
	if providers, err := demo.LoadBalancerProviders(ctx); err != nil || !slices.Contains(providers, "amphora") {
		t.Errorf("providers of load balancers: %v, %v", providers, err)
	}
	for what, list := range map[string]func(context.Context) ([]string, error){"flavors": demo.LoadBalancerFlavors, "zones": demo.LoadBalancerZones} {
		if names, err := list(ctx); err != nil || slices.Contains(names, "lost") || slices.Contains(names, "") {
			t.Errorf("%s of load balancers: %v, %v", what, names, err)
		}
	}
	if f, err := demo.FloatingIP(ctx, "203.0.113.254"); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("a floating IP that nobody has: %+v, %v", f, err)
	}
}

// credential is a cluster's credential from its making to its end.
func (s *session) credential(t *testing.T) {
	ctx, id := t.Context(), uuid()
	demo, identity := s.user(t, "demo")
	credential, err := demo.CreateApplicationCredential(ctx, id, "Magnum cluster ("+id+")")
	if err != nil || credential.Secret == "" {
		t.Fatalf("%v, %v", credential, err)
	}
	if _, err := demo.CreateApplicationCredential(ctx, id, ""); !errors.Is(err, openstack.ErrConflict) {
		t.Errorf("the second of a name: %v", err)
	}
	project, err := s.cloud.ForProject(ctx, credential)
	if err != nil || project.ProjectID() != identity.ProjectID {
		t.Fatalf("log in with the credential: %v", err)
	}
	if _, err := s.cloud.ForProject(ctx, openstack.Credential{ID: credential.ID, Secret: "wrong"}); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("a wrong secret: %v", err)
	}
	serverGroups(t, project, "kube-"+id[24:])
	if left, err := project.DeleteLoadBalancers(ctx, id); len(left) != 0 || err != nil {
		t.Errorf("a cluster without load balancers: %v, %v", left, err)
	}
	if types, err := project.VolumeTypes(ctx); err != nil || len(types) == 0 {
		t.Errorf("volume types with the credential: %v, %v", types, err)
	}
	ailments(t, project)
	for range 2 {
		if err := s.cloud.Admin().DeleteApplicationCredential(ctx, identity.UserID, id); err != nil {
			t.Errorf("deleting what is gone is fine: %v", err)
		}
	}
	if err := project.Works(ctx); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("a session of a credential that is dead: %v", err)
	}
	// Keystone refuses it at once. Nova and the others go on believing a token that was made with it, for as long as their
	// keystonemiddleware remembers tokens (300 s): seen on the real cloud.
	fresh, err := openstack.New(s.Service)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if _, err := fresh.ForProject(ctx, credential); !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("a dead credential: %v", err)
	}
}

// ailments are what is asked when a cluster does not come up.
func ailments(t *testing.T, project *openstack.Project) {
	t.Helper()
	if err := project.Works(t.Context()); err != nil {
		t.Errorf("a credential that is good: %v", err)
	}
	if said, err := project.ServerFault(t.Context(), uuid()); said != "" || err != nil {
		t.Errorf("a server that is gone: %q, %v", said, err)
	}
	if gone, err := project.ServerGone(t.Context(), uuid()); !gone || err != nil {
		t.Errorf("a server that is gone: %t, %v", gone, err)
	}
	if names, err := project.ServersNamed(t.Context(), "kube-none-"); len(names) > 0 || err != nil {
		t.Errorf("no servers of the name: %q, %v", names, err)
	}
	if said, err := project.ServerConsole(t.Context(), uuid()); said != "" || err != nil {
		t.Errorf("the console of a server that is gone: %q, %v", said, err)
	}
	if status, _, err := project.LoadBalancerState(t.Context(), "k8s-clusterapi-cluster-magnum-system-kube-none-kubeapi"); status != "" || err != nil {
		t.Errorf("no load balancer of the name: %q, %v", status, err)
	}
}

func serverGroups(t *testing.T, project *openstack.Project, name string) {
	t.Helper()
	ctx := t.Context()
	if _, err := project.FindServerGroup(ctx, name); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("no server group yet: %v", err)
	}
	id, err := project.EnsureServerGroup(ctx, name, "soft-anti-affinity")
	if err != nil || id == "" {
		t.Fatal(err)
	}
	if again, err := project.EnsureServerGroup(ctx, name, "affinity"); again != id || err != nil {
		t.Errorf("there is a server group already: %q, %v", again, err)
	}
	if _, err := project.EnsureServerGroup(ctx, name+"-workers", "together"); !errors.Is(err, openstack.ErrRejected) {
		t.Errorf("not a policy: %v", err)
	}
	for range 2 {
		if err := project.DeleteServerGroup(ctx, name); err != nil {
			t.Errorf("deleting a server group is idempotent: %v", err)
		}
	}
}

func (s *session) restricted(t *testing.T) {
	ctx, id := t.Context(), uuid()
	reader, identity := s.user(t, "reader")
	credential, err := reader.CreateApplicationCredential(ctx, id, "")
	if err != nil {
		t.Fatalf("a reader may have a credential: %v", err)
	}
	t.Cleanup(func() {
		if err := s.cloud.Admin().DeleteApplicationCredential(context.WithoutCancel(ctx), identity.UserID, id); err != nil {
			t.Error(err)
		}
	})
	project, err := s.cloud.ForProject(ctx, credential)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := project.EnsureServerGroup(ctx, "kube-"+id[24:], "soft-anti-affinity"); !errors.Is(err, openstack.ErrForbidden) {
		t.Errorf("a reader's credential makes a server group: %v", err)
	}
}

func (s *session) nothing(t *testing.T) {
	if err := s.cloud.Admin().DeleteApplicationCredential(t.Context(), "0123456789abcdef", uuid()); err != nil {
		t.Errorf("the credential of a user that is gone: %v", err)
	}
}
