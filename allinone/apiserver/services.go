package apiserver

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	api "k8s.io/kubernetes/pkg/apis/core"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"

	"github.com/jeroboam-cloud/jeroboam/allinone/serviceip"
)

// withServices adds Services and Endpoints to the core group, which the generic control plane does without. "jeroboam
// proxy" writes them, with EndpointSlices, for clusters that have no floating IP: a management cluster has them.
type withServices struct {
	controlplaneapiserver.RESTStorageProvider
}

// NewRESTStorage implements controlplaneapiserver.RESTStorageProvider.
func (w withServices) NewRESTStorage(enabled serverstorage.APIResourceConfigSource, getter generic.RESTOptionsGetter) (genericapiserver.APIGroupInfo, error) {
	group, err := w.RESTStorageProvider.NewRESTStorage(enabled, getter)
	if err != nil {
		return group, fmt.Errorf("core API group: %w", err)
	}
	endpoints, err := endpointsstore.NewREST(getter)
	if err != nil {
		return group, fmt.Errorf("endpoints: %w", err)
	}
	ips := map[api.IPFamily]ipallocator.Interface{api.IPv4Protocol: serviceip.Addresses{}}
	// Pods are asked for by the subresource "proxy" alone, which is not served.
	services, status, _, err := servicestore.NewREST(getter, api.IPv4Protocol, ips, serviceip.Ports{}, endpoints, nil, http.DefaultTransport)
	if err != nil {
		return group, fmt.Errorf("services: %w", err)
	}
	into := group.VersionedResourcesStorageMap["v1"]
	into["endpoints"], into["services"], into["services/status"] = endpoints, services, status
	return group, nil
}
