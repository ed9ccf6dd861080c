package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Cluster is what the API server says.
type Cluster struct {
	// Reachable: an API server answered. Why says why not.
	Reachable bool
	Why       string
	// Initialised: kubeadm has finished making the cluster; before, it has to go on.
	Initialised bool
	// Version is the one of kubeadm's ClusterConfiguration, without v. Server is the API server's own.
	Version string
	// Nodes are by name.
	Nodes map[string]corev1.Node
	// Shared is what it keeps for all nodes.
	Shared Shared
	// Running are versions of components.
	Running []Running
	// Changes are what server-side apply of the components would change.
	Changes []plan.Change
}

const (
	adminConf         = "/etc/kubernetes/admin.conf"
	clusterPlace      = "cluster" // the place of what is in the API server
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	masterTaint       = "node-role.kubernetes.io/master"
)

// Dialer connects to the API server as administrator. Connections go through a host's agent, so the deployer itself needs no
// route to the management network.
type Dialer func(ctx context.Context, h site.Hosts, via site.Place, server string) (client.Client, error)

// Connect is the Dialer of deployments: the credentials come from the node, and stay in memory.
func Connect(ctx context.Context, h site.Hosts, via site.Place, server string) (client.Client, error) {
	cfg, err := AdminConfig(ctx, h, via, server)
	if err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return c, nil
}

// Scheme has the types that a deployment speaks of beside Jeroboam's own: evictions, the workloads of kubeadm's addons, and
// requests for certificates.
func Scheme() (*runtime.Scheme, error) {
	s, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, policyv1.AddToScheme, certificatesv1.AddToScheme, authenticationv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return s, nil
}

// AdminConfig reads a node's admin.conf and makes it connect from the node's host; to server instead of the address that is
// in it, if that is not empty.
func AdminConfig(ctx context.Context, h site.Hosts, via site.Place, server string) (*rest.Config, error) {
	text, err := site.Ask[string](ctx, h, via, host.OpRead, adminConf)
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	agent, err := h.At(via)
	if err != nil {
		return nil, err
	}
	if server != "" {
		cfg.Host = "https://" + server
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return agent.Dial(ctx, network, address)
	}
	cfg.QPS, cfg.UserAgent, cfg.Timeout = -1, "jeroboam-deploy", 30*time.Second
	return cfg, nil
}

// inspectCluster asks the API server of a healthy node, directly: the load balancer may be what is broken.
func inspectCluster(ctx context.Context, h site.Hosts, w Wanted, world World, dial Dialer) (Cluster, error) {
	var c Cluster
	i := slices.IndexFunc(w.Intent.Nodes, func(n intent.Node) bool {
		s := world.Nodes[n.Name]
		return s.AdminConf && s.Ready == "ok"
	})
	if i < 0 {
		c.Why = "no node has an API server that is ready"
		return notSeen(c, w, slices.ContainsFunc(w.Intent.Nodes, world.member))
	}
	n := w.Intent.Nodes[i]
	cl, err := dial(ctx, h, w.Places[n.Name], net.JoinHostPort(n.NodeIP, fmt.Sprint(w.Intent.Kubernetes.BackendPort)))
	if err != nil {
		return c, err
	}
	c.Reachable = true
	var nodes corev1.NodeList
	err = cl.List(ctx, &nodes)
	if apierrors.IsForbidden(err) {
		return notSeen(c, w, false) // kubeadm init was stopped before it made the administrator one
	}
	if err != nil {
		return c, fmt.Errorf("list nodes: %w", err)
	}
	c.Nodes = map[string]corev1.Node{}
	for _, n := range nodes.Items {
		c.Nodes[n.Name] = n
	}
	if c.Version, c.Initialised, err = initialised(ctx, cl, w.Intent); err != nil {
		return c, err
	}
	if c.Shared, err = readShared(ctx, cl); err != nil {
		return c, err
	}
	c.Changes, c.Running, err = diffObjects(ctx, cl, w)
	return c, err
}

// notSeen is a cluster whose objects cannot be compared. If it is not there yet all are new; if it is, a run first has to bring it
// back, and then applies them all.
func notSeen(c Cluster, w Wanted, there bool) (Cluster, error) {
	objects, err := objectsOf(w)
	for _, o := range objects {
		change := o.change(plan.Create)
		switch {
		case there:
			change.Action, change.Summary = plan.Update, "not compared: "+c.Why
		case o.component == corednsComponent:
			change.Action = plan.Update // kubeadm creates it
		}
		c.Changes = append(c.Changes, change)
	}
	return c, err
}

