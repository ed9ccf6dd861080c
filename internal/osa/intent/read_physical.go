package intent

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// facts are the facts of a host that are known, by short name: those that are text.
func (r *reader) facts(s *scope) map[string]string {
	out := map[string]string{}
	d, ok := s.vars.Defined("ansible_facts")
	m, _ := d.Value.(*osa.Map)
	if !ok {
		return out
	}
	for _, name := range []string{"hostname", "os_family", "architecture"} {
		for _, key := range []string{"ansible_" + name, name} {
			if text, ok := m.Get(key).(string); ok {
				out[name] = text
			}
		}
	}
	return out
}

// hosts reads the physical hosts on which, or in containers of which, something is done.
func (r *reader) hosts() error {
	roles := map[string][]Role{}
	give := func(role Role, c Container) { roles[c.PhysicalHost] = append(roles[c.PhysicalHost], role) }
	for _, n := range r.in.Nodes {
		give(RoleNode, n.Container)
	}
	for _, h := range r.in.HAProxy.Hosts {
		give(RoleHAProxy, h.Container)
	}
	for _, c := range r.in.Magnum.Hosts {
		give(RoleMagnum, c.Container)
	}
	for _, h := range r.in.Proxy.Hosts {
		give(RoleProxy, h.Container)
	}
	for role, group := range map[Role]string{RoleRepo: groupRepo, RoleUtility: groupUtility} {
		for _, name := range r.inv.Members(group) {
			h, _ := r.inv.Host(name)
			give(role, Container{PhysicalHost: cmp.Or(h.PhysicalHost(), name)})
		}
	}
	r.in.Hosts = []Host{}
	r.from("hosts", Origin{Level: "derived", Why: "physical hosts of everything else here"})
	var failed []error
	for _, h := range r.inv.Hosts() {
		if len(roles[h.Name]) == 0 {
			continue
		}
		s, err := r.scope(h.Name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r.in.Hosts = append(r.in.Hosts, r.physical(fmt.Sprintf("hosts[%d]", len(r.in.Hosts)), s, h, roles[h.Name]))
	}
	return errors.Join(failed...)
}

func (r *reader) physical(at string, s *scope, h osa.Host, roles []Role) Host {
	facts := r.facts(s)
	out := Host{
		Name: h.Name, ManagementAddress: h.ManagementAddress(),
		SSHAddress: s.textOr(at+".sshAddress", "ansible_host", h.Name, "the name itself"),
		SSHUser:    s.textOr(at+".sshUser", "ansible_user", "root", "openstack-ansible logs in as root"),
		SSHPort:    s.number(at+".sshPort", "ansible_port"),
		OSFamily:   facts["os_family"], Architecture: facts["architecture"], Hostname: facts["hostname"],
	}
	r.from(at+".name", Origin{Pos: h.Vars.Pos, Level: "inventory"})
	r.from(at+".managementAddress", Origin{Pos: h.Vars.PosOf("management_address"), Variable: "management_address", Level: "inventory"})
	r.from(at+".roles", Origin{Level: "derived", Why: "groups it, or a container of it, is in"})
	for _, field := range []string{"osFamily", "architecture", "hostname"} {
		r.from(at+"."+field, Origin{Variable: "ansible_facts", Level: "fact cache"})
	}
	if out.SSHPort == 0 {
		out.SSHPort = 22
	}
	for _, role := range []Role{RoleNode, RoleHAProxy, RoleMagnum, RoleProxy, RoleRepo, RoleUtility} { // one order, each once
		for _, given := range roles {
			if given == role && !out.Has(role) {
				out.Roles = append(out.Roles, role)
			}
		}
	}
	out.ConntrackMax = r.conntrack(at+".conntrackMax", s, out)
	return out
}

// conntrack is what the host itself is given, or what its nodes ask for: a node that is a container cannot set it.
func (r *reader) conntrack(at string, s *scope, h Host) int {
	const name = "openstack_host_nf_conntrack_max"
	n := s.number(at, name)
	for _, node := range r.in.Nodes {
		if node.PhysicalHost == h.Name {
			if wanted := r.scopes[node.Name].number(at+".", name); wanted > n {
				n = wanted
				r.from(at, r.in.Origins[at+"."])
			}
			delete(r.in.Origins, at+".")
		}
	}
	return n
}
