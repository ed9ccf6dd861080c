package intent

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// containers reads where the members of a group run.
func (r *reader) containers(at, group string) ([]Container, error) {
	r.from(at, Origin{Variable: group, Level: "inventory", Why: "members of the group " + group})
	out := []Container{}
	var failed []error
	for _, name := range r.inv.Members(group) {
		s, err := r.scope(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = append(out, r.container(fmt.Sprintf("%s[%d]", at, len(out)), s))
	}
	return out, errors.Join(failed...)
}

// magnum reads what the driver in Magnum is told, from Magnum's first host.
func (r *reader) magnum() error {
	m := &r.in.Magnum
	if err := r.magnumHosts(); err != nil {
		return err
	}
	s := r.first()
	if len(m.Hosts) > 0 {
		s = r.scopes[m.Hosts[0].Name]
	}
	r.in.Versions.MagnumClusterAPI = s.text("versions.magnumClusterAPI", "magnum_magnum_cluster_api_git_install_branch|magnum_capi_vexxhost_git_install_branch")
	m.DriverRepository = s.text("magnum.driverRepository", "magnum_magnum_cluster_api_git_repo|magnum_capi_vexxhost_git_repo")
	m.PipPackages = s.texts("magnum.pipPackages", "magnum_user_pip_packages")
	m.VenvTag = s.text("magnum.venvTag", "venv_tag")
	m.KubeconfigPath = "/var/lib/magnum/.kube/config"
	r.from("magnum.kubeconfigPath", Origin{Level: "default of the playbook", Why: "where the driver looks"})
	m.ConfigOverrides = r.overrides(s)
	option := func(field, section, name, fallback, why string) string {
		at := "magnum." + field
		if v, ok := m.ConfigOverrides[section][name]; ok {
			o := r.in.Origin("magnum.configOverrides." + section + "." + name)
			o.Variable = fmt.Sprintf("magnum_config_overrides.%s.%s", section, name)
			r.from(at, o)
			return v
		}
		r.from(at, Origin{Level: "default", Why: why})
		return fallback
	}
	bundle := ""
	if r.in.Generation == InTree {
		bundle = r.systemBundle(s)
	}
	m.DriversCAFile = option("driversCAFile", "drivers", "openstack_ca_file", bundle, "the trust of the system")
	m.CAPIClientCAFile = option("capiClientCAFile", "capi_client", "ca_file", bundle, "the bundle of certifi, or the system's from OpenStack-Ansible 33 on")
	m.EndpointType = option("endpointType", "capi_client", "endpoint_type", "publicURL", "magnum-cluster-api")
	m.WantedEndpointType = option("wantedEndpointType", "capi_client", "endpoint", "", "not set")
	m.NetworkDriver = option("networkDriver", "cluster_template", "kubernetes_default_network_driver", "flannel", "Magnum")
	m.NetworkDrivers = strings.Split(option("networkDrivers", "cluster_template", "kubernetes_allowed_network_drivers", "all", "Magnum"), ",")
	m.CertManagerType = option("certManagerType", "certificates", "cert_manager_type", "barbican", "Magnum")
	for i := range m.NetworkDrivers {
		m.NetworkDrivers[i] = strings.TrimSpace(m.NetworkDrivers[i])
	}
	r.magnumService(s)
	return nil
}

// systemBundle is where a system keeps its trusted certificates: os_magnum of 2026.1.
func (r *reader) systemBundle(s *scope) string {
	if r.facts(s)["os_family"] == "RedHat" {
		return "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
	}
	return "/etc/ssl/certs/ca-certificates.crt"
}

// overrides are magnum_config_overrides as config_template writes them into an INI file: a mapping is a section, a list
// is joined with commas, a scalar at the top belongs to DEFAULT.
func (r *reader) overrides(s *scope) map[string]map[string]string {
	const name, at = "magnum_config_overrides", "magnum.configOverrides"
	out := map[string]map[string]string{}
	set := func(section, option string, v osa.Value) {
		list, isList := v.(*osa.List)
		text, ok := asText(v)
		if isList {
			words, fine := asTexts(list)
			text, ok = strings.Join(words, ","), fine
		}
		if m, isMap := v.(*osa.Map); isMap { // a mapping of nothing repeats the option
			var keys []string
			for _, e := range m.Entries() {
				keys = append(keys, fmt.Sprint(e.Key))
			}
			text, ok = strings.Join(keys, "\n"), true
		}
		if !ok && v != nil {
			s.wrong(name, v, "options that an INI file can have")
			return
		}
		if out[section] == nil {
			out[section] = map[string]string{}
		}
		out[section][option] = text
	}
	d, _ := s.vars.Defined(name)
	raw, _ := d.Value.(*osa.Map)
	for _, e := range s.mapping(at, name).Entries() {
		section := fmt.Sprint(e.Key)
		options, ok := e.Value.(*osa.Map)
		if !ok {
			set("DEFAULT", section, e.Value)
			r.line(at+".DEFAULT."+section, d, raw, e.Key)
			continue
		}
		written, _ := raw.Get(e.Key).(*osa.Map)
		for _, o := range options.Entries() {
			set(section, fmt.Sprint(o.Key), o.Value)
			r.line(fmt.Sprintf("%s.%s.%v", at, section, o.Key), d, written, o.Key)
		}
	}
	return out
}

// line gives a field the line of the key it was written under, and leaves its secrecy.
func (r *reader) line(path string, d osa.Definition, raw *osa.Map, key osa.Value) {
	if !raw.Has(key) {
		return
	}
	o := r.in.Origin(path)
	o.Pos, o.Level, o.Secret = raw.PosOf(key), d.Level, o.Secret || d.Secret
	r.from(path, o)
}

// proxyPrefixes are the two spellings of the proxy's variables: those of OpenStack-Ansible 33 come first where they
// exist.
func (r *reader) proxyName(name string) string {
	if r.in.Generation == InTree {
		return "magnum_capi_vexxhost_" + name + "|mcapi_vexxhost_" + name
	}
	return "mcapi_vexxhost_" + name + "|magnum_capi_vexxhost_" + name
}

// proxy reads the hosts of the proxy. A play's hosts are named before there is a host, so only extra variables count.
func (r *reader) proxy() error {
	p := &r.in.Proxy
	p.Pattern, p.Hosts = "network_hosts", []ProxyHost{}
	r.from("proxy.pattern", Origin{Level: "default of the playbook", Why: "no user_*.yml names hosts"})
	r.from("proxy.hosts", Origin{Level: "derived", Why: "hosts of the inventory that the pattern means"})
	s := r.first()
	p.Implementation = strings.ToLower(s.text("proxy.implementation", "magnum_proxy_implementation"))
	if v, ok := s.variable(s.pick(r.proxyName("proxy_hosts"))); ok {
		if pattern, isText := asText(osa.Reveal(v.Value)); isText && v.Origin.Level == extraVars {
			p.Pattern = pattern
			r.from("proxy.pattern", originOf(v))
		}
	}
	var failed []error
	for _, name := range r.hostsOf(p.Pattern) {
		s, err := r.scope(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p.Hosts = append(p.Hosts, r.proxyHost(fmt.Sprintf("proxy.hosts[%d]", len(p.Hosts)), s))
	}
	return errors.Join(failed...)
}

const extraVars = "extra vars"

func (r *reader) proxyHost(at string, s *scope) ProxyHost {
	h := ProxyHost{
		Container:   r.container(at, s),
		Environment: s.textMap(at+".environment", r.proxyName("proxy_environment")),
		User:        s.text(at+".user", r.proxyName("proxy_system_user_name")),
		Group:       s.text(at+".group", r.proxyName("proxy_system_group_name")),
		Home:        s.text(at+".home", r.proxyName("proxy_system_user_home")),
		Kubeconfig:  s.text(at+".kubeconfig", r.proxyName("k8s_conf_dest")),
		Driver:      s.text(at+".driver", r.proxyName("proxy_install_branch")),
		Repository:  s.text(at+".repository", r.proxyName("proxy_git_repo")),
		Bind:        "*",
	}
	env := r.in.Origin(at + ".environment")
	for _, field := range []string{"bind", "port", "advertise", "always"} {
		r.from(at+"."+field, env)
	}
	if bind := h.Environment["PROXY_BIND"]; bind != "" {
		h.Bind = bind
	}
	if port, ok := h.Environment["PROXY_PORT"]; ok {
		n, err := strconv.Atoi(port)
		if err != nil || n < 0 || n > 65535 {
			r.fail("proxy-port", env.Pos, "write a port from 1 to 65535, or 0 for a free one", "PROXY_PORT of %s is %q", s.host, port)
		}
		h.Port = n
	}
	h.Advertise = h.Environment["POD_IP"]
	if a, err := netip.ParseAddr(h.Bind); h.Advertise == "" && err == nil && !a.IsUnspecified() {
		h.Advertise = h.Bind
	}
	_, h.Always = h.Environment["PROXY_ALWAYS"]
	return h
}

// hostsOf resolves a pattern of hosts as Ansible does: groups, hosts and globs, joined by "," or ":"; "!" takes away,
// "&" keeps what is in both. The order is the inventory's.
func (r *reader) hostsOf(pattern string) []string {
	var plus, minus, both []string
	for _, word := range strings.FieldsFunc(pattern, func(c rune) bool { return c == ',' || c == ':' }) {
		switch word = strings.TrimSpace(word); {
		case strings.HasPrefix(word, "!"):
			minus = append(minus, word[1:])
		case strings.HasPrefix(word, "&"):
			both = append(both, word[1:])
		case word != "":
			plus = append(plus, word)
		}
	}
	if len(plus) == 0 {
		plus = []string{"all"}
	}
	in := func(words []string) map[string]bool {
		out := map[string]bool{}
		for _, word := range words {
			for _, h := range r.matching(word) {
				out[h] = true
			}
		}
		return out
	}
	chosen, gone := in(plus), in(minus)
	var out []string
	for _, h := range r.inv.Hosts() {
		keep := chosen[h.Name] && !gone[h.Name]
		for _, word := range both {
			keep = keep && slices.Contains(r.matching(word), h.Name)
		}
		if keep {
			out = append(out, h.Name)
		}
	}
	return out
}

// matching are the hosts that one word of a pattern means. From release 33 on Ansible sees groups with underscores.
func (r *reader) matching(word string) []string {
	var out []string
	hit := func(name string) bool {
		ok, err := path.Match(word, name)
		return err == nil && ok || name == word
	}
	for _, g := range r.inv.Groups() {
		if hit(g.Name) || !r.src.Release.DashesMatter && hit(strings.ReplaceAll(g.Name, "-", "_")) {
			out = append(out, r.inv.Members(g.Name)...)
		}
	}
	for _, h := range r.inv.Hosts() {
		if word == "all" || hit(h.Name) {
			out = append(out, h.Name)
		}
	}
	return out
}
