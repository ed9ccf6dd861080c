package kubeadm

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
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
}

const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	masterTaint       = "node-role.kubernetes.io/master"
)

// LookAtCluster asks the API server of a healthy node, directly: the load balancer may be what is broken. The client is
// nil if its objects cannot be asked for: nobody answers, or kubeadm init was stopped before it made the administrator
// one.
func LookAtCluster(ctx context.Context, h site.Hosts, w Wanted, world World, dial site.Dialer) (Cluster, client.Client, error) {
	var c Cluster
	i := slices.IndexFunc(w.Intent.Nodes, func(n intent.Node) bool {
		s := world.Nodes[n.Name]
		return s.AdminConf && s.Ready == "ok"
	})
	if i < 0 {
		c.Why = "no node has an API server that is ready"
		return c, nil, nil
	}
	n := w.Intent.Nodes[i]
	cl, err := dial(ctx, h, w.Places[n.Name], w.Server(n))
	if err != nil {
		return c, nil, err
	}
	c.Reachable = true
	var nodes corev1.NodeList
	err = cl.List(ctx, &nodes)
	if apierrors.IsForbidden(err) {
		return c, nil, nil
	}
	if err != nil {
		return c, nil, fmt.Errorf("list nodes: %w", err)
	}
	c.Nodes = map[string]corev1.Node{}
	for _, n := range nodes.Items {
		c.Nodes[n.Name] = n
	}
	if c.Version, c.Initialised, err = initialised(ctx, cl, w.Intent); err != nil {
		return c, nil, err
	}
	c.Shared, err = readShared(ctx, cl)
	return c, cl, err
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
