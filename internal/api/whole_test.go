package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestAllThatIsWrongAtOnce: what Magnum meets first decides the status and is told first, and everything else follows
// in the same refusal, once each.
func TestAllThatIsWrongAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, body string
		status       int
		told         []string // in this order
	}{
		"names": {
			"Each that the cloud does not have.", `"flavor_id":"lost","fixed_network":"lost-net","keypair":"nope"`, 400,
			[]string{"Unable to find flavor lost.", "Unable to find network lost-net.", "Unable to find keypair nope."},
		},
		"labels and names": {
			"What has no effect, what is too old, and what is not there.",
			`"fixed_network":"lost-net","keypair":"nope","merge_labels":true,"labels":{"kube_tag":"v1.19.0","boot_volume_type":"fast","octavia_provider":"f5"}`, 400,
			[]string{
				"Label kube_tag is v1.19.0.", `Label boot_volume_type is "fast" and has no effect`, "Unable to find network lost-net.",
				`Label boot_volume_type is "fast", which is no volume type.`, `Label octavia_provider is "f5"`, "Unable to find keypair nope.",
			},
		},
		"wrong values": {
			"What they would say is left out, and nothing is made of it.",
			`"flavor_id":"diskless","fixed_subnet":"pods","keypair":"nope","merge_labels":true,"labels":{"boot_volume_size":"big","calico_ipv4pool":"x"}`, 400,
			[]string{`Label boot_volume_size is "big"`, `Label calico_ipv4pool is "x"`, "Unable to find keypair nope."},
		},
		"key pair": {"Alone it is Magnum's 404.", `"keypair":"nope"`, 404, []string{"Unable to find keypair nope."}},
		"masters": {
			"Before and after the cloud is asked.", `"master_count":2,"master_lb_enabled":false,"flavor_id":"lost"`, 400,
			[]string{"master nodegroup size of 2 is invalid", "Unable to find flavor lost.", "master_count must be 1"},
		},
	} {
		s := newService(t)
		got := s.must(t, tc.status, "member", "POST", "/v1/clusters", fmt.Sprintf(`{"cluster_template_id":"%s",%s}`, s.template(t), tc.body))
		tells(t, name+": "+tc.reason, got.detail(), tc.told...)
		if name == "wrong values" && (strings.Contains(got.detail(), "Subnet") || strings.Contains(got.detail(), "disk")) {
			t.Errorf("%s: %s", tc.reason, got.detail())
		}
	}

	s := newService(t)
	got := s.must(t, 400, "member", "POST", "/v1/clustertemplates",
		`{"coe":"swarm","network_driver":"flannel","image_id":"lost","flavor_id":"lost","labels":{"boot_volume_size":"big","octavia_provider":"f5"}}`)
	tells(t, "a template", got.detail(), "Requested COE type swarm", "Network driver type flannel", "Label boot_volume_size", "Unable to find flavor lost.",
		"Image lost could not be found.", "Label octavia_provider")
	got = s.must(t, 400, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","network_driver":"calico","image_id":"lost","flavor_id":"lost"}`)
	tells(t, "an image that is asked for twice", got.detail(), "Image lost could not be found.", "Unable to find flavor lost.")
	id := s.template(t)
	got = s.must(t, 400, "member", "PATCH", "/v1/clustertemplates/"+id,
		`[{"op":"replace","path":"/flavor_id","value":"lost"},{"op":"add","path":"/labels/boot_volume_size","value":"big"}]`)
	tells(t, "a patch", got.detail(), "Label boot_volume_size", "Unable to find flavor lost.")
	s.cluster(t, "k")
	got = s.must(t, 400, "member", "POST", "/v1/clusters/k/nodegroups",
		`{"name":"more","flavor_id":"lost","image_id":"lost","merge_labels":true,"labels":{"boot_volume_size":"big","availability_zone":"mars"}}`)
	tells(t, "a node group", got.detail(), "Label boot_volume_size", "Unable to find flavor lost.", "Image lost could not be found.", "Label availability_zone")
	s.become(s.clusters[0].UUID, func(c *magnum.Cluster) { c.MasterLBEnabled = false })
	got = s.must(t, 400, "member", "POST", "/v1/clusters/k/actions/resize", `{"nodegroup":"default-master","node_count":300}`)
	tells(t, "a resize", got.detail(), "master nodegroup size of 300", "master_count must be 1", "The network 10.0.0.0/24 has room")
}

// tells wants sentences that begin so, each once, in this order, and as many as there are.
func tells(t *testing.T, what, detail string, told ...string) {
	t.Helper()
	at := 0
	for _, want := range told {
		i := strings.Index(detail[at:], want)
		if i < 0 || strings.Count(detail, want) != 1 {
			t.Errorf("%s: %q is not told, once and in its place: %s", what, want, detail)
			continue
		}
		at += i + len(want)
	}
}
