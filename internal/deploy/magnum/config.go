package magnum

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// section is one of magnum.conf.
type section struct {
	name    string
	options []option
}

type option struct{ name, value string }

// Config is magnum.conf as the role os_magnum makes it from the same variables (openstack-ansible-os_magnum,
// templates/magnum.conf.j2), then magnum_config_overrides. Of the role's own options those are left out that only parts
// which are not there would read, database, message queue, Heat, trustee: a password that nobody reads is not written.
// What the operator overrides stays, whether it has a meaning here or not.
func Config(in intent.Intent, h intent.MagnumHost) string {
	sections := ofRole(in, h)
	for _, name := range slices.Sorted(maps.Keys(in.Magnum.ConfigOverrides)) {
		for _, key := range slices.Sorted(maps.Keys(in.Magnum.ConfigOverrides[name])) {
			sections = set(sections, name, key, in.Magnum.ConfigOverrides[name][key])
		}
	}
	var b strings.Builder
	b.WriteString(host.Mark)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n[%s]\n", s.name)
		for _, o := range s.options {
			for _, value := range strings.Split(o.value, "\n") { // more than one: an option that is repeated
				fmt.Fprintf(&b, "%s = %s\n", o.name, value)
			}
		}
	}
	return b.String()
}

// set changes an option where it stands, or adds it.
func set(to []section, name, key, value string) []section {
	i := slices.IndexFunc(to, func(s section) bool { return s.name == name })
	if i < 0 {
		return append(to, section{name, []option{{key, value}}})
	}
	for n, o := range to[i].options {
		if o.name == key {
			to[i].options[n].value = value
			return to
		}
	}
	to[i].options = append(to[i].options, option{key, value})
	return to
}

func ofRole(in intent.Intent, h intent.MagnumHost) []section {
	m := in.Magnum.Service
	out := []section{
		{"DEFAULT", []option{{"debug", yes(m.Debug)}, {"host", h.ManagementAddress}}},
		{"api", []option{{"host", listen(h)}, {"port", strconv.Itoa(m.Port)}}},
		{"keystone_authtoken", []option{
			{"region_name", m.Regions["keystone_authtoken"]},
			{"www_authenticate_uri", m.WWWAuthenticateURI},
			{"auth_type", "password"},
			{"auth_version", "v3"},
			{"auth_url", m.AuthURL},
			{"insecure", yes(m.Insecure)},
			{"project_domain_name", m.ProjectDomain},
			{"user_domain_name", m.UserDomain},
			{"project_name", m.Project},
			{"username", m.User},
			{"password", m.Password.Reveal()},
			{"token_cache_time", "300"},
			{"service_type", m.Type},
		}},
	}
	if bundleOf(in) != "" {
		out = set(out, "keystone_authtoken", "cafile", authorities)
	}
	for _, name := range []string{"cinder_client", "glance_client", "neutron_client", "nova_client", "octavia_client"} {
		out = append(out, section{name, []option{{"region_name", m.Regions[name]}, {"endpoint_type", "internalURL"}}})
	}
	for _, ca := range []struct{ section, option, file string }{
		{"drivers", "openstack_ca_file", in.Magnum.DriversCAFile}, {"capi_client", "ca_file", in.Magnum.CAPIClientCAFile},
	} {
		if ca.file != "" {
			out = set(out, ca.section, ca.option, ca.file)
		}
	}
	if m.BackendSSL { // os_magnum gives it to uwsgi; these are Magnum's own options for it
		out = set(out, "api", "enabled_ssl", "True")
		out = set(out, "api", "ssl_cert_file", m.BackendTLS.Cert)
		out = set(out, "api", "ssl_key_file", m.BackendTLS.Key)
	}
	// Ours: load balancers end TLS, and links have to say https. Nobody else is believed.
	out = set(out, "oslo_middleware", "enable_proxy_headers_parsing", "True")
	return set(out, "oslo_middleware", "trusted_proxies", strings.Join(balancers(in), ","))
}

// listen is the address to listen on; what is no address of this kind is left to all.
func listen(h intent.MagnumHost) string {
	if _, err := netip.ParseAddr(h.Bind); err != nil {
		return "0.0.0.0"
	}
	return h.Bind
}

// reachedAt is where a server of Magnum is reached by others, as its configuration has it.
func reachedAt(in intent.Intent, h intent.MagnumHost) string {
	address, port := listen(h), strconv.Itoa(in.Magnum.Service.Port)
	if own, ok := in.Magnum.ConfigOverrides["api"]["host"]; ok {
		address = own
	}
	if own, ok := in.Magnum.ConfigOverrides["api"]["port"]; ok {
		port = own
	}
	if a, err := netip.ParseAddr(address); err != nil || a.IsUnspecified() {
		address = h.ManagementAddress
	}
	return net.JoinHostPort(address, port)
}

// Health is where a server of Magnum says whether it serves.
func Health(in intent.Intent, h intent.MagnumHost) string {
	scheme := "http"
	if in.Magnum.Service.BackendSSL {
		scheme = "https"
	}
	return scheme + "://" + reachedAt(in, h) + "/healthcheck"
}

func yes(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// balancers are the addresses that load balancers connect from.
func balancers(in intent.Intent) []string {
	var out []string
	add := func(text string) {
		if _, err := netip.ParseAddr(text); err == nil && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, h := range in.HAProxy.Hosts {
		add(h.ManagementAddress)
	}
	add(in.VIPs.Internal.Bind)
	return out
}

// policy is policy.yaml: the operator's rules, and nothing where he has none.
func policy(rules map[string]string) string {
	if len(rules) == 0 {
		return host.Mark
	}
	text, err := yaml.Marshal(rules)
	if err != nil {
		return host.Mark // texts by name can be written
	}
	return host.Mark + string(text)
}
