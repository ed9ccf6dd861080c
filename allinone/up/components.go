package up

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/simcloud"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/cli"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

const (
	admins       = "system:masters"
	jeroboamUser = "jeroboam" // the subject of the shipped role binding
)

// simulatedOpenStack serves the cloud on its port.
func (a *allinone) simulatedOpenStack() lifecycle.Component {
	srv := &http.Server{Handler: a.cloud, ReadHeaderTimeout: 10 * time.Second}
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
			return a.cloud.Close()
		},
	}
}

// installRecords makes the management cluster ready for Magnum's records, as its administrator would.
func (a *allinone) installRecords(ctx context.Context, _ func(error)) error {
	cfg, err := a.cluster.Client("installer", admins)
	if err != nil {
		return err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return cli.InstallRecords(ctx, c)
}

// jeroboam is the server as a component: it starts when it serves.
type jeroboam struct {
	all  *allinone
	stop context.CancelFunc
	done chan struct{}
}

// Start implements lifecycle.Component.
func (j *jeroboam) Start(ctx context.Context, died func(error)) error {
	a := j.all
	conf := a.dir.Path("magnum.conf")
	if err := writeFile(conf, a.magnumConf()); err != nil {
		return fmt.Errorf("write magnum.conf: %w", err)
	}
	config, err := cli.ReadConfig(a.log, os.Environ(), conf)
	if err != nil {
		return err
	}
	management, err := a.identity()
	if err != nil {
		return err
	}
	management.QPS = -1
	if err := awaitRoles(ctx, management); err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan struct{}), make(chan error, 1)
	j.stop, j.done = stop, make(chan struct{})
	go func() {
		defer close(j.done)
		err := cli.Serve(life, cli.ServeOptions{
			Config: config, Management: management, Infrastructure: capi.InMemory(0), AdminListen: local(a.AdminPort),
			Concurrency: a.Concurrency, Log: a.log, Ready: func() { close(ready) },
		})
		ended <- err
		if life.Err() == nil {
			died(fmt.Errorf("server: %w", err))
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitRoles returns when an ordinary user may look around. The API server makes the roles that allow it a moment after it
// serves; only administrators can do without.
func awaitRoles(ctx context.Context, cfg *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	for {
		_, err := d.ServerGroups()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the management cluster's roles: %w", err)
		}
	}
}

// Stop implements lifecycle.Component.
func (j *jeroboam) Stop(ctx context.Context) error {
	if j.stop == nil {
		return nil
	}
	j.stop()
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// magnumConf is the configuration an operator would write for this cloud.
func (a *allinone) magnumConf() []byte {
	return fmt.Appendf(nil, `# Written by every start of the all-in-one.
[api]
host = 127.0.0.1
port = %d

[keystone_authtoken]
auth_url = %s/v3
www_authenticate_uri = %s/v3
username = magnum
password = magnum
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne

[capi_client]
endpoint_type = publicURL

[quotas]
max_clusters_per_project = 100
`, a.MagnumPort, a.keystone(), a.keystone())
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
