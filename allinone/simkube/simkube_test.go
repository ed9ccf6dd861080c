package simkube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
)

const testCluster = "ns/a"

// world is a cluster in which the simulation acts.
type world struct {
	kubernetes.Interface
	t      *testing.T
	server *workload.Server
}

func newWorld(t *testing.T, nodesNeedAddons bool) *world {
	t.Helper()
	e := &etcd.Server{Dir: t.TempDir(), Log: io.Discard}
	if err := e.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	s := New(nodesNeedAddons, slog.New(slog.NewTextHandler(t.Output(), nil)))
	server, err := workload.New(workload.Options{Etcd: e.Endpoint(), Changed: s.Changed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx, server) }()
	t.Cleanup(func() { stop(); <-done })
	c, err := kubernetes.NewForConfig(server.Client(testCluster, "test"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{c, t, server}
	for _, name := range []string{"default", "kube-system"} {
		w.must(c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	w.eventually("a service account", func() string {
		_, err := c.CoreV1().ServiceAccounts("kube-system").Get(t.Context(), "default", metav1.GetOptions{})
		return say(err)
	})
	return w
}

// must takes what a client returns.
func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func say(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// eventually waits until nothing is wrong.
func (w *world) eventually(what string, wrong func() string) {
	w.t.Helper()
	last := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	w.t.Fatalf("%s: %s", what, last)
}

// settled waits until the simulation had time to do what it must not do.
func (w *world) settled() { time.Sleep(20 * settle) }

// node makes a node as Cluster API's provider makes it, and as a kubelet registers it if it waits for addons.
func (w *world) node(name string, controlPlane, registered bool) {
	w.t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"}},
		Spec:       corev1.NodeSpec{ProviderID: providerID(name)},
		Status: corev1.NodeStatus{
			Addresses: Addresses(name), Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
		},
	}
	if controlPlane {
		n.Labels["node-role.kubernetes.io/control-plane"] = ""
		n.Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	}
	if registered {
		Registered(n)
	}
	w.must(w.CoreV1().Nodes().Create(w.t.Context(), n, metav1.CreateOptions{}))
}

func template(name string, change func(*corev1.PodSpec)) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "registry.example.com/" + name + ":v1"}}},
	}
	if change != nil {
		change(&t.Spec)
	}
	return t
}

func (w *world) daemonSet(name string, change func(*corev1.PodSpec)) {
	w.t.Helper()
	w.must(w.AppsV1().DaemonSets("kube-system").Create(w.t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template(name, change)},
	}, metav1.CreateOptions{}))
}

func (w *world) deployment(name string, replicas int32, change func(*corev1.PodSpec)) {
	w.t.Helper()
	w.must(w.AppsV1().Deployments("default").Create(w.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template(name, change),
		},
	}, metav1.CreateOptions{}))
}

// network is a network like Calico's and Cilium's.
func network(s *corev1.PodSpec) {
	s.HostNetwork = true
	s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	s.Volumes = []corev1.Volume{{Name: "cni", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc/cni/net.d"}}}}
}

// cloudProvider is the OpenStack cloud controller manager, with the tolerations of its manifest.
func cloudProvider(s *corev1.PodSpec) {
	s.HostNetwork = true
	s.NodeSelector = map[string]string{"node-role.kubernetes.io/control-plane": ""}
	s.Tolerations = []corev1.Toleration{
		{Key: uninitialized, Value: "true", Effect: corev1.TaintEffectNoSchedule},
		{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
	}
	s.Containers[0].Image = "registry.example.com:5000/a/openstack-cloud-controller-manager:v1.34.1"
	s.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "cloud-config"}}}}
}

// available says what is wrong with a Deployment, and what its pods say.
func (w *world) available(name string) string {
	d, err := w.AppsV1().Deployments("default").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionTrue && d.Status.ObservedGeneration == d.Generation {
			return ""
		}
	}
	pods, err := w.CoreV1().Pods("default").List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		return err.Error()
	}
	words := []string{"not available"}
	for _, p := range pods.Items {
		for _, c := range p.Status.Conditions {
			if c.Status == corev1.ConditionFalse {
				words = append(words, c.Message)
			}
		}
	}
	return strings.Join(words, "; ")
}

func (w *world) describe(name string) string {
	n, err := w.CoreV1().Nodes().Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	var taints []string
	for _, t := range n.Spec.Taints {
		taints = append(taints, t.Key)
	}
	slices.Sort(taints)
	return fmt.Sprintf("ready=%v taints=%v provider=%q addresses=%d", nodeReady(n), taints, n.Spec.ProviderID, len(n.Status.Addresses))
}

func (w *world) nodeIs(name, want string) {
	w.t.Helper()
	w.eventually("node "+name, func() string {
		if got := w.describe(name); got != want {
			return "is " + got + ", want " + want
		}
		return ""
	})
}

