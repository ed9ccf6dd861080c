package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// ServerCommand serves the Magnum API and runs the controllers.
type ServerCommand struct {
	ConfigFile     []string `name:"config-file" type:"path" default:"/etc/magnum/magnum.conf" help:"The operator's magnum.conf; several are read in order."`
	Kubeconfig     string   `env:"KUBECONFIG" help:"Management cluster; without it, the service account of the pod."`
	Listen         string   `help:"host:port of the Magnum API instead of [api] host and port."`
	AdminListen    string   `default:"127.0.0.1:9512" help:"host:port of /metrics, /healthz and /readyz."`
	PolicyFile     string   `type:"path" help:"Policy file instead of [oslo_policy] policy_file, by default policy.yaml beside the configuration."`
	AddonCatalogue string   `type:"existingdir" help:"Directory with the addon catalogue of a bundle (files/addons): what is installed into clusters."`
	PublicKey      string   `type:"existingfile" placeholder:"FILE" help:"Take the addon catalogue only if it is signed by a key of this file (jeroboam bundle sign)."`
	Infrastructure string   `enum:"openstack,inmemory" default:"openstack" help:"What machines are made of: openstack or inmemory."`
	LeaderElect    bool     `default:"true" negatable:"" help:"Let several servers share the controllers' work."`
	Concurrency    int      `default:"10" help:"How many clusters each controller reconciles concurrently."`
	Controllers    bool     `default:"true" negatable:"" help:"Run the controllers. --no-controllers serves the API alone; another server must run them."`
	LogFormat      string   `enum:"text,json" default:"json" help:"text or json."`
	LogLevel       string   `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// Run serves until ctx ends.
func (c *ServerCommand) Run(ctx context.Context, streams Streams) error {
	log, err := NewLog(streams.Err, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	environ := os.Environ()
	if c.PolicyFile != "" {
		environ = append(environ, "OS_OSLO_POLICY__POLICY_FILE="+c.PolicyFile)
	}
	config, err := ReadConfig(log, environ, c.ConfigFile...)
	if err != nil {
		return err
	}
	if c.Listen != "" {
		config.Listen = c.Listen
	}
	management, err := kube.Connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	infrastructure := capi.OpenStack()
	if c.Infrastructure == "inmemory" {
		infrastructure = capi.InMemory(0)
	}
	var trust sign.Trust
	if c.PublicKey != "" {
		if trust, err = sign.ReadTrust(c.PublicKey); err != nil {
			return fmt.Errorf("--public-key: %w", err)
		}
	}
	var addons fs.FS
	if c.AddonCatalogue != "" {
		addons = os.DirFS(c.AddonCatalogue)
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	return Serve(ctx, ServeOptions{
		Addons: addons, AddonTrust: trust, Reload: reload,
		Config: config, Management: management, Infrastructure: infrastructure,
		AdminListen: c.AdminListen, LeaderElection: c.LeaderElect, Concurrency: c.Concurrency, Log: log,
		APIOnly: !c.Controllers,
	})
}

// NewLog makes the one logger of a process.
func NewLog(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}
