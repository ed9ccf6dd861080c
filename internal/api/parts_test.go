package api_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestNodeGroups is A3's table and A8: input errors are 409 where everything else says 400.
func TestNodeGroups(t *testing.T) {
	cases := map[string]struct {
		reason string
		method string
		path   string // below /v1/clusters/k/nodegroups
		body   string
		world  func(*world, *magnum.Cluster)
		status int
		detail string
	}{
		"create":       {reason: "What python-magnumclient sends, with its slash.", method: "POST", path: "/", body: `{"name":"more","role":"worker","min_node_count":0,"node_count":1}`, status: 202},
		"all":          {reason: "Everything one can say.", method: "POST", body: `{"name":"more","flavor_id":"large","image_id":"ubuntu-2","node_count":"2","min_node_count":1,"max_node_count":3,"docker_volume_size":10,"labels":{"a":1},"merge_labels":true,"node_labels":{"example.com/tier":"gold","node.kubernetes.io/x":"y"},"node_taints":[{"key":"gpu","effect":"NoSchedule"}]}`, status: 202},
		"no name":      {reason: "500 in Magnum.", method: "POST", body: `{}`, status: 400},
		"unknown":      {reason: "Types are 400 here too.", method: "POST", body: `{"name":"more","bogus":1}`, status: 400},
		"taken":        {reason: "Names are unique in a cluster.", method: "POST", body: `{"name":"default-worker"}`, status: 409, detail: "A node group with name default-worker already exists"},
		"any name":     {reason: "gophercloud: test-ng-GgicFjoZ; Terraform: gpu_pool.", method: "POST", body: `{"name":"test-ng_GgicFjoZ"}`, status: 202},
		"capital role": {reason: "Terraform: myRole.", method: "POST", body: `{"name":"more","role":"GPU"}`, status: 202},
		"bad role":     {reason: "It becomes a node label.", method: "POST", body: `{"name":"more","role":"my role"}`, status: 409, detail: "role for more is invalid (a role becomes part of node labels"},
		"their role":   {reason: "Kubernetes' own.", method: "POST", body: `{"name":"more","role":"control-plane"}`, status: 409},
		"zone label":   {reason: "The cloud writes over it.", method: "POST", body: `{"name":"more","node_labels":{"topology.kubernetes.io/zone":"a"}}`, status: 409, detail: `node_labels for more is invalid ("topology.kubernetes.io/zone" is different for each node`},
		"os label":     {reason: "The kubelet writes over it.", method: "POST", body: `{"name":"more","node_labels":{"kubernetes.io/os":"plan9"}}`, status: 409},
		"label range":  {reason: "One range: the labels' is the group's.", world: autoscale, method: "POST", body: `{"name":"more","min_node_count":3,"node_count":3,"labels":{"max_node_count":"2"}}`, status: 409, detail: "min_node_count for more is invalid (min_node_count (3) should be less or equal to max_node_count (2))."},
		"idle range":   {reason: "Labels are the autoscaler's, and there is none.", method: "POST", body: `{"name":"more","node_count":3,"labels":{"max_node_count":"2"}}`, status: 202},
		"same name": {reason: "Kubernetes could not tell them apart.", method: "POST", body: `{"name":"A-54f6ea31"}`, world: func(w *world, c *magnum.Cluster) {
			twin := (&magnum.NodeGroup{Name: "A-54f6ea31"}).DeploymentName()
			w.groups[c.UUID] = append(w.groups[c.UUID], &magnum.NodeGroup{Name: twin, Role: "worker"})
		}, status: 409, detail: "name for A-54f6ea31 is invalid (node group a-54f6ea31-"},
		"master":        {reason: "One group of masters.", method: "POST", body: `{"name":"more","role":"master"}`, status: 400},
		"bounds":        {reason: "409", method: "POST", body: `{"name":"more","min_node_count":3,"max_node_count":2,"node_count":3}`, status: 409, detail: "min_node_count for more is invalid (min_node_count (3) should be less or equal to max_node_count (2))."},
		"too many":      {reason: "409", method: "POST", body: `{"name":"more","max_node_count":2,"node_count":3}`, status: 409},
		"too few":       {reason: "409", method: "POST", body: `{"name":"more","min_node_count":2}`, status: 409},
		"their label":   {reason: "Kubernetes keeps its namespaces.", method: "POST", body: `{"name":"more","node_labels":{"node-role.kubernetes.io/master":""}}`, status: 409},
		"no label":      {reason: "Kubernetes' form.", method: "POST", body: `{"name":"more","node_labels":{"a b":"c"}}`, status: 409},
		"evil label":    {reason: "Kubernetes' form.", method: "POST", body: `{"name":"more","node_labels":{"a":"{{.x}}"}}`, status: 409},
		"taint":         {reason: "409", method: "POST", body: `{"name":"more","node_taints":[{"key":"gpu","effect":"Never"}]}`, status: 409},
		"half a taint":  {reason: "409", method: "POST", body: `{"name":"more","node_taints":[{"key":"gpu"}]}`, status: 409},
		"taint list":    {reason: "Types are 400.", method: "POST", body: `{"name":"more","node_taints":"gpu"}`, status: 400},
		"lost flavor":   {reason: "400, as for clusters", method: "POST", body: `{"name":"more","flavor_id":"lost"}`, status: 400, detail: "Unable to find flavor lost."},
		"bad labels":    {reason: "Values are checked.", method: "POST", body: `{"name":"more","labels":{"boot_volume_size":"big"}}`, status: 400},
		"copied labels": {reason: "Clients send back what they read.", method: "POST", body: `{"name":"more","labels":{"kube_tag":"v1.34.1"}}`, status: 202},
		"other version": {reason: "It would be shown and never come.", method: "POST", body: `{"name":"more","labels":{"kube_tag":"v1.33.1"}}`, status: 400, detail: "Label kube_tag is that of the whole cluster, and a node group cannot have another value."},
		"their labels":  {reason: "All at once.", method: "POST", body: `{"name":"more","labels":{"auto_scaling_enabled":"true","octavia_provider":"ovn"}}`, status: 400, detail: "Label auto_scaling_enabled is that of the whole cluster, and a node group cannot have another value. Label octavia_provider"},
		"no volume":     {reason: "Its type would be shown and do nothing.", method: "POST", body: `{"name":"more","labels":{"docker_volume_type":"SSD (gold)"}}`, status: 400, detail: `Label docker_volume_type is "SSD (gold)" and has no effect without a volume for containers. Leave it out, or set docker_volume_size.`},
		"volume":        {reason: "Here is one.", method: "POST", body: `{"name":"more","docker_volume_size":5,"labels":{"docker_volume_type":"SSD (gold)"}}`, status: 202},
		"small disk":    {reason: "Nova refuses each machine.", method: "POST", body: `{"name":"more","image_id":"wide"}`, status: 400, detail: "Flavor small has a disk of 20 GiB, and image wide needs 30."},
		"no address":    {reason: "Nodes could not join.", method: "POST", body: `{"name":"more"}`, world: func(w *world, c *magnum.Cluster) { w.become(c.UUID, func(c *magnum.Cluster) { c.APIAddress = "" }) }, status: 409, detail: "Cluster API address is not available yet"},
		"state":         {reason: "Magnum only logs it.", method: "POST", body: `{"name":"more"}`, world: state(magnum.CreateFailed), status: 409},
		"patch":         {reason: "Bounds, labels and taints.", method: "PATCH", path: "/default-worker", body: `[{"op":"replace","path":"/max_node_count","value":5},{"op":"replace","path":"/node_labels","value":"{'a': 'b'}"},{"op":"replace","path":"/node_taints","value":"[{'key': 'k', 'effect': 'NoExecute'}]"}]`, status: 202},
		"idle bounds": {reason: "The labels bind nobody, and the group can be patched.", method: "PATCH", path: "/default-worker", body: `[{"op":"replace","path":"/node_labels","value":"{'a': 'b'}"}]`, world: func(w *world, c *magnum.Cluster) {
			w.groups[c.UUID][1].Labels = map[string]string{"max_node_count": "2"}
		}, status: 202},
		"no maximum": {reason: "The autoscaler needs one.", method: "PATCH", path: "/default-worker", body: `[{"op":"remove","path":"/max_node_count"}]`, world: func(w *world, c *magnum.Cluster) {
			autoscale(w, c)
			w.groups[c.UUID][1].MaxNodeCount = new(5)
		}, status: 409, detail: "max_node_count for default-worker is invalid (a group that the autoscaler sizes has a maximum: replace it)."},
		"patch bounds":  {reason: "409", method: "PATCH", path: "/default-worker", body: `[{"op":"replace","path":"/max_node_count","value":1}]`, status: 409},
		"patch count":   {reason: "That is a resize.", method: "PATCH", path: "/default-worker", body: `[{"op":"replace","path":"/node_count","value":1}]`, status: 400, detail: "'/node_count' is an internal attribute and can not be updated"},
		"patch masters": {reason: "Masters have no taints of a tenant's.", method: "PATCH", path: "/default-master", body: `[{"op":"replace","path":"/node_labels","value":"{'a': 'b'}"}]`, status: 409},
		"patch nothing": {reason: "Unbounded again.", method: "PATCH", path: "/default-worker", body: `[{"op":"remove","path":"/max_node_count"}]`, status: 202},
		"delete":        {reason: "Default groups live as long as the cluster.", method: "DELETE", path: "/default-worker", status: 400},
		"lost":          {reason: "404", method: "GET", path: "/lost", status: 404, detail: "Nodegroup lost could not be found."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.cluster(t, "k")
			if tc.world != nil {
				tc.world(s.world, s.clusters[0])
			}
			got := s.send(t, "member", tc.method, "/v1/clusters/k/nodegroups"+tc.path, tc.body)
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q\n%s", tc.reason, got.status, got.detail(), tc.status, tc.detail, got.text)
			}
			if name == "all" {
				s.checkWholeGroup(t, got)
			}
		})
	}
}

