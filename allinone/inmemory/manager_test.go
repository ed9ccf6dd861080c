package inmemory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
	cloudv1 "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/cloud/api/v1alpha1"
	inmemoryclient "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime/client"
)

// provision writes what Cluster API's provider writes for a control plane machine, as incomplete as it does.
func provision(t *testing.T, c inmemoryclient.Client, machine, version string) {
	t.Helper()
	template := func(name string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: name + ":v1"}}}}
	}
	pod := func(component string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: component + "-" + machine, Labels: map[string]string{"component": component, "tier": "control-plane"}},
			Spec:       corev1.PodSpec{NodeName: machine},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning},
		}
	}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}},
		&cloudv1.CloudMachine{ObjectMeta: metav1.ObjectMeta{Name: machine}},
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: machine, Labels: map[string]string{controlPlaneLabel: ""}},
			Spec:       corev1.NodeSpec{ProviderID: "in-memory://" + machine},
			Status: corev1.NodeStatus{
				NodeInfo: corev1.NodeSystemInfo{KubeletVersion: version}, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			},
		},
		pod("etcd"), pod("kube-apiserver"),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubeadm-config"}, Data: map[string]string{"ClusterConfiguration": ""}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}, Spec: appsv1.DaemonSetSpec{Template: template("kube-proxy")}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: appsv1.DeploymentSpec{Template: template("coredns")}},
	} {
		if err := c.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%T: %v", o, err)
		}
	}
}

// An API server takes what the provider writes, and what is written there runs.
func TestProvider(t *testing.T) {
	for _, needAddons := range []bool{false, true} {
		t.Run(fmt.Sprintf("need addons %v", needAddons), func(t *testing.T) {
			i := startInfrastructure(t, Options{Secrets: fake.NewFakeClient(), Ports: PortRange{24500, 24599}, Etcd: startEtcd(t), NodesNeedAddons: needAddons})
			i.Manager.AddResourceGroup("ns/a")
			c := i.Manager.GetResourceGroup("ns/a").GetClient()
			provision(t, c, "m", "v1.34.2")
			node := &corev1.Node{}
			if err := c.Get(t.Context(), types.NamespacedName{Name: "m"}, node); err != nil {
				t.Fatal(err)
			}
			ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
			if ready == needAddons || (node.Spec.ProviderID == "") != needAddons || (len(node.Spec.Taints) == 2) != needAddons {
				t.Errorf("node: %+v %+v", node.Spec, node.Status.Conditions)
			}
			want := []string{"etcd-m Running", "kube-apiserver-m Running", "kube-proxy Running"}
			if !needAddons {
				want = append([]string{"coredns Running", "coredns Running"}, want...)
			} else {
				want = append([]string{"coredns Pending", "coredns Pending"}, want...)
			}
			got := eventuallyPods(t, c, want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func eventuallyPods(t *testing.T, c inmemoryclient.Client, want []string) (got []string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		pods := &corev1.PodList{}
		if err := c.List(t.Context(), pods, client.InNamespace("kube-system")); err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, p := range pods.Items {
			name := p.Name
			if ref := metav1.GetControllerOf(&p); ref != nil {
				name = ref.Name
			}
			got = append(got, name+" "+string(p.Status.Phase))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return got
		}
	}
	return got
}

// In the middle of an upgrade a cluster has the older version: its clients may not use what the newer one has.
func TestVersionOfCluster(t *testing.T) {
	i := newInfrastructure(t, fake.NewFakeClient(), PortRange{24600, 24699})
	i.Manager.AddResourceGroup("ns/a")
	c := i.Manager.GetResourceGroup("ns/a").GetClient()
	m := i.Manager.(*manager)
	if got := m.version(t.Context(), "ns/a"); got != "" {
		t.Errorf("a cluster without nodes has version %q", got)
	}
	provision(t, c, "new", "v1.35.1")
	provision(t, c, "old", "v1.34.10")
	if got := m.version(t.Context(), "ns/a"); got != "v1.34.10" {
		t.Errorf("version %q", got)
	}
}

// What is in clusters outlives the process; what is left of clusters that are gone does not.
func TestKeptAndSwept(t *testing.T) {
	endpoint := startEtcd(t)
	first := startInfrastructure(t, Options{Secrets: fake.NewFakeClient(), Ports: PortRange{24700, 24799}, Etcd: endpoint})
	for _, name := range []string{"ns/a", "ns/b", "ns/c"} {
		first.Manager.AddResourceGroup(name)
		provision(t, first.Manager.GetResourceGroup(name).GetClient(), "m", "v1.34.2")
	}
	first.Manager.DeleteResourceGroup("ns/c")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := startInfrastructure(t, Options{Secrets: fake.NewFakeClient(), Ports: PortRange{24700, 24799}, Etcd: endpoint})
	owned := infrav1.DevCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a-x", OwnerReferences: []metav1.OwnerReference{{Kind: "Cluster", Name: "a"}}}}
	if err := second.sweep(context.Background(), []infrav1.DevCluster{owned}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"ns/a": true, "ns/b": false, "ns/c": false} {
		err := second.Manager.GetResourceGroup(name).GetClient().Get(t.Context(), types.NamespacedName{Name: "m"}, &corev1.Node{})
		if want && err != nil || !want && !apierrors.IsNotFound(err) {
			t.Errorf("%s: want it there %v: %v", name, want, err)
		}
	}
}

func clientOf(t *testing.T, url string, a authority) kubernetes.Interface {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{a.client}}}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := kubernetes.NewForConfig(&rest.Config{Host: url, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The certificate says who a client is; managedFields and audits would.
func TestIdentity(t *testing.T) {
	ca := newAuthority(t, x509.ExtKeyUsageClientAuth)
	i := newInfrastructure(t, fake.NewFakeClient(ca.secret("a-ca")), PortRange{24800, 24899})
	c := clientOf(t, serve(t, i, "ns/a", ca), ca)
	got, err := c.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if u := got.Status.UserInfo; u.Username != "admin" || !slices.Contains(u.Groups, "system:masters") {
		t.Errorf("%+v", u)
	}
}
