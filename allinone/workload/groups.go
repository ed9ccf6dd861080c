package workload

import (
	"context"
	"fmt"
	"net/http"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	aggregatorv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	apiservicerest "k8s.io/kube-aggregator/pkg/registry/apiservice/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/controlplane"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
	admissionrest "k8s.io/kubernetes/pkg/registry/admissionregistration/rest"
	appsrest "k8s.io/kubernetes/pkg/registry/apps/rest"
	authenticationrest "k8s.io/kubernetes/pkg/registry/authentication/rest"
	authorizationrest "k8s.io/kubernetes/pkg/registry/authorization/rest"
	autoscalingrest "k8s.io/kubernetes/pkg/registry/autoscaling/rest"
	batchrest "k8s.io/kubernetes/pkg/registry/batch/rest"
	coordinationrest "k8s.io/kubernetes/pkg/registry/coordination/rest"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	limitrangestore "k8s.io/kubernetes/pkg/registry/core/limitrange/storage"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	pvstore "k8s.io/kubernetes/pkg/registry/core/persistentvolume/storage"
	pvcstore "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	podtemplatestore "k8s.io/kubernetes/pkg/registry/core/podtemplate/storage"
	controllerstore "k8s.io/kubernetes/pkg/registry/core/replicationcontroller/storage"
	corerest "k8s.io/kubernetes/pkg/registry/core/rest"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
	discoveryrest "k8s.io/kubernetes/pkg/registry/discovery/rest"
	eventsrest "k8s.io/kubernetes/pkg/registry/events/rest"
	networkingrest "k8s.io/kubernetes/pkg/registry/networking/rest"
	noderest "k8s.io/kubernetes/pkg/registry/node/rest"
	policyrest "k8s.io/kubernetes/pkg/registry/policy/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
	storagerest "k8s.io/kubernetes/pkg/registry/storage/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/serviceip"
)

// eventTTL is kube-apiserver's default.
const eventTTL = time.Hour

// provider makes the registries of an API group, as Kubernetes' own do.
type provider interface {
	GroupName() string
	NewRESTStorage(serverstorage.APIResourceConfigSource, generic.RESTOptionsGetter) (genericapiserver.APIGroupInfo, error)
}

// providers lists the API groups besides the core, custom resources and API services. Those that are left out have no
// user here: certificates, flow control, resource claims, internal versions.
func providers(everybody authorizer.Authorizer) []provider {
	return []provider{
		authenticationrest.RESTStorageProvider{Authenticator: authenticator.RequestFunc(nobody)},
		authorizationrest.RESTStorageProvider{Authorizer: everybody, RuleResolver: allRules{}},
		autoscalingrest.RESTStorageProvider{},
		batchrest.RESTStorageProvider{},
		coordinationrest.RESTStorageProvider{},
		discoveryrest.StorageProvider{},
		networkingrest.RESTStorageProvider{},
		noderest.RESTStorageProvider{},
		policyrest.RESTStorageProvider{},
		rbacrest.RESTStorageProvider{Authorizer: everybody},
		schedulingrest.RESTStorageProvider{},
		storagerest.RESTStorageProvider{},
		appsrest.StorageProvider{},
		admissionrest.RESTStorageProvider{Authorizer: everybody},
		eventsrest.RESTStorageProvider{TTL: eventTTL},
	}
}

// nobody answers whose a token is: service accounts have none here.
func nobody(*http.Request) (*authenticator.Response, bool, error) { return nil, false, nil }

// allRules answers what a client may do: everything.
type allRules struct{}

// RulesFor implements authorizer.RuleResolver.
func (allRules) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	all := []string{"*"}
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: all, APIGroups: all, Resources: all}},
		[]authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: all, NonResourceURLs: all}}, false, nil
}

// registries makes the storage of each kind.
type registries struct {
	backend  *backend
	enabled  *serverstorage.ResourceConfig
	encoding *serverstorage.DefaultStorageFactory
	policy   func(cluster string) (policyclient.PodDisruptionBudgetsGetter, error)

	namespaces rest.Getter
	crds       *customresourcedefinition.REST
	groups     []string // that are served
}

