package intent

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
)

// serviceReader turns what was written into a service, with the role's defaults on one load balancer.
type serviceReader struct {
	r    *reader
	at   string
	host *scope
	w    writtenService
}

// schema are the keys that the role looks at (service.j2, service-redirect.j2 and haproxy_service_config.yml of
// openstack-ansible-haproxy_server). Whatever else stands in a service has no effect.
func schema() []string {
	return []string{
		"haproxy_service_name", "haproxy_backend_nodes", "haproxy_backup_nodes", "haproxy_port", "haproxy_backend_port", "haproxy_check_port",
		"haproxy_balance_type", "haproxy_balance_alg", "haproxy_bind", "haproxy_ssl", "haproxy_ssl_all_vips", "haproxy_ssl_path", "haproxy_frontend_h2",
		"haproxy_backend_h2", "haproxy_redirect_http_port", "haproxy_redirect_scheme", "haproxy_frontend_acls", "haproxy_acls", "haproxy_maps",
		"haproxy_map_entries", "haproxy_frontend_raw", "haproxy_frontend_only", "haproxy_backend_only", "haproxy_default_backend",
		"haproxy_accept_both_protocols", "haproxy_http_keepalive_mode", "haproxy_timeout_client", "haproxy_timeout_server", "haproxy_allowlist_networks",
		"haproxy_stick_table_enabled", "haproxy_stick_table", "haproxy_backend_options", "haproxy_backend_arguments", "haproxy_backend_httpcheck_options",
		"haproxy_backend_server_options", "haproxy_backend_ssl", "haproxy_backend_ssl_check", "haproxy_backend_ca", "interval", "backend_rise",
		"backend_fall", "backup_rise", "backup_fall", "haproxy_service_enabled", "state", "haproxy_limit_hosts",
	}
}

func (r *reader) service(at string, host *scope, w writtenService, settings haproxy.Settings) haproxy.Service {
	x := &serviceReader{r: r, at: at, host: host, w: w}
	r.from(at, w.from)
	s := haproxy.Service{
		Name:              text(w.Map, "haproxy_service_name"),
		Enabled:           x.boolean("enabled", "haproxy_service_enabled", true) && text(w.Map, "state") != "absent",
		LimitHosts:        limits(w.Map),
		Port:              x.number("port", "haproxy_port", 0),
		Mode:              x.text("mode", "haproxy_balance_type", "http"),
		Algorithm:         x.text("algorithm", "haproxy_balance_alg", "leastconn"),
		FrontendOnly:      x.boolean("frontendOnly", "haproxy_frontend_only", false),
		BackendOnly:       x.boolean("backendOnly", "haproxy_backend_only", false),
		SSL:               x.boolean("ssl", "haproxy_ssl", false),
		SSLAllVIPs:        x.boolean("sslAllVIPs", "haproxy_ssl_all_vips", false),
		SSLPath:           x.text("sslPath", "haproxy_ssl_path", ""),
		FrontendH2:        x.boolean("frontendH2", "haproxy_frontend_h2", x.hostBool("haproxy_frontend_h2")),
		BackendH2:         x.boolean("backendH2", "haproxy_backend_h2", x.hostBool("haproxy_backend_h2")),
		RedirectHTTPPort:  x.number("redirectHTTPPort", "haproxy_redirect_http_port", 0),
		RedirectScheme:    x.text("redirectScheme", "haproxy_redirect_scheme", "https if !{ ssl_fc }"),
		AcceptBoth:        x.boolean("acceptBoth", "haproxy_accept_both_protocols", false),
		HTTPKeepaliveMode: x.text("httpKeepaliveMode", "haproxy_http_keepalive_mode", ""),
		TimeoutClient:     x.text("timeoutClient", "haproxy_timeout_client", ""),
		TimeoutServer:     x.text("timeoutServer", "haproxy_timeout_server", ""),
		AllowlistNetworks: x.texts("allowlistNetworks", "haproxy_allowlist_networks", ""),
		HasAllowlist:      w.Has("haproxy_allowlist_networks"),
		Maps:              x.texts("maps", "haproxy_maps", ""),
		FrontendRaw:       append(x.texts("frontendRaw", "haproxy_frontend_raw", ""), settings.FrontendRaw...),
		BackendOptions:    x.texts("backendOptions", "haproxy_backend_options", ""),
		BackendArguments:  x.texts("backendArguments", "haproxy_backend_arguments", ""),
		HTTPCheckOptions:  x.texts("httpCheckOptions", "haproxy_backend_httpcheck_options", ""),
		ServerOptions:     x.texts("serverOptions", "haproxy_backend_server_options", ""),
		BackendSSL:        x.boolean("backendSSL", "haproxy_backend_ssl", false),
		StickTable:        []string{},
	}
	x.line("limitHosts", "haproxy_limit_hosts")
	s.BackendSSLCheck = x.boolean("backendSSLCheck", "haproxy_backend_ssl_check", s.BackendSSL)
	s.DefaultBackend = x.text("defaultBackend", "haproxy_default_backend", s.Name)
	s.HasDefaultBackend = !s.FrontendOnly || text(w.Map, "haproxy_default_backend") != ""
	if x.boolean("stickTable", "haproxy_stick_table_enabled", true) {
		s.StickTable = x.texts("stickTable", "haproxy_stick_table", "haproxy_stick_table")
	}
	s.ACLs, s.FrontendACLs = x.acls("acls", "haproxy_acls", s.Name), x.acls("frontendACLs", "haproxy_frontend_acls", s.Name)
	s.BackendCA = x.backendCA()
	s.MapEntries = x.mapEntries()
	if s.Binds = r.binds(host); w.Has("haproxy_bind") {
		s.Binds = bindsOf(w.Get("haproxy_bind"))
	}
	x.line("binds", "haproxy_bind")
	x.servers(&s)
	return s
}

