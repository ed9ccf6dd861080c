package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

const (
	badVersion = `The header OpenStack-API-Version is not of the form \"container-infra 1.N\" or \"container-infra latest\"`
	keystone   = `{"error":{"code":401,"title":"Unauthorized","message":"The request you have made requires authentication."}}`
)

// told is an error's whole body, whose title is the detail without its last dot.
func told(status int, title string) string {
	return fmt.Sprintf(`{"errors":[{"request_id":"","code":"client","status":%d,"title":"%s","detail":"%s.","links":[]}]}`, status, title, title)
}

// TestRules is the contract's section A1.
func TestRules(t *testing.T) {
	cases := map[string]struct {
		reason         string
		token          string
		method, path   string
		body           string
		headers        []string
		status         int
		want           string // the body
		wantHeaders    []string
		withoutHeaders []string
	}{
		"root": {
			reason: "Clients discover versions at the root, without a token and without version headers.",
			method: "GET", path: "/", status: 200,
			want: `{"name":"OpenStack Magnum API","description":"Magnum is an OpenStack project which aims to provide container cluster management.",` +
				`"versions":[{"id":"v1","links":[{"href":"http://H/v1/","rel":"self"}],"status":"CURRENT","max_version":"1.14","min_version":"1.1"}]}`,
			withoutHeaders: []string{"OpenStack-API-Version"},
		},
		"health":          {reason: "Load balancers ask without a token.", method: "GET", path: "/healthcheck", status: 200, want: "OK"},
		"health, briefly": {reason: "oslo.middleware answers HEAD with 204.", method: "HEAD", path: "/healthcheck", status: 204},
		"no token":        {reason: "keystonemiddleware's body, not Magnum's.", method: "GET", path: "/v1/clusters", status: 401, want: keystone, wantHeaders: []string{`WWW-Authenticate: Keystone uri="http://keystone:5000"`}},
		"bad token":       {reason: "As without one.", token: "stolen", method: "GET", path: "/v1/clusters", status: 401, want: keystone},
		"unknown first":   {reason: "Who has no token learns nothing about paths.", method: "GET", path: "/v1/nothing", status: 401, want: keystone},
		"unknown route":   {reason: "Routing errors have no version headers. Magnum's have empty texts, and clients show nothing.", token: "member", method: "GET", path: "/v1/nothing", status: 404, want: told(404, "This API has no path /v1/nothing"), withoutHeaders: []string{"OpenStack-API-Version"}},
		"json suffix":     {reason: "Pecan's content type suffix is off.", token: "member", method: "GET", path: "/v1/clusters.json", status: 404, want: told(404, "This API has no path /v1/clusters.json")},
		"bays":            {reason: "Gone since 1.11, at every version.", token: "member", method: "GET", path: "/v1/bays", status: 404, want: told(404, "This API has no path /v1/bays")},
		"double slash":    {reason: "No redirect: Magnum knows no such path.", token: "member", method: "GET", path: "/v1//clusters", status: 404, want: told(404, "This API has no path /v1//clusters")},
		"dots":            {reason: "Nor are paths cleaned.", token: "member", method: "GET", path: "/v1/clusters/../clusters", status: 404, want: told(404, "This API has no path /v1/clusters/../clusters")},
		"trailing slash":  {reason: "python-magnumclient and gophercloud send it.", token: "member", method: "GET", path: "/v1/clusters/", status: 200, want: `{"clusters":[]}`},
		"without v1":      {reason: "The bookmark links lead here.", token: "member", method: "GET", path: "/clusters", status: 200, want: `{"clusters":[]}`},
		"head":            {reason: "HEAD is not GET in Magnum.", token: "member", method: "HEAD", path: "/v1/clusters", status: 405, want: told(405, "The path /v1/clusters has no method HEAD. It has GET, POST"), wantHeaders: []string{"Allow: GET, POST"}},
		"put":             {reason: "Nothing is PUT.", token: "member", method: "PUT", path: "/v1/clusters", status: 405, want: told(405, "The path /v1/clusters has no method PUT. It has GET, POST"), wantHeaders: []string{"Allow: GET, POST"}},
		"html":            {reason: "We only speak JSON.", token: "member", method: "GET", path: "/v1/clusters", headers: []string{"Accept: text/html"}, status: 406, want: told(406, "Answers are application/json, which the header Accept does not take")},
		"accept list":     {reason: "One of several is enough.", token: "member", method: "GET", path: "/v1/clusters", headers: []string{"Accept: text/html, */*;q=0.8"}, status: 200, want: `{"clusters":[]}`},
		"unknown argument": {
			reason: "A typing error in a filter must not list everything.", token: "member", method: "GET", path: "/v1/clusters?bogus=1", status: 400,
			want: `{"errors":[{"request_id":"","code":"client","status":400,"title":"Unknown argument: \"bogus\"","detail":"Unknown argument: \"bogus\"","links":[]}]}`,
		},
		"not found": {
			reason: "The title is the detail up to its first dot; version headers are there.", token: "member", method: "GET", path: "/v1/clusters/x", status: 404,
			want:        `{"errors":[{"request_id":"","code":"client","status":404,"title":"Cluster x could not be found","detail":"Cluster x could not be found.","links":[]}]}`,
			wantHeaders: []string{"OpenStack-API-Version: container-infrastructure-management 1.14", "Vary: OpenStack-API-Version"},
		},
		"system scope":   {reason: "Rules for projects refuse tokens of the system, whatever their roles.", token: "system", method: "GET", path: "/v1/clusters", status: 403},
		"no project":     {reason: "A token without a project has no clusters.", token: "nobody", method: "GET", path: "/v1/clusters", status: 403},
		"federations":    {reason: "A feature nobody finished: there are none.", token: "reader", method: "GET", path: "/v1/federations", status: 200, want: `{"federations":[]}`},
		"one federation": {reason: "So none is found.", token: "reader", method: "GET", path: "/v1/federations/x", status: 404},
		"new federation": {reason: "Magnum asks for a host cluster.", token: "member", method: "POST", path: "/v1/federations", body: "{}", status: 400},
		"lost host":      {reason: "It is part of the input.", token: "member", method: "POST", path: "/v1/federations", body: `{"hostcluster_id":"x"}`, status: 400},
		"by a reader":    {reason: "Policy comes first.", token: "reader", method: "POST", path: "/v1/federations", body: "{}", status: 403},
		"odd federation": {reason: "Types come before policy.", token: "reader", method: "POST", path: "/v1/federations", body: `{"bogus":1}`, status: 400},
		"patched":        {reason: "None is found.", token: "member", method: "PATCH", path: "/v1/federations/x", body: `[]`, status: 404},
		"deleted":        {reason: "None is found.", token: "member", method: "DELETE", path: "/v1/federations/x", status: 404},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			got := s.send(t, tc.token, tc.method, tc.path, tc.body, tc.headers...)
			if got.status != tc.status {
				t.Errorf("%s: got status %d, want %d: %s", tc.reason, got.status, tc.status, got.text)
			}
			if diff := cmp.Diff(tc.want, got.text); tc.want != "" && diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
			for _, h := range tc.wantHeaders {
				name, value, _ := strings.Cut(h, ": ")
				if got.header.Get(name) != value {
					t.Errorf("%s: header %s is %q, want %q", tc.reason, name, got.header.Get(name), value)
				}
			}
			for _, h := range tc.withoutHeaders {
				if v := got.header.Get(h); v != "" {
					t.Errorf("%s: header %s is %q, want none", tc.reason, h, v)
				}
			}
			if id := got.header.Get("x-openstack-request-id"); !regexp.MustCompile(`^req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("every answer has a request id, got %q", id)
			}
		})
	}
}

// TestMicroversions is the contract's sections A1 and A6.
func TestMicroversions(t *testing.T) {
	const unsupported = `{"errors":[{"max_version":"1.14","min_version":"1.1","code":"magnum.microversion-unsupported",` +
		`"links":[{"rel":"help","href":"http://docs.openstack.org/api-guide/compute/microversions.html"}],"title":"Requested microversion is unsupported"}]}`
	cases := map[string]struct {
		reason string
		header string
		method string
		path   string
		status int
		used   string // the version in the answer's header
		body   string
	}{
		"none":          {reason: "No header means 1.1.", status: 200, used: "1.1"},
		"exact":         {reason: "What was asked for is used.", header: "container-infra 1.7", status: 200, used: "1.7"},
		"latest":        {reason: "The newest.", header: "container-infra latest", status: 200, used: "1.14"},
		"LATEST":        {reason: "In any letters.", header: "container-infra LATEST", status: 200, used: "1.14"},
		"long name":     {reason: "All three service names are known.", header: "container-infrastructure-management 1.9", status: 200, used: "1.9"},
		"middle name":   {reason: "All three service names are known.", header: "container-infrastructure 1.9", status: 200, used: "1.9"},
		"too new":       {reason: "Out of range: the bad version comes back.", header: "container-infra 1.15", status: 406, used: "1.15", body: unsupported},
		"too old":       {reason: "Out of range.", header: "container-infra 1.0", status: 406, used: "1.0", body: unsupported},
		"other major":   {reason: "Out of range.", header: "container-infra 2.1", status: 406, used: "2.1", body: unsupported},
		"wrong service": {reason: "A plain 406 without version headers.", header: "compute 2.1", status: 406, body: told(406, badVersion)},
		"no service":    {reason: "Malformed.", header: "1.10", status: 406, body: told(406, badVersion)},
		"no number":     {reason: "Malformed.", header: "container-infra 1.x", status: 406, body: told(406, badVersion)},
		"three numbers": {reason: "Malformed.", header: "container-infra 1.2.3", status: 406, body: told(406, badVersion)},
		"negative":      {reason: "Malformed.", header: "container-infra 1.-3", status: 406, body: told(406, badVersion)},
		"huge":          {reason: "Does not overflow.", header: "container-infra 1.4294967297", status: 406, body: told(406, badVersion)},
		"groups early":  {reason: "Node groups came with 1.9; before, the route does not exist: 406 without version headers.", header: "container-infra 1.8", path: "/v1/clusters/x/nodegroups", status: 406, body: told(406, "Microversion 1.8 has no GET /v1/clusters/x/nodegroups. Ask for 1.9 or a later one (header OpenStack-API-Version, or --os-container-infra-api-version)")},
		"groups":        {reason: "From 1.9 they are looked for.", header: "container-infra 1.9", path: "/v1/clusters/x/nodegroups", status: 404, used: "1.9"},
		"resize early":  {reason: "Resize came with 1.7.", header: "container-infra 1.6", method: "POST", path: "/v1/clusters/x/actions/resize", status: 406},
		"upgrade 1.6":   {reason: "Upgrade came with 1.7.", header: "container-infra 1.6", method: "POST", path: "/v1/clusters/x/actions/upgrade", status: 406},
		"upgrade 1.7":   {reason: "... and only said that it does not work.", header: "container-infra 1.7", method: "POST", path: "/v1/clusters/x/actions/upgrade", status: 400, used: "1.7"},
		"credentials":   {reason: "Came with 1.12.", header: "container-infra 1.11", method: "PATCH", path: "/v1/credentials/x", status: 406},
		"rollback 1.2":  {reason: "The argument came with 1.3.", header: "container-infra 1.2", method: "PATCH", path: "/v1/clusters/x?rollback=True", status: 400, used: "1.2"},
		"quotas 1.1":    {reason: "Not gated in the code, whatever the documents say.", path: "/v1/quotas/demo/Cluster", status: 200, used: "1.1"},
		"version doc":   {reason: "The v1 document is below /v1.", path: "/v1", status: 200, used: "1.1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			if tc.method == "" {
				tc.method = "GET"
			}
			if tc.path == "" {
				tc.path = "/v1/clusters"
			}
			got := s.send(t, "member", tc.method, tc.path, "{}", "OpenStack-API-Version: "+tc.header)
			if got.status != tc.status {
				t.Errorf("%s: got %d, want %d: %s", tc.reason, got.status, tc.status, got.text)
			}
			if diff := cmp.Diff(tc.body, got.text); tc.body != "" && diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
			wantMin, wantUsed := "", ""
			if tc.used != "" {
				wantMin, wantUsed = "container-infrastructure-management 1.1", "container-infrastructure-management "+tc.used
			}
			if v := got.header.Get("OpenStack-API-Version"); v != wantUsed {
				t.Errorf("%s: version header %q, want %q", tc.reason, v, wantUsed)
			}
			if v := got.header.Get("OpenStack-API-Minimum-Version"); v != wantMin {
				t.Errorf("%s: minimum version header %q, want %q", tc.reason, v, wantMin)
			}
		})
	}
}

func TestVersionDocument(t *testing.T) {
	s := newService(t)
	got := s.must(t, 200, "", "GET", "/v1/", "")
	links, _ := got.body["nodegroups"].([]any)
	first, _ := links[0].(map[string]any)
	if first["href"] != "http://H/v1/clusters/{cluster_id}/nodegroups" {
		t.Errorf("the node groups' link is literal, got %v", first["href"])
	}
	for _, name := range []string{"id", "media_types", "links", "clustertemplates", "clusters", "quotas", "certificates", "mservices", "stats", "federations", "credentials"} {
		if got.body[name] == nil {
			t.Errorf("the v1 document has no %s", name)
		}
	}
}

// TestFaults: what breaks is told in a way that helps the client and gives nothing away.
func TestFaults(t *testing.T) {
	const secret = "password=hunter2"
	cases := map[string]struct {
		reason string
		broken func(*world)
		status int
		logged string
	}{
		"keystone down":    {"Keystone cannot be asked: try later.", func(w *world) { w.keystone = fmt.Errorf("%s: %w", secret, openstack.ErrUnavailable) }, 503, secret},
		"store broken":     {"A fault nobody foresaw.", func(w *world) { w.storeFails = errors.New(secret) }, 500, secret},
		"store too slow":   {"Time was up.", func(w *world) { w.storeFails = fmt.Errorf("%s: %w", secret, context.DeadlineExceeded) }, 503, secret},
		"a panic":          {"The service survives it.", func(w *world) { w.storePanics = true }, 500, "secret of the store"},
		"token dies early": {"The cloud refuses the token that Keystone's cache still knew.", func(w *world) { w.storeFails = fmt.Errorf("cloud: %w", openstack.ErrUnauthorized) }, 401, "cloud"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			tc.broken(s.world)
			got := s.send(t, "member", "GET", "/v1/clusters", "")
			if got.status != tc.status {
				t.Errorf("%s: got %d, want %d: %s", tc.reason, got.status, tc.status, got.text)
			}
			if strings.Contains(got.text, "hunter2") || strings.Contains(got.text, "secret") {
				t.Errorf("%s: the client is told what only the log may say: %s", tc.reason, got.text)
			}
			id := got.header.Get("x-openstack-request-id")
			if !strings.Contains(s.log.String(), tc.logged) || !strings.Contains(s.log.String(), id) {
				t.Errorf("%s: the log misses the cause or the request id %s: %s", tc.reason, id, s.log)
			}
			if tc.status >= 500 && !strings.Contains(got.detail(), id) {
				t.Errorf("%s: the client needs the request id, got %q", tc.reason, got.detail())
			}
		})
	}
}

func TestLogHoldsNoToken(t *testing.T) {
	s := newService(t)
	s.must(t, 200, "member", "GET", "/v1/clusters", "", "X-Openstack-Request-Id: req-mine")
	log := s.log.String()
	if strings.Contains(log, `"member"`) || !strings.Contains(log, `"user_id":"demo-user"`) || !strings.Contains(log, `"status":200`) {
		t.Errorf("one line with the user and without the token is expected, got %s", log)
	}
	if strings.Contains(log, "req-mine") {
		t.Error("a request id is always ours, never the client's")
	}
}

func TestMetrics(t *testing.T) {
	s := newService(t)
	s.send(t, "member", "GET", "/v1/clusters", "")
	s.send(t, "member", "GET", "/v1/clusters/a", "")
	s.send(t, "member", "GET", "/v1/clusters/b", "")
	s.send(t, "member", "BREW", "/v1/coffee/pot", "")
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+labelsOf(m)] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"jeroboam_api_requests_total 200 GET /v1/clusters":                 1,
		"jeroboam_api_requests_total 404 GET /v1/clusters/{cluster}":       2,
		"jeroboam_api_requests_total 404 other unknown":                    1,
		"jeroboam_api_request_duration_seconds GET /v1/clusters":           1,
		"jeroboam_api_request_duration_seconds GET /v1/clusters/{cluster}": 2,
		"jeroboam_api_request_duration_seconds other unknown":              1,
		"jeroboam_api_requests_in_flight ":                                 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("routes are patterns, not paths, and invented methods have no name: " + diff)
	}
}

func labelsOf(m *dto.Metric) string {
	var values []string
	for _, l := range m.GetLabel() {
		values = append(values, l.GetValue())
	}
	return strings.Join(values, " ")
}

// TestProxyHeaders: links lead back the way the client came, and nobody but a proxy of the operator's can bend them.
func TestProxyHeaders(t *testing.T) {
	believe := api.Proxies{Believe: true}
	ours := api.Proxies{Believe: true, From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}} // httptest's clients are 192.0.2.1
	others := api.Proxies{Believe: true, From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	cases := map[string]struct {
		reason  string
		proxies api.Proxies
		headers []string
		want    string
		remote  string
	}{
		"off":         {"Believing is the operator's choice.", api.Proxies{}, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, "http://H", "192.0.2.1:1234"},
		"haproxy":     {"What OpenStack-Ansible's load balancer sends.", believe, []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 198.51.100.7"}, "https://H", "198.51.100.7"},
		"host":        {"The name the client used.", believe, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: api.example.org:9511"}, "https://api.example.org:9511", "192.0.2.1:1234"},
		"chain":       {"The first proxy stood before the client.", believe, []string{"X-Forwarded-Proto: https, http", "X-Forwarded-Host: a.example, b.example", "X-Forwarded-For: 1.1.1.1, 2.2.2.2"}, "https://a.example", "1.1.1.1"},
		"rfc 7239":    {"The standard's header wins.", believe, []string{`Forwarded: for="[2001:db8::7]";proto=https;host="c.example:443", for=10.0.0.1;proto=http`, "X-Forwarded-Proto: http"}, "https://c.example:443", "[2001:db8::7]"},
		"prefix":      {"A path in front of the API.", believe, []string{"X-Forwarded-Proto: https", "X-Forwarded-Prefix: /container-infra/"}, "https://H/container-infra", "192.0.2.1:1234"},
		"trusted":     {"It came from a proxy of ours.", ours, []string{"X-Forwarded-Proto: https"}, "https://H", "192.0.2.1:1234"},
		"not trusted": {"It came from somewhere else.", others, []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 1.1.1.1"}, "http://H", "192.0.2.1:1234"},
		"nonsense":    {"No scheme, no host, no path.", believe, []string{"X-Forwarded-Proto: javascript", `X-Forwarded-Host: a"b`, "X-Forwarded-Prefix: //evil.example"}, "http://H", "192.0.2.1:1234"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(o *api.Options) { o.Config.Proxies = tc.proxies })
			got := s.must(t, 200, "", "GET", "/", "", tc.headers...)
			if !strings.Contains(got.text, `"`+tc.want+`/v1/"`) {
				t.Errorf("%s: links should begin with %s: %s", tc.reason, tc.want, got.text)
			}
			if !strings.Contains(s.log.String(), `"remote":"`+tc.remote+`"`) {
				t.Errorf("%s: the log should name %s: %s", tc.reason, tc.remote, s.log.String())
			}
		})
	}
}

