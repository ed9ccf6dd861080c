package haproxy

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Dir is where the role keeps fragments, MapDir where it keeps parts of maps.
const (
	Dir    = "/etc/haproxy/conf.d"
	MapDir = "/etc/haproxy/map.conf.d"
)

// File is a file on a load balancer: to be there with this text, or to be absent.
type File struct {
	Path   string
	Owner  string
	Group  string
	Mode   fs.FileMode
	Text   string
	Absent bool
}

// Files are the files of services on one load balancer, as the role leaves them (haproxy_service_config.yml). A service
// that is enabled and has neither servers nor a frontend alone has no file: what is there stays there, as with the
// role.
func Files(services []Service, settings Settings) []File {
	var out []File
	add := func(name, text string, absent bool) {
		out = append(out, File{Path: name, Owner: "root", Group: "haproxy", Mode: 0o640, Text: text, Absent: absent})
	}
	for _, s := range services {
		switch {
		case !s.Enabled:
			add(path.Join(Dir, s.Name), "", true)
		case len(s.Servers) > 0 || s.FrontendOnly:
			add(path.Join(Dir, s.Name), Render(s, settings), false)
		}
		for _, e := range s.MapEntries {
			name := path.Join(MapDir, e.Name, e.Order+"-"+s.Name+".map")
			if !s.Enabled || e.Absent {
				add(name, "", true)
			} else {
				add(name, lines(e.Entries), false)
			}
		}
	}
	return out
}

func lines(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "\n") + "\n"
}

// Render makes a service's fragment of haproxy.cfg: what the role's service.j2 makes of it, line by line.
func Render(s Service, settings Settings) string {
	w := &writer{s: s, settings: settings}
	if !s.BackendOnly {
		for i, b := range s.Binds {
			w.frontends(i+1, b)
		}
	}
	if !s.FrontendOnly {
		w.backend()
	}
	return w.out.String()
}

// Same says whether two configurations are equal in effect: comments, blank lines, indentation and runs of blanks
// aside.
func Same(a, b string) bool { return slices.Equal(directives(a), directives(b)) }

