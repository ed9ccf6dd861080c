package intent

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// checkMagnum looks at Magnum and its driver.
func (r *reader) checkMagnum() {
	m := r.in.Magnum
	if len(m.Hosts) == 0 {
		r.warn("no-magnum", osa.Pos{File: r.userConfig()}, "name hosts under magnum-infra_hosts (magnum_infra_hosts from OpenStack-Ansible 33 on)", "the group magnum_all is empty: nothing uses the management cluster")
		return
	}
	if m.NetworkDriver != "" && !slices.Contains(m.NetworkDrivers, m.NetworkDriver) && !slices.Contains(m.NetworkDrivers, "all") {
		r.fail("network-driver", r.at("magnum.networkDriver"), "add it to kubernetes_allowed_network_drivers", "the default network driver %s is not among those allowed, %s",
			r.show("magnum.networkDriver", m.NetworkDriver), r.show("magnum.networkDrivers", strings.Join(m.NetworkDrivers, ", ")))
	}
	if m.CertManagerType == "barbican" && len(r.inv.Members("barbican_all")) == 0 {
		r.warn("no-barbican", r.at("magnum.certManagerType"), "set [certificates] cert_manager_type to x509keypair in magnum_config_overrides, or deploy Barbican",
			"Magnum keeps certificates in Barbican, and no host has it")
	}
	driver := slices.ContainsFunc(m.PipPackages, func(p string) bool {
		return strings.Contains(p, "magnum-cluster-api") || strings.Contains(p, "magnum_cluster_api")
	})
	if r.in.Generation != InTree && !driver {
		r.warn("driver-missing", r.at("magnum.pipPackages"), "add git+https://github.com/vexxhost/magnum-cluster-api@TAG#egg=magnum-cluster-api", "magnum_user_pip_packages has no magnum-cluster-api: Magnum would not have the driver")
	}
}

// checkService looks at what Jeroboam needs to serve Magnum's API itself.
func (r *reader) checkService() {
	m := r.in.Magnum.Service
	if len(r.in.Magnum.Hosts) == 0 || m.Implementation == ImplementationMagnum {
		return
	}
	tell := r.warn // it may be that nobody asks for it: who serves is seen on the hosts
	if m.Implementation == ImplementationJeroboam {
		tell = r.fail
	}
	switch m.Implementation {
	case "", ImplementationJeroboam:
	default:
		r.fail("magnum-implementation", r.at("magnum.service.implementation"), "write jeroboam, or magnum", "magnum_implementation is %q", r.show("magnum.service.implementation", m.Implementation))
	}
	secrets := osa.Pos{File: filepath.Join(r.opts.Config, "user_secrets.yml")}
	if !m.Password.Set() {
		tell("magnum-password", secrets, "set it, as OpenStack-Ansible's pw-token-gen.py does", "magnum_service_password is not set: Jeroboam cannot serve Magnum without an account in Keystone")
	}
	if !m.AdminPassword.Set() {
		tell("keystone-password", secrets, "set it to the password of Keystone's administrator", "keystone_auth_admin_password is not set: Magnum's account and endpoints in Keystone cannot be created")
	}
	for i, b := range r.in.HAProxy.Hosts {
		for n, svc := range b.Magnum {
			if svc.BackendSSL != m.BackendSSL {
				tell("magnum-backend-ssl", r.at(fmt.Sprintf("haproxy.hosts[%d].magnum[%d].backendSSL", i, n)), "set openstack_service_backend_ssl, or magnum_backend_ssl, in user_variables.yml, so that load balancers see it too",
					"load balancers would speak %s to Magnum (haproxy_backend_ssl of %s), and its servers %s (magnum_backend_ssl)", protocol(svc.BackendSSL), svc.Name, protocol(m.BackendSSL))
			}
		}
	}
}

func protocol(tls bool) string {
	if tls {
		return "TLS"
	}
	return "plain HTTP"
}

// checkEndpoint finds the option that no driver reads.
func (r *reader) checkEndpoint() {
	m := r.in.Magnum
	if m.WantedEndpointType == "" {
		return
	}
	r.warn("capi-endpoint", r.at("magnum.wantedEndpointType"), "write endpoint_type: "+m.WantedEndpointType+" beside it",
		"[capi_client] endpoint is not an option of magnum-cluster-api: the option is endpoint_type, and Cluster API uses %s", r.show("magnum.endpointType", m.EndpointType))
}

