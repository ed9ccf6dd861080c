// Package up is "make up": a whole cloud service in one process. It puts a cloud under and Jeroboam's own server on top
// of a management cluster, makes a first cluster the way a tenant would, and says what to type next.
//
// The cloud is the simulated one, in the same process, whose machines are in memory; or with --cloud a real OpenStack,
// in which Cluster API's own OpenStack provider makes real ones. ground.go says what differs.
//
// The server is the one of "jeroboam server": it reads a magnum.conf (which this package writes) and connects with a
// certificate that may do no more than the shipped role allows. It does not know whether the cloud is simulated.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/inmemory"
	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/internal/cli"
)

// Command holds the flags of "up".
type Command struct {
	StateDir              string             `default:".jeroboam" type:"path" help:"Where clouds.yaml and management.kubeconfig are written."`
	DataDir               string             `type:"path" help:"Where data lives; \"data\" in the state directory if empty."`
	Fresh                 bool               `help:"Start over: delete what an earlier run left in the data directory."`
	Address               net.IP             `default:"127.0.0.1" help:"Address that the Magnum API listens on."`
	MagnumPort            int                `default:"9511" help:"Port of the Magnum API."`
	KeystonePort          int                `placeholder:"5000" help:"Port of the simulated OpenStack: 5000."`
	ManagementAddress     net.IP             `default:"127.0.0.1" help:"Address that the management cluster's API server listens on; hosts of jeroboam proxy must reach it."`
	ManagementPort        int                `default:"16443" help:"Port of the management cluster's API server; 0 is any."`
	AdminPort             int                `default:"9512" help:"Port of /metrics, /healthz and /readyz."`
	WorkloadPorts         inmemory.PortRange `default:"20000-29999" help:"Ports for the API servers of simulated workload clusters."`
	Simcloud              string             `type:"existingfile" placeholder:"FILE" xor:"cloud" help:"What the simulated cloud holds (docs/simcloud.md)."`
	Addons                bool               `default:"true" negatable:"" help:"Install addons into clusters. Without them simulated nodes are Ready by themselves, and real ones never."`
	InfrastructureDelay   time.Duration      `default:"0s" help:"How long a simulated machine takes to come, for demonstrations."`
	FirstCluster          bool               `default:"true" negatable:"" help:"Make a first cluster."`
	ExitAfterFirstCluster bool               `help:"End, with status 0, when the first cluster is complete."`
	FirstClusterTimeout   time.Duration      `placeholder:"10m" help:"How long the first cluster may take: 10m, with --cloud 40m."`
	Concurrency           int                `default:"20" help:"Reconciles at a time of each controller."`
	LogLevel              string             `enum:"debug,info,warn,error" default:"info" help:"How much Jeroboam logs (into allinone.log): debug, info, warn, error."`
	Output                string             `enum:"text,json" default:"text" help:"Progress as text or as one JSON object a line."`
	AddonCatalogue        string             `type:"existingdir" placeholder:"DIR" help:"Addon catalogue of a bundle (files/addons) in place of this program's own."`
	Debug                 string             `placeholder:"ADDRESS" help:"Serve Go profiles there, for example 127.0.0.1:6060."`

	Real  realFlags  `embed:"" group:"A real OpenStack in place of the simulated one:"`
	First firstFlags `embed:"" group:"The first cluster:"`
}

// startGCPercent lets the heap grow while everything starts: it is small then, and collecting it took a quarter of the
// processor time until the API answers.
const startGCPercent = 400

// allinone is what the steps of one run hand to each other.
type allinone struct {
	*Command

	dir       *datadir.Dir
	logFile   io.Writer
	log       *slog.Logger
	ground    ground
	cluster   *management.Cluster
	progress  *progress
	gcPercent int // of the garbage collector, when nothing is being started
}

// Run runs until ctx ends.
func (c *Command) Run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	if c.DataDir == "" {
		c.DataDir = filepath.Join(c.StateDir, c.dataName())
	}
	dir, err := datadir.Open(c.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if c.Fresh {
		if err := dir.Clear(); err != nil {
			return err
		}
	}
	// Progress goes to stdout, and what is wrong is returned: nothing of ours is written to stderr, but last words.
	terminal, undo, err := management.DivertStderr(stderr, dir.Path("stderr.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	logPath := dir.Path("allinone.log")
	logFile := management.LogFile(logPath)
	defer func() { err = errors.Join(err, logFile.Close()) }()
	if err := management.LogTo(logFile, terminal, 0); err != nil {
		return err
	}
	log, err := cli.NewLog(logFile, "text", c.LogLevel)
	if err != nil {
		return err
	}
	a := &allinone{Command: c, dir: dir, logFile: logFile, log: log, progress: newProgress(stdout, c.Output == "json")}
	if a.ground, err = a.findGround(); err != nil {
		return err
	}
	if err := claim(dir, a.ground.name); err != nil {
		return err
	}
	steps, err := a.steps()
	if err != nil {
		return err
	}
	a.progress.say("starting", "log", logPath)
	a.gcPercent = debug.SetGCPercent(startGCPercent)
	err = lifecycle.Runner{Steps: steps, Progress: a.progress.step}.Run(ctx, a.main)
	if err != nil {
		return fmt.Errorf("%w (the log is %s)", err, logPath)
	}
	return nil
}

// steps is the whole of the service, in the order it starts.
func (a *allinone) steps() (steps []lifecycle.Step, err error) {
	o := management.Options{
		Dir: a.dir, APIAddress: a.ManagementAddress, APIPort: a.ManagementPort, Kubeconfig: filepath.Join(a.StateDir, "management.kubeconfig"), Log: a.logFile,
		ClusterAPI: true, WorkloadPorts: a.WorkloadPorts, Concurrency: a.Concurrency, NodesNeedAddons: a.Addons,
	}
	a.ground.management(&o)
	if a.cluster, err = management.New(o); err != nil {
		return nil, err
	}
	steps = append(steps, a.ground.before...)
	if a.Debug != "" {
		steps = append(steps, lifecycle.Step{Name: "profiles", Component: management.Profiles(a.Debug)})
	}
	steps = append(steps, a.cluster.APISteps()...)
	steps = append(steps, lifecycle.Step{Name: "Magnum's records", Component: lifecycle.Func{OnStart: a.installRecords}})
	steps = append(steps, a.cluster.ControllerSteps()...) // they and ours are those who watch
	steps = append(steps, lifecycle.Step{Name: "Jeroboam", Component: &jeroboam{all: a}})
	return append(steps, a.ground.after...), nil
}

// magnum is where clients reach the Magnum API.
func (a *allinone) magnum() string {
	host := a.Address.String()
	if a.Address.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(a.MagnumPort))
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// identity is the management cluster as Jeroboam may use it: what the shipped role allows, and no more.
func (a *allinone) identity() (*rest.Config, error) { return a.cluster.Client(jeroboamUser) }

// main runs once everything serves.
func (a *allinone) main(ctx context.Context) error {
	if err := a.ground.writeClouds(); err != nil {
		return err
	}
	debug.SetGCPercent(a.gcPercent)
	a.progress.serving(a.magnum(), a.ground.user.AuthURL, a.ground.clouds)
	if a.FirstCluster {
		if err := a.firstCluster(ctx); err != nil || a.ExitAfterFirstCluster {
			return err
		}
	}
	a.progress.next(a.ground, filepath.Join(a.StateDir, "management.kubeconfig"), a.FirstCluster)
	<-ctx.Done()
	return nil
}

// writeFile replaces a file at once, for its owner's eyes only.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return datadir.WriteFile(path, data, 0o600)
}