// The story of a new cluster: nodes become what addons make of them, one after the other, and everything waits for its
// reason.
func TestNodesNeedAddons(t *testing.T) {
	w := newWorld(t, true)
	w.node("m", true, true)
	w.node("n", false, true)
	w.deployment("web", 2, nil)
	const raw = "ready=false taints=[node.cloudprovider.kubernetes.io/uninitialized node.kubernetes.io/not-ready] provider=\"\" addresses=0"
	w.nodeIs("n", raw)
	w.eventually("the reason of a pod", func() string {
		const want = "0/2 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, " +
			"1 node(s) had untolerated taint {node.cloudprovider.kubernetes.io/uninitialized: true}."
		if got := w.available("web"); !strings.Contains(got, want) {
			return got
		}
		return ""
	})

	w.daemonSet("proxy", func(s *corev1.PodSpec) {
		s.HostNetwork = true
		s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	})
	w.daemonSet("log", func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} })
	w.eventually("a pod without the host's network", func() string { return w.daemonSetHas("log", 2, 0) })
	w.eventually("a pod in the host's network", func() string { return w.daemonSetHas("proxy", 2, 2) })
	w.nodeIs("n", raw)

	w.daemonSet("calico-node", network)
	w.nodeIs("n", "ready=true taints=[node.cloudprovider.kubernetes.io/uninitialized] provider=\"\" addresses=0")
	w.nodeIs("m", "ready=true taints=[node-role.kubernetes.io/control-plane node.cloudprovider.kubernetes.io/uninitialized] provider=\"\" addresses=0")
	w.eventually("a pod that waited for the network", func() string { return w.daemonSetHas("log", 2, 2) })

	w.daemonSet("openstack-cloud-controller-manager", cloudProvider)
	w.eventually("the reason of the cloud controller manager", func() string {
		pods, err := w.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: "app=openstack-cloud-controller-manager"})
		if err != nil || len(pods.Items) != 1 || len(pods.Items[0].Status.ContainerStatuses) != 1 {
			return fmt.Sprint(pods, err)
		}
		if waiting := pods.Items[0].Status.ContainerStatuses[0].State.Waiting; waiting == nil || waiting.Message != `secret "cloud-config" not found` {
			return fmt.Sprint(waiting)
		}
		return ""
	})
	w.settled()
	if got := w.describe("n"); !strings.Contains(got, "uninitialized") || w.available("web") == "" {
		t.Errorf("without its Secret the cloud controller manager did its work: %s", got)
	}

	w.must(w.CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cloud-config"}}, metav1.CreateOptions{}))
	w.nodeIs("n", `ready=true taints=[] provider="in-memory://n" addresses=2`)
	w.eventually("the Deployment", func() string { return w.available("web") })

	// A network that is taken away leaves its configuration, a new node has none.
	w.must(nil, w.AppsV1().DaemonSets("kube-system").Delete(t.Context(), "calico-node", metav1.DeleteOptions{}))
	w.node("late", false, true)
	w.nodeIs("late", `ready=false taints=[node.kubernetes.io/not-ready] provider="in-memory://late" addresses=2`)
	w.nodeIs("n", `ready=true taints=[] provider="in-memory://n" addresses=2`)
}

// daemonSetHas says what is wrong with a DaemonSet that should be on so many nodes, and run on so many.
func (w *world) daemonSetHas(name string, desired, ready int32) string {
	d, err := w.AppsV1().DaemonSets("kube-system").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	s := d.Status
	if s.DesiredNumberScheduled != desired || s.NumberAvailable != ready || s.ObservedGeneration != d.Generation || s.NumberUnavailable != desired-ready {
		return fmt.Sprintf("%+v", s)
	}
	return ""
}

// Nodes of a simulation that needs no addons are left as the provider made them.
func TestNodesWithoutAddons(t *testing.T) {
	w := newWorld(t, false)
	w.node("n", false, false)
	w.deployment("web", 1, nil)
	w.eventually("the Deployment", func() string { return w.available("web") })
	if got := w.describe("n"); got != `ready=true taints=[] provider="in-memory://n" addresses=2` {
		t.Error(got)
	}
}

func (w *world) podsOf(namespace, name string) []corev1.Pod {
	w.t.Helper()
	pods, err := w.CoreV1().Pods(namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		w.t.Fatal(err)
	}
	return pods.Items
}

func (w *world) count(namespace, name, image string, want int) {
	w.t.Helper()
	w.eventually("pods of "+name, func() string {
		var names []string
		for _, p := range w.podsOf(namespace, name) {
			if podReady(&p) && strings.HasSuffix(p.Spec.Containers[0].Image, image) {
				names = append(names, p.Name)
			}
		}
		if all := len(w.podsOf(namespace, name)); len(names) != want || all != want {
			return fmt.Sprintf("%d pods, of which these run: %v", all, names)
		}
		return ""
	})
}

