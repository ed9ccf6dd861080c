package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestPatchCluster is the contract's section A4 for clusters: only the number of workers and the health can change.
func TestPatchCluster(t *testing.T) {
	cases := map[string]struct {
		reason  string
		body    string
		version string
		state   magnum.Status
		status  int
		detail  string
		nodes   int // of the default workers, afterwards
	}{
		"nodes":           {reason: "The one thing people do.", body: `[{"op":"replace","path":"/node_count","value":5}]`, status: 202, nodes: 5},
		"nothing":         {reason: "An empty patch is fine.", body: `[]`, status: 202, nodes: 2},
		"same":            {reason: "So is what is already so.", body: `[{"op":"replace","path":"/node_count","value":2}]`, state: magnum.CreateFailed, status: 202, nodes: 2},
		"removed":         {reason: "Removing means the default.", body: `[{"op":"remove","path":"/node_count"}]`, status: 202, nodes: 1},
		"true":            {reason: "Python's True is 1.", body: `[{"op":"replace","path":"/node_count","value":true}]`, status: 202, nodes: 1},
		"text":            {reason: "What magnum-ui sends; Magnum refuses it.", body: `[{"op":"replace","path":"/node_count","value":"5"}]`, status: 202, nodes: 5},
		"other text":      {reason: "That is no number.", body: `[{"op":"replace","path":"/node_count","value":"five"}]`, status: 400, nodes: 2},
		"fraction":        {reason: "Nor is a fraction.", body: `[{"op":"replace","path":"/node_count","value":5.5}]`, status: 400, nodes: 2},
		"negative":        {reason: "Bound.", body: `[{"op":"replace","path":"/node_count","value":-1}]`, status: 400, nodes: 2},
		"zero":            {reason: "From 1.10.", body: `[{"op":"replace","path":"/node_count","value":0}]`, status: 202, nodes: 0},
		"zero early":      {reason: "Not before.", body: `[{"op":"replace","path":"/node_count","value":0}]`, version: "1.9", status: 400, nodes: 2},
		"rename":          {reason: "Though the new client has --name.", body: `[{"op":"replace","path":"/name","value":"x"},{"op":"replace","path":"/master_count","value":3}]`, status: 400, detail: "cannot change cluster property(ies) master_count, name.", nodes: 2},
		"relabel":         {reason: "Though the new client has --label.", body: `[{"op":"add","path":"/labels/a","value":"b"}]`, status: 400, detail: "cannot change cluster property(ies) labels.", nodes: 2},
		"internal":        {reason: "Never.", body: `[{"op":"replace","path":"/uuid","value":"x"}]`, status: 400, detail: "'/uuid' is an internal attribute and can not be updated", nodes: 2},
		"internal inside": {reason: "Not through the back door either.", body: `[{"op":"remove","path":"/links/0"}]`, status: 400, nodes: 2},
		"mandatory":       {reason: "Not removable.", body: `[{"op":"remove","path":"/cluster_template_id"}]`, status: 400, detail: "'/cluster_template_id' is a mandatory attribute and can not be removed", nodes: 2},
		"existing":        {reason: "add is for what is not there.", body: `[{"op":"add","path":"/node_count","value":3}]`, status: 400, detail: "The attribute /node_count has existed, please use 'replace' operation instead.", nodes: 2},
		"unknown":         {reason: "No new attributes.", body: `[{"op":"add","path":"/bogus","value":3}]`, status: 400, detail: "Adding a new attribute (/bogus) to the root of the resource is not allowed.", nodes: 2},
		"unknown replace": {reason: "Nothing there.", body: `[{"op":"replace","path":"/bogus","value":3}]`, status: 400, nodes: 2},
		"move":            {reason: "Three operations.", body: `[{"op":"move","from":"/a","path":"/node_count"}]`, status: 400, nodes: 2},
		"no value":        {reason: "A value is needed.", body: `[{"op":"replace","path":"/node_count"}]`, status: 400, detail: "'add' and 'replace' operations needs value", nodes: 2},
		"object value":    {reason: "Dictionaries come as text.", body: `[{"op":"replace","path":"/labels","value":{"a":"b"}}]`, status: 400, nodes: 2},
		"dots":            {reason: "No dots in paths.", body: `[{"op":"replace","path":"/labels/a.b","value":"c"}]`, status: 400, nodes: 2},
		"slashes":         {reason: "No empty steps.", body: `[{"op":"replace","path":"//node_count","value":3}]`, status: 400, nodes: 2},
		"object":          {reason: "A list is expected.", body: `{"op":"replace"}`, status: 400, nodes: 2},
		"numbers":         {reason: "Of objects.", body: `[1]`, status: 400, nodes: 2},
		"empty":           {reason: "No body.", body: ``, status: 400, detail: `Missing argument: "patch"`, nodes: 2},
		"busy":            {reason: "Magnum answers 202 and only logs the refusal.", body: `[{"op":"replace","path":"/node_count","value":3}]`, state: magnum.UpdateInProgress, status: 409, detail: `Updating a cluster when status is "UPDATE_IN_PROGRESS" is not supported.`, nodes: 2},
		"health":          {reason: "magnum-auto-healer reports, whatever the state, with Python literals.", body: `[{"op":"replace","path":"/health_status","value":"UNHEALTHY"},{"op":"replace","path":"/health_status_reason","value":"{'api': 'ok', 'n.Ready': 'False'}"}]`, state: magnum.UpdateInProgress, status: 202, nodes: 2},
		"odd health":      {reason: "One of three.", body: `[{"op":"replace","path":"/health_status","value":"FINE"}]`, status: 400, nodes: 2},
		"literal":         {reason: "Nothing is evaluated.", body: `[{"op":"replace","path":"/health_status_reason","value":"__import__('os')"}]`, status: 400, nodes: 2},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			if tc.state != "" {
				s.become(id, func(c *magnum.Cluster) { c.Status = tc.state })
			}
			if tc.version == "" {
				tc.version = "latest"
			}
			got := s.send(t, "member", "PATCH", "/v1/clusters/k", tc.body, version(tc.version))
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			if n := s.groups[id][1].NodeCount; n != tc.nodes {
				t.Errorf("%s: got %d workers, want %d", tc.reason, n, tc.nodes)
			}
			if name == "health" {
				c := s.clusters[0]
				if diff := cmp.Diff(map[string]string{"api": "ok", "n.Ready": "False"}, c.HealthReason); c.Health != magnum.Unhealthy || diff != "" {
					t.Errorf("health is %s %s", c.Health, diff)
				}
			}
		})
	}
}

