package api_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
)

var makeCSR = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
	}, key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
})

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// TestRoleMatrix is the contract's section A10 as it was measured: a cluster of demo/demo-user, asked for by an
// administrator of another project, by its owner, by a reader of its project, and, beyond the measurement, by a member
// of another project and by another member of its own. Rotations end in our honest 400 where Magnum says 202.
func TestRoleMatrix(t *testing.T) {
	callers := []string{"admin", "member", "reader", "other", "second"}
	cases := []struct {
		reason       string
		method, path string
		body         string
		want         [5]int
	}{
		{"list", "GET", "/v1/clusters", "", [5]int{200, 200, 200, 200, 200}},
		{"detail", "GET", "/v1/clusters/detail", "", [5]int{200, 200, 200, 200, 200}},
		{"one: others do not see it", "GET", "/v1/clusters/K", "", [5]int{200, 200, 200, 404, 200}},
		{"node groups", "GET", "/v1/clusters/K/nodegroups", "", [5]int{200, 200, 200, 404, 200}},
		{"a node group", "GET", "/v1/clusters/K/nodegroups/default-worker", "", [5]int{200, 200, 200, 404, 200}},
		{"templates", "GET", "/v1/clustertemplates", "", [5]int{200, 200, 200, 200, 200}},
		{"a template", "GET", "/v1/clustertemplates/T", "", [5]int{200, 200, 200, 404, 200}},
		{"stats", "GET", "/v1/stats", "", [5]int{200, 200, 200, 200, 200}},
		{"stats of demo", "GET", "/v1/stats?project_id=demo", "", [5]int{200, 200, 200, 403, 200}},
		{"federations", "GET", "/v1/federations", "", [5]int{200, 200, 200, 200, 200}},
		{"patch cluster", "PATCH", "/v1/clusters/K", `[{"op":"replace","path":"/node_count","value":3}]`, [5]int{202, 202, 403, 404, 202}},
		{"upgrade", "POST", "/v1/clusters/K/actions/upgrade", `{"cluster_template":"T"}`, [5]int{202, 202, 403, 404, 202}},
		{"delete cluster", "DELETE", "/v1/clusters/K", "", [5]int{204, 204, 403, 404, 204}},
		{"resize: an administrator's lookup stays in their project", "POST", "/v1/clusters/K/actions/resize", `{"node_count":3}`, [5]int{404, 202, 403, 404, 202}},
		{"new node group", "POST", "/v1/clusters/K/nodegroups", `{"name":"more"}`, [5]int{404, 202, 403, 404, 202}},
		{"patch node group", "PATCH", "/v1/clusters/K/nodegroups/default-worker", `[{"op":"replace","path":"/max_node_count","value":5}]`, [5]int{404, 202, 403, 404, 202}},
		{"patch template", "PATCH", "/v1/clustertemplates/T", `[{"op":"replace","path":"/name","value":"n"}]`, [5]int{404, 200, 403, 404, 200}},
		{"get certificate: only the cluster's user", "GET", "/v1/certificates/K", "", [5]int{404, 200, 403, 404, 403}},
		{"rotate certificates", "PATCH", "/v1/certificates/K", "", [5]int{404, 400, 403, 404, 400}},
		{"rotate credential", "PATCH", "/v1/credentials/K", "", [5]int{404, 202, 403, 404, 202}},
		{"sign: the cluster is part of the input", "POST", "/v1/certificates", `{"cluster_uuid":"K","csr":CSR}`, [5]int{400, 201, 403, 400, 403}},
		{"quotas", "GET", "/v1/quotas", "", [5]int{200, 403, 403, 403, 403}},
		{"services", "GET", "/v1/mservices", "", [5]int{200, 403, 403, 403, 403}},
		{"a quota", "GET", "/v1/quotas/demo/Cluster", "", [5]int{200, 200, 200, 403, 200}},
		{"new quota", "POST", "/v1/quotas", `{"project_id":"demo","hard_limit":5}`, [5]int{201, 403, 403, 403, 403}},
		{"new template", "POST", "/v1/clustertemplates", goodTemplate, [5]int{201, 201, 403, 201, 201}},
		{"delete node group", "DELETE", "/v1/clusters/K/nodegroups/nothing", "", [5]int{404, 404, 403, 404, 404}},
	}
	for _, tc := range cases {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			for i, caller := range callers {
				s := newService(t)
				k := s.cluster(t, "k")
				template := s.clusters[0].ClusterTemplateID
				put := strings.NewReplacer("/K", "/"+k, `"K"`, `"`+k+`"`, "/T", "/"+template, `"T"`, `"`+template+`"`, "CSR", quoted(makeCSR())).Replace
				got := s.send(t, caller, tc.method, put(tc.path), put(tc.body))
				if got.status != tc.want[i] {
					t.Errorf("%s as %s: got %d, want %d: %s", tc.reason, caller, got.status, tc.want[i], got.text)
				}
				if got.status == 403 && tc.path == "/v1/clusters/K" && !strings.HasPrefix(got.detail(), "Policy doesn't allow ") {
					t.Errorf("the sentence is Magnum's, got %q", got.detail())
				}
			}
		})
	}
}