func newRegistries(b *backend) *registries {
	enabled := controlplane.DefaultAPIResourceConfigSource()
	return &registries{
		backend: b, enabled: enabled,
		encoding: serverstorage.NewDefaultStorageFactory(storagebackend.Config{}, "application/vnd.kubernetes.protobuf", legacyscheme.Codecs,
			serverstorage.NewDefaultResourceEncodingConfig(legacyscheme.Scheme), enabled, nil),
	}
}

// GetRESTOptions implements generic.RESTOptionsGetter for Kubernetes' own kinds.
func (r *registries) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	config, err := r.encoding.NewConfig(resource, example)
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("how %s is stored: %w", resource, err)
	}
	return r.backend.options(resource, config.Codec), nil
}

// encoded is generic.RESTOptionsGetter for kinds with a codec of their own.
type encoded struct {
	backend *backend
	codec   runtime.Codec
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (e encoded) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return e.backend.options(resource, e.codec), nil
}

// install makes all API groups and puts them into s.
func (r *registries) install(s *genericapiserver.GenericAPIServer) (*genericapiserver.APIGroupInfo, error) {
	everybody := authorizerfactory.NewAlwaysAllowAuthorizer()
	core, err := r.core(everybody)
	if err != nil {
		return nil, fmt.Errorf("core API group: %w", err)
	}
	if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, core); err != nil {
		return nil, fmt.Errorf("core API group: %w", err)
	}
	var groups []*genericapiserver.APIGroupInfo
	for _, p := range providers(everybody) {
		group, err := p.NewRESTStorage(r.enabled, r)
		if err != nil {
			return nil, fmt.Errorf("API group %s: %w", p.GroupName(), err)
		}
		groups = append(groups, &group)
	}
	services := apiservicerest.NewRESTStorage(withVersion{r.enabled, aggregatorv1.SchemeGroupVersion},
		encoded{r.backend, aggregatorscheme.Codecs.LegacyCodec(aggregatorv1.SchemeGroupVersion)}, false)
	custom, err := r.custom()
	if err != nil {
		return nil, err
	}
	if err := s.InstallAPIGroups(append(groups, &services)...); err != nil {
		return nil, fmt.Errorf("API groups: %w", err)
	}
	// Alone, because the model of a custom resource begins with the models that are installed with this group.
	if err := s.InstallAPIGroup(custom); err != nil {
		return nil, fmt.Errorf("custom resource definitions: %w", err)
	}
	for _, g := range append(groups, core, &services, custom) {
		r.groups = append(r.groups, g.PrioritizedVersions[0].Group)
	}
	return custom, nil
}

// withVersion enables one more API version.
type withVersion struct {
	serverstorage.APIResourceConfigSource
	more schema.GroupVersion
}

// ResourceEnabled implements serverstorage.APIResourceConfigSource.
func (w withVersion) ResourceEnabled(r schema.GroupVersionResource) bool {
	return r.GroupVersion() == w.more || w.APIResourceConfigSource.ResourceEnabled(r)
}

func (r *registries) custom() (*genericapiserver.APIGroupInfo, error) {
	codec := apiextensionsapiserver.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	crds, err := customresourcedefinition.NewREST(apiextensionsapiserver.Scheme, encoded{r.backend, codec})
	if err != nil {
		return nil, fmt.Errorf("custom resource definitions: %w", err)
	}
	crds.CreateStrategy, crds.UpdateStrategy = established{RESTCreateStrategy: crds.CreateStrategy}, renamed{crds.UpdateStrategy}
	r.crds = crds
	group := genericapiserver.NewDefaultAPIGroupInfo(apiextensionsv1.GroupName, apiextensionsapiserver.Scheme, metav1.ParameterCodec, apiextensionsapiserver.Codecs)
	group.VersionedResourcesStorageMap["v1"] = map[string]rest.Storage{
		"customresourcedefinitions":        crds,
		"customresourcedefinitions/status": customresourcedefinition.NewStatusREST(apiextensionsapiserver.Scheme, crds),
	}
	return &group, nil
}

