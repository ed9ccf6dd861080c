package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// clusterAnswer is what object.clusterFull writes, as a struct for encoding/json. It is here to weigh the two against
// each other (docs/decisions/0033), and to hold the hand-made writer to the bytes of the library.
type clusterAnswer struct {
	UUID               string            `json:"uuid"`
	Name               string            `json:"name"`
	ClusterTemplateID  string            `json:"cluster_template_id"`
	Keypair            *string           `json:"keypair"`
	NodeCount          int               `json:"node_count"`
	MasterCount        int               `json:"master_count"`
	DockerVolumeSize   *int              `json:"docker_volume_size"`
	Labels             map[string]string `json:"labels"`
	MasterFlavorID     *string           `json:"master_flavor_id"`
	FlavorID           *string           `json:"flavor_id"`
	CreateTimeout      int               `json:"create_timeout"`
	Links              [2]linkAnswer     `json:"links"`
	ClusterID          *string           `json:"cluster_id,omitempty"`
	StackID            *string           `json:"stack_id,omitempty"`
	Status             string            `json:"status"`
	HealthStatus       *string           `json:"health_status"`
	MergeLabels        bool              `json:"merge_labels"`
	StatusReason       *string           `json:"status_reason"`
	HealthStatusReason map[string]string `json:"health_status_reason"`
	DiscoveryURL       *string           `json:"discovery_url"`
	APIAddress         *string           `json:"api_address"`
	COEVersion         *string           `json:"coe_version"`
	ContainerVersion   *string           `json:"container_version"`
	ProjectID          string            `json:"project_id"`
	UserID             string            `json:"user_id"`
	NodeAddresses      []string          `json:"node_addresses"`
	MasterAddresses    []string          `json:"master_addresses"`
	FixedNetwork       *string           `json:"fixed_network"`
	FixedSubnet        *string           `json:"fixed_subnet"`
	FloatingIPEnabled  bool              `json:"floating_ip_enabled"`
	MasterLBEnabled    bool              `json:"master_lb_enabled"`
	LabelsOverridden   map[string]string `json:"labels_overridden"`
	LabelsAdded        map[string]string `json:"labels_added"`
	LabelsSkipped      map[string]string `json:"labels_skipped"`
	CreatedAt          *string           `json:"created_at"`
	UpdatedAt          *string           `json:"updated_at"`
}

type linkAnswer struct {
	Href string `json:"href"`
	Rel  string `json:"rel"`
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func dateAnswer(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(dateFormat)
	return &s
}

func answerOf(base string, k *magnum.Cluster) *clusterAnswer {
	overridden, added, skipped := map[string]string{}, map[string]string{}, map[string]string{}
	for name, v := range k.Labels {
		if was, ok := k.Template.Labels[name]; !ok {
			added[name] = v
		} else if was != v {
			overridden[name] = was
		}
	}
	for name, v := range k.Template.Labels {
		if _, ok := k.Labels[name]; !ok {
			skipped[name] = v
		}
	}
	a := &clusterAnswer{
		UUID: k.UUID, Name: k.Name, ClusterTemplateID: k.ClusterTemplateID, Keypair: nullable(k.Keypair), NodeCount: k.NodeCount,
		MasterCount: k.MasterCount, Labels: k.Labels, MasterFlavorID: nullable(k.MasterFlavorID), FlavorID: nullable(k.FlavorID),
		CreateTimeout: k.CreateTimeout, ClusterID: nullable(k.StackID), Status: string(k.Status), HealthStatus: nullable(string(k.Health)),
		Links:        [2]linkAnswer{{base + "/v1/clusters/" + k.UUID, "self"}, {base + "/clusters/" + k.UUID, "bookmark"}},
		StatusReason: nullable(k.StatusReason), HealthStatusReason: k.HealthReason, DiscoveryURL: nullable(k.DiscoveryURL),
		APIAddress: nullable(k.APIAddress), COEVersion: nullable(k.COEVersion), ContainerVersion: nullable(k.ContainerVersion),
		ProjectID: k.ProjectID, UserID: k.UserID, NodeAddresses: k.NodeAddresses, MasterAddresses: k.MasterAddresses,
		FixedNetwork: nullable(k.FixedNetwork), FixedSubnet: nullable(k.FixedSubnet), FloatingIPEnabled: k.FloatingIPEnabled,
		MasterLBEnabled: k.MasterLBEnabled, LabelsOverridden: overridden, LabelsAdded: added, LabelsSkipped: skipped,
		CreatedAt: dateAnswer(k.CreatedAt), UpdatedAt: dateAnswer(k.UpdatedAt),
	}
	if k.DockerVolumeSize > 0 {
		a.DockerVolumeSize = &k.DockerVolumeSize
	}
	return a
}

// shownClusters are clusters of the usual kind, and one with every character that JSON must escape.
func shownClusters(n int) []*magnum.Cluster {
	at := time.Date(2026, 11, 23, 7, 9, 44, 0, time.UTC)
	var out []*magnum.Cluster
	for i := range n {
		labels := map[string]string{
			"kube_tag": "v1.34.1", "auto_healing_enabled": "True", "auto_scaling_enabled": "False", "calico_ipv4pool": "10.100.0.0/16",
			"boot_volume_size": "50", "octavia_provider": "ovn", "availability_zone": "nova", "container_infra_prefix": "registry.example.org/",
		}
		out = append(out, &magnum.Cluster{
			UUID: fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", i), Name: fmt.Sprintf("cluster-%d", i), ProjectID: "demo", UserID: "demo-user",
			ClusterTemplateID: "018f3c1e-0000-7000-8000-ffffffffffff", StackID: "kube-abcde", Keypair: "key", Labels: labels,
			Template:       magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{Labels: map[string]string{"kube_tag": "v1.34.0", "x": "y"}}},
			MasterFlavorID: "m1.medium", FlavorID: "m1.large", CreateTimeout: 60, FloatingIPEnabled: true, MasterLBEnabled: true, MasterCount: 3,
			NodeCount: 5, Status: magnum.CreateComplete, Health: magnum.Healthy, APIAddress: "https://203.0.113.10:6443", COEVersion: "v1.34.1",
			HealthReason:  map[string]string{"api": "ok", "kube-abcde-1.Ready": "True", "kube-abcde-2.Ready": "True"},
			NodeAddresses: []string{"10.0.0.11", "10.0.0.12"}, MasterAddresses: []string{"10.0.0.5"}, CreatedAt: at, UpdatedAt: at,
		})
	}
	return out
}

