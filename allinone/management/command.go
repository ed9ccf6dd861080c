package management

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/inmemory"
	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
)

// Command runs a management cluster alone, for tests: they start it as they would start envtest's binaries.
type Command struct {
	DataDir          string             `required:"" help:"Directory for everything; made if need be."`
	APIPort          int                `name:"api-port" default:"0" help:"Port of the API server on 127.0.0.1; 0 is any free port."`
	Controllers      string             `enum:"none,clusterapi" default:"none" help:"What runs on top of the API server: none, clusterapi."`
	CRDs             []string           `name:"crds" sep:"none" help:"Directory of further custom resource definitions; may be given more than once."`
	KubeconfigOut    string             `required:"" help:"Where to write the administrator's kubeconfig."`
	WorkloadPorts    inmemory.PortRange `default:"20000-29999" help:"Ports for workload clusters."`
	WorkloadOut      string             `name:"workload-kubeconfig-out" placeholder:"FILE" help:"Serve one workload cluster's API as well, without Cluster API and nodes, and write its kubeconfig."`
	NodesNeedAddons  bool               `help:"Nodes of workload clusters are not Ready until a network and a cloud controller manager were applied to them."`
	ExitOnStdinClose bool               `help:"End when standard input is closed, so that no test leaves it behind."`
	LogFile          string             `help:"Where Kubernetes and Cluster API log to; allinone.log in the data directory if empty."`
	LogLevel         int                `default:"0" help:"How much they log."`
	APIServerArgs    []string           `name:"apiserver-arg" sep:"none" help:"A flag for the API server; may be given more than once."`
	Concurrency      int                `default:"20" help:"Reconciles at a time of each controller."`
	Debug            string             `help:"Address to serve Go profiles on, for example 127.0.0.1:6060."`

	Scheduler simmachines.Scheduler `kong:"-"` // decides about machines; nil lets all come
}

// Run runs until ctx ends. It writes one line, "ready", to stdout, and progress to stderr.
func (c *Command) Run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	dir, err := datadir.Open(c.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if c.LogFile == "" {
		c.LogFile = dir.Path("allinone.log")
	}
	log := LogFile(c.LogFile)
	defer func() { err = errors.Join(err, log.Close()) }()
	stderr, undo, err := DivertStderr(stderr, dir.Path("stderr.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	if err := LogTo(log, stderr, c.LogLevel); err != nil {
		return err
	}
	cluster, err := New(Options{
		Dir: dir, APIPort: c.APIPort, Kubeconfig: c.KubeconfigOut, CRDDirs: c.CRDs, Log: log,
		ClusterAPI: c.Controllers == "clusterapi", WorkloadPorts: c.WorkloadPorts, Scheduler: c.Scheduler, APIServerArgs: c.APIServerArgs, Concurrency: c.Concurrency,
		NodesNeedAddons: c.NodesNeedAddons, WorkloadKubeconfig: c.WorkloadOut,
	})
	if err != nil {
		return err
	}
	if c.ExitOnStdinClose {
		ctx = untilClosed(ctx, stdin)
	}
	steps := cluster.Steps()
	if c.Debug != "" {
		steps = append([]lifecycle.Step{{Name: "profiles", Component: Profiles(c.Debug)}}, steps...)
	}
	begin := time.Now()
	runner := lifecycle.Runner{Steps: steps, Progress: func(e lifecycle.Event) {
		if e.State != lifecycle.Starting && e.State != lifecycle.Stopping {
			_, _ = fmt.Fprintf(stderr, "%7.2fs  %-18s %-8s %5.2fs\n", time.Since(begin).Seconds(), e.Step, e.State, e.Elapsed.Seconds())
		}
	}}
	return runner.Run(ctx, func(ctx context.Context) error {
		_, err := fmt.Fprintln(stdout, "ready")
		<-ctx.Done()
		return err
	})
}

// untilClosed is ctx until r ends.
func untilClosed(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}

// Profiles is a component that serves Go's profiles and the controllers' metrics.
func Profiles(address string) lifecycle.Component {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	s := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Second}
	return lifecycle.Func{
		OnStart: func(ctx context.Context, died func(error)) error {
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", address)
			if err != nil {
				return err
			}
			go func() { died(s.Serve(l)) }()
			return nil
		},
		OnStop: func(context.Context) error { return s.Close() },
	}
}
