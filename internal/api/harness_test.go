package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func (w *world) Validate(_ context.Context, token string) (openstack.Identity, error) {
	if w.keystone != nil {
		return openstack.Identity{}, w.keystone
	}
	id, ok := map[string]openstack.Identity{
		"member": {UserID: "demo-user", ProjectID: "demo", Roles: []string{"member", "reader"}},
		"second": {UserID: "second-user", ProjectID: "demo", Roles: []string{"member", "reader"}},
		"reader": {UserID: "reader-user", ProjectID: "demo", Roles: []string{"reader"}},
		"other":  {UserID: "other-user", ProjectID: "other", Roles: []string{"member", "reader"}},
		"admin":  {UserID: "admin-user", ProjectID: "admin", Roles: []string{"admin", "member", "reader"}},
		"system": {UserID: "system-user", SystemScope: "all", Roles: []string{"admin", "member", "reader"}},
		"nobody": {UserID: "nobody-user", Roles: []string{"member", "reader"}},
	}[token]
	if !ok {
		return openstack.Identity{}, openstack.ErrUnauthorized
	}
	return id, nil
}

// tenant is the cloud as one caller sees it.
type tenant struct{ *world }

func (c tenant) look(kind, name string, known ...string) error {
	switch {
	case c.cloud != nil:
		return c.cloud
	case name == "ambiguous":
		return fmt.Errorf("find %s: %w", kind, openstack.ErrAmbiguous)
	case name == "forbidden":
		return fmt.Errorf("find %s: %w", kind, openstack.ErrForbidden)
	}
	for _, k := range known {
		if k == name {
			return nil
		}
	}
	return fmt.Errorf("find %s: %w", kind, openstack.ErrNotFound)
}

func (c tenant) Image(_ context.Context, name string) (openstack.Image, error) {
	if err := c.look("image", name, "ubuntu", "ubuntu-2", "cirros", "bare", "driven", "kube-34", "kube-odd", "wide", "heavy"); err != nil {
		return openstack.Image{}, err
	}
	return map[string]openstack.Image{
		"ubuntu":   {ID: "image-1", Name: "ubuntu", OSDistro: "ubuntu", HWDiskBus: "scsi"},
		"ubuntu-2": {ID: "image-2", Name: "ubuntu-2", OSDistro: "ubuntu"},
		"cirros":   {ID: "image-3", Name: "cirros", OSDistro: "cirros"},
		"wide":     {ID: "image-8", Name: "wide", OSDistro: "ubuntu", MinDisk: 30},
		"heavy":    {ID: "image-9", Name: "heavy", OSDistro: "ubuntu", MinRAM: 4096},
		"bare":     {ID: "image-4", Name: "bare"},
		"kube-34":  {ID: "image-6", Name: "kube-34", OSDistro: "ubuntu", Properties: map[string]string{"kube_version": "1.34.2"}},
		"kube-odd": {ID: "image-7", Name: "kube-odd", OSDistro: "ubuntu", Properties: map[string]string{"kube_version": "latest"}},
		"driven":   {ID: "image-5", Name: "driven", OSDistro: "ubuntu", Properties: map[string]string{"magnum_driver": "k8s_cluster_api_debian"}},
	}[name], nil
}

func (c tenant) Flavor(_ context.Context, name string) (openstack.Flavor, error) {
	if err := c.look("flavor", name, "small", "large", "diskless", "tiny", "thin"); err != nil {
		return openstack.Flavor{}, err
	}
	f := openstack.Flavor{ID: "id-of-" + name, Name: name, Disk: 20, RAM: 2048, VCPUs: 2}
	switch name {
	case "diskless":
		f.Disk = 0
	case "tiny":
		f.RAM = 512
	case "thin":
		f.VCPUs = 1
	}
	return f, nil
}

// tenantSubnets are the subnets of the cloud, by name.
func tenantSubnets() []openstack.Subnet {
	return []openstack.Subnet{
		{ID: "id-of-subnet", Name: "subnet", NetworkID: "id-of-private", CIDR: "10.20.0.0/24", IPVersion: 4},
		{ID: "id-of-blue", Name: "blue", NetworkID: "id-of-blue-net", CIDR: "10.30.0.0/24", IPVersion: 4},
		{ID: "id-of-outside", Name: "outside", NetworkID: "id-of-public", CIDR: "203.0.113.0/24", IPVersion: 4},
		{ID: "id-of-six", Name: "six", NetworkID: "id-of-six-net", CIDR: "fd00:1::/64", IPVersion: 6},
		{ID: "id-of-pods", Name: "pods", NetworkID: "id-of-pods-net", CIDR: "10.100.7.0/24", IPVersion: 4},
		{ID: "id-of-services", Name: "services", NetworkID: "id-of-services-net", CIDR: "10.0.0.0/8", IPVersion: 4},
		{ID: "id-of-m1", Name: "m1", NetworkID: "id-of-many-net", CIDR: "10.41.0.0/24", IPVersion: 4},
		{ID: "id-of-m2", Name: "m2", NetworkID: "id-of-many-net", CIDR: "10.42.0.0/24", IPVersion: 4},
		{ID: "id-of-m3", Name: "m3", NetworkID: "id-of-many-net", CIDR: "10.43.0.0/24", IPVersion: 4},
	}
}

