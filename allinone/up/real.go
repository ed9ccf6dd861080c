package up

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/jeroboam-cloud/jeroboam/allinone/capo"
	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

// realFlags say which real cloud it is and how the service is put into it.
type realFlags struct {
	Cloud            string `type:"existingfile" placeholder:"CLOUDS.YAML" xor:"cloud" help:"Stand on the OpenStack that this clouds.yaml describes."`
	CloudName        string `default:"magnum" placeholder:"NAME" help:"Entry of Magnum's service user, with a password and the role admin: magnum."`
	TenantCloudName  string `default:"demo" placeholder:"NAME" help:"Entry of the user who makes the first cluster: demo."`
	RegisterEndpoint bool   `help:"Put the Magnum API into Keystone's catalog, at --address."`
	AdminCloudName   string `placeholder:"NAME" help:"Entry of the user who may change the catalog; the service user if empty."`
	Capo             string `type:"path" placeholder:"PROGRAM" help:"Cluster API's OpenStack provider (make capo); capo-manager beside this program if empty."`
	CapoWebhookPort  int    `default:"19443" help:"Its port for admission webhooks."`
	CapoHealthPort   int    `default:"19440" help:"Its port for health, on 127.0.0.1."`
	CapoMetricsPort  int    `default:"19442" help:"Its port for metrics, on 127.0.0.1."`
}

const staysRemark = "What clusters have in the cloud stays there until they are deleted; --fresh does not delete it.\n"

// real is an OpenStack that is there already, with Cluster API's OpenStack provider as a process of its own.
func (a *allinone) real() (ground, error) {
	f := a.Real
	file, err := filepath.Abs(f.Cloud)
	if err != nil {
		return ground{}, fmt.Errorf("find clouds.yaml: %w", err)
	}
	service, err := realcloud.Read(file, f.CloudName)
	if err != nil {
		return ground{}, err
	}
	user, err := service.ServiceUser()
	if err != nil {
		return ground{}, err
	}
	if a.FirstCluster { // said now, not when everything has started
		if _, err := realcloud.Read(file, f.TenantCloudName); err != nil {
			return ground{}, err
		}
	}
	provider, err := a.provider()
	if err != nil {
		return ground{}, err
	}
	g := ground{
		name:           "the cloud at " + user.AuthURL,
		management:     func(o *management.Options) { o.OpenStack = provider },
		before:         []lifecycle.Step{{Name: "Keystone", Component: lifecycle.Func{OnStart: logIn(service)}}},
		infrastructure: capi.OpenStack(), user: user,
		clouds: file, tenant: f.TenantCloudName,
		writeClouds: func() error { return nil }, // it is the operator's
		complete:    completeReal,
		patience:    40 * time.Minute,
		remark:      "Clients find this Magnum API if the catalog says where it is: --register-endpoint sees to that.\n" + staysRemark,
	}
	if f.RegisterEndpoint {
		admin := service
		if f.AdminCloudName != "" {
			if admin, err = realcloud.Read(file, f.AdminCloudName); err != nil {
				return ground{}, err
			}
		}
		g.remark = staysRemark
		g.after = []lifecycle.Step{{Name: "endpoint", Component: lifecycle.Func{OnStart: a.register(admin)}}}
	}
	return g, nil
}

// provider is Cluster API's OpenStack provider as the flags say.
func (a *allinone) provider() (*capo.Provider, error) {
	f := a.Real
	program := f.Capo
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the directory of this program: %w", err)
		}
		program = filepath.Join(filepath.Dir(self), "capo-manager")
	}
	log := a.log.With("component", "capo")
	p := &capo.Provider{
		Program: program, Ports: capo.Ports{Webhooks: f.CapoWebhookPort, Health: f.CapoHealthPort, Metrics: f.CapoMetricsPort},
		Log: management.LogFile(a.dir.Path("capo.log")),
		Say: func(message string, err error) { log.Warn(message, "error", err) },
	}
	return p, p.Check()
}

// logIn makes sure that Keystone knows the service user before anything is started on it.
func logIn(e *realcloud.Entry) func(context.Context, func(error)) error {
	return func(ctx context.Context, _ func(error)) error {
		_, err := e.Login(ctx)
		return err
	}
}

// register puts the Magnum API into the catalog.
func (a *allinone) register(admin *realcloud.Entry) func(context.Context, func(error)) error {
	return func(ctx context.Context, _ func(error)) error {
		changed, err := admin.Register(ctx, a.magnum()+"/v1")
		if changed {
			a.log.InfoContext(ctx, "Keystone's catalog was changed", "url", a.magnum()+"/v1")
		}
		return err
	}
}

// completeReal takes what the cloud offers.
func completeReal(ctx context.Context, f *firstFlags, e *realcloud.Entry, p *gophercloud.ProviderClient) error {
	if f.Image == "" {
		image, err := e.NewestNodeImage(ctx, p)
		if err != nil {
			return err
		}
		f.Image = image.ID
		version, _ := image.Properties[realcloud.KubernetesVersion].(string)
		orDefault(&f.KubeTag, version)
	}
	orDefault(&f.Flavor, "m1.medium")
	orDefault(&f.NetworkDriver, "cilium")
	if f.LoadBalancer == nil {
		f.LoadBalancer = new(e.HasLoadBalancers(p))
	}
	return nil
}