// TestWhoMayReachACluster: the labels that say so are the only ones that change while a cluster lives, and never so
// that nobody can keep it.
func TestWhoMayReachACluster(t *testing.T) {
	const add = `[{"op":"add","path":"/labels/api_server_allowed_cidrs","value":"192.0.2.0/24, 198.51.100.0/24"}]`
	both := []string{"api_server_allowed_cidrs", "node_port_allowed_cidrs"}
	cases := map[string]struct {
		reason     string
		body       string
		mutable    []string
		management []string
		change     func(*magnum.Cluster)
		status     int
		detail     string
		want       string // api_server_allowed_cidrs afterwards
	}{
		"add":       {reason: "What people do.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, status: 202, want: "192.0.2.0/24, 198.51.100.0/24"},
		"as text":   {reason: "The whole dictionary, in Python.", body: `[{"op":"replace","path":"/labels","value":"{'kube_tag': 'v1.34.1', 'api_server_allowed_cidrs': '192.0.2.0/24'}"}]`, mutable: both, management: []string{"10.0.0.0/8"}, status: 202, want: "192.0.2.0/24"},
		"ports":     {reason: "Ports of Services need no word of the operator.", body: `[{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"0.0.0.0/0"}]`, mutable: both, status: 202},
		"remove":    {reason: "Everybody again.", body: `[{"op":"remove","path":"/labels/api_server_allowed_cidrs"}]`, mutable: both, status: 202, change: func(c *magnum.Cluster) { c.Labels["api_server_allowed_cidrs"] = "192.0.2.0/24" }},
		"while up":  {reason: "A resize is on its way; this disturbs nobody.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, status: 202, change: func(c *magnum.Cluster) { c.Status = magnum.UpdateInProgress }, want: "192.0.2.0/24, 198.51.100.0/24"},
		"another":   {reason: "Others are fixed, and nothing is half done.", body: `[{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"0.0.0.0/0"},{"op":"add","path":"/labels/b","value":"c"}]`, mutable: both, status: 400, detail: "cannot change cluster property(ies) labels. Labels that are fixed when a cluster is made: b."},
		"value":     {reason: "No network.", body: `[{"op":"add","path":"/labels/api_server_allowed_cidrs","value":"me"}]`, mutable: both, management: []string{"10.0.0.0/8"}, status: 400, detail: `Label api_server_allowed_cidrs is "me", must be`},
		"unknown":   {reason: "The management cluster would be locked out.", body: add, mutable: both, status: 400, detail: "The label api_server_allowed_cidrs is not available in this cloud: its operator has not said where"},
		"direct":    {reason: "Nothing would hold to it.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, change: func(c *magnum.Cluster) { c.MasterLBEnabled = false }, status: 400, detail: "The label api_server_allowed_cidrs needs a load balancer, and master_lb_enabled is false."},
		"ovn":       {reason: "It has no such list.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, change: func(c *magnum.Cluster) { c.Labels["octavia_provider"] = "ovn" }, status: 400, detail: "Label api_server_allowed_cidrs is"},
		"before":    {reason: "Its class knows nothing of it: it would be accepted and do nothing.", body: add, management: []string{"10.0.0.0/8"}, status: 400, detail: "The cluster is older than the label api_server_allowed_cidrs. Upgrade it first, to its own template."},
		"as it was": {reason: "What has been wrong for long keeps nobody from closing the door.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, status: 202, want: "192.0.2.0/24, 198.51.100.0/24", change: func(c *magnum.Cluster) { c.Labels["fixed_subnet_cidr"] = "10.0.0.1/24" }},
		"no word":   {reason: "The operator has taken his word back; another label has nothing to do with it.", body: `[{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"0.0.0.0/0"}]`, mutable: both, status: 202, want: "192.0.2.0/24", change: func(c *magnum.Cluster) { c.Labels["api_server_allowed_cidrs"] = "192.0.2.0/24" }},
		"going":     {reason: "Too late.", body: add, mutable: both, management: []string{"10.0.0.0/8"}, change: func(c *magnum.Cluster) { c.Status = magnum.DeleteInProgress }, status: 409},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(o *api.Options) { o.Config.ManagementCIDRs = tc.management })
			id := s.cluster(t, "k")
			s.become(id, func(c *magnum.Cluster) {
				c.Labels, c.MutableLabels, c.MasterLBEnabled = map[string]string{"kube_tag": "v1.34.1"}, tc.mutable, true
				if tc.change != nil {
					tc.change(c)
				}
			})
			got := s.send(t, "member", "PATCH", "/v1/clusters/k", tc.body, version("latest"))
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			labels := s.clusters[0].Labels
			if labels["api_server_allowed_cidrs"] != tc.want || labels["b"] != "" || tc.status != 202 && labels["node_port_allowed_cidrs"] != "" {
				t.Errorf("%s: the labels are %v", tc.reason, labels)
			}
		})
	}
	s := newService(t)
	id := s.template(t)
	got := s.send(t, "member", "POST", "/v1/clusters", `{"cluster_template_id":"`+id+`","master_lb_enabled":true,"merge_labels":true,
		"labels":{"api_server_allowed_cidrs":"192.0.2.0/24"}}`)
	if got.status != 400 || !strings.HasPrefix(got.detail(), "The label api_server_allowed_cidrs is not available") {
		t.Errorf("a new cluster is held to the same: %d %q", got.status, got.detail())
	}
}

// TestTwoChangeLabels: who changes one label leaves alone what somebody else has made of another one meanwhile. Else an
// API server that was closed a moment ago would be open to everybody.
func TestTwoChangeLabels(t *testing.T) {
	var meanwhile func()
	s := newService(t, func(o *api.Options) {
		o.Labels = func(label.Scope, map[string]string) []error {
			if meanwhile != nil {
				meanwhile()
			}
			return nil
		}
	})
	id := s.cluster(t, "k")
	s.become(id, func(c *magnum.Cluster) {
		c.Labels, c.MutableLabels = map[string]string{"kube_tag": "v1.34.1"}, []string{"api_server_allowed_cidrs", "node_port_allowed_cidrs"}
	})
	const body = `[{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"192.0.2.0/24"}]`
	meanwhile = func() {
		s.become(id, func(c *magnum.Cluster) {
			c.Labels = map[string]string{"kube_tag": "v1.34.1", "api_server_allowed_cidrs": "192.0.2.0/24"}
		})
	}
	s.must(t, 202, "member", "PATCH", "/v1/clusters/k", body, version("latest"))
	want := map[string]string{"kube_tag": "v1.34.1", "api_server_allowed_cidrs": "192.0.2.0/24", "node_port_allowed_cidrs": "192.0.2.0/24"}
	if diff := cmp.Diff(want, s.clusters[0].Labels); diff != "" {
		t.Error(diff)
	}
	meanwhile = func() { s.become(id, func(c *magnum.Cluster) { c.Status = magnum.DeleteInProgress }) }
	s.must(t, 409, "member", "PATCH", "/v1/clusters/k", `[{"op":"remove","path":"/labels/node_port_allowed_cidrs"}]`, version("latest"))
}

// TestNodeCountIsASum: the node count that a cluster shows is of all its groups, and the one that a patch gives is the
// default group's. Where both could be meant, nobody gets nodes that he did not ask for.
func TestNodeCountIsASum(t *testing.T) {
	const health = `{"op":"replace","path":"/health_status","value":"HEALTHY"},`
	s := newService(t)
	id := s.cluster(t, "k")
	s.must(t, 202, "member", "POST", "/v1/clusters/k/nodegroups", `{"name":"more","node_count":3}`)
	s.become(id, func(c *magnum.Cluster) { c.NodeCount = 5 })
	for _, step := range []struct {
		reason, query, more, nodes string
		status, want               int
	}{
		{"it is what the default group has", "", "", "2", 202, 2},
		{"Terraform means the default group, and this is the sum (Magnum 1.14 accepts it and does nothing)", "", "", "5", 202, 5},
		{"the group is as it was again", "", "", "2", 202, 2},
		{"who sends back what he has read changes nothing", "", health, "5", 202, 2},
		{"magnum-ui shows the sum and sends it back as text", "", "", `"5"`, 202, 2},
		{"and one more in its form could mean the default group, or all", "", "", `"6"`, 400, 2},
		{"any other number", "?rollback=True", health, "6", 202, 6},
	} {
		s.must(t, step.status, "member", "PATCH", "/v1/clusters/k/"+step.query,
			fmt.Sprintf(`[%s{"op":"replace","path":"/node_count","value":%s}]`, step.more, step.nodes))
		if n := s.groups[id][1].NodeCount; n != step.want {
			t.Errorf("%s: %s: the default group has %d, want %d", step.nodes, step.reason, n, step.want)
		}
	}
	if s.send(t, "member", "PATCH", "/v1/clusters/k?rollback=perhaps", `[]`).status != 400 {
		t.Error("rollback is a boolean")
	}
}

// TestPatchTemplate is section A4 for templates.
func TestPatchTemplate(t *testing.T) {
	cases := map[string]struct {
		reason string
		body   string
		used   bool // by a cluster
		status int
		detail string
		field  string
		want   any
	}{
		"labels in Python": {reason: "What python-magnumclient sends.", body: `[{"op":"replace","path":"/labels","value":"{'kube_tag': 'v1.34.2', 'n': 1, 'b': True}"}]`, status: 200, field: "labels", want: map[string]any{"kube_tag": "v1.34.2", "n": "1", "b": "True"}},
		"labels in JSON":   {reason: "And others.", body: `[{"op":"replace","path":"/labels","value":"{\"kube_tag\": \"v1.34.2\", \"b\": true}"}]`, status: 200, field: "labels", want: map[string]any{"kube_tag": "v1.34.2", "b": "True"}},
		"one label":        {reason: "Inside the dictionary.", body: `[{"op":"add","path":"/labels/a","value":1},{"op":"remove","path":"/labels/kube_tag"}]`, status: 200, field: "labels", want: map[string]any{"a": "1"}},
		"no label":         {reason: "Nothing to remove.", body: `[{"op":"remove","path":"/labels/a"}]`, status: 400},
		"label value":      {reason: "Checked like new ones.", body: `[{"op":"replace","path":"/labels/kube_tag","value":"new"}]`, status: 400},
		"bad literal":      {reason: "No Python.", body: `[{"op":"replace","path":"/labels","value":"{'a': }"}]`, status: 400, detail: "Couldn't apply patch."},
		"list literal":     {reason: "No dictionary.", body: `[{"op":"replace","path":"/labels","value":"['a']"}]`, status: 400},
		"image":            {reason: "The distribution follows.", body: `[{"op":"replace","path":"/image_id","value":"ubuntu-2"}]`, status: 200, field: "image_id", want: "ubuntu-2"},
		"lost image":       {reason: "Checked like a new one.", body: `[{"op":"replace","path":"/image_id","value":"lost"}]`, status: 400},
		"lost flavor":      {reason: "Checked like a new one.", body: `[{"op":"replace","path":"/flavor_id","value":"lost"}]`, status: 400},
		"remove flavor":    {reason: "Optional things go.", body: `[{"op":"remove","path":"/flavor_id"}]`, status: 200, field: "flavor_id", want: nil},
		"remove image":     {reason: "Mandatory things stay.", body: `[{"op":"remove","path":"/image_id"}]`, status: 400},
		"remove driver":    {reason: "These too.", body: `[{"op":"remove","path":"/network_driver"}]`, status: 400},
		"text for number":  {reason: "Patches are strict.", body: `[{"op":"add","path":"/docker_volume_size","value":"10"}]`, status: 400},
		"number":           {reason: "Null until now: add.", body: `[{"op":"add","path":"/docker_volume_size","value":10}]`, status: 200, field: "docker_volume_size", want: 10.0},
		"used":             {reason: "Clusters depend on it.", used: true, body: `[{"op":"replace","path":"/flavor_id","value":"large"}]`, status: 400},
		"used name":        {reason: "A name harms nobody.", used: true, body: `[{"op":"replace","path":"/name","value":"x"}]`, status: 200, field: "name", want: "x"},
		"used two":         {reason: "One thing alone.", used: true, body: `[{"op":"replace","path":"/name","value":"x"},{"op":"replace","path":"/tags","value":"x"}]`, status: 400},
		"nothing":          {reason: "Fine.", body: `[]`, status: 200, field: "name", want: "k8s"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			if tc.used {
				s.cluster(t, "k")
			} else {
				s.template(t)
			}
			got := s.send(t, "member", "PATCH", "/v1/clustertemplates/k8s", tc.body)
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Fatalf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			if diff := cmp.Diff(tc.want, got.body[tc.field]); tc.status == 200 && diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
			if got.status == 200 && got.body["updated_at"] != nil {
				t.Error("Magnum shows the old updated_at")
			}
		})
	}
}

func TestResizeAndUpgrade(t *testing.T) {
	cases := map[string]struct {
		reason  string
		action  string
		body    string // NEW is a template of v1.35.0
		version string
		world   func(*world, *magnum.Cluster)
		status  int
		detail  string
	}{
		"resize":        {reason: "Default workers.", action: "resize", body: `{"node_count":1,"nodes_to_remove":["node-1"]}`, status: 202},
		"server id":     {reason: "What Nova shows, whatever Cluster API calls the machine.", action: "resize", body: `{"node_count":1,"nodes_to_remove":["11112222-0000-4000-8000-000000000001"]}`, status: 202},
		"wrong node":    {reason: "Magnum removes another one.", action: "resize", body: `{"node_count":0,"nodes_to_remove":["node-1","lost"]}`, status: 400, detail: "Node group default-worker has no node lost."},
		"node, growing": {reason: "Nothing would go, now or ever.", action: "resize", body: `{"node_count":4,"nodes_to_remove":["node-1"]}`, status: 400, detail: "Node group default-worker has 2 nodes. Without those that are named (1) it cannot have 4."},
		"node, twice":   {reason: "It is one node.", action: "resize", body: `{"node_count":1,"nodes_to_remove":["node-1","node-1"]}`, status: 202},
		"both names":    {reason: "It is one node, too.", action: "resize", body: `{"node_count":1,"nodes_to_remove":["node-1","server-of-node-1"]}`, status: 202},
		"wrong, twice":  {reason: "Told once.", action: "resize", body: `{"node_count":1,"nodes_to_remove":["lost","lost"]}`, status: 400, detail: "Node group default-worker has no node lost. Name"},
		"same size":     {reason: "Clients wait for UPDATE_COMPLETE.", action: "resize", body: `{"node_count":2}`, status: 202},
		"repair":        {reason: "A failed update is repaired by another.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: state(magnum.UpdateFailed), status: 202},
		"laggard": {reason: "Cluster API moves on only when every group has come.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: func(w *world, c *magnum.Cluster) {
			w.groups[c.UUID] = append(w.groups[c.UUID], &magnum.NodeGroup{Name: "gpu", Role: "gpu", Version: "v1.34.0"})
		}, status: 400, detail: "Node group gpu is still at Kubernetes v1.34.0, because it has an image of its own."},
		"strings":       {reason: "Lenient like every POST.", action: "resize", body: `{"node_count":"4","nodegroup":null}`, status: 202},
		"no count":      {reason: "Mandatory.", action: "resize", body: `{}`, status: 400, detail: "Invalid input for field/attribute node_count."},
		"no body":       {reason: "Magnum's name for it.", action: "resize", body: ``, status: 400, detail: `Missing argument: "cluster_resize_req"`},
		"zero 1.9":      {reason: "From 1.10.", action: "resize", body: `{"node_count":0}`, version: "1.9", status: 400},
		"zero":          {reason: "From 1.10.", action: "resize", body: `{"node_count":0}`, status: 202},
		"no group":      {reason: "404", action: "resize", body: `{"node_count":1,"nodegroup":"lost"}`, status: 404, detail: "Nodegroup lost could not be found."},
		"outside":       {reason: "The group has bounds.", action: "resize", body: `{"node_count":9}`, world: func(w *world, c *magnum.Cluster) { w.bound(c, 1, 5) }, status: 400, detail: "Resizing default-worker outside the allowed range: min_node_count = 1, max_node_count = 5"},
		"below":         {reason: "The group has bounds.", action: "resize", body: `{"node_count":0}`, world: func(w *world, c *magnum.Cluster) { w.bound(c, 1, 0) }, status: 400, detail: "Resizing default-worker outside the allowed range: min_node_count = 1, max_node_count = None"},
		"masters":       {reason: "Odd numbers.", action: "resize", body: `{"node_count":3,"nodegroup":"default-master"}`, status: 202},
		"even masters":  {reason: "etcd must be able to decide.", action: "resize", body: `{"node_count":2,"nodegroup":"default-master"}`, status: 400},
		"many masters":  {reason: "etcd waits for more than half of them.", action: "resize", body: `{"node_count":11,"nodegroup":"default-master"}`, status: 400, detail: "master nodegroup size of 11 is invalid, size cannot be more than 9."},
		"busy":          {reason: "While an update runs, another resize is fine (Magnum 1.14).", action: "resize", body: `{"node_count":3}`, world: state(magnum.UpdateInProgress), status: 202},
		"not yet":       {reason: "Magnum answers 202 and only logs the refusal.", action: "resize", body: `{"node_count":3}`, world: state(magnum.CreateInProgress), status: 409, detail: `Resizing a cluster when status is "CREATE_IN_PROGRESS" is not supported.`},
		"upgrade":       {reason: "max_batch_size may be missing (500 in Magnum).", action: "upgrade", body: `{"cluster_template":"NEW"}`, status: 202},
		"batch":         {reason: "Or be there.", action: "upgrade", body: `{"cluster_template":"NEW","max_batch_size":"2","nodegroup":"default-worker"}`, status: 202},
		"bad batch":     {reason: "At least one.", action: "upgrade", body: `{"cluster_template":"NEW","max_batch_size":0}`, status: 400},
		"upgrade state": {reason: "Upgrade is synchronous in Magnum: 400.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: state(magnum.UpdateInProgress), status: 400, detail: `Upgrading a cluster when status is "UPDATE_IN_PROGRESS" is not supported.`},
		"no template":   {reason: "404", action: "upgrade", body: `{"cluster_template":"lost"}`, status: 404},
		"downgrade":     {reason: "Kubernetes cannot.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: tag("v1.36.0"), status: 400, detail: "Kubernetes cannot be downgraded from v1.36.0 to v1.35.0."},
		"patch back":    {reason: "Not even a patch release.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: tag("v1.35.1"), status: 400, detail: "Kubernetes cannot be downgraded"},
		"skip":          {reason: "One minor at a time.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: tag("v1.33.0"), status: 400, detail: "Kubernetes cannot skip minor versions. From v1.33.0 the next is v1.34."},
		"no tag":        {reason: "Upgrade to what?", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: func(w *world, _ *magnum.Cluster) { w.templates[1].Labels = nil }, status: 400, detail: "The cluster template for the upgrade has no label kube_tag."},
		"same":          {reason: "The same template renews everything else.", action: "upgrade", body: `{"cluster_template":"k8s"}`, status: 202},
		"gone image":    {reason: "Checked with the caller's token.", action: "upgrade", body: `{"cluster_template":"NEW"}`, world: func(w *world, _ *magnum.Cluster) { w.templates[1].ImageID = "lost" }, status: 400},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			next := strings.NewReplacer("v1.34.1", "v1.35.0", `"image_id":"ubuntu"`, `"image_id":"ubuntu-2"`, `"k8s"`, `"next"`).Replace(goodTemplate)
			newer := s.must(t, 201, "member", "POST", "/v1/clustertemplates", next).str("uuid")
			if tc.world != nil {
				tc.world(s.world, s.clusters[0])
			}
			if tc.version == "" {
				tc.version = "latest"
			}
			got := s.send(t, "member", "POST", "/v1/clusters/k/actions/"+tc.action, strings.ReplaceAll(tc.body, "NEW", newer), version(tc.version))
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Fatalf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			c := s.clusters[0]
			if name == "upgrade" && (c.Labels["kube_tag"] != "v1.35.0" || c.Template.UUID != newer || c.ClusterTemplateID != newer ||
				c.Resolved.ImageID != "image-2") {
				t.Errorf("version, template and image move: %+v", c)
			}
			if name == "batch" && (c.Upgrade != magnum.Upgrade{Generation: 1, MaxBatchSize: 2, FromImage: "ubuntu", FromImageID: "image-1"}) {
				t.Errorf("the upgrade is asked for: %+v", c.Upgrade)
			}
			if name == "same" && c.Upgrade.Generation != 1 {
				t.Errorf("an upgrade to the same template is an upgrade: %+v", c.Upgrade)
			}
			if w := s.groups[id][1]; name == "resize" && (w.NodeCount != 1 || w.NodesToRemove[0] != "node-1" || w.Resize != 1) {
				t.Errorf("the default workers are resized: %+v", w)
			}
			if w := s.groups[id][1]; strings.HasPrefix(tc.reason, "It is one") && (len(w.NodesToRemove) != 1 || w.NodesToRemove[0] != "node-1") {
				t.Errorf("one machine goes: %+v", w)
			}
			if w := s.groups[id][1]; name == "server id" && w.NodesToRemove[0] != "node-by-id" {
				t.Errorf("the server's machine goes: %+v", w)
			}
			if w := s.groups[id][1]; name == "same size" && w.Resize != 1 {
				t.Errorf("a resize to the same size is a resize: %+v", w)
			}
			for i, r := range s.requestIDs {
				if r == "" {
					t.Errorf("write %d came without its request id", i)
				}
			}
		})
	}
}

func state(to magnum.Status) func(*world, *magnum.Cluster) {
	return func(w *world, c *magnum.Cluster) { w.become(c.UUID, func(c *magnum.Cluster) { c.Status = to }) }
}

func tag(v string) func(*world, *magnum.Cluster) {
	return func(w *world, c *magnum.Cluster) {
		w.become(c.UUID, func(c *magnum.Cluster) { c.Labels = map[string]string{"kube_tag": v} })
	}
}

// A group with an image of its own keeps it; what is asked for is that group, and nothing of the cluster.
func TestUpgradeOfOneGroup(t *testing.T) {
	for name, is := range map[string]struct {
		reason, image, want string
	}{
		"its own image":  {"rebuilt under the same name, perhaps", "ubuntu-2", "image-2"},
		"the template's": {"", "ubuntu", "image-1"},
		"the one before": {"it was left behind when the cluster was upgraded", "old", "image-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			s.become(id, func(c *magnum.Cluster) {
				c.Labels["kube_tag"], c.Upgrade = "v1.34.1", magnum.Upgrade{Generation: 4, FromImage: "old"}
			})
			s.groups[id] = append(s.groups[id], &magnum.NodeGroup{
				UUID: "a3b4c5d6-0000-4000-8000-000000000001", Name: "gpu", Role: "gpu", ClusterID: id, NodeCount: 1, ImageID: is.image, Labels: map[string]string{"kube_tag": "v1.33.0"},
			})
			s.must(t, 202, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"k8s","nodegroup":"gpu","max_batch_size":2}`)
			g := s.groups[id][2]
			if g.Resolved.ImageID != is.want || g.Labels["kube_tag"] != "v1.34.1" || g.Upgrade.Generation != 1 || g.Upgrade.MaxBatchSize != 2 {
				t.Errorf("%+v, want image %s: %s", g, is.want, is.reason)
			}
			if s.clusters[0].Upgrade.Generation != 4 {
				t.Error("the cluster was upgraded too")
			}
		})
	}
}

// bound gives the default workers bounds; no upper one when most is 0.
func (w *world) bound(c *magnum.Cluster, least, most int) {
	ng := *w.groups[c.UUID][1]
	ng.MinNodeCount = least
	if most > 0 {
		ng.MaxNodeCount = &most
	}
	w.groups[c.UUID] = []*magnum.NodeGroup{w.groups[c.UUID][0], &ng}
}

// TestDeleteTwice: clients delete again while the first time is still going on.
func TestDeleteTwice(t *testing.T) {
	s := newService(t)
	id := s.cluster(t, "k")
	for range 2 {
		if got := s.must(t, 204, "member", "DELETE", "/v1/clusters/"+id, "", "Content-Type: application/octet-stream"); got.text != "" {
			t.Errorf("204 has no body, got %q", got.text)
		}
	}
	s.must(t, 404, "member", "DELETE", "/v1/clusters/lost", "")
}

// TestASizeOnItsWayIsWithinTheBounds: what is shown of a group that the autoscaler sizes are the nodes there are, so a
// maximum below the size that was just asked for would make both answers untrue.
func TestASizeOnItsWayIsWithinTheBounds(t *testing.T) {
	for name, is := range map[string]struct {
		reason  string
		resized int64
		patch   string
		status  int
	}{
		"below what is asked for": {"five are on their way", 0, "4", 409},
		"as many":                 {"five fit", 0, "5", 202},
		"it was reached":          {"the autoscaler has taken two away since", 1, "4", 202},
	} {
		s := newService(t)
		id := s.cluster(t, "k")
		s.clusters[0].Labels[label.AutoScalingEnabled] = "true"
		workers := s.groups[id][1]
		workers.NodeCount, workers.Asked, workers.Resize, workers.Resized = 3, 5, 1, is.resized
		got := s.send(t, "member", "PATCH", "/v1/clusters/k/nodegroups/default-worker",
			`[{"op":"replace","path":"/max_node_count","value":`+is.patch+`}]`, version("latest"))
		if got.status != is.status {
			t.Errorf("%s: got %d %q, want %d: %s", name, got.status, got.detail(), is.status, is.reason)
		}
	}
}