func (c tenant) Network(_ context.Context, name string, external bool) (openstack.Network, error) {
	known := []string{"private", "blue-net", "six-net", "pods-net", "services-net", "many-net", "empty-net"}
	if external {
		known = []string{"public"}
	}
	for _, k := range known {
		known = append(known, "id-of-"+k)
	}
	return openstack.Network{ID: "id-of-" + strings.TrimPrefix(name, "id-of-"), Name: name}, c.look("network", name, known...)
}

func (c tenant) Subnet(_ context.Context, name string) (openstack.Subnet, error) {
	for _, s := range tenantSubnets() {
		if s.Name == name {
			return s, c.cloud
		}
	}
	return openstack.Subnet{}, c.look("subnet", name)
}

func (c tenant) Subnets(_ context.Context, id string) ([]openstack.Subnet, error) {
	return slices.DeleteFunc(tenantSubnets(), func(s openstack.Subnet) bool { return s.NetworkID != id }), c.cloud
}

func (c tenant) Zones(context.Context) ([]string, error) {
	return []string{"nova", "az one"}, cmp.Or(c.cloud, c.zones)
}

func (c tenant) VolumeZones(context.Context) ([]string, error) {
	return []string{"nova", "cinder"}, cmp.Or(c.cloud, c.cinder)
}

func (c tenant) VolumeTypes(context.Context) ([]string, error) {
	return []string{"__DEFAULT__", "6d7a2ef5-0a0c-4a7e-9a3e-0c7a4cf5f2a1", "SSD (gold)"}, cmp.Or(c.cloud, c.cinder)
}

func (c tenant) Has(_ context.Context, service string) (bool, error) {
	return !slices.Contains(c.lacks, service), c.cloud
}

func (c tenant) LoadBalancerProviders(context.Context) ([]string, error) {
	return []string{"amphora", "ovn"}, cmp.Or(c.cloud, c.octavia)
}

func (c tenant) LoadBalancerFlavors(context.Context) ([]string, error) {
	return []string{"single", "active-standby"}, cmp.Or(c.cloud, c.octavia)
}

func (c tenant) LoadBalancerZones(context.Context) ([]string, error) {
	return nil, cmp.Or(c.cloud, c.octavia)
}

// FloatingIP: 203.0.113.5 and .6 are free, .7 is not, and .8 belongs to another external network.
func (c tenant) FloatingIP(_ context.Context, address string) (openstack.FloatingIP, error) {
	network := "id-of-public"
	if address == "203.0.113.8" {
		network = "id-of-elsewhere"
	}
	return openstack.FloatingIP{Address: address, NetworkID: network, InUse: address == "203.0.113.7"},
		cmp.Or(c.floating, c.look("floating IP", address, "203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8"))
}

func (c tenant) NetworkIDs(context.Context) ([]string, error) {
	return []string{"11111111-aaaa-4000-8000-000000000001", "11111111-aaaa-4000-8000-000000000002"}, c.cloud
}

func (c tenant) SecurityGroupIDs(context.Context) ([]string, error) {
	return []string{"22222222-aaaa-4000-8000-000000000001"}, c.cloud
}

func (c tenant) ServerName(_ context.Context, id string) (string, error) {
	if id == "11112222-0000-4000-8000-000000000001" {
		return "node-by-id", nil
	}
	return "", openstack.ErrNotFound
}

func (c tenant) Limits(context.Context) (openstack.Limits, error) {
	if c.limits == nil {
		return openstack.Limits{Instances: -1, Cores: -1, RAM: -1, ServerGroups: -1, ServerGroupMembers: -1}, cmp.Or(c.cloud, c.nova)
	}
	return *c.limits, cmp.Or(c.cloud, c.nova)
}

func (c tenant) Keypair(_ context.Context, name string) (openstack.Keypair, error) {
	return openstack.Keypair{Name: name}, c.look("keypair", name, "key")
}

// service is the API over a world, with its log and metrics.
type service struct {
	*world
	handler http.Handler
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

func newService(tb testing.TB, change ...func(*api.Options)) *service {
	tb.Helper()
	enforcer, err := policy.New()
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		now: time.Date(2026, 11, 23, 7, 9, 44, 0, time.UTC), groups: map[string][]*magnum.NodeGroup{},
		cas: map[string][2][]byte{}, clouds: map[string]string{}, takenBack: map[string]string{},
	}
	s := &service{world: w, log: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
	o := api.Options{
		Clusters: w, NodeGroups: w, Templates: w, Quotas: w, Secrets: w, Services: w, Events: w, Tokens: w, Credentials: w, Projects: w,
		CloudFor: func(string, openstack.Identity) api.Cloud { return tenant{w} },
		Policy:   enforcer, Logger: slog.New(slog.NewJSONHandler(s.log, nil)), Metrics: s.metrics,
		Now: func() time.Time { return w.now }, Rand: rand.NewPCG(1, 2),
		Config: api.Config{WWWAuthenticateURI: "http://keystone:5000"},
	}
	for _, f := range change {
		f(&o)
	}
	s.handler = api.New(o)
	return s
}

// A reply is an answer, decoded.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) detail() string {
	errors, _ := r.body["errors"].([]any)
	if len(errors) == 0 {
		return ""
	}
	first, _ := errors[0].(map[string]any)
	detail, _ := first["detail"].(string)
	return detail
}