// TestBigBodies: a request cannot make the service read without end.
func TestBigBodies(t *testing.T) {
	s := newService(t)
	huge := `{"name":"` + strings.Repeat("a", 10<<20) + `"}`
	if got := s.send(t, "member", "POST", "/v1/clusters", huge); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("10 MB: got %d, want 413: %.200s", got.status, got.text)
	}
	var labels strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&labels, `,"%x":1`, i)
	}
	many := `{"cluster_template_id":"x","labels":{` + labels.String()[1:] + `}}`
	for size, want := range map[int64]int{1 << 20: 413, 16 << 20: 400} {
		s := newService(t, func(o *api.Options) { o.Config.MaxBodyBytes = size })
		if int64(len(many)) < size && want == 413 {
			want = 400
		}
		if got := s.send(t, "member", "POST", "/v1/clusters", many); got.status != want {
			t.Errorf("100,000 labels with bodies up to %d: got %d, want %d: %.200s", size, got.status, want, got.text)
		}
	}
}

// TestSlowBody: a client that sends without end in sight does not hold a request for longer than a request may take.
func TestSlowBody(t *testing.T) {
	s := newService(t, func(o *api.Options) { o.Config.RequestTimeout = 50 * time.Millisecond })
	server := httptest.NewServer(s.handler)
	defer server.Close()
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/clusters", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", "member")
	answer, err := server.Client().Do(r)
	if err != nil {
		return // the connection was cut
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %d", answer.StatusCode)
	}
}
