// Package apiserver runs a real kube-apiserver in this process: the generic control plane, which is everything a
// management cluster needs (namespaces, secrets, events, leases, RBAC, custom resources, admission webhooks, API
// aggregation) and has no pods and no nodes.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
)

// Server is a component (see package lifecycle).
type Server struct {
	Dir       string         // for the files it needs at run time
	Endpoint  func() string  // the address of etcd, asked for at start
	Address   net.IP         // to listen on; 127.0.0.1 if nil
	Port      int            // 0 is any free port
	Authority *pki.Authority // signs the serving certificate and all clients
	ExtraArgs []string       // kube-apiserver flags

	host string
	stop context.CancelFunc
	done chan struct{}
}

// Host is the URL of the running server.
func (s *Server) Host() string { return s.host }

// Client is an identity at the running server.
func (s *Server) Client(user string, groups ...string) (*rest.Config, error) {
	return s.Authority.Client(s.host, user, groups...)
}

// Start returns when /readyz says ok (but see lateHook).
func (s *Server) Start(ctx context.Context, died func(error)) error {
	if s.Address == nil {
		s.Address = net.IPv4(127, 0, 0, 1)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort(s.Address.String(), strconv.Itoa(s.Port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use by another program: stop it or choose another port", s.Port)
	} else if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.host = "https://" + listener.Addr().String()
	args, err := s.args(listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	// Its life is ours to end: the components that use it stop first.
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	run, err := build(runCtx, args, listener)
	if err != nil {
		stop()
		return errors.Join(fmt.Errorf("set up the API server: %w", err), listener.Close())
	}
	s.stop, s.done = stop, make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		defer close(s.done)
		err := run(runCtx)
		if runCtx.Err() == nil {
			died(err)
			ended <- err
		}
	}()
	admin, err := s.Client("readiness", "system:masters")
	if err != nil {
		return err
	}
	return waitReady(ctx, admin, ended)
}

// Stop waits until the last request is answered.
func (s *Server) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) args(listener net.Listener) ([]string, error) {
	certPEM, keyPEM, err := s.Authority.Server("kube-apiserver", s.Address)
	if err != nil {
		return nil, err
	}
	cert, key := filepath.Join(s.Dir, "server.crt"), filepath.Join(s.Dir, "server.key")
	if err := errors.Join(datadir.WriteFile(cert, certPEM, 0o600), datadir.WriteFile(key, keyPEM, 0o600)); err != nil {
		return nil, err
	}
	return append([]string{
		"--etcd-servers=" + s.Endpoint(),
		"--bind-address=" + s.Address.String(), "--advertise-address=" + s.Address.String(),
		"--secure-port=" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port),
		"--tls-cert-file=" + cert,
		"--tls-private-key-file=" + key,
		"--client-ca-file=" + s.Authority.CertFile(),
		"--service-account-key-file=" + s.Authority.ServiceAccountKey(),
		"--service-account-signing-key-file=" + s.Authority.ServiceAccountKey(),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--authorization-mode=RBAC",
		"--anonymous-auth=false",
		"--profiling=false",
		"--event-ttl=1h",
		// All clients are ours or our owner's: fair queues between them cost start-up time and processor, and buy nothing.
		"--enable-priority-and-fairness=false",
		"--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
		// Few watchers for each kind, each with a cache of its own: the server's caches would be one more copy of everything
		// and of the last hundred changes of each kind (100 MB of live objects with ten clusters), and a start waits three
		// seconds for them.
		"--watch-cache=false",
	}, s.ExtraArgs...), nil
}

// lateHook is not waited for: it makes the roles every cluster has, and begins with a second of sleep. Until they are
// there, for the first time in the life of a data directory, only members of system:masters may do anything; they are
// who comes first.
const lateHook = "poststarthook/rbac/bootstrap-roles"

// waitReady asks /readyz until it says ok.
func waitReady(ctx context.Context, cfg *rest.Config, ended <-chan error) error {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := "no answer"
	for {
		body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("exclude", lateHook).DoRaw(ctx)
		if err == nil && strings.TrimSpace(string(body)) == "ok" {
			return nil
		}
		if err != nil {
			last = err.Error()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the API server ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server, which last said %q: %w", last, ctx.Err())
		case <-tick.C:
		}
	}
}

// Kubeconfig writes a kubeconfig file for an identity.
func (s *Server) Kubeconfig(path, user string, groups ...string) error {
	cfg, err := s.Client(user, groups...)
	if err != nil {
		return err
	}
	return pki.WriteKubeconfig(path, "management", cfg)
}