// checkReplaced finds mappings that replaced another as a whole, and lost some of it: variables are not merged.
func (r *reader) checkReplaced() {
	scopes := []*scope{r.first()}
	if len(r.in.Magnum.Hosts) > 0 {
		scopes = append(scopes, r.scopes[r.in.Magnum.Hosts[0].Name])
	}
	for _, name := range []string{"magnum_config_overrides", "haproxy_k8s_service", "haproxy_k8s_service_overrides", "mcapi_vexxhost_proxy_environment", "cilium_helm_values"} {
		for _, s := range scopes {
			v, ok := s.vars.Variable(name)
			now, isMap := v.Origin.Value.(*osa.Map)
			if !ok || !isMap {
				continue
			}
			for _, before := range v.Overrides {
				old, _ := before.Value.(*osa.Map)
				if lost := lostKeys(old, now, ""); len(lost) > 0 && before.Pos.File != "" {
					r.warn("replaced-mapping", v.Origin.Pos, "repeat what you still need", "%s replaces the mapping of %s as a whole, and drops %s", name, before.Pos, strings.Join(lost, ", "))
				}
			}
		}
	}
}

func lostKeys(old, now *osa.Map, prefix string) []string {
	var out []string
	for _, e := range old.Entries() {
		key := prefix + fmt.Sprint(e.Key)
		below, isMap := e.Value.(*osa.Map)
		next, nextMap := now.Get(e.Key).(*osa.Map)
		switch {
		case !now.Has(e.Key):
			out = append(out, key)
		case isMap && nextMap:
			out = append(out, lostKeys(below, next, key+".")...)
		}
	}
	return out
}

// checkProxyHosts looks at who gets the proxy.
func (r *reader) checkProxyHosts() {
	s := r.first()
	p := r.in.Proxy
	switch p.Implementation {
	case "", ImplementationJeroboam, ImplementationOldProxy:
	default:
		r.fail("proxy-implementation", r.at("proxy.implementation"), "write jeroboam, or magnum-cluster-api", "magnum_proxy_implementation is %q",
			r.show("proxy.implementation", p.Implementation))
	}
	for _, name := range strings.Split(r.proxyName("proxy_hosts"), "|") {
		for _, host := range append([]*scope{s}, r.physicalScopes()...) {
			if d, ok := host.written(name); ok && d.Level != extraVars {
				r.warn("proxy-hosts-ignored", d.Pos, "move it to user_variables.yml", "%s is set for a group or a host, which a play cannot see when it chooses its hosts: %s is used", name, p.Pattern)
			}
		}
	}
	_, chosen := s.written(r.proxyName("proxy_hosts"))
	if len(p.Hosts) == 0 && chosen {
		r.warn("proxy-hosts-unknown", r.at("proxy.pattern"), "name a group of the inventory, such as compute_hosts", "%s matches no host of the inventory: clusters without a floating address cannot be reached", r.show("proxy.pattern", p.Pattern))
	}
	if len(p.Hosts) == 0 && !chosen {
		r.note("no-proxy-hosts", r.at("proxy.pattern"), "set mcapi_vexxhost_proxy_hosts in user_variables.yml", "no host runs the proxy (%s is empty): clusters without a floating address cannot be reached", p.Pattern)
	}
}

func (r *reader) physicalScopes() []*scope {
	var out []*scope
	for _, h := range r.in.Hosts {
		out = append(out, r.scopes[h.Name])
	}
	return out
}

// checkProxies looks at what the proxies are told.
func (r *reader) checkProxies() {
	for i, h := range r.in.Proxy.Hosts {
		path := fmt.Sprintf("proxy.hosts[%d].", i)
		s := r.scopes[h.Name]
		if _, ok := h.Environment["POD_IP"]; !ok && h.Advertise != "" {
			r.note("pod-ip", r.at(path+"environment.PROXY_BIND"), "set POD_IP to the same address to have it with the original as well",
				"the original advertises the address of the default route, wherever it listens; here PROXY_BIND is advertised")
		}
		if v, ok := h.Environment["PROXY_ALWAYS"]; ok && (v == "0" || strings.EqualFold(v, "false")) {
			r.warn("proxy-always", r.at(path+"environment.PROXY_ALWAYS"), "remove it", "PROXY_ALWAYS is %q: any value turns it on, this one too", v)
		}
		if driver := r.in.Versions.MagnumClusterAPI; driver != "" && h.Driver != driver {
			r.warn("proxy-version", r.at(path+"driver"), "set magnum_magnum_cluster_api_git_install_branch in user_variables.yml, for Magnum and proxies alike",
				"proxies would get magnum-cluster-api %s, and Magnum %s", r.show(path+"driver", h.Driver), r.show("versions.magnumClusterAPI", driver))
		}
		if slices.ContainsFunc(r.in.HAProxy.Hosts, func(b HAProxyHost) bool { return b.Name == h.Name }) {
			r.note("proxy-haproxy", r.at("proxy.pattern"), "keep proxies off load balancers, or use this proxy, which runs no haproxy",
				"%s is a load balancer as well: the original's proxy runs a haproxy whose /run/haproxy.pid and .sock are the load balancer's", h.Name)
		}
		other := strings.Split(r.proxyName("proxy_environment"), "|")[1]
		if d, ok := s.written(other); ok {
			r.warn("proxy-prefix", d.Pos, "write "+strings.Split(r.proxyName("proxy_environment"), "|")[0], "%s is the name that playbooks of another release use: these playbooks ignore it, and it is used here", other)
		}
	}
}
