package verify

import (
	"net/http"

	"k8s.io/client-go/discovery"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	networkingv1client "k8s.io/client-go/kubernetes/typed/networking/v1"
	rbacv1client "k8s.io/client-go/kubernetes/typed/rbac/v1"
	storagev1client "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"
)

// kubeAPI is what a run asks of a cluster. Kubernetes' whole client set has it, and fifty groups more: in one static
// binary they are 7 MB that nobody calls.
type kubeAPI interface {
	CoreV1() corev1client.CoreV1Interface
	AppsV1() appsv1client.AppsV1Interface
	NetworkingV1() networkingv1client.NetworkingV1Interface
	RbacV1() rbacv1client.RbacV1Interface
	StorageV1() storagev1client.StorageV1Interface
}

// kubeClients are the groups of one cluster, over one connection.
type kubeClients struct {
	core       *corev1client.CoreV1Client
	apps       *appsv1client.AppsV1Client
	networking *networkingv1client.NetworkingV1Client
	rbac       *rbacv1client.RbacV1Client
	storage    *storagev1client.StorageV1Client
}

func (c kubeClients) CoreV1() corev1client.CoreV1Interface                   { return c.core }
func (c kubeClients) AppsV1() appsv1client.AppsV1Interface                   { return c.apps }
func (c kubeClients) NetworkingV1() networkingv1client.NetworkingV1Interface { return c.networking }
func (c kubeClients) RbacV1() rbacv1client.RbacV1Interface                   { return c.rbac }
func (c kubeClients) StorageV1() storagev1client.StorageV1Interface          { return c.storage }

// newKubeClients connects to a cluster when it is first asked.
func newKubeClients(config *rest.Config) (c kubeClients, err error) {
	connection, err := rest.HTTPClientFor(config)
	if err != nil {
		return c, err
	}
	c.core = made(&err, corev1client.NewForConfigAndClient, config, connection)
	c.apps = made(&err, appsv1client.NewForConfigAndClient, config, connection)
	c.networking = made(&err, networkingv1client.NewForConfigAndClient, config, connection)
	c.rbac = made(&err, rbacv1client.NewForConfigAndClient, config, connection)
	c.storage = made(&err, storagev1client.NewForConfigAndClient, config, connection)
	return c, err
}

// made makes one group's client, and keeps what went wrong.
func made[C any](failed *error, client func(*rest.Config, *http.Client) (C, error), config *rest.Config, connection *http.Client) C {
	c, err := client(config, connection)
	if err != nil {
		*failed = err
	}
	return c
}

// serverVersion is the Kubernetes that a cluster's API server says it is.
func serverVersion(kube kubeAPI) (string, error) {
	v, err := discovery.NewDiscoveryClient(kube.CoreV1().RESTClient()).ServerVersion()
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}
