package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// readShared reads what kubeadm keeps in the cluster.
func readShared(ctx context.Context, c client.Client) (Shared, error) {
	var s Shared
	for _, t := range []struct {
		name, key string
		to        *string
	}{{"kubeadm-config", "ClusterConfiguration", &s.Cluster}, {"kubelet-config", "kubelet", &s.Kubelet}, {"kube-proxy", "config.conf", &s.Proxy}, {"cilium-config", "cluster-pool-ipv4-cidr", &s.Pool}} {
		var cm corev1.ConfigMap
		if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: t.name}, &cm); client.IgnoreNotFound(err) != nil {
			return s, fmt.Errorf("read the cluster's settings: %w", err)
		}
		*t.to = cm.Data[t.key]
	}
	var dns appsv1.Deployment
	if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, &dns); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("look at coredns: %w", err)
	}
	var proxy appsv1.DaemonSet
	if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}, &proxy); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("look at kube-proxy: %w", err)
	}
	s.CoreDNS, s.ProxyTag = imageTag(dns.Spec.Template.Spec), imageTag(proxy.Spec.Template.Spec)
	return s, nil
}

func imageTag(p corev1.PodSpec) string {
	if len(p.Containers) == 0 {
		return ""
	}
	image := p.Containers[0].Image
	return image[strings.LastIndexByte(image, ':')+1:]
}

// outdated is the version that something on a member still has, "" if nothing is left behind. kubelet is changed last, so a
// node with an old one has not had all of its upgrade: kubeadm's is run again, which finishes it.
func outdated(w Wanted, world World, n intent.Node) string {
	want, state := w.Intent.Versions.Kubernetes, world.Nodes[n.Name]
	for _, name := range host.StaticPods() {
		if v := version.Trim(state.StaticPods[name]); name != "etcd" && v != "" && v != want {
			return v
		}
	}
	if v := version.Trim(world.Cluster.Nodes[n.NodeName].Status.NodeInfo.KubeletVersion); v != "" && v != want {
		return v
	}
	return ""
}

// upgrading says whether any member gets another version.
func (d *Deployment) upgrading() bool {
	return len(plan.Of[KubeadmUpgrade](d.Plan)) > 0
}

// giveImages brings new images to all members before anything of the old version stops: a pod of the new version may be placed on
// any of them, and kubeadm itself tries one before it begins.
func (d *Deployment) giveImages(ctx context.Context) error {
	const step = "give members new images"
	if !d.upgrading() && !shares(d.Plan, sharedAddons) {
		return nil
	}
	for _, n := range d.members() {
		for _, i := range d.Wanted.At(n.Name, node.GroupInside) {
			if i.Images == nil || !d.planned(n.Name, "images", "") {
				continue
			}
			if err := d.work().Lend(ctx, d.place(n)); err != nil {
				return err
			}
			d.Say(step, n.Name, "import images")
			if _, err := site.Ask[struct{}](ctx, d.Hosts, d.place(n), host.OpEnsure, []host.Item{i}); err != nil {
				return err
			}
		}
	}
	return nil
}

// kubeadmLive runs kubeadm on a node with the configuration of the cluster as it lives.
func (d *Deployment) kubeadmLive(ctx context.Context, n intent.Node, limit time.Duration, args ...string) error {
	if d.World.Cluster.Shared.Cluster == "" { // no API server answered when everything was looked at
		if c, err := d.api(ctx, n); err == nil {
			d.World.Cluster.Shared, _ = readShared(ctx, c) // without it, the configuration alone
		}
	}
	text, err := liveDocuments(d.Wanted, n, d.World.Cluster.Shared, d.World.Nodes[n.Name])
	if err != nil {
		return err
	}
	return d.CommandWith(ctx, d.place(n), limit, liveSecret, text, slices.Concat([]string{"kubeadm"}, args, []string{"--config", liveSecret})...)
}

// uploadSettings puts the settings that nodes share into the cluster.
func (d *Deployment) uploadSettings(ctx context.Context, n intent.Node) error {
	d.Say("share settings", n.Name, "kubeadm init phase upload-config all")
	return d.kubeadmLive(ctx, n, 2*time.Minute, "init", "phase", "upload-config", "all")
}

// shareSettings changes what the cluster keeps for all nodes, before any node takes it from there. In an upgrade it is the
// first node's work: it takes the new kubeadm.
func (d *Deployment) shareSettings(ctx context.Context) error {
	if !shares(d.Plan, sharedCluster) && !shares(d.Plan, sharedKubelet) || d.upgrading() {
		return nil
	}
	return d.uploadSettings(ctx, d.firstServing(ctx))
}