func byHand(c *call, list []*magnum.Cluster) []byte {
	return writeList(c, "clusters", paged[*magnum.Cluster]{items: list}, func(o *object, k *magnum.Cluster) { o.clusterFull(c, k) }).body
}

// byLibrary writes the same with encoding/json, into a buffer that is used again, as the other one's is.
func byLibrary(tb testing.TB, out *bytes.Buffer, list []*magnum.Cluster) []byte {
	tb.Helper()
	answers := make([]*clusterAnswer, len(list))
	for i, k := range list {
		answers[i] = answerOf("http://magnum:9511", k)
	}
	out.Reset()
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any{"clusters": answers}); err != nil {
		tb.Fatal(err)
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func writing() *call {
	return &call{base: "http://magnum:9511", version: 14, buffer: new([]byte)}
}

// TestAnswersAreJSON: what is written by hand is, byte for byte, what encoding/json makes of the same.
func TestAnswersAreJSON(t *testing.T) {
	list := shownClusters(3)
	list[1].Keypair, list[1].Health, list[1].DockerVolumeSize, list[1].CreatedAt = "", "", 7, time.Time{}
	list[1].Labels, list[1].NodeAddresses, list[1].HealthReason = map[string]string{}, []string{}, map[string]string{}
	list[2].Name = "\"\\/\b\f\n\r\t\x00\x1f<>&'\u00e9\U0001f600\x7f\xff"
	list[2].StatusReason, list[2].Labels["\n"] = "{\"a\": [1]}", "\xc3\x28"
	want := byLibrary(t, &bytes.Buffer{}, list)
	var hand, library any
	got := byHand(writing(), list)
	if err := json.Unmarshal(got, &hand); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, got)
	}
	if err := json.Unmarshal(want, &library); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(library, hand); diff != "" {
		t.Error(diff)
	}
	// The library writes \b and \f; but for those, the bytes are the same.
	same := strings.NewReplacer(`\b`, `\u0008`, `\f`, `\u000c`)
	if diff := cmp.Diff(same.Replace(string(want)), same.Replace(string(got))); diff != "" {
		t.Errorf("the bytes differ: %s", diff)
	}
}

// BenchmarkAnswers weighs the hand-made writer against encoding/json with structs and tags: detailed answers about a
// hundred clusters.
func BenchmarkAnswers(b *testing.B) {
	list := shownClusters(100)
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		c := writing()
		for b.Loop() {
			b.SetBytes(int64(len(byHand(c, list))))
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		var out bytes.Buffer
		for b.Loop() {
			b.SetBytes(int64(len(byLibrary(b, &out, list))))
		}
	})
}