// line gives a field the line of its key, or says that it is a default.
func (x *serviceReader) line(field, key string) {
	o := Origin{Pos: x.w.posOf(key), Variable: key, Level: x.w.from.Level, Secret: x.w.from.Secret}
	if !x.w.Has(key) {
		o = Origin{Variable: key, Level: "default of haproxy_server"}
	}
	x.r.from(x.at+"."+field, o)
}

func (x *serviceReader) wrong(key, want string) {
	x.r.fail("haproxy-type", x.w.posOf(key), "write "+want, "%s of the service %s %s, not %s", key, text(x.w.Map, "haproxy_service_name"), "is "+describe(x.w.Get(key)), want)
}

func (x *serviceReader) text(field, key, otherwise string) string {
	x.line(field, key)
	v, ok := x.w.Lookup(key)
	if !ok || v == nil {
		return otherwise
	}
	out, ok := asText(v)
	if !ok {
		x.wrong(key, "text")
	}
	return out
}

func (x *serviceReader) boolean(field, key string, otherwise bool) bool {
	x.line(field, key)
	v, ok := x.w.Lookup(key)
	if !ok || v == nil {
		return otherwise
	}
	out, ok := asBool(v)
	if !ok {
		x.wrong(key, "true or false")
	}
	return out
}

func (x *serviceReader) hostBool(name string) bool {
	v, ok := x.host.variable(name)
	if !ok {
		return false
	}
	b, _ := asBool(osa.Reveal(v.Value))
	return b
}

func (x *serviceReader) number(field, key string, otherwise int) int {
	x.line(field, key)
	v, ok := x.w.Lookup(key)
	if !ok || v == nil {
		return otherwise
	}
	n, ok := asInt(v)
	if !ok || n < 1 || n > 65535 {
		x.wrong(key, "a port")
	}
	return n
}

// texts is a list of text, from a variable of the host if the service has none.
func (x *serviceReader) texts(field, key, variable string) []string {
	x.line(field, key)
	v, ok := x.w.Lookup(key)
	if !ok && variable != "" {
		return x.host.texts(x.at+"."+field, variable)
	}
	if !ok || v == nil {
		return []string{}
	}
	out, ok := asTexts(v)
	if !ok {
		x.wrong(key, "a list of text")
	}
	return out
}

func (x *serviceReader) acls(field, key, backend string) []haproxy.ACL {
	x.line(field, key)
	out := []haproxy.ACL{}
	v, ok := x.w.Lookup(key)
	m, isMap := v.(*osa.Map)
	if ok && v != nil && !isMap {
		x.wrong(key, "a mapping of names to rule and backend_name")
	}
	for _, e := range m.Entries() {
		rule, _ := e.Value.(*osa.Map)
		acl := haproxy.ACL{Name: fmt.Sprint(e.Key), Rule: text(rule, "rule"), Backend: backend}
		if rule.Has("backend_name") {
			acl.Backend = text(rule, "backend_name")
		}
		out = append(out, acl)
	}
	return out
}

