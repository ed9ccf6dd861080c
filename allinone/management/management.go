// Package management lists the components of a management cluster in one process, in the order they start:
//
//	etcd -> API server -> garbage collector -> manifests -> Cluster API -> OpenStack provider
//
// The last is there only where machines are real. Otherwise they are in memory, and part of Cluster API's step.
//
// The all-in-one puts the simulated cloud and Jeroboam's own server on top; tests of the light module start it alone.
package management

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/apiserver"
	"github.com/jeroboam-cloud/jeroboam/allinone/capo"
	"github.com/jeroboam-cloud/jeroboam/allinone/clusterapi"
	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
	"github.com/jeroboam-cloud/jeroboam/allinone/gc"
	"github.com/jeroboam-cloud/jeroboam/allinone/inmemory"
	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/manifests"
	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
)

// Options describe a management cluster.
type Options struct {
	Dir        *datadir.Dir
	APIAddress net.IP   // of the API server; 127.0.0.1 if nil
	APIPort    int      // 0 is any free port
	Kubeconfig string   // file for the administrator; none if empty
	CRDDirs    []string // directories of further custom resource definitions
	Log        io.Writer

	ClusterAPI    bool           // run Cluster API and the in-memory infrastructure
	OpenStack     *capo.Provider // run this in place of the in-memory infrastructure; its certificate and kubeconfig are made here
	WorkloadPorts inmemory.PortRange
	Scheduler     simmachines.Scheduler

	WorkloadKubeconfig string // file for the administrator of one workload cluster that Cluster API knows nothing of; none if empty

	NodesNeedAddons bool // nodes are not Ready until a network and a cloud controller manager were applied to their cluster

	APIServerArgs []string
	Concurrency   int
}

// Cluster is a management cluster.
type Cluster struct {
	opts      Options
	authority *pki.Authority

	api  *apiserver.Server
	etcd *etcd.Server
	capi *clusterapi.Controllers
}

// New prepares a management cluster in a data directory.
func New(o Options) (*Cluster, error) {
	authority, err := pki.Open(o.Dir.Path("pki"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, authority: authority}
	c.etcd = &etcd.Server{Dir: o.Dir.Path("etcd"), Log: o.Log}
	c.api = &apiserver.Server{Dir: o.Dir.Path("apiserver"), Endpoint: c.etcd.Endpoint, Address: o.APIAddress, Port: o.APIPort, Authority: authority, ExtraArgs: o.APIServerArgs}
	c.capi = clusterapi.New(clusterapi.Options{
		Client: c.identity("cluster-api"), Authority: authority, External: o.OpenStack != nil, Etcd: c.etcd.Endpoint, NodesNeedAddons: o.NodesNeedAddons,
		WorkloadPorts: o.WorkloadPorts, Scheduler: o.Scheduler, Concurrency: o.Concurrency, Log: o.Log,
	})
	if p := o.OpenStack; p != nil {
		p.Dir, p.Kubeconfig = o.Dir.Path("capo"), c.providerKubeconfig
		p.Certificate = func() (certPEM, keyPEM []byte, err error) { return authority.Server(manifests.OpenStack) }
	}
	return c, nil
}

// Steps lists all components.
func (c *Cluster) Steps() []lifecycle.Step { return append(c.APISteps(), c.ControllerSteps()...) }

// APISteps lists what serves the API with all its kinds.
func (c *Cluster) APISteps() []lifecycle.Step {
	return []lifecycle.Step{
		{Name: "etcd", Component: c.etcd},
		{Name: "API server", Component: c.api},
		{Name: "garbage collector", Component: &gc.Controllers{Client: c.identity("garbage-collector")}},
		{Name: "custom resources", Component: lifecycle.Func{OnStart: c.apply}},
	}
}

// ControllerSteps lists what watches the API and acts.
func (c *Cluster) ControllerSteps() []lifecycle.Step {
	var steps []lifecycle.Step
	if file := c.opts.WorkloadKubeconfig; file != "" {
		steps = append(steps, lifecycle.Step{Name: "workload cluster", Component: &loneWorkload{Etcd: c.etcd.Endpoint, Authority: c.authority, File: file}})
	}
	if c.opts.ClusterAPI {
		steps = append(steps, lifecycle.Step{Name: "Cluster API", Component: c.capi})
	}
	if c.opts.OpenStack != nil {
		steps = append(steps, lifecycle.Step{Name: "OpenStack provider", Component: c.opts.OpenStack})
	}
	return steps
}

// providerKubeconfig writes the kubeconfig of the OpenStack provider, whose role is its project's own.
func (c *Cluster) providerKubeconfig(ctx context.Context, path string) error {
	cfg, err := c.Client(manifests.OpenStack)
	if err != nil {
		return err
	}
	if err := AwaitRoles(ctx, cfg); err != nil {
		return err
	}
	return c.Kubeconfig(path, manifests.OpenStack)
}

// Client is an identity at the API server, good once that has started.
func (c *Cluster) Client(user string, groups ...string) (*rest.Config, error) {
	return c.api.Client(user, groups...)
}

// Kubeconfig writes a kubeconfig file for an identity.
func (c *Cluster) Kubeconfig(path, user string, groups ...string) error {
	return c.api.Kubeconfig(path, user, groups...)
}

// admins is the group that may do everything.
const admins = "system:masters"

func (c *Cluster) identity(user string) func() (*rest.Config, error) {
	return func() (*rest.Config, error) { return c.Client(user, admins) }
}

func (c *Cluster) apply(ctx context.Context, _ func(error)) (err error) {
	set := &manifests.Set{}
	if c.opts.ClusterAPI {
		if set, err = c.capi.Manifests(); err != nil {
			return err
		}
	}
	if c.opts.OpenStack != nil {
		if err := set.AddOpenStack(c.opts.OpenStack.WebhookURL(), c.api.Authority.CertPEM()); err != nil {
			return err
		}
	}
	for _, dir := range c.opts.CRDDirs {
		if err := set.AddDir(dir); err != nil {
			return err
		}
	}
	cfg, err := c.Client("manifests", admins)
	if err != nil {
		return err
	}
	if err := manifests.Apply(ctx, cfg, set); err != nil {
		return err
	}
	if c.opts.Kubeconfig == "" {
		return nil
	}
	return c.Kubeconfig(c.opts.Kubeconfig, "admin", admins)
}

// AwaitRoles returns when an ordinary user may look around. The API server makes the roles that allow it a moment after
// it serves; only administrators can do without.
func AwaitRoles(ctx context.Context, cfg *rest.Config) error {
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
