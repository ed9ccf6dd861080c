package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// checks are what is looked at in the cluster. They are independent: any of them can be declined.
func (r *run) checks() []step {
	return []step{
		{"nodes", "every node is ready, and the cloud controller manager knows it", "kubectl describe node; on the node, journalctl -u kubelet; " +
			"kubectl -n kube-system get pods: the network of pods and the cloud controller manager", r.nodes, true},
		{"pods", "pods start on every node, and admission of restricted pods works", "kubectl -n " + r.namespace() + " describe pods; whether nodes can pull " +
			"the image, or have it", r.pods, true},
		{"dns", "pods on every node find services by name", "kubectl -n kube-system logs -l k8s-app=kube-dns; the service kube-dns and kube-proxy or what takes its place", r.dns, true},
		{"reach", "pods on all nodes reach each other and a service", "the network of pods (cilium status, calicoctl node status), security groups between nodes, the tenant network's MTU", r.reach, true},
		{"policy", "a NetworkPolicy keeps out what it should, and nothing else", "whether the network driver enforces policies (cilium, calico), and its agents' logs", r.policy, true},
		{"balancer", "a service of type LoadBalancer answers at its address, and gives it back", "kubectl describe service; the log of openstack-cloud-controller-manager; " +
			"openstack loadbalancer list; whether this machine reaches the external network", r.balancer, true},
		{"volume", "a volume is made, written, and moves to another node with its contents", "kubectl describe pvc; the logs of csi-cinder-controllerplugin and " +
			"csi-cinder-nodeplugin; openstack volume list", r.volume, true},
		{"resize", "the cluster grows by a worker and shrinks again", "the reason above; openstack coe cluster show; the project's quota", r.resize, true},
		{"health", "Magnum says that the cluster is healthy", "openstack coe cluster show -c health_status_reason", r.health, true},
		{"conformance", "the cluster does what Kubernetes' conformance tests ask for", "e2e.log and junit_01.xml among the results (--results DIR)", r.conformance, true},
	}
}

func port(n int) intstr.IntOrString { return intstr.FromInt(n) }

// readyNodes waits until there are so many nodes, each as it should be.
func (r *run) readyNodes(ctx context.Context, count int) ([]corev1.Node, error) {
	var nodes []corev1.Node
	err := r.await(ctx, min(r.Timeout, 10*time.Minute), func(ctx context.Context) (bool, string, error) {
		list, err := r.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		nodes = list.Items
		var not []string
		for _, n := range nodes {
			if why := nodeLacks(n); why != "" {
				not = append(not, n.Name+": "+why)
			}
		}
		return len(nodes) == count && len(not) == 0, strings.Join(append([]string{fmt.Sprintf("%d of %d nodes are ready", len(nodes)-len(not), count)}, not...), "; "), nil
	})
	return nodes, err
}

// nodeLacks says what is wrong with a node, "" if nothing is.
func nodeLacks(n corev1.Node) string {
	why := "kubelet has not told its state"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if why = ""; c.Status != corev1.ConditionTrue {
			why = c.Reason + ": " + c.Message
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Key == "node.cloudprovider.kubernetes.io/uninitialized" {
			why = "no cloud controller manager has initialized it"
		}
	}
	if why == "" && n.Spec.ProviderID == "" {
		why = "it has no providerID"
	}
	return why
}

func (r *run) nodes(ctx context.Context) (string, error) {
	nodes, err := r.readyNodes(ctx, r.cluster.MasterCount+r.cluster.NodeCount)
	if err != nil {
		return "", err
	}
	versions := map[string]int{}
	for _, n := range nodes {
		versions[n.Status.NodeInfo.KubeletVersion]++
	}
	if len(versions) > 1 {
		return "", fmt.Errorf("nodes run kubelets of different versions: %v", versions)
	}
	return fmt.Sprintf("%d ready, kubelet %s, %s", len(nodes), nodes[0].Status.NodeInfo.KubeletVersion, nodes[0].Status.NodeInfo.ContainerRuntimeVersion), nil
}

const serverName = "server"

// servers are an HTTP server on each node, and a service of them. Several checks use them; the first one makes them.
func (r *run) servers(ctx context.Context) ([]corev1.Pod, string, error) {
	labels := map[string]string{"app": serverName}
	template := r.pod("", labels)
	serves(&template.Spec)
	_, err := r.kube.AppsV1().DaemonSets(r.namespace()).Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: serverName, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template.Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, "", fmt.Errorf("make the servers: %w", err)
	}
	_, err = r.kube.CoreV1().Services(r.namespace()).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: serverName, Labels: labels},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: port(8080)}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, "", fmt.Errorf("make their service: %w", err)
	}
	nodes, err := r.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	pods, err := r.ready(ctx, 5*time.Minute, "app="+serverName, len(nodes.Items))
	if err != nil {
		return nil, "", err
	}
	service, err := r.kube.CoreV1().Services(r.namespace()).Get(ctx, serverName, metav1.GetOptions{})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, service.Spec.ClusterIP, nil
}