// controlPlane does kubeadm's part of a member's change: static pods and certificates.
func (d *Deployment) controlPlane(ctx context.Context, n intent.Node) error {
	if err := d.restoreManifests(ctx, n); err != nil {
		return err
	}
	switch {
	case upgradeOf(d.Plan, n.Name):
		return d.upgrade(ctx, n)
	case settingsOf(d.Plan, n.Name):
		d.Say(rollStep, n.Name, "kubeadm upgrade node phase control-plane")
		// The way kubeadm changes static pods one after the other, waits for each, and goes back when one does not come up.
		if _, err := d.Command(ctx, d.place(n), 15*time.Minute, "kubeadm", "upgrade", "node", "phase", "control-plane", "--certificate-renewal=false"); err != nil {
			return err
		}
		if err := d.tidy(ctx, n); err != nil {
			return err
		}
	}
	if renewalOf(d.Plan, n.Name) {
		return d.renew(ctx, n)
	}
	return nil
}

// restoreManifests makes those again that a killed upgrade has moved away and not replaced.
func (d *Deployment) restoreManifests(ctx context.Context, n intent.Node) error {
	have := d.World.Nodes[n.Name].StaticPods
	phases := map[string][]string{
		"etcd": {"etcd", "local"}, "kube-apiserver": {"control-plane", "apiserver"},
		"kube-controller-manager": {"control-plane", "controller-manager"}, "kube-scheduler": {"control-plane", "scheduler"},
	}
	for _, name := range host.StaticPods() {
		if _, ok := have[name]; ok || len(have) == 0 {
			continue
		}
		d.Say(rollStep, n.Name, "%s has no manifest: made again", name)
		err := d.kubeadmLive(ctx, n, 2*time.Minute, slices.Concat([]string{"init", "phase"}, phases[name])...)
		if err == nil {
			err = d.gate(ctx, rollStep, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upgrade brings a node's control plane to the wanted version. The first node also brings what the whole cluster shares.
func (d *Deployment) upgrade(ctx context.Context, n intent.Node) error {
	want := d.Wanted.Intent.Versions.Kubernetes
	args := []string{"kubeadm", "upgrade", "node"}
	finished, err := d.upgradedElsewhere(ctx, n)
	if err != nil {
		return err
	}
	if !finished {
		// The cluster's own copy of the configuration has the tags of etcd's and CoreDNS' images: of this bundle, from now on.
		if err := d.uploadSettings(ctx, n); err != nil {
			return err
		}
		args = []string{"kubeadm", "upgrade", "apply", "v" + want, "--yes"}
	}
	d.Say(rollStep, n.Name, "%s", strings.Join(args, " "))
	if _, err := d.Command(ctx, d.place(n), 15*time.Minute, append(args, "--ignore-preflight-errors="+d.ignored(n))...); err != nil {
		return err
	}
	return d.tidy(ctx, n)
}

// upgradedElsewhere says whether another member has had all of its upgrade, kubelet included: then what the cluster shares has
// been upgraded as well, and what is left to a node is its own.
func (d *Deployment) upgradedElsewhere(ctx context.Context, n intent.Node) (bool, error) {
	for _, o := range d.members() {
		if o.Name == n.Name {
			continue
		}
		state, err := site.Ask[host.Node](ctx, d.Hosts, d.place(o), host.OpNode, host.NodeQuery{})
		if err != nil {
			return false, err
		}
		c, err := d.api(ctx, o)
		if err != nil {
			return false, err
		}
		var node corev1.Node
		if err := c.Get(ctx, client.ObjectKey{Name: o.NodeName}, &node); err != nil {
			return false, fmt.Errorf("look at node %s: %w", o.NodeName, err)
		}
		world := World{Nodes: map[string]host.Node{o.Name: state}, Cluster: Cluster{Nodes: map[string]corev1.Node{o.NodeName: node}}}
		if outdated(d.Wanted, world, o) == "" {
			return true, nil
		}
	}
	return false, nil
}

func (d *Deployment) ignored(n intent.Node) string {
	return strings.Join(traitsOf(d.Wanted.Facts[n.PhysicalHost]).ignored(d.Wanted.Intent), ",")
}

// startKubelet writes kubelet's configuration and flags, and starts it again.
func (d *Deployment) startKubelet(ctx context.Context, n intent.Node) error {
	d.Say(rollStep, n.Name, "kubeadm init phase kubelet-start")
	return d.kubeadmLive(ctx, n, 5*time.Minute, "init", "phase", "kubelet-start")
}

// renew makes new certificates of the same authorities, then restarts what has read the old ones.
func (d *Deployment) renew(ctx context.Context, n intent.Node) error {
	d.Say(rollStep, n.Name, "kubeadm certs renew")
	err := d.kubeadmLive(ctx, n, 2*time.Minute, "certs", "renew", "all")
	if err != nil {
		return err
	}
	return d.restartStaticPods(ctx, n)
}

// settled waits until a changed node is Ready, runs what it should, and stays so.
func (d *Deployment) settled(ctx context.Context, n intent.Node) error {
	want := d.Wanted.Intent.Versions.Kubernetes
	c, err := d.api(ctx, n)
	if err != nil {
		return err
	}
	err = d.Wait(ctx, rollStep, n.Name, 5*time.Minute, func() (bool, string) {
		var node corev1.Node
		if err := c.Get(ctx, client.ObjectKey{Name: n.NodeName}, &node); err != nil {
			return false, site.FirstLine(err.Error())
		}
		if v := version.Trim(node.Status.NodeInfo.KubeletVersion); v != want {
			return false, "kubelet is " + v
		}
		why := nodeReady(ctx, c, n.NodeName)
		return why == "", why
	})
	if err != nil {
		return err
	}
	if !d.work().Changes(n.Name, node.GroupKubelet) && !upgradeOf(d.Plan, n.Name) && !kubeletOf(d.Plan, n.Name) {
		return nil
	}
	return d.steady(ctx, n)
}

// steadyFor is how long a node has to serve without a gap after its kubelet was started: a kubelet of another minor version
// restarts all containers a few seconds after it has said that the node is Ready.
const steadyFor = 20 * time.Second

// steady waits until a node has served for a while: the next node's etcd must not go away while this one's does.
func (d *Deployment) steady(ctx context.Context, n intent.Node) error {
	var since time.Time
	return d.Wait(ctx, rollStep, n.Name, 5*time.Minute, func() (bool, string) {
		ok, why := d.serves(ctx, n)
		switch {
		case !ok:
			since = time.Time{}
			return false, why
		case since.IsZero():
			since = d.Now()
		}
		return d.Now().Sub(since) >= steadyFor, "it serves, and is watched for a while"
	})
}

// changeAddons brings CoreDNS and kube-proxy to what they should be, if kubeadm has not done it with the last node of an upgrade.
func (d *Deployment) changeAddons(ctx context.Context) error {
	const step = "change addons"
	if !shares(d.Plan, sharedAddons) && !shares(d.Plan, sharedProxy) && !d.upgrading() {
		return nil
	}
	n := d.firstServing(ctx)
	c, err := d.api(ctx, n)
	if err != nil {
		return err
	}
	if d.World.Cluster.Shared, err = readShared(ctx, c); err != nil {
		return err
	}
	if len(addonsDiffer(d.Wanted, d.World.Cluster.Shared)) > 0 {
		if err := d.addon(ctx, step, n, "coredns"); err != nil {
			return err
		}
	} else if !shares(d.Plan, sharedProxy) {
		return nil
	}
	if d.Wanted.Intent.Kubernetes.RemoveKubeProxy {
		return nil
	}
	if err := d.addon(ctx, step, n, "kube-proxy"); err != nil {
		return err
	}
	return restartProxies(ctx, c, d.Now())
}

func (d *Deployment) addon(ctx context.Context, step string, n intent.Node, name string) error {
	d.Say(step, n.Name, "kubeadm init phase addon %s", name)
	return d.kubeadmLive(ctx, n, 5*time.Minute, "init", "phase", "addon", name)
}

// restartProxies makes kube-proxy's pods read their configuration again, one node after the other, as kubectl's "rollout restart" does.
func restartProxies(ctx context.Context, c client.Client, now time.Time) error {
	var proxy appsv1.DaemonSet
	if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}, &proxy); err != nil {
		if apierrors.IsNotFound(err) {
			return errors.New("kubeadm made no kube-proxy")
		}
		return fmt.Errorf("look at kube-proxy: %w", err)
	}
	was := proxy.DeepCopy()
	if proxy.Spec.Template.Annotations == nil {
		proxy.Spec.Template.Annotations = map[string]string{}
	}
	proxy.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] = now.UTC().Format(time.RFC3339)
	return c.Patch(ctx, &proxy, client.MergeFrom(was))
}
