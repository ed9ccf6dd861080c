package intent

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Who serves Magnum's API: the values of magnum_implementation.
const (
	ImplementationJeroboam = "jeroboam"
	ImplementationMagnum   = "magnum"
	// ImplementationOldProxy is the other value of magnum_proxy_implementation.
	ImplementationOldProxy = "magnum-cluster-api"
)

// magnumHosts reads where Magnum runs, and how those places are made.
func (r *reader) magnumHosts() error {
	m := &r.in.Magnum
	containers, err := r.containers("magnum.hosts", groupMagnum)
	m.Hosts = []MagnumHost{}
	for i, c := range containers {
		at, s := fmt.Sprintf("magnum.hosts[%d]", i), r.scopes[c.Name]
		h := MagnumHost{Container: c, Bind: s.textOr(at+".bind", "magnum_api_uwsgi_bind_address", c.ManagementAddress, "the address on the management network")}
		if c.IsMetal {
			h.Networks = []ContainerNetwork{}
		} else {
			h.Networks, h.LXC = r.networks(at+".networks", s), r.lxc(at+".lxc", s)
		}
		m.Hosts = append(m.Hosts, h)
	}
	return errors.Join(err)
}

// magnumService reads the API that users meet: variables of the role os_magnum and of OpenStack-Ansible's group_vars.
func (r *reader) magnumService(s *scope) {
	at := func(field string) string { return "magnum.service." + field }
	r.in.Magnum.Service = MagnumService{
		Implementation:     strings.ToLower(s.text(at("implementation"), "magnum_implementation")),
		Port:               s.number(at("port"), "magnum_bind_port"),
		Debug:              s.boolean(at("debug"), "debug"),
		Name:               s.text(at("name"), "magnum_service_name"),
		Type:               s.text(at("type"), "magnum_service_type"),
		Description:        s.text(at("description"), "magnum_service_description"),
		Region:             s.text(at("region"), "magnum_service_region"),
		PublicURL:          s.text(at("publicURL"), "magnum_service_publicurl"),
		InternalURL:        s.text(at("internalURL"), "magnum_service_internalurl"),
		AdminURL:           s.text(at("adminURL"), "magnum_service_adminurl"),
		AuthURL:            s.text(at("authURL"), "keystone_service_internalurl"),
		WWWAuthenticateURI: s.text(at("wwwAuthenticateURI"), "keystone_service_publicuri"),
		Insecure:           s.boolean(at("insecure"), "keystone_service_internaluri_insecure"),
		User:               s.text(at("user"), "magnum_service_user_name"),
		Password:           s.secret(at("password"), "magnum_service_password"),
		Project:            s.text(at("project"), "magnum_service_project_name"),
		UserDomain:         s.text(at("userDomain"), "magnum_service_user_domain_name"),
		ProjectDomain:      s.text(at("projectDomain"), "magnum_service_project_domain_name"),
		Roles:              s.texts(at("roles"), "magnum_service_role_names|magnum_service_role_name"),
		Admin:              s.text(at("admin"), "keystone_admin_user_name"),
		AdminPassword:      s.secret(at("adminPassword"), "keystone_auth_admin_password"),
		AdminProject:       s.text(at("adminProject"), "keystone_admin_tenant_name"),
		Policy:             s.textMap(at("policy"), "magnum_policy_overrides"),
		BackendSSL:         s.boolean(at("backendSSL"), "magnum_backend_ssl"),
		Regions:            map[string]string{},
		Authorities:        r.authorities(s, at("authorities")),
	}
	r.backendTLS(s)
	for section, service := range map[string]string{
		"keystone_authtoken": "keystone", "nova_client": "nova", "glance_client": "glance", "neutron_client": "neutron",
		"octavia_client": "octavia", "cinder_client": "cinder",
	} {
		r.in.Magnum.Service.Regions[section] = s.text(at("regions."+section), "magnum_"+service+"_service_region")
	}
}

// authorities are the certificates of OpenStack-Ansible's own authorities that every host trusts. The role pki keeps
// them on the deploy host, below openstack_pki_dir; what an operator brings in another way is on the hosts already.
func (r *reader) authorities(s *scope, at string) map[string]string {
	r.from(at, Origin{Variable: "openstack_pki_install_ca", Level: "derived", Why: "certificates below openstack_pki_dir"})
	out := map[string]string{}
	dir := r.pkiDir(s)
	for _, name := range r.installed(s) {
		text, err := osa.ReadFile(filepath.Join(dir, "roots", name, "certs", name+".crt"))
		if err == nil && name != "" && filepath.Base(name) == name {
			out[name] = string(text)
		}
	}
	return out
}
