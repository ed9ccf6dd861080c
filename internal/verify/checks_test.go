package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/exec"
)

// inside is a run whose cluster is in memory: pods are ready as soon as they are made, on nodes in turn.
func inside(t *testing.T, objects ...runtime.Object) (*run, *fake.Clientset) {
	t.Helper()
	kube := fake.NewClientset(objects...)
	count := 0
	kube.PrependReactor("create", "pods", func(a kubetesting.Action) (bool, runtime.Object, error) {
		p := a.(kubetesting.CreateAction).GetObject().(*corev1.Pod)
		count++
		p.Status.PodIP = fmt.Sprintf("10.0.0.%d", count)
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		p.Spec.NodeName = fmt.Sprint("node", count%2)
		return false, nil, nil
	})
	return &run{
		Options: quickly(Options{RunID: "0badcafe"}), kube: kube, image: TestImage, cluster: &clusters.Cluster{MasterCount: 1, NodeCount: 1},
		Clients: Clients{Volumes: true, Balancers: true},
	}, kube
}

func node(name string, change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: "openstack:///" + name},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.36.4", ContainerRuntimeVersion: "containerd://2.4.2"},
		},
	}
	if change != nil {
		change(n)
	}
	return n
}

func TestNodes(t *testing.T) {
	for _, c := range []struct {
		reason string
		second func(*corev1.Node)
		want   string // in the error; none: it passes
	}{
		{"both are ready", nil, ""},
		{"kubelet says why not", func(n *corev1.Node) {
			n.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "cni plugin not initialized"}
		}, "1 of 2 nodes are ready; b: KubeletNotReady: cni plugin not initialized"},
		{"kubelet was never heard of", func(n *corev1.Node) { n.Status.Conditions = nil }, "b: kubelet has not told its state"},
		{"no cloud controller manager", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "node.cloudprovider.kubernetes.io/uninitialized"}}
		}, "b: no cloud controller manager has initialized it"},
		{"it is nobody's server", func(n *corev1.Node) { n.Spec.ProviderID = "" }, "b: it has no providerID"},
		{"half of an upgrade", func(n *corev1.Node) { n.Status.NodeInfo.KubeletVersion = "v1.35.4" }, "different versions"},
	} {
		r, _ := inside(t, node("a", nil), node("b", c.second))
		r.Timeout = 30 * time.Millisecond
		seen, err := r.nodes(t.Context())
		switch {
		case c.want == "" && (err != nil || seen != "2 ready, kubelet v1.36.4, containerd://2.4.2"):
			t.Errorf("%s: %q %v", c.reason, seen, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", c.reason, err)
		}
	}
	r, _ := inside(t, node("a", nil))
	r.Timeout = 30 * time.Millisecond
	if _, err := r.nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of 2 nodes are ready") {
		t.Errorf("a node is missing: %v", err)
	}
}

// A network is judged by who is let in: one without policies, one without connections, and one that is as it should be.
func TestPolicyIsJudged(t *testing.T) {
	const kept = "TIMEOUT"
	for _, c := range []struct {
		reason string
		lets   func(from string, guarded bool) bool
		want   string
	}{
		{"policies are enforced", func(from string, guarded bool) bool { return !guarded || from == "friend" }, ""},
		{"policies are not enforced", func(string, bool) bool { return true }, "with the policy: not within"},
		{"a policy keeps everybody out", func(_ string, guarded bool) bool { return !guarded }, "the friend is kept out (TIMEOUT)"},
		{"nothing connects, which a policy is not to be praised for", func(string, bool) bool { return false }, "before there is a policy"},
	} {
		r, kube := inside(t)
		r.exec = func(ctx context.Context, namespace, pod string, command ...string) (string, error) {
			list, err := kube.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return "", err
			}
			if c.lets(pod, len(list.Items) > 0) {
				return "", nil
			}
			return kept, exec.CodeExitError{Err: errors.New("command terminated with exit code 1"), Code: 1}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := r.policy(ctx)
		cancel()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) && ctx.Err() == nil {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}

func TestConnects(t *testing.T) {
	ended := exec.CodeExitError{Err: errors.New("command terminated with exit code 1"), Code: 1}
	for _, c := range []struct {
		reason, out string
		err         error
		why         string
		fails       bool
	}{
		{"it connects", "", nil, "", false},
		{"agnhost says why not", "REFUSED", ended, "REFUSED", false},
		{"what it said was lost", "", ended, "no connection", false},
		{"it cannot be run", "exec: /agnhost: no such file", exec.CodeExitError{Err: errors.New("126"), Code: 126}, "", true},
		{"the API server does not answer", "", errors.New("connection refused"), "", true},
		{"it is used wrongly", "Error: unknown flag", ended, "", true},
	} {
		r := &run{exec: func(context.Context, string, string, ...string) (string, error) { return c.out, c.err }}
		why, err := r.connects(t.Context(), "pod", "web:80")
		if why != c.why || (err != nil) != c.fails {
			t.Errorf("%s: %q %v", c.reason, why, err)
		}
	}
}

func TestTries(t *testing.T) {
	pods := func(n int) []corev1.Pod {
		var out []corev1.Pod
		for i := range n {
			out = append(out, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}, Status: corev1.PodStatus{PodIP: fmt.Sprintf("10.0.0.%d", i)}})
		}
		return out
	}
	if got := tries(pods(1)); len(got) != 0 {
		t.Errorf("one pod has nobody to reach: %v", got)
	}
	want := []try{
		{"p0", "10.0.0.1:8080"}, {"p0", "10.0.0.2:8080"}, {"p1", "10.0.0.2:8080"}, {"p1", "10.0.0.0:8080"}, {"p2", "10.0.0.0:8080"}, {"p2", "10.0.0.1:8080"},
	}
	if diff := cmp.Diff(want, tries(pods(3)), cmp.AllowUnexported(try{})); diff != "" {
		t.Errorf("three reach each other:\n%s", diff)
	}
	from, to := map[string]int{}, map[string]int{}
	for _, x := range tries(pods(100)) {
		from[x.from]++
		to[x.to]++
	}
	if len(from) != 100 || len(to) != 100 || from["p7"] != 8 || to["10.0.0.7:8080"] != 8 {
		t.Errorf("of many, each is at both ends of a few: %d %d", from["p7"], to["10.0.0.7:8080"])
	}
}

