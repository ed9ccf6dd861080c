// Package workload is the API server of all workload clusters of the all-in-one: Kubernetes' own, once, for any number
// of clusters.
//
// Handlers, registries, defaults, validation, patches, server-side apply, watches, tables, discovery and OpenAPI are
// those of kube-apiserver. What is different is below and above them:
//
//	below  each request carries the name of its cluster, and every key in etcd begins with it (storage.go)
//	above  custom resources are those of the request's cluster; two clusters with the same definition share a handler
//	       (custom.go)
//
// So a cluster costs what its objects cost, and they are there after a restart.
//
// There is no authorization, and no admission but that of namespaces: whoever is let in may do everything in that
// cluster. Webhooks are stored and never called. Nothing here acts on objects: package simkube does.
package workload

import (
	"context"
	"fmt"
	"net/http"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdkubernetes "go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	"k8s.io/client-go/rest"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"
)

// Options say what a server serves.
type Options struct {
	Etcd string // address of etcd
	// Version is the Kubernetes version of a cluster, such as v1.34.2; empty if it is not known.
	Version func(ctx context.Context, cluster string) string
	// Changed is told of every write. It must not block.
	Changed func(cluster string, resource schema.GroupResource)
}

// Server serves all workload clusters.
type Server struct {
	opts       Options
	backend    *backend
	registries *registries
	generic    *genericapiserver.GenericAPIServer
	custom     *customResources
	models     *openAPI
	native     map[string]bool // API groups that every cluster has
}

// New makes a server. Close ends it.
func New(o Options) (*Server, error) {
	capabilities.Setup(true, 0) // kubeadm's --allow-privileged; once for this process, whose other API server has no pods
	client, err := etcdkubernetes.New(clientv3.Config{Endpoints: []string{o.Etcd}, DialTimeout: 20 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	s := &Server{opts: o, native: map[string]bool{"": true}}
	s.backend = &backend{client: client, changed: s.changed}
	s.registries = newRegistries(s.backend)
	s.registries.policy = func(cluster string) (policyclient.PodDisruptionBudgetsGetter, error) {
		return policyclient.NewForConfig(s.Client(cluster, "eviction"))
	}
	if err := s.build(); err != nil {
		return nil, fmt.Errorf("make the API server of workload clusters: %w", err)
	}
	return s, nil
}

// Close ends the connection to etcd.
func (s *Server) Close() error { return s.backend.client.Close() }

// ServeHTTP serves a request whose context says which cluster it is for and who sent it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.generic.Handler.ServeHTTP(w, r)
}

// Drop deletes everything a cluster has.
func (s *Server) Drop(ctx context.Context, cluster string) error {
	s.custom.forget(cluster)
	return s.backend.drop(ctx, cluster)
}

// EndingDefinitions are a cluster's custom resource definitions that are being deleted.
func (s *Server) EndingDefinitions(ctx context.Context, cluster string) ([]string, error) {
	set, err := s.custom.of(WithCluster(ctx, cluster))
	if err != nil {
		return nil, err
	}
	return set.ending, nil
}

// changed is told of every write.
func (s *Server) changed(cluster string, resource schema.GroupResource) {
	if resource == (schema.GroupResource{Group: apiextensions.GroupName, Resource: "customresourcedefinitions"}) {
		s.custom.forget(cluster)
	}
	if s.opts.Changed != nil {
		s.opts.Changed(cluster, resource)
	}
}

// Clusters are the clusters that have anything.
func (s *Server) Clusters(ctx context.Context) ([]string, error) { return s.backend.clusters(ctx) }

func (s *Server) build() error {
	c := genericapiserver.NewConfig(legacyscheme.Codecs)
	c.ExternalAddress = "127.0.0.1:443"
	c.LoopbackClientConfig = &rest.Config{Host: inProcess}
	c.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	c.FeatureGate = utilfeature.DefaultFeatureGate
	c.MergedResourceConfig = s.registries.enabled
	c.EnableProfiling, c.EnableMetrics = false, false
	c.StorageObjectCountTracker = nil
	names := openapinamer.NewDefinitionNamer(legacyscheme.Scheme, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme)
	c.OpenAPIConfig, c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIConfig(models, names), genericapiserver.DefaultOpenAPIV3Config(models, names)
	c.OpenAPIConfig.Info.Title, c.OpenAPIV3Config.Info.Title = "Kubernetes", "Kubernetes"
	c.SkipOpenAPIInstallation = true // see models.go
	c.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	c.AdmissionControl = namespaceLifecycle{s.registries}
	c.BuildHandlerChainFunc = s.chain
	completed := c.Complete(nil)
	var err error
	if s.generic, err = completed.New("workload clusters", genericapiserver.NewEmptyDelegateWithCustomHandler(http.NotFoundHandler())); err != nil {
		return err
	}
	group, err := s.registries.install(s.generic)
	if err != nil {
		return err
	}
	for _, name := range s.registries.groups {
		s.native[name] = true
	}
	if s.custom, err = newCustomResources(s, group.StaticOpenAPISpec); err != nil {
		return err
	}
	s.models = &openAPI{server: s.generic, v2: c.OpenAPIConfig, v3: c.OpenAPIV3Config}
	s.generic.PrepareRun()
	return nil
}

// versionOf is what /version answers for a cluster.
func versionOf(kubernetes string) (*version.Info, error) {
	v, err := parseVersion(kubernetes)
	if err != nil {
		return nil, err
	}
	return &version.Info{
		Major: fmt.Sprint(v.Major()), Minor: fmt.Sprint(v.Minor()), GitVersion: "v" + v.String(),
		GitTreeState: "clean", Compiler: "gc", Platform: "linux/amd64",
	}, nil
}
