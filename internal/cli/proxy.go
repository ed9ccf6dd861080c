package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

type proxyCommand struct {
	Run       proxyRunCommand       `cmd:"" default:"withargs" help:"Proxy until told to end."`
	Status    proxyStatusCommand    `cmd:"" help:"Say what this host proxies, and why something is not."`
	Access    proxyAccessCommand    `cmd:"" help:"Let the fleet touch the kubeconfigs of proxied clusters, by name; needs an administrator of the management cluster."`
	Manifests proxyManifestsCommand `cmd:"" help:"Print what the management cluster's administrator applies, or the systemd units."`
}

type proxyRunCommand struct {
	Kubeconfig string `env:"KUBECONFIG" help:"Management cluster; without it, the service account of the pod."`
	Bind       string `env:"PROXY_BIND" default:"*" help:"Address to listen on; * is all."`
	Port       int    `env:"PROXY_PORT" default:"0" help:"Port to listen on; 0 is any free one. A fixed one lets a new process take over without a refused connection."`
	Advertise  string `env:"POD_IP" placeholder:"ADDRESS" help:"Where clients reach this host; else --bind, else the address of the default route."`
	Always     bool   `help:"Proxy clusters with a floating IP too (any value of PROXY_ALWAYS says the same)."`
	Host       string `placeholder:"NAME" help:"This host's name in the fleet; the system's host name if empty."`
	OldHosts   bool   `help:"There are hosts with magnum-cluster-api-proxy: refresh the timestamps they look for, every ten seconds."`
	Plane      string `enum:"native,haproxy" default:"native" help:"Who passes connections on: native or haproxy."`
	HAProxy    string `name:"haproxy" default:"haproxy" help:"The haproxy program."`
	RunDir     string `env:"RUNTIME_DIRECTORY" default:"/run/jeroboam-proxy" help:"Directory for haproxy's files."`
	NetnsDir   string `default:"/run/netns" help:"Where Neutron keeps network namespaces."`

	Check          string        `enum:"tls,readyz" default:"tls" help:"How API servers are checked: tls (a handshake) or readyz (an anonymous request)."`
	CheckInterval  time.Duration `default:"10s" help:"Between two checks of an API server that answers and was not used meanwhile."`
	CheckTimeout   time.Duration `default:"3s" help:"Of one check in one namespace."`
	HelloTimeout   time.Duration `default:"5s" help:"For a client to say which cluster it wants."`
	ConnectTimeout time.Duration `default:"5s" help:"To connect to an API server through one namespace."`
	MaxConnections int           `default:"50000" help:"Concurrent connections."`
	MaxPending     int           `default:"2000" help:"Concurrent connections whose cluster is not known yet."`
	MaxPerCluster  int           `default:"10000" help:"Concurrent connections to one cluster."`
	Drain          time.Duration `default:"30s" help:"How long open connections are drained after a signal to stop."`

	AdminListen string `default:"127.0.0.1:9513" help:"host:port of /metrics, /healthz, /readyz and /status."`
	LogFormat   string `enum:"text,json" default:"json" help:"text or json."`
	LogLevel    string `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// Run proxies until ctx ends.
func (c *proxyRunCommand) Run(ctx context.Context, streams Streams) error {
	log, err := NewLog(streams.Err, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	id, err := identity(c.Host)
	if err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	config, err := kube.Connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // most of the memory is watches that wait: less of it matters more than the little time
	}
	return proxy.Run(ctx, proxy.Options{
		Config: config, Identity: id, Bind: c.Bind, Port: c.Port, Advertise: c.Advertise, Always: c.Always || os.Getenv("PROXY_ALWAYS") != "",
		OldHosts: c.OldHosts, NetnsDir: c.NetnsDir, Plane: c.Plane, HAProxy: c.HAProxy, RunDir: c.RunDir,
		Check: backend.Check(c.Check), CheckInterval: c.CheckInterval, CheckTimeout: c.CheckTimeout,
		HelloTimeout: c.HelloTimeout, ConnectTimeout: c.ConnectTimeout, MaxConnections: c.MaxConnections, MaxPending: c.MaxPending,
		MaxPerBackend: c.MaxPerCluster, Drain: c.Drain, AdminListen: c.AdminListen, Log: log,
		Ready: func() { tellSystemd(ctx, log) },
	})
}

// tellSystemd tells systemd that the service has started (sd_notify(3)): "systemctl start" returns then, and not before
// an older process may be stopped.
func tellSystemd(ctx context.Context, log *slog.Logger) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixgram", socket)
	if err == nil {
		_, err = c.Write([]byte("READY=1"))
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		log.WarnContext(ctx, "systemd was not told that the proxy is ready", "error", err)
	}
}

// validate reports every problem at once.
func (c *proxyRunCommand) validate() error {
	var problems []error
	if c.Port < 0 || c.Port > 65535 {
		problems = append(problems, fmt.Errorf("--port (PROXY_PORT) %d is no port: 0 to 65535", c.Port))
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--check-interval", c.CheckInterval},
		{"--check-timeout", c.CheckTimeout},
		{"--hello-timeout", c.HelloTimeout},
		{"--connect-timeout", c.ConnectTimeout},
	} {
		if d.value < time.Millisecond {
			problems = append(problems, fmt.Errorf("%s %s is too short", d.flag, d.value))
		}
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--max-connections", c.MaxConnections}, {"--max-pending", c.MaxPending}, {"--max-per-cluster", c.MaxPerCluster}} {
		if n.value < 1 {
			problems = append(problems, fmt.Errorf("%s %d allows no connection", n.flag, n.value))
		}
	}
	return errors.Join(problems...)
}

// identity is who this process is. Machines with the same host name are told apart by /etc/machine-id, of which only a
// hash is used, as machine-id(5) asks.
func identity(host string) (control.Identity, error) {
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			return control.Identity{}, fmt.Errorf("read the host name: %w (--host gives one)", err)
		}
		host = strings.ToLower(name)
	}
	// It is part of the names of objects and the value of a label.
	wrong := append(validation.IsDNS1123Subdomain(host), validation.IsValidLabelValue(host)...)
	if len(wrong) > 0 {
		return control.Identity{}, fmt.Errorf("host name %q cannot be used in the management cluster: %s (--host gives another)", host, strings.Join(wrong, "; "))
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine = []byte(host) // a container without one: its name has to do
	}
	hash := sha256.Sum256(append([]byte("jeroboam-proxy "), machine...))
	instance := make([]byte, 8)
	_, _ = rand.Read(instance) // never fails
	return control.Identity{Host: host, Machine: hex.EncodeToString(hash[:8]), Instance: hex.EncodeToString(instance)}, nil
}

type proxyAccessCommand struct {
	Kubeconfig string `env:"KUBECONFIG" help:"Management cluster; without it, the service account of the pod."`
	Always     bool   `help:"The hosts proxy clusters with a floating IP too."`
	Watch      bool   `help:"Keep the role up to date until told to end, instead of once."`
	LogFormat  string `enum:"text,json" default:"text" help:"text or json."`
}

// Run writes the role once, or keeps it.
func (c *proxyAccessCommand) Run(ctx context.Context, streams Streams) error {
	log, err := NewLog(streams.Err, c.LogFormat, "info")
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	config, err := kube.Connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	return control.Access(ctx, config, c.Always || os.Getenv("PROXY_ALWAYS") != "", !c.Watch, log)
}