func TestStorageClass(t *testing.T) {
	class := func(name string, isDefault bool) runtime.Object {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{defaultClass: fmt.Sprint(isDefault)}}}
	}
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: cinderDriver}}
	for _, c := range []struct {
		reason   string
		asked    string
		cinder   bool
		objects  []runtime.Object
		want     string
		skipped  bool
		problems string
	}{
		{"the default one", "", true, []runtime.Object{class("a", false), class("b", true)}, "b", false, ""},
		{"the one that was named", "a", true, []runtime.Object{class("a", false), class("b", true)}, "a", false, ""},
		{"one that is not there", "c", true, []runtime.Object{class("a", true)}, "", false, `no class "c"; it has a`},
		{"no Cinder", "", false, []runtime.Object{class("a", true)}, "", true, "no Cinder"},
		{"no driver in the cluster", "", true, nil, "", true, "no storage driver"},
		{"a driver and no default class is a fault", "", true, []runtime.Object{driver, class("a", false)}, "", false, "no default storage class"},
	} {
		r, _ := inside(t, c.objects...)
		r.StorageClass, r.Volumes = c.asked, c.cinder
		got, err := r.class(t.Context())
		var s skipped
		if got != c.want || errors.As(err, &s) != c.skipped || (err == nil) != (c.problems == "") || err != nil && !strings.Contains(err.Error(), c.problems) {
			t.Errorf("%s: %q %v", c.reason, got, err)
		}
	}
}

// A volume that comes empty to its second node fails; one with another file fails; one node alone is told as it is.
func TestVolumeIsJudged(t *testing.T) {
	for _, c := range []struct {
		reason, read string
		want         string
	}{
		{"the file is there", "content of file \"/data/file\": " + written, ""},
		{"the volume is empty", "content of file \"/data/file\": ", "it holds"},
	} {
		r, kube := inside(t, node("node0", nil), node("node1", nil), &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: "block", Annotations: map[string]string{defaultClass: "true"}},
		})
		r.exec = func(_ context.Context, _, pod string, _ ...string) (string, error) {
			if pod == "writer" {
				return written, nil
			}
			return c.read, nil
		}
		var not []string
		kube.PrependReactor("create", "pods", func(a kubetesting.Action) (bool, runtime.Object, error) {
			if p := a.(kubetesting.CreateAction).GetObject().(*corev1.Pod); p.Spec.Affinity != nil {
				not = p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values
			}
			return false, nil, nil
		})
		seen, err := r.volume(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q %v", c.reason, seen, err)
		}
		if len(not) != 1 || not[0] != "node1" {
			t.Errorf("%s: the reader was kept away from %q, the writer's node is node1", c.reason, not)
		}
	}
}

// Every pod is one that a namespace with the restricted profile admits, whose rules are Kubernetes' own.
func TestPodsAreRestricted(t *testing.T) {
	r, _ := inside(t)
	r.Conformance = Quick
	tester := r.testsPod("registry.k8s.io/conformance:v1.36.4")
	for _, p := range []*corev1.Pod{r.pod("x", nil, "pause"), tester} {
		if s := p.Spec.SecurityContext; s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", p.Name, s)
		}
		for _, c := range p.Spec.Containers {
			if s := c.SecurityContext; s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
				t.Errorf("%s: %s: %+v", p.Name, c.Name, s)
			}
		}
	}
	if *r.pod("x", nil).Spec.AutomountServiceAccountToken || !*tester.Spec.AutomountServiceAccountToken {
		t.Error("the tests have a token, other pods have none")
	}
}