// Workloads follow what they are told: scaled, changed, moved from a node that is drained, gone with their owner.
func TestWorkloads(t *testing.T) {
	w := newWorld(t, false)
	w.node("n", false, false)
	w.node("o", false, false)
	w.deployment("web", 3, nil)
	w.daemonSet("agent", nil)
	replicas := int32(2)
	w.must(w.AppsV1().StatefulSets("default").Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, Template: template("db", nil)},
	}, metav1.CreateOptions{}))
	w.count("default", "web", ":v1", 3)
	w.count("kube-system", "agent", ":v1", 2)
	w.count("default", "db", ":v1", 2)
	if names := w.podsOf("default", "db"); names[0].Name != "db-0" || names[1].Name != "db-1" {
		t.Errorf("%s, %s", names[0].Name, names[1].Name)
	}

	patch := func(kind, patch string) {
		t.Helper()
		var err error
		switch kind {
		case "web":
			_, err = w.AppsV1().Deployments("default").Patch(t.Context(), "web", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{})
		case "agent":
			_, err = w.AppsV1().DaemonSets("kube-system").Patch(t.Context(), "agent", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{})
		case "n":
			_, err = w.CoreV1().Nodes().Patch(t.Context(), "n", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{})
		}
		w.must(nil, err)
	}
	patch("web", `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"registry.example.com/web:v2"}]}}}}`)
	patch("agent", `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"registry.example.com/agent:v2"}]}}}}`)
	w.count("default", "web", ":v2", 2)
	w.count("kube-system", "agent", ":v2", 2)
	w.eventually("status", func() string { return w.daemonSetHas("agent", 2, 2) })

	patch("n", `{"spec":{"unschedulable":true}}`)
	for _, p := range w.podsOf("default", "web") {
		if p.Spec.NodeName == "n" {
			w.must(nil, w.CoreV1().Pods("default").Delete(t.Context(), p.Name, metav1.DeleteOptions{}))
		}
	}
	w.eventually("no pod on a node that is drained", func() string {
		for _, p := range w.podsOf("default", "web") {
			if p.Spec.NodeName != "o" {
				return p.Name + " is on " + p.Spec.NodeName
			}
		}
		return ""
	})
	w.count("default", "web", ":v2", 2)
	w.count("kube-system", "agent", ":v2", 2) // a daemon's pod stays

	w.must(nil, w.CoreV1().Nodes().Delete(t.Context(), "n", metav1.DeleteOptions{}))
	w.count("kube-system", "agent", ":v2", 1)
	w.must(nil, w.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{}))
	w.count("default", "web", ":v2", 0)
	w.count("default", "db", ":v1", 2)
}

// An addon's two replicas do not share a node: with one node, one waits, and the Deployment counts as available all the
// same.
func TestAntiAffinity(t *testing.T) {
	w := newWorld(t, false)
	w.node("n", false, false)
	half := intstr.FromString("50%")
	replicas := int32(2)
	apart := func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "op"}},
		}}}}
	}
	w.must(w.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "op"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "op"}}, Template: template("op", apart),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &half}},
		},
	}, metav1.CreateOptions{}))
	w.eventually("one of two", func() string { return w.available("op") })
	pods := w.podsOf("default", "op")
	waits := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "" })
	if len(pods) != 2 || waits < 0 {
		t.Fatalf("%d pods, all on the node", len(pods))
	}
	w.node("o", false, false)
	w.count("default", "op", ":v1", 2)
}

// An eviction asks the budget, whose count follows the pods.
func TestEviction(t *testing.T) {
	w := newWorld(t, false)
	w.node("n", false, false)
	w.deployment("web", 1, nil)
	w.count("default", "web", ":v1", 1)
	one := intstr.FromInt32(1)
	w.must(w.PolicyV1().PodDisruptionBudgets("default").Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}, metav1.CreateOptions{}))
	evict := func() error {
		pods := w.podsOf("default", "web")
		return w.PolicyV1().Evictions("default").Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pods[0].Name, Namespace: "default"}})
	}
	w.eventually("the count", func() string {
		b, err := w.PolicyV1().PodDisruptionBudgets("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || b.Status.CurrentHealthy != 1 || b.Status.DesiredHealthy != 1 || b.Status.DisruptionsAllowed != 0 {
			return fmt.Sprint(b.Status, err)
		}
		return ""
	})
	if err := evict(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the only pod may not go: %v", err)
	}
	w.must(w.AppsV1().Deployments("default").Patch(t.Context(), "web", "application/merge-patch+json", []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}))
	w.count("default", "web", ":v1", 2)
	w.eventually("an eviction of one of two", func() string { return say(evict()) })
	w.count("default", "web", ":v1", 2)
}