func (r *run) pods(ctx context.Context) (string, error) {
	pods, _, err := r.servers(ctx)
	return fmt.Sprintf("%d ready, one on each node", len(pods)), err
}

// try is a connection from a pod to an address.
type try struct{ from, to string }

// tries are the connections that show a network to be whole: from each pod to each other one, or, where those would be
// too many, to the next few, so that each pod is once at every end.
func tries(pods []corev1.Pod) []try {
	const neighbours = 8
	var out []try
	for i := range pods {
		for d := 1; d < len(pods) && d <= neighbours; d++ {
			to := pods[(i+d)%len(pods)]
			out = append(out, try{pods[i].Name, net.JoinHostPort(to.Status.PodIP, "8080")})
		}
	}
	return out
}

// all tries connections, a few of them again because a name or a route may come a moment later, and says which fail.
func (r *run) allConnect(ctx context.Context, list []try) error {
	var problems []error
	for _, t := range list {
		var why string
		var err error
		for again := range 3 {
			if why, err = r.connects(ctx, t.from, t.to); why == "" && err == nil {
				break
			}
			r.say("%s to %s: %s %v (%d. time)", t.from, t.to, why, err, again+1)
		}
		if why != "" || err != nil {
			problems = append(problems, errors.Join(fmt.Errorf("from the pod %s to %s: %s", t.from, t.to, why), err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(problems...)
}

func (r *run) dns(ctx context.Context) (string, error) {
	pods, _, err := r.servers(ctx)
	if err != nil {
		return "", err
	}
	var list []try
	for _, p := range pods {
		list = append(list, try{p.Name, "kubernetes.default.svc:443"}, try{p.Name, serverName + ":80"})
	}
	return fmt.Sprintf("%d names found from %d nodes", len(list), len(pods)), r.allConnect(ctx, list)
}

func (r *run) reach(ctx context.Context) (string, error) {
	pods, service, err := r.servers(ctx)
	if err != nil {
		return "", err
	}
	list := tries(pods)
	between := len(list)
	for _, p := range pods {
		list = append(list, try{p.Name, net.JoinHostPort(service, "80")})
	}
	return fmt.Sprintf("%d connections between pods of %d nodes, and to a service from each", between, len(pods)), r.allConnect(ctx, list)
}

func (r *run) resize(ctx context.Context) (string, error) {
	if !r.plan.Cluster.Make {
		return "", skipped("the cluster was there before, and is not changed")
	}
	workers := r.cluster.NodeCount
	var took []string
	for _, n := range []int{workers + 1, workers} {
		began := r.Now()
		asking, done := whole(ctx)
		_, err := clusters.Resize(asking, r.Magnum, r.cluster.UUID, clusters.ResizeOpts{NodeCount: &n}).Extract()
		done()
		if err != nil {
			return "", fmt.Errorf("ask for %d workers: %w", n, err)
		}
		if _, err := r.reaches(ctx, r.cluster.UUID, "UPDATE_COMPLETE", func(k *clusters.Cluster) bool { return k.NodeCount == n }); err != nil {
			return "", fmt.Errorf("%d workers: %w", n, err)
		}
		if _, err := r.readyNodes(ctx, r.cluster.MasterCount+n); err != nil {
			return "", fmt.Errorf("%d workers: %w", n, err)
		}
		took = append(took, fmt.Sprintf("%d workers after %.0f s", n, r.Now().Sub(began).Seconds()))
	}
	return strings.Join(took, ", "), nil
}

func (r *run) health(ctx context.Context) (string, error) {
	var last *clusters.Cluster
	err := r.await(ctx, min(r.Timeout, 3*time.Minute), func(ctx context.Context) (bool, string, error) {
		k, err := clusters.Get(ctx, r.Magnum, r.cluster.UUID).Extract()
		if err != nil {
			return false, "", err
		}
		last = k
		return k.HealthStatus == "HEALTHY", fmt.Sprintf("health_status is %q: %v", k.HealthStatus, k.HealthStatusReason), nil
	})
	if err != nil && last != nil && last.HealthStatus == "" {
		return "", skipped("this Magnum reports no health_status")
	}
	return "HEALTHY", err
}