// The way out when a cluster's credential is dead: another one, the caller's, who owns the cluster from then on.
func TestAnotherCredential(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		owner  string
		state  magnum.Status
		want   int
		taken  bool // the former owner's credential is taken back
	}{
		"the owner's":       {"the one before goes with the cluster: what runs there may use it for a while", "u-member", magnum.UpdateComplete, 202, false},
		"somebody else's":   {"the owner's user is gone", "gone-user", magnum.UpdateFailed, 202, true},
		"cannot be deleted": {"its machines cannot go without one", "gone-user", magnum.DeleteFailed, 202, true},
		"while it is made":  {"Magnum 1.14", "u-member", magnum.CreateInProgress, 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			caller := s.clusters[0].UserID
			if is.owner == "u-member" {
				is.owner = caller
			}
			before := s.clouds[id]
			s.become(id, func(c *magnum.Cluster) { c.UserID, c.Status = is.owner, is.state })
			s.must(t, is.want, "member", "PATCH", "/v1/credentials/k", "", "Content-Type: application/octet-stream")
			if is.want != 202 {
				return
			}
			if s.clouds[id] == before || !strings.Contains(s.clouds[id], "clouds of "+id+"-") {
				t.Errorf("the cluster has %q (%s)", s.clouds[id], is.reason)
			}
			if s.clusters[0].UserID != caller || (s.takenBack[id] == "gone-user") != is.taken {
				t.Errorf("owner %s, taken back from %q (%s)", s.clusters[0].UserID, s.takenBack[id], is.reason)
			}
		})
	}
}

