// Package balance is OpenStack-Ansible's load balancers as a deployment uses them: the fragments of haproxy.cfg for its
// services, what haproxy says of its servers, and how clients are sent elsewhere while a node changes.
package balance

import (
	"path"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Want are the fragments of the API's service on a load balancer, and haproxy reading them.
func Want(h intent.HAProxyHost, f host.Facts) []host.Item {
	services := make([]haproxy.Service, len(h.Services))
	for i, s := range h.Services {
		services[i] = s
		services[i].Binds = binds(s, f.Fragments[s.Name])
	}
	return Fragments(services, h.Settings, f)
}

// Inside are the load balancers that are containers: what they have is there, and not on their hosts.
func Inside(in intent.Intent) []site.Place {
	var out []site.Place
	for _, h := range in.HAProxy.Hosts {
		if p := site.At(h.Where()); p.Container != "" {
			out = append(out, p)
		}
	}
	return out
}

// Fragments are the fragments of services on a load balancer, and haproxy reading them.
func Fragments(services []haproxy.Service, settings haproxy.Settings, f host.Facts) []host.Item {
	var out []host.Item
	for _, file := range haproxy.Files(haproxy.Alert(services), settings) {
		text := host.Mark + file.Text
		if have, ok := f.Fragments[path.Base(file.Path)]; ok && haproxy.Same(have, text) {
			text = have // another way to write the same is not worth a reload
		}
		out = append(out, host.Item{File: &host.File{
			Path: file.Path, Content: text, Gone: file.Absent, Mode: file.Mode, Owner: file.Owner + ":" + file.Group,
			Temporary: path.Dir(haproxy.Dir),
		}})
	}
	item := &host.HAProxy{Fragments: haproxy.Dir, Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service"}
	for _, s := range services {
		item.Backends = append(item.Backends, backendOf(s.Name))
		item.Services = append(item.Services, s.Name)
	}
	return append(out, host.Item{HAProxy: item})
}

// binds leaves the external address out, unless a fragment that is there has it: the API is for the deployment alone,
// but nobody's access is cut by adopting a cluster.
func binds(s haproxy.Service, have string) []haproxy.Bind {
	var out []haproxy.Bind
	for _, b := range s.Binds {
		if b.Type != "external" || strings.Contains(have, "bind "+b.Address+":") {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return s.Binds // one address is both
	}
	return out
}

// Ours are the services whose fragments on a load balancer a deployment has written, and not OpenStack-Ansible.
func Ours(services []haproxy.Service, f host.Facts) []string {
	var out []string
	for _, s := range services {
		if strings.HasPrefix(f.Fragments[s.Name], host.Mark) {
			out = append(out, s.Name)
		}
	}
	return out
}

// Gone removes fragments of ours, and haproxy reads the rest.
func Gone(names ...string) []host.Item {
	var out []host.Item
	for _, name := range names {
		out = append(out, host.Item{File: &host.File{Path: haproxy.Dir + "/" + name, Gone: true}})
	}
	if len(names) == 0 {
		return nil
	}
	return append(out, host.Item{HAProxy: &host.HAProxy{Fragments: haproxy.Dir, Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service", Services: names}})
}

// Group is that of its items in a list, and of their changes in a plan.
const Group = "haproxy"
