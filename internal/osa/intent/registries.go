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

// Registry is how nodes pull from one registry: an entry of containerd_registries, by the registry's name in images
// ("quay.io").
type Registry struct {
	// Mirrors are URLs that are asked before the registry itself, in order.
	Mirrors []string `json:"mirrors"`
	// CA are authorities, PEM, that the mirrors' certificates (without mirrors, the registry's) may be of, beside the
	// node's own.
	CA string `json:"ca"`
	// Username and Password are for the mirrors, or without them for the registry: Basic authorization.
	Username string `json:"username"`
	Password Secret `json:"password"`
}

// isRegistry is a registry as images name it: host, with a port perhaps.
var isRegistry = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]+)?$`) //nolint:gochecknoglobals // compiled once

// registries reads containerd_registries, which is Jeroboam's own.
func (s *scope) registries(path, name string) map[string]Registry {
	out := map[string]Registry{}
	for _, e := range s.mapping(path, name).Entries() {
		registry := fmt.Sprint(e.Key)
		entry, ok := e.Value.(*osa.Map)
		if !ok {
			s.wrong(name, nil, "a mapping of registries to mirrors, ca, username and password")
			continue
		}
		one, password := Registry{Mirrors: []string{}}, ""
		s.settings(path, name+" of "+s.r.show(path, registry), "registry-invalid", "mirrors, ca, username and password", entry, map[string]setting{
			"mirrors":  func(v osa.Value) (ok bool) { one.Mirrors, ok = asTexts(v); return ok },
			"ca":       ofText(&one.CA),
			"username": ofText(&one.Username),
			"password": s.ofSecret(&password),
		})
		one.Password = NewSecret(password)
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
