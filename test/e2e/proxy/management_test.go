package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// management is a real API server, Kubernetes' own program, with the etcd of an all-in-one. It listens on 127.0.0.1;
// the lab reaches it through a relay at 172.31.0.1.
type management struct {
	lab       *lab
	dir       string
	etcd      *exec.Cmd
	etcdStdin io.Closer // closing it ends etcd
	api       *process
	args      []string
	port      int
	relay     net.Listener
	config    *rest.Config
	admin     string // kubeconfig of the administrator, from this machine
	client    client.Client
}

const adminToken = "lab-administrator" //nolint:gosec // of a cluster that lives as long as the test

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func newManagement(l *lab) (*management, error) {
	m := &management{lab: l, dir: filepath.Join(l.dir, "management"), admin: filepath.Join(l.dir, "admin.kubeconfig")}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if m.port, err = freePort(); err != nil {
		return nil, err
	}
	endpoint, err := m.startEtcd()
	if err != nil {
		return m, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return m, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return m, err
	}
	file := func(name, content string) string {
		path := filepath.Join(m.dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	sa := file("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	m.args = []string{
		"--etcd-servers", endpoint, "--secure-port", strconv.Itoa(m.port), "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
		"--cert-dir", m.dir, "--authorization-mode", "RBAC", "--token-auth-file", file("tokens", adminToken+",admin,1,system:masters\n"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-signing-key-file", sa, "--service-account-key-file", sa,
		"--service-cluster-ip-range", "10.96.0.0/16", "--disable-admission-plugins", "ServiceAccount", "--endpoint-reconciler-type", "none",
	}
	if err != nil {
		return m, err
	}
	if err := m.start(); err != nil {
		return m, err
	}
	if err := m.startRelay(); err != nil {
		return m, err
	}
	return m, m.install()
}

// startEtcd starts the all-in-one's management cluster for its etcd, which outlives the API server of the lab.
func (m *management) startEtcd() (endpoint string, err error) {
	data := filepath.Join(m.dir, "data")
	m.etcd = exec.Command(binary("jeroboam-allinone"), "management", "--data-dir", data, "--kubeconfig-out", filepath.Join(m.dir, "etcd.kubeconfig"),
		"--exit-on-stdin-close", "--workload-ports", "28000-28999")
	var said bytes.Buffer
	m.etcd.Stderr = &said
	if m.etcdStdin, err = m.etcd.StdinPipe(); err != nil {
		return "", err
	}
	out, err := m.etcd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := m.etcd.Start(); err != nil {
		return "", err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		return "", fmt.Errorf("the all-in-one does not start: %w\n%s", err, said.String())
	}
	return "unix://" + filepath.Join(data, "etcd", "client.sock"), nil
}

// here starts a process in the machine's own network.
func here(log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	return p, nil
}

// start starts the API server and waits until it is ready.
func (m *management) start() (err error) {
	if m.api, err = here(filepath.Join(m.lab.dir, "kube-apiserver.log"), binary("kube-apiserver"), m.args...); err != nil {
		return err
	}
	m.config = &rest.Config{Host: "https://127.0.0.1:" + strconv.Itoa(m.port), BearerToken: adminToken, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	scheme, err := control.NewScheme()
	if err != nil {
		return err
	}
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		select {
		case <-m.api.done:
			return fmt.Errorf("kube-apiserver ended:\n%s", tail(m.api.log))
		default:
		}
		if m.client, err = client.New(m.config, client.Options{Scheme: scheme}); err == nil {
			err = m.client.Get(context.Background(), client.ObjectKey{Name: "default"}, &corev1.Namespace{})
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kube-apiserver is not ready: %w\n%s", err, tail(m.api.log))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// startRelay lets the lab's network reach the API server.
func (m *management) startRelay() (err error) {
	if m.relay, err = m.lab.root.listen("172.31.0.1:6443"); err != nil {
		return err
	}
	go func() {
		for {
			c, err := m.relay.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				s, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(m.port))
				if err != nil {
					return
				}
				var both sync.WaitGroup
				both.Go(func() { _, _ = io.Copy(s, c); _ = s.Close() })
				both.Go(func() { _, _ = io.Copy(c, s); _ = c.Close() })
				both.Wait()
			}()
		}
	}()
	return nil
}

// install brings the definition of OpenStackCluster, of the module that Cluster API's provider publishes, and the
// namespace.
func (m *management) install() error {
	if err := m.kubeconfig(m.admin, "https://127.0.0.1:"+strconv.Itoa(m.port), adminToken); err != nil {
		return err
	}
	provider, err := kubetest.ModuleDir(context.Background(), kubetest.OpenStackModule)
	if err != nil {
		return err
	}
	file := filepath.Join(provider, "config", "crd", "bases", "infrastructure.cluster.x-k8s.io_openstackclusters.yaml")
	if err := m.kubectl("", "apply", "--server-side", "-f", file); err != nil {
		return err
	}
	if err := m.kubectl("", "wait", "--for", "condition=established", "--timeout", "60s", "crd/openstackclusters.infrastructure.cluster.x-k8s.io"); err != nil {
		return err
	}
	return kube.EnsureNamespace(context.Background(), m.client, control.Namespace)
}

func (m *management) kubeconfig(path, server, token string) error {
	c := clientcmdapi.NewConfig()
	c.Clusters["lab"] = &clientcmdapi.Cluster{Server: server, InsecureSkipTLSVerify: true}
	c.AuthInfos["lab"] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "lab"}
	c.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return err
	}
	return os.Chmod(path, 0o644) // nobody reads it
}

// kubectl runs as administrator.
func (m *management) kubectl(stdin string, args ...string) error {
	cmd := exec.Command("kubectl", append([]string{"--kubeconfig", m.admin}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// credential writes a kubeconfig with a service account's token, for use inside the lab.
func (m *management) credential(path, namespace, account string) (string, error) {
	hours := int64(24 * 3600)
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hours}}
	if err := m.client.SubResource("token").Create(context.Background(), sa, req); err != nil {
		return "", fmt.Errorf("token of %s: %w", account, err)
	}
	return path, m.kubeconfig(path, "https://172.31.0.1:6443", req.Status.Token)
}

func (m *management) close() {
	if m.relay != nil {
		_ = m.relay.Close()
	}
	if m.api != nil {
		m.api.end(syscall.SIGTERM)
	}
	if m.etcdStdin != nil {
		_ = m.etcdStdin.Close()
		_ = m.etcd.Wait()
	}
}

// openStackCluster is CAPO's object as the Python driver's cluster class makes it.
func openStackCluster(stack string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackCluster",
		"metadata": map[string]any{
			"namespace": control.Namespace, "name": stack + "-x7k2p", "labels": map[string]any{"cluster.x-k8s.io/cluster-name": stack},
		},
		"spec": map[string]any{
			"disableAPIServerFloatingIP": true, "apiServerLoadBalancer": map[string]any{"enabled": true},
			"identityRef": map[string]any{"cloudName": "default", "name": stack + "-cloud-config"},
		},
	}}
}

// createCluster makes the objects that Cluster API and its provider would have made when the load balancer has its
// address.
func (m *management) createCluster(t *testing.T, stack, network, vip string) {
	t.Helper()
	if err := m.client.Create(t.Context(), openStackCluster(stack)); err != nil {
		t.Fatal(err)
	}
	m.address(t, stack, network, vip)
}

// address is the moment at which the provider knows the load balancer's address.
func (m *management) address(t *testing.T, stack, network, vip string) {
	t.Helper()
	o := openStackCluster(stack)
	o.Object["status"] = map[string]any{
		"ready": true, "network": map[string]any{"id": network, "name": stack},
		"apiServerLoadBalancer": map[string]any{"id": uuid(), "name": stack, "ip": vip, "internalIP": vip},
	}
	b, err := runtime.Encode(unstructured.UnstructuredJSONScheme, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.client.Status().Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", b)); err != nil {
		t.Fatal(err)
	}
}

// createKubeconfig writes the Secret as the kubeadm control plane does, as long as it is there.
func (m *management) createKubeconfig(t *testing.T, stack string) {
	t.Helper()
	certificate := base64.StdEncoding.EncodeToString(m.lab.ca.pem)
	text := fmt.Sprintf(kubeconfigText, certificate, "https://10.0.0.5:6443", "", stack)
	text += "    client-certificate-data: " + strings.Repeat("A", 1500) + "\n    client-key-data: " + strings.Repeat("B", 2200) + "\n"
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: stack + "-kubeconfig", Labels: map[string]string{"cluster.x-k8s.io/cluster-name": stack}},
		Type:       "cluster.x-k8s.io/secret", Data: map[string][]byte{"value": []byte(text)},
	}
	if err := m.client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func (m *management) deleteCluster(t *testing.T, stack string) {
	t.Helper()
	if err := m.client.Delete(context.Background(), openStackCluster(stack)); err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// slices are the names of a cluster's EndpointSlices.
func (m *management) slices(t *testing.T, stack string) []string {
	t.Helper()
	l := &discoveryv1.EndpointSliceList{}
	if err := m.client.List(context.Background(), l, client.InNamespace(control.Namespace), client.MatchingLabels{"kubernetes.io/service-name": stack}); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range l.Items {
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return out
}

// published waits until a cluster's slices are those of hosts.
func (m *management) published(t *testing.T, c *cluster, hosts ...*host) {
	t.Helper()
	var want []string
	for _, h := range hosts {
		want = append(want, c.stack+"-"+h.name)
	}
	slices.Sort(want)
	eventually(t, fmt.Sprintf("%s has the slices %v", c.stack, want), func() error {
		if have := m.slices(t, c.stack); !slices.Equal(have, want) {
			return fmt.Errorf("they are %v", have)
		}
		return nil
	})
}
