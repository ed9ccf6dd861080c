package kubeadm

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

// outdated is the version that something on a member still has, "" if nothing is left behind. kubelet is changed last,
// so a node with an old one has not had all of its upgrade: kubeadm's is run again, which finishes it.
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

// Upgrading says whether any member gets another version.
func Upgrading(p plan.Plan) bool { return len(plan.Of[Upgrade](p)) > 0 }

// kubeadmLive runs kubeadm on a node with the configuration of the cluster as it lives.
func (r *Run) kubeadmLive(ctx context.Context, n intent.Node, limit time.Duration, args ...string) error {
	if r.World.Cluster.Shared.Cluster == "" { // no API server answered when everything was looked at
		if c, err := r.api(ctx, n); err == nil {
			r.World.Cluster.Shared, _ = readShared(ctx, c) // without it, the configuration alone
		}
	}
	text, err := liveDocuments(r.Wanted, n, r.World.Cluster.Shared, r.World.Nodes[n.Name])
	if err != nil {
		return err
	}
	return r.CommandWith(ctx, r.place(n), limit, liveSecret, text, slices.Concat([]string{"kubeadm"}, args, []string{"--config", liveSecret})...)
}

// uploadSettings puts the settings that nodes share into the cluster.
func (r *Run) uploadSettings(ctx context.Context, n intent.Node) error {
	r.Say("share settings", n.Name, "kubeadm init phase upload-config all")
	return r.kubeadmLive(ctx, n, 2*time.Minute, "init", "phase", "upload-config", "all")
}

// Share changes what the cluster keeps for all nodes, before any node takes it from there. In an upgrade it is the
// first node's work: it takes the new kubeadm.
func (r *Run) Share(ctx context.Context) error {
	if !Shares(r.Plan, sharedCluster) && !Shares(r.Plan, sharedKubelet) || Upgrading(r.Plan) {
		return nil
	}
	return r.uploadSettings(ctx, r.FirstServing(ctx))
}

// ControlPlane does kubeadm's part of a member's change: static pods and certificates.
func (r *Run) ControlPlane(ctx context.Context, n intent.Node) error {
	if err := r.restoreManifests(ctx, n); err != nil {
		return err
	}
	switch {
	case UpgradeOf(r.Plan, n.Name):
		return r.upgrade(ctx, n)
	case settingsOf(r.Plan, n.Name):
		r.Say(RollStep, n.Name, "kubeadm upgrade node phase control-plane")
		// The way kubeadm changes static pods one after the other, waits for each, and goes back when one does not come up.
		if _, err := r.Command(ctx, r.place(n), 15*time.Minute, "kubeadm", "upgrade", "node", "phase", "control-plane", "--certificate-renewal=false"); err != nil {
			return err
		}
		if err := r.tidy(ctx, n); err != nil {
			return err
		}
	}
	if renewalOf(r.Plan, n.Name) {
		return r.renew(ctx, n)
	}
	return nil
}

