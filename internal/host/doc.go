// Package host is what can be seen and changed on one machine: files, sysctls, kernel modules, systemd units, LXC
// containers, images of containerd, haproxy's assembled configuration. Each kind of item says how it should be, looks
// how it is, and brings itself there; comparing the two is plan's. The same code runs on a physical host and inside its
// containers.
//
// It runs there as an agent: the deployer copies the jeroboam binary to a host, starts it over SSH, and the two speak
// lines of JSON over standard input and output ([Serve]). A request for a container goes to the physical host's agent,
// which starts itself inside with lxc-attach, so containers need no sshd.
//
// Every Ensure is idempotent and may be killed at any point: files and file systems appear under a temporary name and
// are renamed when they are whole. An agent that loses its deployer finishes what it is doing and ends; the next one
// waits for it.
package host