// initialised looks for what kubeadm makes last.
func initialised(ctx context.Context, c client.Client, in intent.Intent) (string, bool, error) {
	var cm corev1.ConfigMap
	err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kubeadm-config"}, &cm)
	if apierrors.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read kubeadm's configuration: %w", err)
	}
	var cc struct {
		KubernetesVersion string `json:"kubernetesVersion"`
	}
	if err := yaml.Unmarshal([]byte(cm.Data["ClusterConfiguration"]), &cc); err != nil {
		return "", false, fmt.Errorf("read kubeadm's configuration: %w", err)
	}
	have := version.Trim(cc.KubernetesVersion)
	last := []client.ObjectKey{{Namespace: "kube-system", Name: "coredns"}}
	gvks := []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: "Deployment"}}
	if !in.Kubernetes.RemoveKubeProxy {
		last = append(last, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"})
		gvks = append(gvks, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"})
	}
	for i, key := range last {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvks[i])
		err := c.Get(ctx, key, u)
		if apierrors.IsNotFound(err) {
			return have, false, nil
		}
		if err != nil {
			return have, false, fmt.Errorf("look for %s: %w", key.Name, err)
		}
	}
	return have, true, nil
}

// object is one object of a component.
type object struct {
	component string
	u         *unstructured.Unstructured
}

func (o object) name() string {
	if ns := o.u.GetNamespace(); ns != "" {
		return ns + "/" + o.u.GetName()
	}
	return o.u.GetName()
}

func (o object) change(a plan.Action) plan.Change {
	return plan.Change{Place: clusterPlace, Group: o.component, Kind: o.u.GetKind(), Name: o.name(), Action: a}
}

// objectsOf reads the components' manifests; what others need comes first within a component.
func objectsOf(w Wanted) ([]object, error) {
	out := corednsObjects(w.Intent)
	for _, c := range w.Bundle.Components {
		var own []object
		dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(c.Manifest), 4096)
		for {
			u := &unstructured.Unstructured{}
			err := dec.Decode(&u.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
			if len(u.Object) > 0 {
				own = append(own, object{component: c.Name, u: u})
			}
		}
		for _, o := range inventory(w.Intent, w.Bundle) {
			if o.component == c.Name {
				own = append(own, o)
			}
		}
		for _, o := range own {
			if err := customise(w.Intent, o); err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
		}
		if c.Name == ciliumName {
			if err := customiseCilium(w.Intent, own); err != nil {
				return nil, fmt.Errorf("manifest of %s: %w", c.Name, err)
			}
		}
		slices.SortStableFunc(own, func(a, b object) int { return rank(a.u.GetKind()) - rank(b.u.GetKind()) })
		out = append(out, own...)
	}
	return out, nil
}

// rank orders kinds: what others refer to first, what calls webhooks last.
func rank(kind string) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role",
		"RoleBinding", "Service", "Deployment", "DaemonSet", "",
	}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	switch kind {
	case "Issuer", "Certificate":
		return len(order) + 1
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return len(order) + 2
	}
	return len(order)
}

// diffObjects asks the API server what server-side apply would change, and which versions run.
func diffObjects(ctx context.Context, c client.Client, w Wanted) ([]plan.Change, []Running, error) {
	objects, err := objectsOf(w)
	if err != nil {
		return nil, nil, err
	}
	found := make([]*plan.Change, len(objects))
	versions := make([][]Running, len(objects))
	errs := make([]error, len(objects))
	var all sync.WaitGroup
	gate := make(chan struct{}, 8)
	for i, o := range objects {
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			found[i], versions[i], errs[i] = diffObject(ctx, c, o)
		})
	}
	all.Wait()
	var out []plan.Change
	for _, f := range found {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out, slices.Concat(versions...), errors.Join(errs...)
}

func diffObject(ctx context.Context, c client.Client, o object) (*plan.Change, []Running, error) {
	have := &unstructured.Unstructured{}
	have.SetGroupVersionKind(o.u.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(o.u), have)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) || discovery.IsGroupDiscoveryFailedError(err) {
		change := o.change(plan.Create)
		return &change, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look at %s %s: %w", o.u.GetKind(), o.name(), err)
	}
	running := runningOf(o, have)
	if sameObject(o.u, have) {
		return nil, running, nil
	}
	would := o.u.DeepCopy()
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(would), kube.FieldOwner, client.ForceOwnership, client.DryRunAll)
	if err != nil {
		// A webhook that is not there yet, or an immutable field: applying will say it again, with what to do.
		change := o.change(plan.Update)
		change.Summary = site.FirstLine(err.Error())
		return &change, running, nil
	}
	change, err := compareObjects(o, have, would)
	return change, running, err
}

// compareObjects shows a difference as text. Secrets are not shown.
func compareObjects(o object, have, would *unstructured.Unstructured) (*plan.Change, error) {
	is, err := objectText(have)
	if err != nil {
		return nil, err
	}
	wanted, err := objectText(would)
	if err != nil {
		return nil, err
	}
	return plan.Compare(plan.Thing{
		Place: clusterPlace, Group: o.component, Kind: o.u.GetKind(), Name: o.name(), Text: []string{"object"},
		Secret: o.u.GetKind() == "Secret", Want: plan.Facts{"object": wanted},
	}, plan.Facts{"object": is}), nil
}
