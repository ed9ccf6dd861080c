package clusterapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	bootstrapadmission "sigs.k8s.io/cluster-api/bootstrap/kubeadm/webhooks/admission"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	controlplaneadmission "sigs.k8s.io/cluster-api/controlplane/kubeadm/webhooks/admission"
	coreadmission "sigs.k8s.io/cluster-api/core/webhooks/admission"
	infrawebhooks "sigs.k8s.io/cluster-api/test/infrastructure/docker/webhooks"

	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
)

type hook interface {
	SetupWebhookWithManager(mgr ctrl.Manager) error
}

// coreWebhooks are those of core and the kubeadm providers. Conversions are not called: see package manifests.
func coreWebhooks(mgr ctrl.Manager, clusters clustercache.ClusterCache) []hook {
	c, api := mgr.GetClient(), mgr.GetAPIReader()
	return []hook{
		&coreadmission.ClusterClass{Client: c}, &coreadmission.Cluster{Client: c, ClusterCacheReader: clusters},
		&coreadmission.Machine{}, &coreadmission.MachineSet{}, &coreadmission.MachineDeployment{}, &coreadmission.MachineDrainRule{},
		&coreadmission.MachinePool{}, &coreadmission.ClusterResourceSet{}, &coreadmission.ClusterResourceSetBinding{},
		&coreadmission.MachineHealthCheck{}, &coreadmission.ExtensionConfig{}, &coreadmission.IPAddress{Client: api}, &coreadmission.IPAddressClaim{},
		&bootstrapadmission.KubeadmConfig{}, &bootstrapadmission.KubeadmConfigTemplate{},
		&controlplaneadmission.KubeadmControlPlane{}, &controlplaneadmission.ScaleValidator{Client: c}, &controlplaneadmission.KubeadmControlPlaneTemplate{},
	}
}

func inMemoryWebhooks() []hook {
	return []hook{&infrawebhooks.DevMachine{}, &infrawebhooks.DevMachineTemplate{}, &infrawebhooks.DevCluster{}, &infrawebhooks.DevClusterTemplate{}}
}

func setupWebhooks(mgr ctrl.Manager, hooks []hook) error {
	for _, h := range hooks {
		if err := h.SetupWebhookWithManager(mgr); err != nil {
			return fmt.Errorf("set up webhook %T: %w", h, err)
		}
	}
	return nil
}

// webhookServer serves on a listener that is open already: the manifests name its port before the manager starts.
type webhookServer struct {
	listener net.Listener
	server   *http.Server
	mux      *http.ServeMux
	started  atomic.Bool
}

var _ webhook.Server = &webhookServer{}

func newWebhookServer(l net.Listener, authority *pki.Authority, logTo io.Writer) (*webhookServer, error) {
	certPEM, keyPEM, err := authority.Server("webhooks")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the webhooks' certificate: %w", err)
	}
	mux := http.NewServeMux()
	return &webhookServer{listener: l, mux: mux, server: &http.Server{
		Handler:           mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}},
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(logTo, "webhooks: ", log.LstdFlags),
	}}, nil
}

// NeedLeaderElection says that webhooks serve in any case.
func (s *webhookServer) NeedLeaderElection() bool { return false }

// Register adds a webhook.
func (s *webhookServer) Register(path string, hook http.Handler) { s.mux.Handle(path, hook) }

// WebhookMux is where the webhooks are registered.
func (s *webhookServer) WebhookMux() *http.ServeMux { return s.mux }

// StartedChecker fails until the server serves.
func (s *webhookServer) StartedChecker() healthz.Checker {
	return func(*http.Request) error {
		if !s.started.Load() {
			return errors.New("the webhooks are not served yet")
		}
		return nil
	}
}

// Start serves until ctx ends.
func (s *webhookServer) Start(ctx context.Context) error {
	context.AfterFunc(ctx, func() { _ = s.server.Close() })
	s.started.Store(true)
	if err := s.server.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve webhooks: %w", err)
	}
	return nil
}