func (s *service) checkWholeGroup(t *testing.T, got reply) {
	t.Helper()
	delete(got.body, "uuid")
	delete(got.body, "links")
	delete(got.body, "id")
	want := map[string]any{
		"name": "more", "cluster_id": s.clusters[0].UUID, "project_id": "demo", "docker_volume_size": 10.0, "flavor_id": "large",
		"image_id": "ubuntu-2", "node_addresses": []any{}, "node_count": 2.0, "role": "worker", "min_node_count": 1.0, "max_node_count": 3.0,
		"is_default": false, "stack_id": "kube-abcde", "status": "CREATE_IN_PROGRESS", "status_reason": nil, "version": "v1.34.1",
		"merge_labels": false, "labels": map[string]any{"kube_tag": "v1.34.1", "a": "1"},
		"labels_overridden": map[string]any{}, "labels_added": map[string]any{"a": "1"}, "labels_skipped": map[string]any{},
		"node_labels": map[string]any{"example.com/tier": "gold", "node.kubernetes.io/x": "y"},
		"node_taints": []any{map[string]any{"key": "gpu", "value": nil, "effect": "NoSchedule"}},
		"created_at":  "2026-11-23T07:09:44+00:00", "updated_at": nil,
	}
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error("the answer is the whole node group: " + diff)
	}
	list := s.must(t, 200, "member", "GET", "/v1/clusters/k/nodegroups?role=worker", "")
	if diff := cmp.Diff([]string{"default-worker", "more"}, list.names("nodegroups")); diff != "" {
		t.Error("roles filter: " + diff)
	}
	s.must(t, 204, "member", "DELETE", "/v1/clusters/k/nodegroups/more", "")
}