func TestListsShowOnlyWhatIsAllowed(t *testing.T) {
	s := newService(t)
	s.cluster(t, "demo-1")
	for caller, want := range map[string]int{"member": 1, "reader": 1, "other": 0, "admin": 1} {
		for _, path := range []string{"/v1/clusters", "/v1/clusters/detail"} {
			if got := len(s.must(t, 200, caller, "GET", path, "").names("clusters")); got != want {
				t.Errorf("%s as %s: got %d clusters, want %d", path, caller, got, want)
			}
		}
	}
	stats := func(caller, query string) string { return s.must(t, 200, caller, "GET", "/v1/stats"+query, "").text }
	if got := stats("admin", "") + stats("other", "") + stats("admin", "?project_id=other"); got !=
		`{"clusters":1,"nodes":3}{"clusters":0,"nodes":0}{"clusters":0,"nodes":0}` {
		t.Errorf("stats count masters, and everything for an administrator: %s", got)
	}
	if got := s.send(t, "member", "GET", "/v1/stats?type=pods", ""); got.status != 400 {
		t.Errorf("only clusters are counted, got %d", got.status)
	}
}

// TestPublicTemplates: public ones are for everybody's eyes, hidden ones are not, and only an administrator may
// publish.
func TestPublicTemplates(t *testing.T) {
	s := newService(t)
	public := strings.Replace(goodTemplate, `{`, `{"public":"true",`, 1)
	if got := s.send(t, "member", "POST", "/v1/clustertemplates", public); got.status != 403 ||
		got.detail() != "Not authorized to set public or hidden flag for cluster template." {
		t.Fatalf("members do not publish, got %d %s", got.status, got.text)
	}
	id := s.must(t, 201, "admin", "POST", "/v1/clustertemplates", public).str("uuid")
	s.must(t, 200, "reader", "GET", "/v1/clustertemplates/"+id, "")
	s.must(t, 403, "member", "PATCH", "/v1/clustertemplates/"+id, `[{"op":"replace","path":"/name","value":"mine"}]`)
	s.must(t, 202, "member", "POST", "/v1/clusters", fmt.Sprintf(`{"cluster_template_id":%q}`, id))
	s.must(t, 400, "admin", "PATCH", "/v1/clustertemplates/"+id, `[{"op":"replace","path":"/flavor_id","value":"large"}]`)
	s.must(t, 200, "admin", "PATCH", "/v1/clustertemplates/"+id, `[{"op":"replace","path":"/hidden","value":"True"}]`)
	s.must(t, 404, "member", "GET", "/v1/clustertemplates/"+id, "")
	s.must(t, 400, "admin", "DELETE", "/v1/clustertemplates/"+id, "")
	own := s.template(t)
	s.must(t, 403, "member", "PATCH", "/v1/clustertemplates/"+own, `[{"op":"replace","path":"/public","value":true}]`)
	s.must(t, 204, "member", "DELETE", "/v1/clustertemplates/"+own, "")
}