// core is the group of pods, nodes and services. Kubernetes' provider of it also hands out the addresses of services,
// from a range of one cluster; here they come from [serviceip.Addresses].
func (r *registries) core(everybody authorizer.Authorizer) (*genericapiserver.APIGroupInfo, error) {
	group, err := (&corerest.GenericConfig{EventTTL: eventTTL}).NewRESTStorage(r.enabled, r)
	if err != nil {
		return nil, err
	}
	into := group.VersionedResourcesStorageMap["v1"]
	r.namespaces = into["namespaces"].(rest.Getter)
	nodes, err := nodestore.NewStorage(r, kubeletclient.KubeletClientConfig{Port: 10250}, http.DefaultTransport)
	if err != nil {
		return nil, err
	}
	pods, err := podstore.NewStorage(r, nodes.KubeletConnectionInfo, http.DefaultTransport, nil, everybody)
	if err != nil {
		return nil, err
	}
	endpoints, err := endpointsstore.NewREST(r)
	if err != nil {
		return nil, err
	}
	ips := map[api.IPFamily]ipallocator.Interface{api.IPv4Protocol: serviceip.Addresses{}}
	services, serviceStatus, _, err := servicestore.NewREST(r, api.IPv4Protocol, ips, serviceip.Ports{}, endpoints, pods.Pod, http.DefaultTransport)
	if err != nil {
		return nil, err
	}
	into["nodes"], into["nodes/status"] = nodes.Node, nodes.Status
	into["pods"], into["pods/status"], into["pods/binding"] = pods.Pod, pods.Status, pods.Binding
	into["pods/eviction"] = &eviction{EvictionREST: pods.Eviction, registries: r, kubelet: nodes.KubeletConnectionInfo, everybody: everybody}
	into["pods/ephemeralcontainers"] = pods.EphemeralContainers
	into["endpoints"] = endpoints
	into["services"], into["services/status"] = services, serviceStatus
	return &group, r.coreRest(into)
}

func (r *registries) coreRest(into map[string]rest.Storage) error {
	templates, err := podtemplatestore.NewREST(r)
	if err != nil {
		return err
	}
	limits, err := limitrangestore.NewREST(r)
	if err != nil {
		return err
	}
	volumes, volumeStatus, err := pvstore.NewREST(r)
	if err != nil {
		return err
	}
	claims, claimStatus, err := pvcstore.NewREST(r)
	if err != nil {
		return err
	}
	controllers, err := controllerstore.NewStorage(r)
	if err != nil {
		return err
	}
	into["podtemplates"], into["limitranges"] = templates, limits
	into["persistentvolumes"], into["persistentvolumes/status"] = volumes, volumeStatus
	into["persistentvolumeclaims"], into["persistentvolumeclaims/status"] = claims, claimStatus
	into["replicationcontrollers"], into["replicationcontrollers/status"], into["replicationcontrollers/scale"] = controllers.Controller, controllers.Status, controllers.Scale
	return nil
}

// eviction is Kubernetes' own, once for each request: it asks for disruption budgets through a client, which is one
// cluster's.
type eviction struct {
	*podstore.EvictionREST
	registries *registries
	kubelet    kubeletclient.ConnectionInfoGetter
	everybody  authorizer.Authorizer
}

// Create implements rest.NamedCreater.
func (e *eviction) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, opts *metav1.CreateOptions) (runtime.Object, error) {
	cluster, err := clusterOf(ctx)
	if err != nil {
		return nil, err
	}
	budgets, err := e.registries.policy(cluster)
	if err != nil {
		return nil, err
	}
	pods, err := podstore.NewStorage(e.registries, e.kubelet, http.DefaultTransport, budgets, e.everybody)
	if err != nil {
		return nil, err
	}
	defer pods.Pod.Destroy()
	return pods.Eviction.Create(ctx, name, obj, validate, opts)
}