func TestCertificates(t *testing.T) {
	s := newService(t)
	id := s.cluster(t, "k")
	sign := func(status int, body string) reply {
		return s.must(t, status, "member", "POST", "/v1/certificates", body)
	}
	got := sign(201, fmt.Sprintf(`{"cluster_uuid":"k","csr":%s}`, quoted(makeCSR())))
	block, _ := pem.Decode([]byte(got.str("pem")))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || certificate.Subject.Organization[0] != "system:masters" || strings.HasSuffix(got.str("pem"), "\n") {
		t.Errorf("the subject is kept and the PEM has no newline at its end: %v %v", err, certificate)
	}
	if got.str("cluster_uuid") != id || got.str("csr") != makeCSR() || got.str("ca_cert_type") != "kubernetes" {
		t.Errorf("got %s", got.text)
	}
	sign(201, fmt.Sprintf(`{"bay_uuid":%q,"csr":%s,"ca_cert_type":"front-proxy"}`, id, quoted(makeCSR())))
	for reason, body := range map[string]string{
		"no request":        fmt.Sprintf(`{"cluster_uuid":%q}`, id),
		"not a request":     fmt.Sprintf(`{"cluster_uuid":%q,"csr":"hello"}`, id),
		"unknown cluster":   fmt.Sprintf(`{"cluster_uuid":"lost","csr":%s}`, quoted(makeCSR())),
		"unknown authority": fmt.Sprintf(`{"cluster_uuid":%q,"csr":%s,"ca_cert_type":"web"}`, id, quoted(makeCSR())),
	} {
		if got := s.send(t, "member", "POST", "/v1/certificates", body); got.status != 400 {
			t.Errorf("%s: got %d %s", reason, got.status, got.text)
		}
	}
	if got := sign(404, fmt.Sprintf(`{"csr":%s}`, quoted(makeCSR()))); got.detail() != "Cluster Unset could not be found." {
		t.Errorf("Magnum's odd sentence, got %q", got.detail())
	}
	for query, want := range map[string]int{"": 200, "?ca_cert_type=etcd": 200, "?ca_cert_type=front_proxy": 200, "?ca_cert_type=web": 400} {
		got := s.must(t, want, "member", "GET", "/v1/certificates/k"+query, "", version("1.1"))
		if _, has := got.body["csr"]; has {
			t.Error("reading shows no csr")
		}
	}
	s.must(t, 404, "member", "GET", "/v1/certificates/lost", "")
	delete(s.cas, id)
	s.must(t, 404, "member", "GET", "/v1/certificates/k", "")
}

