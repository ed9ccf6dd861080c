package cli

import (
	"context"
	"fmt"
	"time"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/cluster"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

type enforcer = *policy.Enforcer

// api makes the Magnum API and lets it serve once the view is complete.
func (s *serving) api(context.Context) error {
	admin := s.cloud.Admin()
	var addons func(driver string, labels map[string]string, from string) error
	if s.catalogue.Load() != nil {
		addons = func(driver string, labels map[string]string, from string) error {
			return s.catalogue.Load().Missing(driver, labels, from)
		}
	}
	handler := api.New(api.Options{
		Addons:     addons,
		AddonNames: catalogue.Names(),
		Workload:   s.workload,
		Clusters:   s.store, NodeGroups: s.store, Templates: s.store, Quotas: s.store, Secrets: s.store, Services: s.store, Events: s.store,
		Tokens:      s.cloud.Validator(),
		CloudFor:    func(token string, id openstack.Identity) api.Cloud { return s.cloud.ForUser(token, id) },
		Credentials: credentials{cloud: s.cloud, config: s.Config},
		Projects:    admin,
		Policy:      s.enforcer,
		Logger:      s.Log.With("component", "api"),
		Metrics:     s.registry,
		Config: api.Config{
			WWWAuthenticateURI: s.Config.WWWAuthenticate, MaxClustersPerProject: s.Config.QuotaClusters,
			MaxLimit: s.Config.MaxLimit, DefaultNetworkDriver: s.Config.NetworkDriver,
			AllowedNetworkDrivers: s.Config.NetworkDrivers, DefaultDriver: s.Config.DefaultDriver,
			DefaultBootVolumeSize: s.Config.BootVolumeSize, ServiceDownTime: s.Config.ServiceDownTime,
			Proxies: s.Config.Proxies, MaxBodyBytes: int64(s.Config.MaxBodyBytes),
			ManagementCIDRs: s.Config.ManagementCIDRs,
		},
	})
	serve := func(ctx context.Context) error {
		for !s.view.Synced() { // the cache has synced by now; the handlers need a moment more
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(5 * time.Millisecond):
			}
		}
		if s.Ready != nil {
			s.Ready()
		}
		s.Log.InfoContext(ctx, "serving the Magnum API", "address", s.apiSocket.Addr().String(), "tls", s.Config.TLSCert != "")
		return serveHTTP(ctx, s.apiSocket, handler, s.Config.TLSCert, s.Config.TLSKey)
	}
	if err := s.manager.Add(always(serve)); err != nil {
		return err
	}
	if s.Reload != nil && s.catalogue.Load() != nil {
		if err := s.manager.Add(always(s.reloadAddons)); err != nil {
			return err
		}
	}
	return s.manager.Add(always(s.serveAdmin))
}

// cloudFor opens the owner's cloud for controllers, with the credential of one cluster.
func (s *serving) cloudFor(ctx context.Context, cloudsYAML []byte) (cluster.Cloud, error) {
	p, err := s.project(ctx, cloudsYAML)
	if err != nil {
		return nil, err // p in an interface would not be nil
	}
	return p, nil
}

// addonCloudFor is cloudFor for what is installed into the cluster.
func (s *serving) addonCloudFor(ctx context.Context, cloudsYAML []byte) (addon.Cloud, error) {
	p, err := s.project(ctx, cloudsYAML)
	if err != nil {
		return nil, err // as above
	}
	return p, nil
}

func (s *serving) project(ctx context.Context, cloudsYAML []byte) (*openstack.Project, error) {
	credential, err := openstack.CredentialOf(cloudsYAML)
	if err != nil {
		return nil, err
	}
	return s.cloud.ForProject(ctx, credential)
}

// workload opens a cluster of a caller who may, for the API.
func (s *serving) workload(ctx context.Context, g policy.Grant, clusterUUID string) (api.Workload, error) {
	kubeconfig, err := s.store.Kubeconfig(ctx, g, clusterUUID)
	if err != nil {
		return nil, err
	}
	w, err := workload.Open(kubeconfig, kube.ThroughProxies(s.direct, workload.Direct))
	if err != nil {
		return nil, err // as above
	}
	return w, nil
}

// readAddons reads and checks the addon catalogue.
func (s *serving) readAddons(ctx context.Context) (err error) {
	if s.Addons == nil {
		s.Log.WarnContext(ctx, "there is no addon catalogue (--addon-catalogue): no addons are installed into clusters, and real clusters never become usable")
		return nil
	}
	read, err := catalogue.LoadTrusted(s.Addons, s.AddonTrust)
	if err != nil {
		return err
	}
	s.catalogue.Store(read)
	for _, e := range read.Entries() {
		s.Log.InfoContext(ctx, "addon", "name", e.Name, "version", e.Version, "kubernetes", e.Kubernetes)
	}
	return nil
}

// reloadAddons reads the catalogue again when it is told to. One that is wrong changes nothing. Another one ends the
// controllers' term: the next begins with it, and looks at every cluster.
func (s *serving) reloadAddons(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Reload:
		}
		before := s.catalogue.Load().Digest
		if err := s.readAddons(ctx); err != nil {
			s.Log.ErrorContext(ctx, "the new addon catalogue is refused; the previous one stays in use", "error", err)
			continue
		}
		if s.catalogue.Load().Digest == before {
			s.Log.InfoContext(ctx, "the addon catalogue has not changed")
			continue
		}
		select {
		case s.newTerms <- struct{}{}:
		default: // one is due already
		}
	}
}

// credentials makes the credential a cluster acts with: an application credential of the user who creates it, named
// after the cluster (the Python driver's name, so that either finds what the other made).
type credentials struct {
	cloud  *openstack.Cloud
	config Config
}

// CloudConfig implements api.Credentials.
func (c credentials) CloudConfig(ctx context.Context, token string, id openstack.Identity, uuid string) (cloudsYAML, cacert []byte, err error) {
	user := c.cloud.ForUser(token, id)
	authURL, err := user.IdentityEndpoint(ctx, c.config.ClientEndpoint, c.config.OpenStack.Region)
	if err != nil {
		return nil, nil, err
	}
	credential, err := user.CreateApplicationCredential(ctx, uuid, fmt.Sprintf("Magnum cluster (%s)", uuid))
	if err != nil {
		return nil, nil, err
	}
	cloudsYAML, err = openstack.CloudConfig{
		AuthURL: authURL, Region: c.config.OpenStack.Region, EndpointType: c.config.ClientEndpoint,
		Insecure: c.config.ClientInsecure, Credential: credential,
	}.CloudsYAML()
	return cloudsYAML, c.config.ClientCA, err
}

// TakeBack implements api.Credentials.
func (c credentials) TakeBack(ctx context.Context, id openstack.Identity, uuid string) error {
	return c.cloud.Admin().DeleteApplicationCredential(ctx, id.UserID, uuid)
}
