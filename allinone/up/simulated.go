package up

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
	"github.com/jeroboam-cloud/jeroboam/allinone/simcloud"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

const simulatedName = "the simulated cloud"

// simulated is the simulated cloud, with machines in memory.
func (a *allinone) simulated() (ground, error) {
	seed, err := a.seed()
	if err != nil {
		return ground{}, err
	}
	if a.KeystonePort == 0 {
		a.KeystonePort = 5000 // openstack's own default for Keystone
	}
	keystone := "http://" + local(a.KeystonePort)
	cloud, err := simcloud.New(simcloud.Options{
		Seed: seed, Dir: a.dir.Path("simcloud"), BaseURL: keystone, ContainerInfraURL: a.magnum() + "/v1",
		Log: a.log.With("component", "simcloud"),
	})
	if err != nil {
		return ground{}, err
	}
	clouds := filepath.Join(a.StateDir, "clouds.yaml")
	return ground{
		name:   simulatedName,
		before: []lifecycle.Step{{Name: "simulated OpenStack", Component: a.serveCloud(cloud)}},
		management: func(o *management.Options) {
			o.Scheduler = scheduler{cloud: cloud, delay: a.InfrastructureDelay}
		},
		infrastructure: capi.InMemory(0),
		user: realcloud.ServiceUser{
			AuthURL: keystone + "/v3", Username: "magnum", Password: "magnum", ProjectName: "service", Region: "RegionOne",
			UserDomainName: "Default", ProjectDomainName: "Default", Interface: "public",
		},
		clouds: clouds, tenant: "demo",
		writeClouds: func() error { return cloud.WriteCloudsYAML(clouds) },
		complete:    completeSimulated,
		patience:    10 * time.Minute,
		remark:      "Other clouds: reader (may only read), other (another project), admin.\n",
	}, nil
}

func (a *allinone) seed() (*simcloud.Seed, error) {
	if a.Simcloud == "" {
		return simcloud.ParseSeed(nil)
	}
	return simcloud.ReadSeed(a.Simcloud)
}

func completeSimulated(_ context.Context, f *firstFlags, _ *realcloud.Entry, _ *gophercloud.ProviderClient) error {
	if f.Image == "" {
		f.Image = "ubuntu-2204-kube-v1.34.2"
		orDefault(&f.KubeTag, "v1.34.2")
	}
	orDefault(&f.Flavor, "m1.small")
	orDefault(&f.Keypair, "default")
	orDefault(&f.NetworkDriver, "calico")
	if f.LoadBalancer == nil {
		f.LoadBalancer = new(true)
	}
	return nil
}

func orDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// serveCloud serves the cloud on its port.
func (a *allinone) serveCloud(cloud *simcloud.Cloud) lifecycle.Component {
	srv := &http.Server{Handler: cloud, ReadHeaderTimeout: 10 * time.Second}
	return lifecycle.Func{
		OnStart: func(ctx context.Context, died func(error)) error {
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", local(a.KeystonePort))
			if err != nil {
				return fmt.Errorf("%w (--keystone-port chooses another port)", err)
			}
			go func() { died(srv.Serve(l)) }()
			return nil
		},
		OnStop: func(context.Context) error {
			_ = srv.Close() // whoever still asks is being stopped too
			return cloud.Close()
		},
	}
}

// scheduler lets the simulated cloud decide about machines.
type scheduler struct {
	cloud *simcloud.Cloud
	delay time.Duration // at least
}

// Schedule implements simmachines.Scheduler.
func (s scheduler) Schedule(ctx context.Context, r simmachines.Request) simmachines.Verdict {
	v := s.cloud.Schedule(ctx, simcloud.Request(r))
	return simmachines.Verdict{Delay: max(v.Delay, s.delay), Fail: v.Fail}
}

// Release implements simmachines.Scheduler.
func (s scheduler) Release(ctx context.Context, name string) { s.cloud.Release(ctx, name) }

// Names implements simmachines.Scheduler.
func (s scheduler) Names(context.Context) []string { return s.cloud.Machines() }
