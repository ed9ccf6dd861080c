package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// RequestTimeout bounds one request that is not a watch.
	RequestTimeout = 15 * time.Second
	dialTimeout    = 5 * time.Second
	// maxAnswer bounds the answer to one request, maxError one that is an error: its text is shown to people. etcd takes
	// 1.5 MiB of one object; what is made of an answer in memory is up to thirty times its size.
	maxAnswer, maxError = 4 << 20, 64 << 10
)

// Dial opens a connection to an API server. Private clusters need one that knows the way.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Direct is Dial where no way has to be known.
func Direct(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
}

// Cluster is a connection to one workload cluster.
type Cluster struct {
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	client  *http.Client
	streams *http.Client // for answers that are read piece by piece, by who bounds them himself
	base    string       // URL of the API server
}

// Open makes a connection from a kubeconfig; nothing is sent yet. Close it.
func Open(kubeconfig []byte, dial Dial) (*Cluster, error) {
	cfg, err := read(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	cfg.UserAgent = "jeroboam"
	cfg.QPS = -1 // the API server's own priority and fairness is what protects it
	cfg.Dial = dial
	if dial == nil {
		cfg.Dial = Direct
	}
	c := &Cluster{}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	c.base = strings.TrimSuffix(base.String(), "/")
	if c.streams, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	// A tenant's machine answers. Where it would send us, only we can go.
	c.streams.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.client = &http.Client{Transport: bounded{c.streams.Transport}, CheckRedirect: c.streams.CheckRedirect}
	// What kinds there are is asked without a context: its time limit is the client's.
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, &http.Client{
		Transport: c.client.Transport, Timeout: RequestTimeout, CheckRedirect: c.client.CheckRedirect,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	if c.dynamic, err = dynamic.NewForConfigAndClient(cfg, c.client); err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return c, nil
}

// read refuses kubeconfigs that make this process run a program, or read a file of its host. Cluster API makes none of
// that kind; who put one in its place would be the server.
func read(kubeconfig []byte) (*rest.Config, error) {
	all, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	for name, user := range all.AuthInfos {
		switch {
		case user.Exec != nil:
			return nil, fmt.Errorf("user %s logs in by a program (%s), which is not run: put a client certificate into it", name, user.Exec.Command)
		case user.AuthProvider != nil:
			return nil, fmt.Errorf("user %s logs in by %s, which is not supported: put a client certificate into it", name, user.AuthProvider.Name)
		case user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "":
			return nil, fmt.Errorf("user %s names files, which are not read: put their contents into the kubeconfig", name)
		}
	}
	for name, cluster := range all.Clusters {
		if cluster.CertificateAuthority != "" {
			return nil, fmt.Errorf("cluster %s names a file for its authority, which is not read: put its content into the kubeconfig", name)
		}
	}
	return clientcmd.NewDefaultClientConfig(*all, nil).ClientConfig()
}

// Close gives the connection back.
func (c *Cluster) Close() { c.streams.CloseIdleConnections() }

// Apply brings one object to the cluster by server-side apply, and returns it as it is then. Fields that others own and
// we name become ours; all others stay as they are.
func (c *Cluster) Apply(ctx context.Context, u *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	r, err := c.resource(u.GroupVersionKind(), u.GetNamespace())
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	force := true
	out, err := r.Patch(ctx, u.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: manager, Force: &force})
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return out, nil
}

// Get reads one object; nil if it is not there, or if the cluster knows no such kind.
func (c *Cluster) Get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	r, err := c.resource(kind, namespace)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	out, err := r.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	return out, nil
}

// maxPods bounds how many pods of a workload are looked at.
const maxPods = 20

// PodsOf reads some pods of a workload, by its selector.
func (c *Cluster) PodsOf(ctx context.Context, workload *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	labels, ok, err := unstructured.NestedStringMap(workload.Object, "spec", "selector", "matchLabels")
	if err != nil || !ok || len(labels) == 0 {
		return nil, nil // it has no selector by which pods are found
	}
	r, err := c.resource(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, workload.GetNamespace())
	if err != nil {
		return nil, fmt.Errorf("read pods of %s: %w", workload.GetName(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	list, err := r.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels}), Limit: maxPods})
	if err != nil {
		return nil, fmt.Errorf("read pods of %s: %w", workload.GetName(), err)
	}
	return list.Items, nil
}

// Delete asks for the end of one object, in the background; none is fine.
func (c *Cluster) Delete(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) error {
	r, err := c.resource(kind, namespace)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err == nil {
		background := metav1.DeletePropagationBackground
		ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
		defer cancel()
		err = r.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", kind.Kind, name, err)
	}
	return nil
}

// Merge changes fields of one object by a JSON merge patch; with a resourceVersion in it, only of the object as it was
// read.
func (c *Cluster) Merge(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, patch []byte, manager string) error {
	r, err := c.resource(kind, namespace)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
		defer cancel()
		_, err = r.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	}
	if err != nil {
		return fmt.Errorf("change %s %s: %w", kind.Kind, name, err)
	}
	return nil
}

// Forget makes the cluster be asked again which kinds it knows, after definitions were applied.
func (c *Cluster) Forget() { c.mapper.Reset() }

func (c *Cluster) mapping(kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // it may have come since
		m, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	return m, err
}

func (c *Cluster) resource(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	m, err := c.mapping(kind)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(m.Resource), nil
	}
	return c.dynamic.Resource(m.Resource).Namespace(namespace), nil
}

// bounded limits the size of answers.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := int64(maxAnswer)
	if resp.StatusCode >= http.StatusBadRequest {
		limit = maxError
	}
	resp.Body = &limited{ReadCloser: resp.Body, left: limit}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (b bounded) WrappedRoundTripper() http.RoundTripper { return b.next }

type limited struct {
	io.ReadCloser

	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than the %d MiB or (for an error) %d KiB that are read", maxAnswer>>20, maxError>>10)
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
