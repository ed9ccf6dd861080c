package intent

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Registry is how nodes pull from one registry: an entry of containerd_registries, by the registry's name in images ("quay.io").
type Registry struct {
	// Mirrors are URLs that are asked before the registry itself, in order.
	Mirrors []string `json:"mirrors"`
	// CA are authorities, PEM, that the mirrors' certificates (without mirrors, the registry's) may be of, beside the node's own.
	CA string `json:"ca"`
	// Username and Password are for the mirrors, or without them for the registry: Basic authorization.
	Username string `json:"username"`
	Password Secret `json:"password"`
}

// isRegistry is a registry as images name it: host, with a port perhaps.
var isRegistry = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]+)?$`) //nolint:gochecknoglobals // compiled once

// registries reads containerd_registries, which is Jeroboam's own. What is in an entry and means nothing is a mistake of somebody
// who counts on it.
func (s *scope) registries(path, name string) map[string]Registry {
	out := map[string]Registry{}
	for _, e := range s.mapping(path, name).Entries() {
		registry := fmt.Sprint(e.Key)
		entry, ok := e.Value.(*osa.Map)
		if !ok {
			s.wrong(name, nil, "a mapping of registries to mirrors, ca, username and password")
			continue
		}
		one := Registry{Mirrors: []string{}}
		for _, setting := range entry.Entries() {
			text, isText := asText(setting.Value)
			switch fmt.Sprint(setting.Key) {
			case "mirrors":
				if one.Mirrors, isText = asTexts(setting.Value); one.Mirrors == nil {
					one.Mirrors = []string{}
				}
			case "ca":
				one.CA = text
			case "username":
				one.Username = text
			case "password":
				one.Password = NewSecret(text)
			default:
				s.r.fail("registry-invalid", s.r.at(path), "it has mirrors, ca, username and password", "%s of %s has %s, which means nothing",
					name, s.r.show(path, registry), s.r.show(path, fmt.Sprint(setting.Key)))
				continue
			}
			if !isText {
				s.wrong(name, nil, "text for each setting of a registry, and a list of URLs for its mirrors")
			}
		}
		out[registry] = one
	}
	return out
}

// checkRegistries finds what containerd would not understand, or would send to somebody in clear.
func (r *reader) checkRegistries() {
	const name = "containerd_registries"
	at := r.at("containerd.registries")
	for _, registry := range slices.Sorted(maps.Keys(r.in.Containerd.Registries)) {
		one := r.in.Containerd.Registries[registry]
		fail := func(fix, format string, args ...any) {
			r.fail("registry-invalid", at, fix, "%s of %s: %s", name, r.show("containerd.registries", registry), fmt.Sprintf(format, args...))
		}
		if !isRegistry.MatchString(registry) {
			fail("write host[:port] as images have it: quay.io, harbor.example.com:5000", "it is no registry")
		}
		if slices.Contains(r.in.Containerd.InsecureRegistries, registry) {
			fail("take it out of one of them", "it is in containerd_insecure_registries as well, which says plain HTTP")
		}
		for i, mirror := range one.Mirrors {
			u, err := url.Parse(mirror)
			switch {
			case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
				fail("write a URL with scheme and host", "mirror %d is no URL of a registry", i+1)
			case u.User != nil:
				fail("use username and password", "mirror %d has a user in its URL, which everybody could read", i+1)
			case u.Scheme == "http" && one.Password.Set():
				fail("use https", "mirror %d would be sent the password in clear", i+1)
			}
		}
		if one.CA != "" {
			if block, _ := pem.Decode([]byte(one.CA)); block == nil || block.Type != "CERTIFICATE" {
				fail("give the certificates themselves, in PEM: lookup('file', ...) reads a file", "ca is no certificate")
			}
		}
		if (one.Username == "") != !one.Password.Set() || strings.ContainsAny(one.Username, ":\n") {
			fail("give both; a user has no colon in its name", "username and password do not fit each other")
		}
		if len(one.Mirrors) == 0 && one.CA == "" && one.Username == "" {
			fail("give mirrors, ca, or username and password", "it says nothing")
		}
	}
}
