package node_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// TestRegistries: what the operator says of registries is what containerd reads, and credentials are nobody else's
// business.
func TestRegistries(t *testing.T) {
	in := deploytest.Seed(t)
	in.Containerd.InsecureRegistries = []string{"plain:5000"}
	in.Containerd.Registries = map[string]intent.Registry{
		"docker.io":      {Mirrors: []string{"https://harbor.example.com/v2/hub", "https://second"}, CA: "-----BEGIN CERTIFICATE-----\n", Username: "robot", Password: intent.NewSecret("hunter2!")},
		"r.example:5000": {CA: "-----BEGIN CERTIFICATE-----\n"},
	}
	w := deploytest.Want(t, in, deploytest.Facts(in))
	files := map[string]host.File{}
	for _, i := range w.Items {
		if i.File != nil && i.Place == w.Intent.Nodes[0].Name && strings.HasPrefix(i.File.Path, "/etc/containerd/certs.d/") && !i.File.Dir {
			files[strings.TrimPrefix(i.File.Path, "/etc/containerd/certs.d/")] = *i.File
		}
	}
	token := base64.StdEncoding.EncodeToString([]byte("robot:hunter2!"))
	texts := map[string]string{}
	for name, f := range files {
		texts[name] = f.Content
		if secret := strings.Contains(f.Content, token); secret != f.Secret || secret && f.Mode != 0o600 {
			t.Errorf("%s: secret %v, mode %o", name, f.Secret, f.Mode)
		}
	}
	host := func(url, rest string) string {
		return "\n[host.\"" + url + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n" + rest
	}
	auth := func(url string) string {
		return "  [host.\"" + url + "\".header]\n    authorization = \"Basic " + token + "\"\n"
	}
	const ours, ca = "# Written by jeroboam deploy.\n", "  ca = \"/etc/containerd/certs.d/"
	if diff := cmp.Diff(map[string]string{
		"docker.io/ca.crt": "-----BEGIN CERTIFICATE-----\n", "r.example:5000/ca.crt": "-----BEGIN CERTIFICATE-----\n",
		"docker.io/hosts.toml": ours + "server = \"https://registry-1.docker.io\"\n" +
			host("https://harbor.example.com/v2/hub", "  override_path = true\n"+ca+"docker.io/ca.crt\"\n"+auth("https://harbor.example.com/v2/hub")) +
			host("https://second", ca+"docker.io/ca.crt\"\n"+auth("https://second")),
		"r.example:5000/hosts.toml": ours + "server = \"https://r.example:5000\"\n" + host("https://r.example:5000", ca+"r.example:5000/ca.crt\"\n"),
		"plain:5000/hosts.toml":     ours + "server = \"http://plain:5000\"\n" + host("http://plain:5000", ""),
	}, texts); diff != "" {
		t.Error(diff)
	}
}
