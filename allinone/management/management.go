// Package management lists the components of a management cluster in one process, in the order they start:
//
//	etcd -> API server -> garbage collector -> manifests -> Cluster API
//
// The all-in-one puts the simulated cloud and Jeroboam's own server on top; tests of the light module start it alone.
package management

import (
	"context"
	"io"

	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/apiserver"
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
	APIPort    int      // of the API server; 0 is any free port
	Kubeconfig string   // file for the administrator; none if empty
	CRDDirs    []string // directories of further custom resource definitions
	Log        io.Writer

	ClusterAPI    bool // run Cluster API and the in-memory infrastructure
	WorkloadPorts inmemory.PortRange
	Scheduler     simmachines.Scheduler

	APIServerArgs []string
	Concurrency   int
}

// Cluster is a management cluster.
type Cluster struct {
	opts Options
	api  *apiserver.Server
	etcd *etcd.Server
}

// New prepares a management cluster in a data directory.
func New(o Options) (*Cluster, error) {
	authority, err := pki.Open(o.Dir.Path("pki"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o}
	c.etcd = &etcd.Server{Dir: o.Dir.Path("etcd"), Log: o.Log}
	c.api = &apiserver.Server{Dir: o.Dir.Path("apiserver"), Endpoint: c.etcd.Endpoint, Port: o.APIPort, Authority: authority, ExtraArgs: o.APIServerArgs}
	return c, nil
}

// Steps lists the components.
func (c *Cluster) Steps() []lifecycle.Step {
	capi := clusterapi.New(clusterapi.Options{
		Client: c.identity("cluster-api"), Authority: c.api.Authority,
		WorkloadPorts: c.opts.WorkloadPorts, Scheduler: c.opts.Scheduler, Concurrency: c.opts.Concurrency, Log: c.opts.Log,
	})
	apply := func(ctx context.Context, _ func(error)) error { return c.apply(ctx, capi) }
	steps := []lifecycle.Step{
		{Name: "etcd", Component: c.etcd},
		{Name: "API server", Component: c.api},
		{Name: "garbage collector", Component: &gc.Controllers{Client: c.identity("garbage-collector")}},
		{Name: "custom resources", Component: lifecycle.Func{OnStart: apply}},
	}
	if c.opts.ClusterAPI {
		steps = append(steps, lifecycle.Step{Name: "Cluster API", Component: capi})
	}
	return steps
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

func (c *Cluster) apply(ctx context.Context, capi *clusterapi.Controllers) error {
	set := &manifests.Set{}
	if c.opts.ClusterAPI {
		var err error
		if set, err = capi.Manifests(); err != nil {
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
