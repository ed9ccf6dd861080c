// Package osa reads an operator's OpenStack-Ansible configuration the way OpenStack-Ansible does.
//
// The input is a directory such as /etc/openstack_deploy: the user configuration, conf.d, env.d, and the
// openstack_inventory.json that earlier runs left. The output is the inventory that dynamic_inventory.py of the same
// release makes of it. An existing inventory is the truth: names, addresses and orders in it stay, new things are
// appended.
//
// Three layers, each a value that the next one takes:
//
//	Value   nil, bool, int64, *big.Int, float64, string, *List, *Map   what YAML 1.1 and JSON files say, in their order,
//	                                                                   every entry with the file and line it came from
//	Source  the merged user configuration, environment and old inventory of a directory (Load)
//	Inventory  groups and hosts with their variables (Generate), and its JSON, equal byte for byte
//
// Maps that an anchor and its aliases share are one object here too, because PyYAML shares them and OpenStack-Ansible
// writes into them. What hurts an operator because of that, and what would stop the original, is a Finding.
package osa