func (r reply) str(name string) string {
	v, _ := r.body[name].(string)
	return v
}

// names are the names in a list of the reply.
func (r reply) names(list string) []string {
	items, _ := r.body[list].([]any)
	out := []string{}
	for _, item := range items {
		dict, _ := item.(map[string]any)
		out = append(out, fmt.Sprint(dict["name"]))
	}
	return out
}

// send makes a request at the latest microversion; headers come as "Name: value".
func (s *service) send(tb testing.TB, token, method, path, body string, headers ...string) reply {
	tb.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "H"
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	r.Header.Set("OpenStack-API-Version", "container-infra latest")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &out.body); err != nil {
			tb.Fatalf("%s %s: the answer is no JSON: %v\n%s", method, path, err, out.text)
		}
	}
	out.checkTitle(tb, method+" "+path)
	return out
}

// checkTitle holds every refusal of every test to what clients make of it: they show the title and nothing else, so it
// must be whole sentences of the detail, written for people.
func (r reply) checkTitle(tb testing.TB, request string) {
	tb.Helper()
	detail := r.detail()
	if detail == "" {
		return
	}
	errors, _ := r.body["errors"].([]any)
	first, _ := errors[0].(map[string]any)
	title, _ := first["title"].(string)
	rest, begins := strings.CutPrefix(detail, title)
	if !begins || rest != "" && rest != "." && !regexp.MustCompile(`^\. \p{Lu}`).MatchString(rest) {
		tb.Errorf("%s: the title is no whole sentence\n title: %s\ndetail: %s", request, title, detail)
	}
	if regexp.MustCompile(`^\p{Ll}[^ ]* `).MatchString(detail) && !strings.HasPrefix(detail, "docker volume size") && !lowerInMagnum(detail) {
		tb.Errorf("%s: a sentence begins with a capital: %s", request, detail)
	}
	for _, machine := range []string{"<nil>", "map[", "%!", "'...'", ": is "} {
		if strings.Contains(detail, machine) {
			tb.Errorf("%s: %q is not for people: %s", request, machine, detail)
		}
	}
}

// lowerInMagnum are Magnum 1.14's own sentences that begin with the name of an attribute.
func lowerInMagnum(detail string) bool {
	return regexp.MustCompile(`^(master nodegroup size|master_count must|cannot change cluster property|[a-z_]+( or [a-z_]+)? for \S+ is invalid)`).
		MatchString(detail)
}

func (s *service) must(tb testing.TB, status int, token, method, path, body string, headers ...string) reply {
	tb.Helper()
	r := s.send(tb, token, method, path, body, headers...)
	if r.status != status {
		tb.Fatalf("%s %s as %s: got %d, want %d\n%s", method, path, token, r.status, status, r.text)
	}
	return r
}

func version(v string) string { return "OpenStack-API-Version: container-infra " + v }

const goodTemplate = `{"name":"k8s","coe":"kubernetes","image_id":"ubuntu","flavor_id":"small","master_flavor_id":"small",
	"external_network_id":"public","keypair_id":"key","network_driver":"calico","master_lb_enabled":true,
	"labels":{"kube_tag":"v1.34.1"}}`

// template makes a template of the project demo and returns its UUID.
func (s *service) template(tb testing.TB) string {
	tb.Helper()
	return s.must(tb, 201, "member", "POST", "/v1/clustertemplates", goodTemplate).str("uuid")
}

// cluster makes a cluster that has come up, and returns its UUID.
func (s *service) cluster(tb testing.TB, name string) string {
	tb.Helper()
	template := s.template(tb)
	id := s.must(tb, 202, "member", "POST", "/v1/clusters",
		fmt.Sprintf(`{"name":%q,"cluster_template_id":%q,"node_count":2}`, name, template)).str("uuid")
	s.comeUp(tb, id)
	return id
}

func (s *service) comeUp(tb testing.TB, id string) {
	tb.Helper()
	s.become(id, func(c *magnum.Cluster) { c.Status, c.APIAddress = magnum.CreateComplete, "https://10.0.0.1:6443" })
	ca := makeCA()
	s.cas[id] = [2][]byte{ca.CertPEM, ca.KeyPEM}
}

// makeCA makes one authority for all tests: its key is what takes long.
var makeCA = sync.OnceValue(func() pki.Authority {
	ca, err := pki.NewCA(rand.NewChaCha8([32]byte{1}), time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC), "ca")
	if err != nil {
		panic(err)
	}
	return ca
})
