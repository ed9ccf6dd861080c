// Package netns reaches into network namespaces: it knows which of Neutron's namespaces are on this host and opens TCP
// connections inside them.
//
// Neutron keeps a namespace for each network it serves on a host: qdhcp-<network id> where a DHCP agent does (ML2/OVS),
// ovnmeta-<network id> where an OVN metadata agent does. "ip netns" and Neutron both keep them as bind mounts of nsfs
// files in /run/netns.
//
// A socket belongs for ever to the namespace in which it was made. So only the call of socket(2) needs a thread inside
// the namespace; it is over in microseconds, and connecting and copying need no thread at all. A goroutine locks its
// thread, makes a socket and goes home at once, for a thread that stays, or a file of the namespace that is kept open,
// would keep a namespace alive that Neutron has deleted.
package netns