// TestRotation: what is asked for is noted in the record; controllers make it so. What they could not do is refused.
func TestRotation(t *testing.T) {
	able := func(c *magnum.Cluster) { c.Rotatable = true }
	for name, tc := range map[string]struct {
		reason string
		query  string
		change func(*magnum.Cluster)
		groups func(*world, string)
		status int
		detail string
		want   magnum.Authority
	}{
		"no word":      {reason: "What python-magnumclient sends.", change: able, status: 202, want: magnum.AuthorityKubernetes},
		"etcd":         {reason: "Cluster API could not follow.", query: "?ca_cert_type=etcd", change: able, status: 400, detail: "Rotating the CA certificate of etcd is not supported."},
		"front proxy":  {reason: "Both ways.", query: "?ca_cert_type=front-proxy", change: able, status: 202, want: magnum.AuthorityFrontProxy},
		"tokens":       {reason: "Our own type.", query: "?ca_cert_type=service-account", change: able, status: 202, want: magnum.AuthorityServiceAccount},
		"unknown":      {reason: "None.", query: "?ca_cert_type=web", change: able, status: 400, detail: "Invalid input for field/attribute ca_cert_type."},
		"busy":         {reason: "One thing after another.", change: func(c *magnum.Cluster) { c.Rotatable, c.Status = true, magnum.UpdateInProgress }, status: 400, detail: `Rotating the CA certificate of a cluster when status is "UPDATE_IN_PROGRESS" is not supported.`},
		"an old class": {reason: "Its machines could not be replaced for it.", status: 400, detail: "The cluster is older than the rotation of certificates. Upgrade it first"},
		"left behind": {reason: "Its machines would be cut off.", change: able, groups: func(w *world, id string) {
			w.groups[id] = append(w.groups[id], &magnum.NodeGroup{Name: "gpu", Role: "gpu", Version: "v1.33.0"})
		}, status: 400, detail: "Node group gpu is still at Kubernetes v1.33.0"},
		"half way": {reason: "What it has written would be taken for the authority of before.", query: "?ca_cert_type=front-proxy", change: func(c *magnum.Cluster) {
			c.Rotatable, c.Status = true, magnum.UpdateFailed
			c.Rotation, c.Rotating = magnum.Rotation{Generation: 1, Authority: magnum.AuthorityKubernetes}, true
		}, status: 400, detail: "A rotation of kubernetes is not finished. It is being retried.", want: magnum.AuthorityKubernetes},
		"failed before": {reason: "An update that was no rotation; this is the next.", change: func(c *magnum.Cluster) { c.Rotatable, c.Status = true, magnum.UpdateFailed }, status: 202, want: magnum.AuthorityKubernetes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			if tc.change != nil {
				s.become(id, tc.change)
			}
			if tc.groups != nil {
				tc.groups(s.world, id)
			}
			got := s.send(t, "member", "PATCH", "/v1/certificates/k"+tc.query, "", "Content-Type: application/octet-stream")
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Fatalf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			want := magnum.Rotation{}
			if tc.want != "" {
				want = magnum.Rotation{Generation: 1, Authority: tc.want}
			}
			if r := s.clusters[0].Rotation; r != want {
				t.Errorf("%s: the record asks for %+v, want %+v", tc.reason, r, want)
			}
		})
	}
}