// TestResultsThatAreLost: a command may end well and its output not come, which is no empty file.
func TestResultsThatAreLost(t *testing.T) {
	for name, is := range map[string]struct {
		reason  string
		answers []string
		want    string
	}{
		"at once":  {"as it should be", []string{`content of file "/tmp/results/f": <a/>`}, "<a/>"},
		"lost":     {"the first two answers did not come", []string{"", "", `content of file "/tmp/results/f": <a/>`}, "<a/>"},
		"is empty": {"the file has nothing, and agnhost says so", []string{`content of file "/tmp/results/f":`}, ""},
	} {
		r, _ := inside(t)
		asked := 0
		r.exec = func(context.Context, string, string, ...string) (string, error) {
			asked++
			return is.answers[asked-1], nil
		}
		if got, err := r.fetch(t.Context(), "f"); err != nil || got != is.want || asked != len(is.answers) {
			t.Errorf("%s: %q %v after %d of %d: %s", name, got, err, asked, len(is.answers), is.reason)
		}
	}
	r, _ := inside(t)
	r.exec = func(context.Context, string, string, ...string) (string, error) {
		return "no such file", errors.New("exit 1")
	}
	if _, err := r.fetch(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestTestsAreTold what to run, and how, in the words of the image that Kubernetes publishes.
func TestTestsAreTold(t *testing.T) {
	for name, is := range map[string]struct {
		reason          string
		options         Options
		skip, arguments string
	}{
		"all, one after the other": {"what a certification wants", Options{}, "", "-v"},
		"some are left out":        {"their images are nowhere, for example", Options{ConformanceSkip: "DNS|HostPort"}, "DNS|HostPort", "-v"},
		"side by side":             {"tests that bear no others are left out", Options{ConformanceProcesses: 4}, `\[Serial\]`, "-v --procs=4"},
		"both":                     {"", Options{ConformanceProcesses: 4, ConformanceSkip: "DNS"}, `\[Serial\]|DNS`, "-v --procs=4"},
		"for a while":              {"ginkgo ends them itself, and writes its report", Options{ConformanceLimit: 25 * time.Minute}, "", "-v --timeout=25m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := inside(t)
			r.Conformance, r.ConformanceSkip, r.ConformanceProcesses, r.ConformanceLimit = Certified, is.options.ConformanceSkip, is.options.ConformanceProcesses, is.options.ConformanceLimit
			told := map[string]string{}
			for _, c := range r.testsPod("image").Spec.Containers {
				for _, e := range c.Env {
					told[e.Name] = e.Value
				}
			}
			if told["E2E_FOCUS"] != `\[Conformance\]` || told["E2E_SKIP"] != is.skip || told["E2E_EXTRA_GINKGO_ARGS"] != is.arguments {
				t.Errorf("%v: %s", told, is.reason)
			}
		})
	}
	for _, wrong := range []Options{{ConformanceProcesses: -1}, {ConformanceProcesses: 65}, {ConformanceSkip: "["}, {ConformanceLimit: time.Second}, {Proxies: []string{"10.0.0.1"}}} {
		wrong.Masters, wrong.Nodes = 1, 1
		got := wrong.problems()
		if flag := map[bool]string{true: "--conformance-", false: "--proxy"}[wrong.Proxies == nil]; len(got) != 1 || !strings.Contains(got[0].Error(), flag) {
			t.Errorf("%+v: %v", wrong, got)
		}
	}
}

func TestEmptying(t *testing.T) {
	namespace := func(name string) runtime.Object { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	volume := func(name, of string, policy corev1.PersistentVolumeReclaimPolicy) runtime.Object {
		return &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: of}, PersistentVolumeReclaimPolicy: policy},
		}
	}
	r, kube := inside(t, namespace("default"), namespace("jeroboam-verify-mine"), namespace(mine), namespace(mine+conformanceSuffix),
		volume("ours", mine, corev1.PersistentVolumeReclaimDelete), volume("theirs", "default", corev1.PersistentVolumeReclaimDelete))
	go func() { // the driver of storage
		time.Sleep(20 * time.Millisecond)
		_ = kube.CoreV1().PersistentVolumes().Delete(context.WithoutCancel(t.Context()), "ours", metav1.DeleteOptions{}) // seen below
	}()
	began := time.Now()
	if err := r.emptyOf(t.Context(), kube); err != nil || time.Since(began) < 20*time.Millisecond {
		t.Errorf("%v after %s: it is to wait for the volume", err, time.Since(began))
	}
	list, err := kube.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("%v %v", err, list.Items)
	}
}

func TestMirrored(t *testing.T) {
	for _, c := range []struct{ reason, image, prefix, want string }{
		{"no mirror", TestImage, "", TestImage},
		{"a mirror", TestImage, "registry.example.com:5000/magnum/", "registry.example.com:5000/magnum/agnhost:2.63.0"},
		{"the conformance tests' image", "registry.k8s.io/conformance:v1.36.4", "r/m", "r/m/conformance:v1.36.4"},
		{"what no mirror has", "example.com/x:1", "r/m", ""},
	} {
		got, err := mirrored(c.image, map[string]string{"container_infra_prefix": c.prefix})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q %v", c.reason, got, err)
		}
	}
}
