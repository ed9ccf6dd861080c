package node

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// certsDir has a directory for each registry; containerd reads it anew for each image (docs/hosts.md of its
// repository).
const certsDir = "/etc/containerd/certs.d"

// registryItems say how containerd pulls from the registries that the operator names. What a deployment installs is
// imported and never pulled; what operators run beside it is.
func registryItems(c intent.Containerd) []host.Item {
	var out []host.Item
	dir := func(registry string) string { return certsDir + "/" + registry }
	for _, registry := range slices.Sorted(maps.Keys(c.Registries)) {
		one := c.Registries[registry]
		out = append(out, host.Item{File: &host.File{Path: dir(registry), Dir: true}})
		if one.CA != "" {
			out = append(out, host.Item{File: &host.File{Path: dir(registry) + "/ca.crt", Content: strings.TrimSpace(one.CA) + "\n"}})
		}
		hosts := host.File{Path: dir(registry) + "/hosts.toml", Content: hostsText(registry, one)}
		if one.Password.Set() {
			hosts.Mode, hosts.Secret = 0o600, true
		}
		out = append(out, host.Item{File: &hosts})
	}
	for _, registry := range slices.Sorted(slices.Values(c.InsecureRegistries)) {
		out = append(
			out,
			host.Item{File: &host.File{Path: dir(registry), Dir: true}},
			host.Item{File: &host.File{
				Path:    dir(registry) + "/hosts.toml",
				Content: host.Mark + fmt.Sprintf("server = %[1]q\n\n[host.%[1]q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+registry),
			}},
		)
	}
	return out
}

// hostsText is the hosts.toml of a registry with its mirrors, or of the registry alone.
func hostsText(registry string, one intent.Registry) string {
	server := "https://" + registry
	if registry == "docker.io" {
		server = "https://registry-1.docker.io" // docker.io is a name, and this the registry
	}
	urls := one.Mirrors
	if len(urls) == 0 {
		urls = []string{server}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%sserver = %q\n", host.Mark, server)
	for _, u := range urls {
		fmt.Fprintf(&text, "\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", u)
		if parsed, err := url.Parse(u); err == nil && strings.Trim(parsed.Path, "/") != "" {
			text.WriteString("  override_path = true\n") // the URL is whole: nothing is put after it but the image's name
		}
		if one.CA != "" {
			fmt.Fprintf(&text, "  ca = %q\n", certsDir+"/"+registry+"/ca.crt")
		}
		if one.Password.Set() {
			token := base64.StdEncoding.EncodeToString([]byte(one.Username + ":" + one.Password.Reveal()))
			fmt.Fprintf(&text, "  [host.%q.header]\n    authorization = %q\n", u, "Basic "+token)
		}
	}
	return text.String()
}
