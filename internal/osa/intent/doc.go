// Package intent says what an operator's OpenStack-Ansible configuration asks for, as one typed value.
//
// osa reads files the way OpenStack-Ansible does: an inventory, and variables evaluated for each host. Here they become
// an Intent: plain fields with the meaning, the unit and the default of the role that would have used them. Nothing in
// an Intent is a template, and nothing was asked of a host.
//
//	in, found, err := intent.Read(intent.Options{Config: "/etc/openstack_deploy"})
//	err               what could not be read at all: a directory, a file, a password
//	found             everything that is wrong, harmful or without effect, each with file, line and remedy; found.Err()
//	                  is nil when nothing stops a deployment
//	in.Nodes          plain fields
//	in.Origin("network.podCIDR")   where a field comes from
//
// An Intent that has errors among its findings is as complete as it can be: fields that cannot be known are empty.
// Never deploy from it.
//
// Every field has an origin, by its path in JSON: "nodes[0].lxc.mountAuto". A path without one of its own has that of
// the nearest path above it. What came from user_secrets.yml or a vault is marked there and masked in JSON, YAML and
// text; what is always secret has the type Secret.
package intent
