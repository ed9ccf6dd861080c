package intent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
)

// checkServices looks at services as they were written.
func (r *reader) checkServices() {
	names := map[string]bool{}
	for _, w := range r.written {
		name := text(w.Map, "haproxy_service_name")
		for _, key := range w.ignored() {
			fix := "remove it"
			if instead := meant(key); instead != "" {
				fix = "write " + instead + " if it is meant; the original went without, and so does this until then"
			}
			r.warn("haproxy-ignored", w.posOf(key), fix, "%s of the service %s has no effect: the role knows no such key", key, name)
		}
		if names[name] {
			r.fail("service-twice", w.from.Pos, "give them different names, or the same content", "two different services are called %s: only one of them would be written", name)
		}
		names[name] = true
		if s := (haproxy.Service{Mode: text(w.Map, "haproxy_balance_type")}); s.Mode == "tcp" && osa.Truth(w.Get("haproxy_ssl")) {
			r.note("haproxy-tls", w.posOf("haproxy_ssl"), "set haproxy_ssl: false", "haproxy_ssl of the service %s has no effect in mode tcp: the API server ends TLS itself", name)
		}
	}
}

// meant is the key that has the effect a name promises.
func meant(key string) string {
	return map[string]string{
		"haproxy_interval": "interval", "haproxy_backend_rise": "backend_rise", "haproxy_backend_fall": "backend_fall",
		"haproxy_rise": "backend_rise", "haproxy_fall": "backend_fall", "haproxy_backup_rise": "backup_rise", "haproxy_backup_fall": "backup_fall",
	}[key]
}

// apiServices are the services of one load balancer that bind the port of the API.
func (r *reader) apiServices(h HAProxyHost) []int {
	var out []int
	for i, s := range h.Services {
		if s.Enabled && !s.BackendOnly && s.Port == r.in.Kubernetes.ControlPlanePort {
			out = append(out, i)
		}
	}
	return out
}

// checkExposure finds the API on the external VIP.
func (r *reader) checkExposure() {
	internal, external := r.in.VIPs.Internal, r.in.VIPs.External
	for i, h := range r.in.HAProxy.Hosts {
		for _, j := range r.apiServices(h) {
			s := h.Services[j]
			for _, b := range s.Binds {
				open := b.Address == "*" || b.Type == "external" || b.Address == external.Bind || b.Address == external.Address
				same := b.Address == internal.Bind || b.Address == internal.Address
				if !open || same || s.HasAllowlist {
					continue
				}
				path := fmt.Sprintf("haproxy.hosts[%d].services[%d].", i, j)
				pos := r.at(path + "binds")
				if !strings.Contains(pos.File, "haproxy") {
					pos = r.at(path + "name")
				}
				r.warn("api-exposed", pos,
					"add haproxy_bind with the internal VIP to haproxy_k8s_service_overrides ({address: \"{{ haproxy_bind_internal_lb_vip_address | default(internal_lb_vip_address) }}\"}), or haproxy_allowlist_networks",
					"the management cluster's API is open on the external address %s as well, port %d", b.Address, s.Port)
			}
		}
	}
}

// checkReach makes sure that the API can be reached where everybody will look for it.
func (r *reader) checkReach() {
	if len(r.in.HAProxy.Hosts) == 0 {
		r.warn("no-haproxy", osa.Pos{File: r.userConfig()}, "name hosts under load_balancer_hosts (haproxy_hosts before OpenStack-Ansible 30), or see that another load balancer has port 6443",
			"the group haproxy is empty: no load balancer of this cloud serves the API of %s", r.in.Kubernetes.ControlPlaneHost)
		return
	}
	want := []string{r.in.Kubernetes.ControlPlaneHost}
	if r.in.Kubernetes.ControlPlaneHost == r.in.VIPs.Internal.Address {
		want = append(want, r.in.VIPs.Internal.Bind)
	}
	if r.in.Kubernetes.ControlPlaneHost == r.in.VIPs.External.Address {
		want = append(want, r.in.VIPs.External.Bind)
	}
	for i, h := range r.in.HAProxy.Hosts {
		bound := false
		for _, j := range r.apiServices(h) {
			bound = bound || slices.ContainsFunc(h.Services[j].Binds, func(b haproxy.Bind) bool { return b.Address == "*" || slices.Contains(want, b.Address) })
		}
		if !bound {
			r.fail("api-not-bound", r.at(fmt.Sprintf("haproxy.hosts[%d].services", i)),
				"have k8s_haproxy_services hold an enabled service with haproxy_port 6443 that binds it; kubeadm's port cannot be changed",
				"no service of %s binds %s port %d: nodes cannot join", h.Name, r.in.Kubernetes.ControlPlaneHost, r.in.Kubernetes.ControlPlanePort)
		}
	}
}

// checkBackends looks at what is behind the API's port.
func (r *reader) checkBackends() {
	for i, h := range r.in.HAProxy.Hosts {
		for _, j := range r.apiServices(h) {
			s, path := h.Services[j], fmt.Sprintf("haproxy.hosts[%d].services[%d].", i, j)
			if s.Mode != "tcp" {
				r.fail("api-mode", r.at(path+"mode"), "set haproxy_balance_type: tcp", "the service %s has mode %s: the API needs its TLS passed through", s.Name, s.Mode)
			}
			missing := []string{}
			for _, n := range r.in.Nodes {
				if !slices.ContainsFunc(s.Servers, func(v haproxy.Server) bool { return v.Name == n.Name || v.Address == n.NodeIP }) {
					missing = append(missing, n.Name)
				}
			}
			if len(missing) > 0 {
				r.warn("backend-nodes", r.at(path+"servers"), `let haproxy_backend_nodes be "{{ groups['k8s_all'] | default([]) }}"`, "the service %s leaves out %s", s.Name, strings.Join(missing, ", "))
			}
			for _, v := range s.Servers {
				if v.Port != r.in.Kubernetes.BackendPort {
					r.fail("api-backend-port", r.at(path+"servers"), "set haproxy_backend_port: 6443", "the service %s sends to port %d of %s, where no API server listens", s.Name, v.Port, v.Name)
				}
			}
		}
	}
}
