package api_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestPythonClientShowsWholeSentences reads refusals with python-magnumclient's own function: what it calls faultstring
// is all that the openstack command and Horizon show. Texts with dots in the middle were cut there.
func TestPythonClientShowsWholeSentences(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's python3-magnumclient
	const program = `
import json, sys
from magnumclient.common.httpclient import _extract_error_json_text
json.dump([_extract_error_json_text(json.loads(body)).get("faultstring") for body in json.load(sys.stdin)], sys.stdout)
`
	if err := exec.CommandContext(t.Context(), python, "-c", "import magnumclient").Run(); err != nil {
		t.Skip("this test needs Debian's python3-magnumclient")
	}
	s := newService(t)
	template := s.template(t)
	cases := []struct{ method, path, body, shown string }{
		{"POST", "/v1/clusters", `{"cluster_template_id":"` + template + `","labels":{"kube_tag":"v1"}}`, `Label kube_tag is "v1", must be a version vX.Y.Z, for example v1.34.1`},
		{"POST", "/v1/clusters", `{"cluster_template_id":"` + template + `","labels":{"a":"b"}}`, `Label kube_tag must be a version vX.Y.Z, for example v1.34.1, and is missing: labels in a request take the place of the template's, unless merge_labels is true`},
		{"POST", "/v1/clusters", `{"cluster_template_id":"no.such.template"}`, "ClusterTemplate no.such.template could not be found"},
		{
			"POST", "/v1/clusters", `{"cluster_template_id":"` + template + `","flavor_id":"m1.none"}`,
			"Unable to find flavor m1.none",
		},
		{
			"POST", "/v1/clusters", `{"cluster_template_id":"` + template + `","name":"1.x","node_count":-1}`,
			"Invalid input for field/attribute name. Value: '1.x'. Value should match the pattern ^[a-zA-Z][a-zA-Z0-9_.-]*$. " +
				"Invalid input for field/attribute node_count. Value: '-1'. Value should be greater or equal to 0",
		},
		{"GET", "/v1/clusters/no.such", "", "Cluster no.such could not be found"},
		{"POST", "/v1/clusters", `{"bogus.x":1}`, "Unknown attribute for argument cluster: bogus.x"},
		{"POST", "/v1/clusters", "", `Missing argument: "cluster"`},
		{"GET", "/v1/bays", "", "This API has no path /v1/bays"},
		{"PUT", "/v1/clusters", "{}", "The path /v1/clusters has no method PUT. It has GET, POST"},
	}
	var bodies []string
	for _, c := range cases {
		bodies = append(bodies, s.send(t, "member", c.method, c.path, c.body).text)
	}
	in, err := json.Marshal(bodies)
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), python, "-c", program)
	run.Stdin = strings.NewReader(string(in))
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	if err := json.Unmarshal(out, &shown); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if shown[i] != c.shown {
			t.Errorf("%s %s %s:\n shows %s\nwant %s", c.method, c.path, c.body, shown[i], c.shown)
		}
	}
}