func directives(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

type writer struct {
	s        Service
	settings Settings
	out      strings.Builder
}

// section begins a section, line adds a line to it.
func (w *writer) section(format string, args ...any) {
	if w.out.Len() > 0 {
		w.out.WriteByte('\n')
	}
	fmt.Fprintf(&w.out, format+"\n", args...)
}

func (w *writer) line(format string, args ...any) {
	w.out.WriteString(strings.TrimRight("    "+fmt.Sprintf(format, args...), " ") + "\n")
}

func (w *writer) raw(all []string) {
	for _, l := range all {
		w.line("%s", l)
	}
}

func (b Bind) at(port int) string {
	if b.Interface != "" {
		return fmt.Sprintf("%s:%d interface %s", b.Address, port, b.Interface)
	}
	return fmt.Sprintf("%s:%d", b.Address, port)
}

// certificate is the role's name for the certificate of an address.
func (w *writer) certificate(b Bind) string {
	name := b.Address
	if b.Interface != "" {
		name += "-" + b.Interface
	}
	return path.Join(w.settings.CertPath, "haproxy_"+w.settings.Hostname+"-"+name+".pem")
}

// tls says whether a frontend ends TLS: the first always, the others if they are meant to.
func (w *writer) tls(n int, b Bind) bool {
	return w.s.SSL && w.s.Mode == "http" &&
		(n == 1 || slices.Contains(w.settings.ExtraTLSVIPs, b.Address) || w.s.SSLAllVIPs && !slices.Contains(w.settings.ExtraVIPs, b.Address))
}

func (w *writer) frontends(n int, b Bind) {
	s := w.s
	if s.RedirectHTTPPort > 0 && s.SSL && (n == 1 || s.SSLAllVIPs) {
		w.section("frontend %s-redirect-front-%d", s.Name, n)
		w.line("bind %s", b.at(s.RedirectHTTPPort))
		w.line("mode http")
		w.line("redirect scheme %s", s.RedirectScheme)
		for _, a := range s.FrontendACLs {
			w.line("acl %s %s", a.Name, a.Rule)
			w.line("use_backend %s-back if %s", a.Backend, a.Name)
		}
		if len(s.FrontendACLs) > 0 {
			w.raw(w.settings.RedirectRaw)
		}
	}
	if s.AcceptBoth {
		w.bothProtocols(n, b)
		return
	}
	w.section("frontend %s-front-%d", s.Name, n)
	bind := "bind " + b.at(s.Port)
	if w.tls(n, b) {
		crt := s.SSLPath
		if crt == "" {
			crt = w.certificate(b)
		}
		bind += " ssl crt " + crt
		if s.FrontendH2 {
			bind += " alpn h2,http/1.1"
		}
	}
	w.line("%s", bind)
	w.frontend(w.tls(n, b))
}

// frontend is what all frontends of a service have in common.
func (w *writer) frontend(tls bool) {
	s := w.s
	switch s.Mode {
	case "http":
		w.line("option httplog")
		w.line("option forwardfor except 127.0.0.0/8")
		if s.HTTPKeepaliveMode != "" {
			w.line("option %s", s.HTTPKeepaliveMode)
		}
	case "tcp":
		w.line("option tcplog")
	}
	if s.TimeoutClient != "" {
		w.line("timeout client %s", s.TimeoutClient)
	}
	if s.HasAllowlist {
		w.line("acl allow_list src 127.0.0.1/8 %s", strings.Join(s.AllowlistNetworks, " "))
		w.line("tcp-request content accept if allow_list")
		w.line("tcp-request content reject")
	}
	for _, a := range s.ACLs {
		w.line("acl %s %s", a.Name, a.Rule)
		if !s.FrontendOnly {
			w.line("use_backend %s-back if %s", a.Backend, a.Name)
		}
	}
	w.raw(s.Maps)
	if tls {
		w.line("http-request add-header X-Forwarded-Proto https")
	}
	w.line("mode %s", s.Mode)
	if s.HasDefaultBackend {
		w.line("default_backend %s-back", s.DefaultBackend)
	}
	w.raw(s.FrontendRaw)
}

// bothProtocols is service-redirect.j2: one port for HTTP and HTTPS, told apart by the first bytes.
func (w *writer) bothProtocols(n int, b Bind) {
	s := w.s
	plain, secure := s.BothBackendPort+10000, s.BothBackendPort+20000
	w.section("frontend %s-tcp-redirect-front-%d", s.Name, n)
	w.line("mode tcp")
	w.line("bind %s", b.at(s.Port))
	w.line("tcp-request inspect-delay 2s")
	w.line("tcp-request content accept if HTTP")
	w.line("tcp-request content accept if { req.ssl_hello_type 1 }")
	w.line("use_backend %s-redirect-http-back-%d if HTTP", s.Name, n)
	w.line("default_backend %s-redirect-https-back-%d", s.Name, n)
	for _, way := range []struct {
		name string
		port int
	}{{"http", plain}, {"https", secure}} {
		w.section("backend %s-redirect-%s-back-%d", s.Name, way.name, n)
		w.line("mode tcp")
		w.line("server %s-%s %s:%d", s.Name, way.name, b.Address, way.port)
	}
	w.section("frontend %s-http-front-%d", s.Name, n)
	w.line("bind %s", b.at(plain))
	w.frontend(false)
	w.section("frontend %s-https-front-%d", s.Name, n)
	w.line("bind %s ssl crt %s", b.at(secure), w.certificate(Bind{Address: b.Address}))
	w.frontend(w.tls(n, b))
}

func (w *writer) backend() {
	s := w.s
	w.section("backend %s-back", s.Name)
	w.line("mode %s", s.Mode)
	w.line("balance %s", s.Algorithm)
	if s.TimeoutServer != "" {
		w.line("timeout server %s", s.TimeoutServer)
	}
	w.raw(s.StickTable)
	if s.Mode == "http" {
		w.line("option forwardfor")
	}
	for _, o := range s.BackendOptions {
		w.line("option %s", o)
	}
	w.raw(s.BackendArguments)
	for _, o := range s.HTTPCheckOptions {
		w.line("http-check %s", o)
	}
	for _, server := range s.Servers {
		w.server(server)
	}
}

func (w *writer) server(server Server) {
	s := w.s
	words := []string{
		"server", server.Name, fmt.Sprintf("%s:%d", server.Address, server.Port), "check port", fmt.Sprint(server.CheckPort),
		"inter", server.Interval, "rise", server.Rise, "fall", server.Fall,
	}
	if server.Backup {
		words = append(words, "backup")
	}
	if s.BackendSSL {
		words = append(words, "ssl")
		if s.BackendSSLCheck {
			words = append(words, "check-ssl")
		}
		if s.BackendCA != "" {
			words = append(words, "ca-file", s.BackendCA)
		} else {
			words = append(words, "verify none")
		}
	}
	if s.BackendH2 && s.Mode == "http" && !server.Backup { // the role leaves backup servers at HTTP/1
		if s.BackendSSL {
			words = append(words, "alpn h2,http/1.1")
		} else {
			words = append(words, "proto h2")
		}
	}
	words = append(append(words, s.ServerOptions...), server.Options...)
	w.line("%s", strings.Join(words, " "))
}
