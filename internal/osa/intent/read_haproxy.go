package intent

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
)

// What the playbooks collect from nodes and from Magnum's hosts: the services the load balancers have for them.
const (
	servicesVariable       = "k8s_haproxy_services"
	magnumServicesVariable = "magnum_haproxy_services"
)

// written is a service as the operator wrote it, evaluated.
type writtenService struct {
	*osa.Map
	node string
	from Origin
	raw  []*osa.Map // the mappings it was put together from, the one that counts first: they know lines

	secret map[string]bool // keys whose values must not be shown
}

// haproxy reads the load balancers and what each has for the nodes.
func (r *reader) haproxy() error {
	r.in.HAProxy.Hosts = []HAProxyHost{}
	services, err := r.services()
	if err != nil {
		return err
	}
	magnum, err := r.magnumServices()
	if err != nil {
		return err
	}
	hosts, err := r.containers("haproxy.hosts", groupHAProxy)
	if err != nil {
		return err
	}
	for i, c := range hosts {
		at := fmt.Sprintf("haproxy.hosts[%d]", i)
		h := HAProxyHost{Container: c, Settings: r.settings(at+".settings", r.scopes[c.Name])}
		h.Services = r.servicesOn(at+".services", c.Name, services, h.Settings)
		h.Magnum = r.servicesOn(at+".magnum", c.Name, magnum, h.Settings)
		r.from(at+".services", Origin{Variable: servicesVariable, Level: "group " + groupNodes})
		r.from(at+".magnum", Origin{Variable: magnumServicesVariable, Level: "group " + groupMagnum})
		r.in.HAProxy.Hosts = append(r.in.HAProxy.Hosts, h)
	}
	r.written = services
	return nil
}

// servicesOn are the services as one load balancer serves them.
func (r *reader) servicesOn(at, host string, written []writtenService, settings haproxy.Settings) []haproxy.Service {
	out := []haproxy.Service{}
	for _, w := range written {
		if !limited(w.Map, host) {
			out = append(out, r.service(fmt.Sprintf("%s[%d]", at, len(out)), r.scopes[host], w, settings))
		}
	}
	return out
}

// limited says whether a service is not for a host: the playbook searches haproxy_limit_hosts for the host's name.
func limited(m *osa.Map, host string) bool {
	if !m.Has("haproxy_limit_hosts") {
		return false
	}
	re, err := regexp.Compile(host)
	return err != nil || !re.MatchString(limits(m))
}

// limits is haproxy_limit_hosts as one text, whether it is a list or not.
func limits(m *osa.Map) string {
	words, _ := asTexts(m.Get("haproxy_limit_hosts"))
	return strings.Join(words, " ")
}

