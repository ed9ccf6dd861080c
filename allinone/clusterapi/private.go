package clusterapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// private lets Cluster API reach clusters without a floating IP. In a management cluster its controllers are pods, for
// which DNS and kube-proxy turn a Service's name into one of the hosts of "jeroboam proxy". Here is neither, and
// Cluster API takes no dialer; but a kubeconfig may name an HTTP proxy, and that is this process (see
// kube.ThroughProxies).
type private struct {
	listener net.Listener
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

func newPrivate(ctx context.Context, slices client.Reader) (*private, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for connections to private clusters: %w", err)
	}
	return &private{listener, kube.ThroughProxies(slices, new(net.Dialer).DialContext)}, nil
}

// Start implements manager.Runnable.
func (p *private) Start(ctx context.Context) error {
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // connections end with their clients, which end now
	defer stop()
	if err := server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve connections to private clusters: %w", err)
	}
	return nil
}

// ServeHTTP implements http.Handler: CONNECT, to private clusters alone.
func (p *private) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if _, ok := kube.Private(host); err != nil || r.Method != http.MethodConnect || !ok {
		http.Error(w, "this is for private clusters", http.StatusForbidden)
		return
	}
	to, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = to.Close() }()
	w.WriteHeader(http.StatusOK)
	from, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the client is gone
	}
	defer func() { _ = from.Close() }()
	var both sync.WaitGroup
	both.Go(func() { pass(to, early) })
	both.Go(func() { pass(from, to) })
	both.Wait()
}

// pass copies one direction; its end is told to the other side, which may go on sending.
func pass(to net.Conn, from io.Reader) {
	_, _ = io.Copy(to, from) // a broken connection is an end, too
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite() // it may be closed
	}
}

// through reads Secrets; kubeconfigs of private clusters then name the proxy.
func (p *private) through(secrets client.Reader) client.Reader {
	return privateSecrets{secrets, p.listener.Addr().String()}
}

type privateSecrets struct {
	client.Reader
	proxy string
}

// Get implements client.Reader.
func (p privateSecrets) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if err := p.Reader.Get(ctx, key, obj, opts...); err != nil {
		return err
	}
	s, ok := obj.(*corev1.Secret)
	if !ok || !strings.HasSuffix(s.Name, "-"+string(secret.Kubeconfig)) {
		return nil
	}
	config, err := clientcmd.Load(s.Data[secret.KubeconfigDataName])
	if err != nil {
		return nil //nolint:nilerr // whoever reads it says what is wrong with it
	}
	for _, c := range config.Clusters {
		server, err := url.Parse(c.Server)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		if _, ok := kube.Private(server.Hostname()); !ok {
			return nil
		}
		c.ProxyURL = "http://" + p.proxy
	}
	named, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("name the proxy in kubeconfig %s: %w", key, err)
	}
	s.Data[secret.KubeconfigDataName] = named
	return nil
}