func TestQuotas(t *testing.T) {
	s := newService(t)
	if got := s.must(t, 200, "reader", "GET", "/v1/quotas/demo/Anything", "").text; got != `{"hard_limit":20,"project_id":"demo","resource":"Anything"}` {
		t.Errorf("without a record the default is shown, got %s", got)
	}
	made := s.must(t, 201, "admin", "POST", "/v1/quotas", `{"project_id":"demo","resource":"Cluster","hard_limit":"2"}`)
	if made.body["id"] == nil || made.body["hard_limit"] != 2.0 || made.body["created_at"] != "2026-11-23T07:09:44+00:00" {
		t.Errorf("got %s", made.text)
	}
	s.must(t, 409, "admin", "POST", "/v1/quotas", `{"project_id":"demo"}`)
	s.must(t, 404, "admin", "POST", "/v1/quotas", `{"project_id":"nowhere"}`)
	s.must(t, 400, "admin", "POST", "/v1/quotas", `{"hard_limit":1}`)
	s.must(t, 400, "admin", "POST", "/v1/quotas", `{"project_id":"other","hard_limit":-1}`)
	s.must(t, 400, "admin", "POST", "/v1/quotas", `{"project_id":"other","resource":"Pod"}`)
	if got := s.must(t, 202, "admin", "PATCH", "/v1/quotas/demo/Cluster", `{"project_id":"demo","resource":"Cluster","hard_limit":3}`); got.body["hard_limit"] != 3.0 {
		t.Errorf("a quota is changed by a quota, got %s", got.text)
	}
	s.must(t, 404, "admin", "PATCH", "/v1/quotas/other/Cluster", `{"hard_limit":3}`)
	s.must(t, 400, "admin", "PATCH", "/v1/quotas/demo/Cluster", `{}`)
	wrong := s.must(t, 400, "admin", "PATCH", "/v1/quotas/demo/Cluster", `{"project_id":"other","hard_limit":7}`)
	if want := "The request is for the quota of project demo for resource Cluster, but its body names project other and resource Cluster."; wrong.detail() != want {
		t.Errorf("one of two projects is a mistake: got %s, want %s", wrong.detail(), want)
	}
	if got := s.must(t, 200, "admin", "GET", "/v1/quotas/demo/Cluster", ""); got.body["hard_limit"] != 3.0 {
		t.Errorf("a refused change changed the quota to %v", got.body["hard_limit"])
	}
	for query, want := range map[string]int{"": 0, "?all_tenants=True": 1, "?all_tenants=false": 0} {
		items, _ := s.must(t, 200, "admin", "GET", "/v1/quotas"+query, "").body["quotas"].([]any)
		if len(items) != want {
			t.Errorf("%q: the list is the caller's project's unless all are asked for: got %d, want %d", query, len(items), want)
		}
	}
	s.must(t, 400, "admin", "GET", "/v1/quotas?marker=x", "")
	s.must(t, 204, "admin", "DELETE", "/v1/quotas/demo/Cluster", "")
	s.must(t, 404, "admin", "DELETE", "/v1/quotas/demo/Cluster", "")
}

