// Package simcloud is a simulated OpenStack: Keystone, and the parts of Nova, Glance, Neutron, Cinder and Octavia that
// Jeroboam and its users' clients call, as one HTTP handler. Real clients log in to it with a plain clouds.yaml: the
// openstack command, keystoneauth, gophercloud. Production code does not know that it exists.
//
// Three kinds of things are in it:
//
//   - what the [Seed] says: users, projects, flavors, images, networks. They come from a YAML file (docs/simcloud.md),
//     have ids made from their names, and never change while it runs.
//   - what clients make: key pairs, application credentials, server groups, load balancers, floating IPs. They are in
//     one JSON file, replaced atomically before a client hears of success.
//   - machines: Cluster API's in-memory machines ask [Cloud.Schedule] whether they may come, and show as servers in
//     Nova.
//
// Tokens are sealed with a key kept in that JSON file, as Keystone's Fernet tokens are: nothing is written when one is
// issued, and they stay good over a restart.
//
// Things go wrong on demand: a [Faults] value says which requests get which answer and which machines fail, from the
// seed, from [Cloud.SetFaults] or from PUT /_simcloud/faults.
package simcloud
