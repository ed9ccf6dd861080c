// Package deploy builds the highly available management cluster on real hosts: LXC containers as OpenStack-Ansible
// makes them, containerd, a control plane by kubeadm behind OpenStack-Ansible's haproxy, the network of pods,
// cert-manager, Cluster API.
//
// It is four functions with values between them:
//
//	Want(intent, bundle, facts) Wanted     how everything should be
//	Inspect(ctx, wanted) World             how everything is: asked of systemd, LXC, kubeadm's files, etcd and
//	                                       the API server
//	Diff(wanted, world) plan.Plan          what would change; pure
//	Deployment.Apply(ctx)                  the steps, on one screen in steps.go
//
// Look is the way there: hosts taken, judged and asked, everything a plan follows from in one Session. Rounds are whole
// commands, Apply, Restore and Destroy, for whoever gives them.
//
// Each subject has a room below this package, which knows nothing of the others: node, kubeadm, balance, components,
// kubeconfigs, backups, magnum, keystone, proxy, and preflight before all of them. Here they are put together: what is
// wanted of all, one plan, its judges, the walk.
//
// Nothing is remembered between runs. A run that was killed at any point is continued by running again.
package deploy
