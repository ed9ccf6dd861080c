package apiserver

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/kubernetes"
	cliflag "k8s.io/component-base/cli/flag"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	controlplaneoptions "k8s.io/kubernetes/pkg/controlplane/apiserver/options"
	"k8s.io/kubernetes/pkg/controlplane/apiserver/samples/generic/server"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
	discoveryrest "k8s.io/kubernetes/pkg/registry/discovery/rest"
)

// stopTimeout is how long the HTTP server waits for open connections after the last short request was answered. The
// default is the request timeout, a minute, and every open watch of a client that is not ours uses it up.
const stopTimeout = 500 * time.Millisecond

// unserved are API groups that only controllers we do not run would act on.
func unserved() []string {
	return []string{"certificates.k8s.io", "storagemigration.k8s.io", "internal.apiserver.k8s.io"}
}

// build puts the three servers of a kube-apiserver in a row: aggregator, native resources, custom resources. It is what
// Kubernetes' samples/generic/server does, with our list of API groups, our listener, and two more differences: see
// apiServers, withServices.
func build(ctx context.Context, args []string, listener net.Listener) (run func(context.Context) error, err error) {
	opts, err := options(ctx, args, listener)
	if err != nil {
		return nil, err
	}
	c, err := configure(opts)
	if err != nil {
		return nil, err
	}
	notFound := notfoundhandler.New(c.native.Generic.Serializer, genericapifilters.NoMuxAndDiscoveryIncompleteKey)
	custom, err := c.custom.New(genericapiserver.NewEmptyDelegateWithCustomHandler(notFound))
	if err != nil {
		return nil, fmt.Errorf("custom resources: %w", err)
	}
	native, err := c.native.New("jeroboam-allinone", custom.GenericAPIServer)
	if err != nil {
		return nil, fmt.Errorf("native resources: %w", err)
	}
	if err := installGroups(c.native, native); err != nil {
		return nil, err
	}
	customEnabled := c.custom.GenericConfig.MergedResourceConfig.ResourceEnabled(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))
	agg, err := controlplaneapiserver.CreateAggregatorServer(c.aggregator, native.GenericAPIServer,
		custom.Informers.Apiextensions().V1().CustomResourceDefinitions(), customEnabled, controlplaneapiserver.DefaultGenericAPIServicePriorities())
	if err != nil {
		return nil, fmt.Errorf("aggregator: %w", err)
	}
	agg.GenericAPIServer.ShutdownTimeout = stopTimeout
	prepared, err := agg.PrepareRun()
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return prepared.Run, nil
}

func options(ctx context.Context, args []string, listener net.Listener) (controlplaneoptions.CompletedOptions, error) {
	s := server.NewOptions()
	var sets cliflag.NamedFlagSets
	s.AddFlags(&sets)
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, f := range sets.FlagSets {
		flags.AddFlagSet(f)
	}
	if err := flags.Parse(args); err != nil {
		return controlplaneoptions.CompletedOptions{}, fmt.Errorf("parse the flags: %w", err)
	}
	s.SecureServing.Listener = listener
	completed, err := s.Complete(ctx, nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return completed, fmt.Errorf("complete the options: %w", err)
	}
	return completed, utilerrors.NewAggregate(completed.Validate())
}

type configs struct {
	aggregator aggregatorapiserver.CompletedConfig
	native     controlplaneapiserver.CompletedConfig
	custom     apiextensionsapiserver.CompletedConfig
}

// apiServers is how many API servers apiextensions believes there are. With more than one, every new custom resource is
// established five seconds late, so that the others hear of it first.
const apiServers = 1

func configure(opts controlplaneoptions.CompletedOptions) (configs, error) {
	schemes := []*runtime.Scheme{legacyscheme.Scheme, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme}
	enabled := controlplane.DefaultGenericAPIResourceConfigSource()
	enabled.EnableVersions(discoveryv1.SchemeGroupVersion)
	generic, informers, storage, err := controlplaneapiserver.BuildGenericConfig(opts, schemes, enabled, generatedopenapi.GetOpenAPIDefinitions)
	if err != nil {
		return configs{}, fmt.Errorf("generic config: %w", err)
	}
	resolver := webhook.NewDefaultServiceResolver()
	native, plugins, err := controlplaneapiserver.CreateConfig(opts, generic, informers, storage, resolver, nil)
	if err != nil {
		return configs{}, fmt.Errorf("config of native resources: %w", err)
	}
	auth := webhook.NewDefaultAuthenticationInfoResolverWrapper(native.ProxyTransport, native.Generic.EgressSelector,
		native.Generic.LoopbackClientConfig, native.Generic.TracerProvider)
	custom, err := controlplaneapiserver.CreateAPIExtensionsConfig(*native.Generic, native.VersionedInformers, plugins, opts, apiServers, resolver, auth)
	if err != nil {
		return configs{}, fmt.Errorf("config of custom resources: %w", err)
	}
	agg, err := controlplaneapiserver.CreateAggregatorConfig(*native.Generic, opts, native.VersionedInformers, resolver,
		native.ProxyTransport, native.PeerProxy, plugins)
	if err != nil {
		return configs{}, fmt.Errorf("config of the aggregator: %w", err)
	}
	agg.ExtraConfig.DisableRemoteAvailableConditionController = true
	return configs{agg.Complete(), native.Complete(), custom.Complete()}, nil
}

func installGroups(c controlplaneapiserver.CompletedConfig, native *controlplaneapiserver.Server) error {
	client, err := kubernetes.NewForConfig(c.Generic.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("make a loopback client: %w", err)
	}
	providers, err := c.GenericStorageProviders(client.Discovery())
	if err != nil {
		return fmt.Errorf("list the API groups: %w", err)
	}
	providers = slices.DeleteFunc(providers, func(p controlplaneapiserver.RESTStorageProvider) bool {
		return slices.Contains(unserved(), p.GroupName())
	})
	for i, p := range providers {
		if p.GroupName() == "" {
			providers[i] = withServices{p}
		}
	}
	if err := native.InstallAPIs(append(providers, discoveryrest.StorageProvider{})...); err != nil {
		return fmt.Errorf("install the API groups: %w", err)
	}
	return nil
}