// restoreManifests makes those again that a killed upgrade has moved away and not replaced.
func (r *Run) restoreManifests(ctx context.Context, n intent.Node) error {
	have := r.World.Nodes[n.Name].StaticPods
	phases := map[string][]string{
		"etcd": {"etcd", "local"}, "kube-apiserver": {"control-plane", "apiserver"},
		"kube-controller-manager": {"control-plane", "controller-manager"}, "kube-scheduler": {"control-plane", "scheduler"},
	}
	for _, name := range host.StaticPods() {
		if _, ok := have[name]; ok || len(have) == 0 {
			continue
		}
		r.Say(RollStep, n.Name, "%s has no manifest: made again", name)
		err := r.kubeadmLive(ctx, n, 2*time.Minute, slices.Concat([]string{"init", "phase"}, phases[name])...)
		if err == nil {
			err = r.Gate(ctx, RollStep, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upgrade brings a node's control plane to the wanted version. The first node also brings what the whole cluster
// shares.
func (r *Run) upgrade(ctx context.Context, n intent.Node) error {
	want := r.Wanted.Intent.Versions.Kubernetes
	args := []string{"kubeadm", "upgrade", "node"}
	finished, err := r.upgradedElsewhere(ctx, n)
	if err != nil {
		return err
	}
	if !finished {
		// The cluster's own copy of the configuration has the tags of etcd's and CoreDNS' images: of this bundle, from now
		// on.
		if err := r.uploadSettings(ctx, n); err != nil {
			return err
		}
		args = []string{"kubeadm", "upgrade", "apply", "v" + want, "--yes"}
	}
	r.Say(RollStep, n.Name, "%s", strings.Join(args, " "))
	if _, err := r.Command(ctx, r.place(n), 15*time.Minute, append(args, r.passedOver(n)...)...); err != nil {
		return err
	}
	return r.tidy(ctx, n)
}

// upgradedElsewhere says whether another member has had all of its upgrade, kubelet included: then what the cluster
// shares has been upgraded as well, and what is left to a node is its own.
func (r *Run) upgradedElsewhere(ctx context.Context, n intent.Node) (bool, error) {
	for _, o := range r.Members() {
		if o.Name == n.Name {
			continue
		}
		state, err := site.Ask[host.Node](ctx, r.Hosts, r.place(o), host.OpNode, host.NodeQuery{})
		if err != nil {
			return false, err
		}
		c, err := r.api(ctx, o)
		if err != nil {
			return false, err
		}
		var node corev1.Node
		if err := c.Get(ctx, client.ObjectKey{Name: o.NodeName}, &node); err != nil {
			return false, fmt.Errorf("look at node %s: %w", o.NodeName, err)
		}
		world := World{Nodes: map[string]host.Node{o.Name: state}, Cluster: Cluster{Nodes: map[string]corev1.Node{o.NodeName: node}}}
		if outdated(r.Wanted, world, o) == "" {
			return true, nil
		}
	}
	return false, nil
}

// passedOver are kubeadm's checks and phases that do not apply to an upgrade of a node.
//
// CoreDNS is the bundle's own in every step of a chain, so the kubeadm of a release on the way may be older than it,
// and then knows no way from there: it refuses ("start version '1.14.2' not supported"), in its checks and in its
// phase. Where the bundle's CoreDNS runs already, there is nothing for it to do. kubeadm has --skip-phases here from
// 1.32 on: a step to 1.31 that was killed after its addons is not continued by this.
func (r *Run) passedOver(n intent.Node) []string {
	checks := traitsOf(r.Wanted.Facts[n.PhysicalHost]).ignored(r.Wanted.Intent)
	var flags []string
	if tag := r.Wanted.Bundle.Versions["coredns-tag"]; r.Wanted.Bundle.Carries(r.Wanted.Intent.Versions.Kubernetes) && r.World.Cluster.Shared.CoreDNS == tag {
		checks = append(checks, "CoreDNSMigration", "CoreDNSUnsupportedPlugins")
		flags = append(flags, "--skip-phases=addon/coredns")
	}
	return append(flags, "--ignore-preflight-errors="+strings.Join(checks, ","))
}

// StartKubelet writes kubelet's configuration and flags, and starts it again.
func (r *Run) StartKubelet(ctx context.Context, n intent.Node) error {
	r.Say(RollStep, n.Name, "kubeadm init phase kubelet-start")
	return r.kubeadmLive(ctx, n, 5*time.Minute, "init", "phase", "kubelet-start")
}

// renew makes new certificates of the same authorities, then restarts what has read the old ones.
func (r *Run) renew(ctx context.Context, n intent.Node) error {
	r.Say(RollStep, n.Name, "kubeadm certs renew")
	err := r.kubeadmLive(ctx, n, 2*time.Minute, "certs", "renew", "all")
	if err != nil {
		return err
	}
	return r.restartStaticPods(ctx, n)
}

// restartStaticPods stops the control plane's containers; kubelet starts them again. All have read certificates at
// start.
func (r *Run) restartStaticPods(ctx context.Context, n intent.Node) error {
	const script = `for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  for id in $(crictl ps -q --name "^$name\$"); do crictl stop -t 30 "$id" >/dev/null; done
done`
	_, err := r.Command(ctx, r.place(n), 5*time.Minute, "sh", "-c", script)
	return err
}

// Settled waits until a changed node is Ready, runs what it should, and stays so. started says that its kubelet was
// started again for a reason that is not kubeadm's.
func (r *Run) Settled(ctx context.Context, n intent.Node, started bool) error {
	want := r.Wanted.Intent.Versions.Kubernetes
	c, err := r.api(ctx, n)
	if err != nil {
		return err
	}
	err = r.Wait(ctx, RollStep, n.Name, 5*time.Minute, func() (bool, string) {
		var node corev1.Node
		if err := c.Get(ctx, client.ObjectKey{Name: n.NodeName}, &node); err != nil {
			return false, site.FirstLine(err.Error())
		}
		if v := version.Trim(node.Status.NodeInfo.KubeletVersion); v != want {
			return false, "kubelet is " + v
		}
		why := NodeReady(ctx, c, n.NodeName)
		return why == "", why
	})
	if err != nil {
		return err
	}
	if !started && !UpgradeOf(r.Plan, n.Name) && !KubeletOf(r.Plan, n.Name) {
		return nil
	}
	return r.steady(ctx, n)
}

// steadyFor is how long a node has to serve without a gap after its kubelet was started: a kubelet of another minor
// version restarts all containers a few seconds after it has said that the node is Ready.
const steadyFor = 20 * time.Second

// steady waits until a node has served for a while: the next node's etcd must not go away while this one's does.
func (r *Run) steady(ctx context.Context, n intent.Node) error {
	var since time.Time
	return r.Wait(ctx, RollStep, n.Name, 5*time.Minute, func() (bool, string) {
		ok, why := r.serves(ctx, n)
		switch {
		case !ok:
			since = time.Time{}
			return false, why
		case since.IsZero():
			since = r.Now()
		}
		return r.Now().Sub(since) >= steadyFor, "it serves, and is watched for a while"
	})
}

// ChangeAddons brings CoreDNS and kube-proxy to what they should be, if kubeadm has not done it with the last node of
// an upgrade.
func (r *Run) ChangeAddons(ctx context.Context) error {
	const step = "change addons"
	if !Shares(r.Plan, SharedAddons) && !Shares(r.Plan, sharedProxy) && !Upgrading(r.Plan) {
		return nil
	}
	n := r.FirstServing(ctx)
	c, err := r.api(ctx, n)
	if err != nil {
		return err
	}
	if r.World.Cluster.Shared, err = readShared(ctx, c); err != nil {
		return err
	}
	if len(addonsDiffer(r.Wanted, r.World.Cluster.Shared)) > 0 {
		if err := r.addon(ctx, step, n, "coredns"); err != nil {
			return err
		}
	} else if !Shares(r.Plan, sharedProxy) {
		return nil
	}
	if r.Wanted.Intent.Kubernetes.RemoveKubeProxy {
		return nil
	}
	if err := r.addon(ctx, step, n, "kube-proxy"); err != nil {
		return err
	}
	return restartProxies(ctx, c, r.Now())
}

func (r *Run) addon(ctx context.Context, step string, n intent.Node, name string) error {
	r.Say(step, n.Name, "kubeadm init phase addon %s", name)
	return r.kubeadmLive(ctx, n, 5*time.Minute, "init", "phase", "addon", name)
}

// restartProxies makes kube-proxy's pods read their configuration again, one node after the other, as kubectl's
// "rollout restart" does.
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
