package site

import (
	"context"
	"fmt"
	"net"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// Dialer connects to the API server as administrator. Connections go through a host's agent, so the deployer itself
// needs no route to the management network.
type Dialer func(ctx context.Context, h Hosts, via Place, server string) (client.Client, error)

// Connect is the Dialer of deployments: the credentials come from the node, and stay in memory.
func Connect(ctx context.Context, h Hosts, via Place, server string) (client.Client, error) {
	cfg, err := adminConfig(ctx, h, via, server)
	if err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return c, nil
}

// Scheme has the types that a deployment speaks of beside Jeroboam's own: evictions, the workloads of kubeadm's addons,
// and requests for certificates.
func Scheme() (*runtime.Scheme, error) {
	s, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, policyv1.AddToScheme, certificatesv1.AddToScheme, authenticationv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return s, nil
}

// adminConfig reads a node's admin.conf and makes it connect from the node's host; to server instead of the address
// that is in it, if that is not empty.
func adminConfig(ctx context.Context, h Hosts, via Place, server string) (*rest.Config, error) {
	text, err := Ask[string](ctx, h, via, host.OpRead, host.AdminConf)
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	agent, err := h.at(via)
	if err != nil {
		return nil, err
	}
	if server != "" {
		cfg.Host = "https://" + server
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return agent.Dial(ctx, network, address)
	}
	cfg.QPS, cfg.UserAgent, cfg.Timeout = -1, "jeroboam-deploy", 30*time.Second
	return cfg, nil
}