// backendCA is no file, the system's, or one by name.
func (x *serviceReader) backendCA() string {
	x.line("backendCA", "haproxy_backend_ca")
	v := x.w.Get("haproxy_backend_ca")
	if file, ok := v.(string); ok {
		if b, isBool := asBool(file); !isBool {
			return file
		} else if !b {
			return ""
		}
		v = true
	}
	if !osa.Truth(v) {
		return ""
	}
	return x.host.text(x.at+".backendCA", "haproxy_system_ca")
}

func (x *serviceReader) mapEntries() []haproxy.MapEntry {
	x.line("mapEntries", "haproxy_map_entries")
	out := []haproxy.MapEntry{}
	list, _ := x.w.Get("haproxy_map_entries").(*osa.List)
	for _, item := range list.Items() {
		m, _ := item.(*osa.Map)
		e := haproxy.MapEntry{Name: text(m, "name"), Order: "00", Absent: text(m, "state") == "absent"}
		if m.Has("order") {
			e.Order = text(m, "order")
		}
		e.Entries, _ = asTexts(m.Get("entries"))
		out = append(out, e)
	}
	return out
}

// servers are the nodes and the backup nodes of the service, with the checks of the service or of the host.
func (x *serviceReader) servers(s *haproxy.Service) {
	setting := func(key, variable string) string {
		if v, ok := asText(x.w.Get(key)); ok {
			return v
		}
		v, ok := x.host.variable(variable)
		if !ok {
			return ""
		}
		out, _ := asText(osa.Reveal(v.Value))
		return out
	}
	backend := x.number("servers", "haproxy_backend_port", s.Port)
	check := x.number("servers", "haproxy_check_port", backend)
	s.BothBackendPort = backend
	x.line("servers", "haproxy_backend_nodes")
	x.line("bothBackendPort", "haproxy_backend_port")
	s.Servers = []haproxy.Server{}
	for _, set := range []struct {
		key, rise, fall string
		backup          bool
	}{{"haproxy_backend_nodes", "backend_rise", "backend_fall", false}, {"haproxy_backup_nodes", "backup_rise", "backup_fall", true}} {
		v, ok := x.w.Lookup(set.key)
		list, isList := v.(*osa.List)
		if ok && !isList && v != nil {
			x.wrong(set.key, "a list of nodes")
		}
		for _, item := range list.Items() {
			server := haproxy.Server{
				Port: backend, CheckPort: check, Backup: set.backup, Options: []string{},
				Interval: setting("interval", "haproxy_interval"), Rise: setting(set.rise, "haproxy_rise"), Fall: setting(set.fall, "haproxy_fall"),
			}
			if x.server(&server, item, set.key) {
				s.Servers = append(s.Servers, server)
			}
		}
	}
}

// server is one node: a host of the inventory by name, or a mapping that says everything.
func (x *serviceReader) server(s *haproxy.Server, item osa.Value, key string) bool {
	m, isMap := item.(*osa.Map)
	if !isMap {
		s.Name, _ = asText(item)
		h, ok := x.r.inv.Host(s.Name)
		if !ok {
			x.r.fail("haproxy-node", x.w.posOf(key), "name hosts of the inventory, or write name and ip_addr", "%s names %s, which is not in the inventory", key, describe(item))
			return false
		}
		s.Address = h.ManagementAddress()
		if s.Address == "" {
			s.Address = h.Text("ansible_host")
		}
		return true
	}
	s.Name, s.Address = text(m, "name"), text(m, "ip_addr")
	for name, to := range map[string]*int{"backend_port": &s.Port, "check_port": &s.CheckPort} {
		if n, err := strconv.Atoi(text(m, name)); err == nil {
			*to = n
		}
	}
	s.Options, _ = asTexts(m.Get("backend_server_options"))
	if s.Name == "" || s.Address == "" {
		x.r.fail("haproxy-node", x.w.posOf(key), "write name and ip_addr", "an entry of %s has no name or no ip_addr", key)
		return false
	}
	return true
}

// ignored are the keys of a service that the role does not know.
func (w writtenService) ignored() []string {
	var out []string
	for _, e := range w.Entries() {
		if key, _ := e.Key.(string); !slices.Contains(schema(), key) {
			out = append(out, fmt.Sprint(e.Key))
		}
	}
	return out
}