// services are those of all nodes, each once. They are evaluated as hostvars are: outside of any role.
func (r *reader) services() ([]writtenService, error) {
	var out []writtenService
	var failed []error
	for _, n := range r.in.Nodes {
		vars, err := r.vars.Host(n.Name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = r.collect(out, &scope{r: r, host: n.Name, vars: vars, read: map[string]bool{}}, servicesVariable)
	}
	return out, errors.Join(failed...)
}

// magnumServices are those of Magnum's hosts, each once. OpenStack-Ansible's inventory has them; where it cannot be
// read, what it would have holds.
func (r *reader) magnumServices() ([]writtenService, error) {
	var out []writtenService
	var failed []error
	for _, name := range r.inv.Members(groupMagnum) {
		s, err := r.scope(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = r.collect(out, s, magnumServicesVariable)
	}
	return out, errors.Join(failed...)
}

// collect adds the services that a host's variable has, those that are not known yet.
func (r *reader) collect(out []writtenService, s *scope, variable string) []writtenService {
	v, ok := s.variable(variable)
	if !ok {
		return out
	}
	for _, tagged := range flat(v.Value) {
		item := osa.Reveal(tagged)
		m, isMap := item.(*osa.Map)
		if !isMap || text(m, "haproxy_service_name") == "" {
			s.wrong(variable, item, "a list of services, each with haproxy_service_name")
			continue
		}
		w := writtenService{Map: m, node: s.host, from: originOf(v), raw: r.rawServices(s, variable, m), secret: map[string]bool{}}
		parts, _ := tagged.(*osa.Map)
		for _, e := range m.Entries() {
			w.secret[fmt.Sprint(e.Key)] = hasSecret(parts.Get(e.Key)) || parts == nil
		}
		if !known(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func known(all []writtenService, w writtenService) bool {
	for _, have := range all {
		if osa.Equal(have.Map, w.Map) {
			return true
		}
	}
	return false
}

// flat is Ansible's filter flatten.
func flat(v osa.Value) []osa.Value {
	if t, ok := v.(*osa.Tagged); ok { // what is in a secret list is secret
		var out []osa.Value
		for _, item := range flat(t.Value) {
			out = append(out, &osa.Tagged{Tag: t.Tag, Value: item, Pos: t.Pos})
		}
		return out
	}
	list, ok := v.(*osa.List)
	if !ok {
		return []osa.Value{v}
	}
	var out []osa.Value
	for _, item := range list.Items() {
		out = append(out, flat(item)...)
	}
	return out
}

// rawServices finds the mappings in files that a service was combined from: overrides, then the service itself, then
// whatever else has its name.
func (r *reader) rawServices(s *scope, variable string, m *osa.Map) []*osa.Map {
	name := text(m, "haproxy_service_name")
	var out []*osa.Map
	add := func(v osa.Value) {
		if raw, ok := v.(*osa.Map); ok {
			out = append(out, raw)
		}
	}
	d, _ := s.vars.Defined("haproxy_" + name + "_service_overrides")
	add(d.Value)
	d, _ = s.vars.Defined(variable)
	list, _ := d.Value.(*osa.List)
	for _, item := range list.Items() {
		if raw, ok := item.(*osa.Map); ok && raw.Get("haproxy_service_name") == name {
			add(raw)
		}
	}
	for _, v := range s.vars.Names() {
		d, _ := s.vars.Defined(v)
		if raw, ok := d.Value.(*osa.Map); ok && raw.Get("haproxy_service_name") == name {
			add(raw)
		}
	}
	return out
}

// posOf is the line of a key of a service.
func (w writtenService) posOf(key string) osa.Pos {
	for _, raw := range w.raw {
		if raw.Has(key) {
			return raw.PosOf(key)
		}
	}
	return w.from.Pos
}

func (r *reader) settings(at string, s *scope) haproxy.Settings {
	facts := r.facts(s)
	out := haproxy.Settings{
		CertPath:     s.text(at+".certPath", "haproxy_ssl_cert_path"),
		ExtraVIPs:    s.texts(at+".extraVIPs", "extra_lb_vip_addresses"),
		ExtraTLSVIPs: s.texts(at+".extraTLSVIPs", "extra_lb_tls_vip_addresses"),
		FrontendRaw:  s.texts(at+".frontendRaw", "haproxy_frontend_extra_raw"),
		RedirectRaw:  s.texts(at+".redirectRaw", "haproxy_frontend_redirect_extra_raw"),
	}
	out.Hostname = s.textOr(at+".hostname", "haproxy_host", cmp.Or(facts["hostname"], s.host), "the host name")
	return out
}

// binds are the addresses of a service without haproxy_bind: haproxy_vip_binds, or the two VIPs, then the extra ones.
func (r *reader) binds(s *scope) []haproxy.Bind {
	out := []haproxy.Bind{}
	if v, ok := s.variable(s.pick("haproxy_vip_binds|haproxy_tls_vip_binds")); ok {
		out = bindsOf(osa.Reveal(v.Value))
	} else {
		external, internal := vipBind(s, "external"), vipBind(s, "internal")
		if external.Address != "" {
			out = append(out, external)
		}
		if internal.Address != "" && (internal.Address != external.Address || internal.Interface != external.Interface) {
			out = append(out, internal)
		}
		if v, ok := s.variable("extra_lb_tls_vip_addresses"); ok {
			extra, _ := asTexts(osa.Reveal(v.Value))
			for _, address := range extra {
				out = append(out, haproxy.Bind{Address: address, Type: "external"})
			}
		}
	}
	if v, ok := s.variable("extra_lb_vip_addresses"); ok {
		out = append(out, bindsOf(osa.Reveal(v.Value))...)
	}
	return out
}

func vipBind(s *scope, kind string) haproxy.Bind {
	return haproxy.Bind{Address: s.quiet("haproxy_bind_" + kind + "_lb_vip_address"), Interface: s.quiet("haproxy_bind_" + kind + "_lb_vip_interface"), Type: kind}
}

func bindsOf(v osa.Value) []haproxy.Bind {
	out := []haproxy.Bind{}
	for _, item := range flat(v) {
		if m, ok := item.(*osa.Map); ok {
			out = append(out, haproxy.Bind{Address: text(m, "address"), Interface: text(m, "interface"), Type: text(m, "type")})
		} else if address, ok := asText(item); ok {
			out = append(out, haproxy.Bind{Address: address})
		}
	}
	return out
}