func TestServices(t *testing.T) {
	s := newService(t)
	s.services = []magnum.Service{
		{ID: 1, Host: "a", Binary: "jeroboam-controller", LastSeen: s.now.Add(-time.Minute), CreatedAt: s.now, ReportCount: 7},
		{ID: 2, Host: "b", Binary: "jeroboam-controller", LastSeen: s.now.Add(-time.Hour), CreatedAt: s.now},
	}
	got := s.must(t, 200, "admin", "GET", "/v1/mservices", "").text
	want := `{"mservices":[{"id":1,"host":"a","binary":"jeroboam-controller","state":"up","report_count":7,"disabled":false,"disabled_reason":null,` +
		`"created_at":"2026-11-23T07:09:44+00:00","updated_at":"2026-11-23T07:08:44+00:00"},` +
		`{"id":2,"host":"b","binary":"jeroboam-controller","state":"down","report_count":0,"disabled":false,"disabled_reason":null,` +
		`"created_at":"2026-11-23T07:09:44+00:00","updated_at":"2026-11-23T06:09:44+00:00"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPages is the contract's section A5.
func TestPages(t *testing.T) {
	s := newService(t)
	uuids := map[string]string{}
	for _, name := range []string{"delta", "alpha", "charlie", "bravo"} {
		uuids[name] = s.cluster(t, name)
	}
	cases := map[string]struct {
		reason string
		query  string
		status int
		names  []string
		next   string // UUIDs as names
	}{
		"all":          {reason: "Oldest first.", names: []string{"delta", "alpha", "charlie", "bravo"}},
		"first":        {reason: "A full page has a next one.", query: "?limit=2", names: []string{"delta", "alpha"}, next: "?sort_key=id&sort_dir=asc&limit=2&marker=alpha"},
		"second":       {reason: "Even the last one, if it is full.", query: "?limit=2&marker=alpha", names: []string{"charlie", "bravo"}, next: "?sort_key=id&sort_dir=asc&limit=2&marker=bravo"},
		"beyond":       {reason: "Which leads to an empty one.", query: "?limit=2&marker=bravo", names: []string{}},
		"half":         {reason: "A page that is not full is the last.", query: "?limit=3&marker=alpha", names: []string{"charlie", "bravo"}},
		"capped":       {reason: "More than max_limit is max_limit.", query: "?limit=99999999", names: []string{"delta", "alpha", "charlie", "bravo"}},
		"by name":      {reason: "Sorted.", query: "?sort_key=name&limit=1", names: []string{"alpha"}, next: "?sort_key=name&sort_dir=asc&limit=1&marker=alpha"},
		"by name down": {reason: "Sorted the other way.", query: "?sort_key=name&sort_dir=desc&marker=charlie", names: []string{"bravo", "alpha"}},
		"newest":       {reason: "The id counts.", query: "?sort_dir=desc&limit=1", names: []string{"bravo"}, next: "?sort_key=id&sort_dir=desc&limit=1&marker=bravo"},
		"zero":         {reason: "Must be positive.", query: "?limit=0", status: 400},
		"negative":     {reason: "Must be positive.", query: "?limit=-1", status: 400},
		"words":        {reason: "Must be a number.", query: "?limit=two", status: 400},
		"no such key":  {reason: "Not a column.", query: "?sort_key=node_count", status: 400},
		"injected key": {reason: "Not a column.", query: "?sort_key=id%3B+DROP+TABLE+cluster", status: 400},
		"direction":    {reason: "Up or down.", query: "?sort_dir=sideways", status: 400},
		"lost marker":  {reason: "404", query: "?marker=00000000-0000-0000-0000-000000000000", status: 404},
		"no marker":    {reason: "Not a UUID.", query: "?marker=alpha-", status: 400},
		"broken query": {reason: "Cannot be read.", query: "?limit=%zz", status: 400},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			replace := func(s string) string {
				for name, uuid := range uuids {
					if strings.HasSuffix(s, "marker="+name) {
						s = strings.TrimSuffix(s, name) + uuid
					}
				}
				return s
			}
			for _, path := range []string{"/v1/clusters", "/v1/clusters/detail"} {
				got := s.send(t, "member", "GET", path+replace(tc.query), "")
				if tc.status != 0 {
					if got.status != tc.status {
						t.Errorf("%s: got %d, want %d: %s", tc.reason, got.status, tc.status, got.text)
					}
					continue
				}
				if diff := cmp.Diff(tc.names, got.names("clusters")); diff != "" {
					t.Errorf("%s: %s", tc.reason, diff)
				}
				want := ""
				if tc.next != "" {
					want = "http://H" + path + replace(tc.next)
				}
				if diff := cmp.Diff(want, got.str("next")); diff != "" {
					t.Errorf("%s: next: %s", tc.reason, diff)
				}
			}
		})
	}
}

// autoscale makes the cluster one whose groups the autoscaler sizes.
func autoscale(w *world, c *magnum.Cluster) {
	w.become(c.UUID, func(c *magnum.Cluster) { c.Labels["auto_scaling_enabled"] = "true" })
}
