package proxy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// What "make build" and build.sh build.
const binDir = "../../../bin"

var (
	full      = flag.Bool("full", false, "everything as long and as large as promised")
	idle      = flag.Duration("idle", 20*time.Second, "how long a watch is silent")
	partition = flag.Duration("partition", 55*time.Second, "how long a host is cut off; longer than its lease lasts")
	many      = flag.Int("many", 100, "clusters on one host")
	transfer  = flag.Int64("bytes", 2<<30, "of the large transfer")
	measure   = flag.Duration("measure", time.Second, "how long each comparison with haproxy lasts")
)

// TestMain fails, and never skips, when something is missing: a suite that passes without having run proves nothing.
func TestMain(m *testing.M) {
	if os.Getenv(skewVariable) != "" {
		os.Exit(skewed())
	}
	flag.Parse()
	if *full {
		*idle, *partition, *many, *measure = 10*time.Minute, 2*time.Minute, 1000, 10*time.Second
	}
	if err := requirements(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jeroboam-proxy-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if theLab, err = newLab(dir); err == nil {
		defer theLab.close()
		return m.Run()
	}
	fmt.Fprintln(os.Stderr, "the lab does not stand:", err)
	if theLab != nil {
		theLab.close()
	}
	return 1
}

func requirements() error {
	var problems []error
	if os.Geteuid() != 0 {
		problems = append(problems, errors.New("the lab makes network namespaces: run it as root"))
	}
	for program, how := range map[string]string{
		binary("jeroboam"): "make build", binary("jeroboam-allinone"): "make allinone", binary("kube-apiserver"): "test/e2e/proxy/build.sh",
		"kubectl": "apt-get install kubernetes-client", "haproxy": "apt-get install haproxy", "ip": "apt-get install iproute2", "setpriv": "apt-get install util-linux",
	} {
		if _, err := exec.LookPath(program); err != nil {
			problems = append(problems, fmt.Errorf("%w: run %q, or \"make e2e-proxy\"", err, how))
		}
	}
	return errors.Join(problems...)
}

func binary(name string) string {
	path, _ := filepath.Abs(filepath.Join(binDir, name))
	return path
}

// skewVariable makes this test binary a proxy whose clock is wrong: the real code, with the one thing changed that no
// flag may change.
const skewVariable = "JEROBOAM_PROXY_LAB_SKEW"

func skewed() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	skew, err := time.ParseDuration(os.Getenv(skewVariable))
	if err != nil {
		panic(err)
	}
	port, _ := strconv.Atoi(os.Getenv("PROXY_PORT"))
	config, err := kube.Connect("")
	if err != nil {
		panic(err)
	}
	err = proxy.Run(ctx, proxy.Options{
		Config: config, Identity: control.Identity{Host: os.Getenv("LAB_HOST"), Machine: "lab", Instance: strconv.Itoa(os.Getpid())},
		Bind: os.Getenv("PROXY_BIND"), Port: port, NetnsDir: netns.DefaultDir, Plane: "native", Check: backend.CheckTLS,
		CheckInterval: 10 * time.Second, CheckTimeout: 3 * time.Second, HelloTimeout: 5 * time.Second, ConnectTimeout: 5 * time.Second,
		MaxConnections: 1000, MaxPending: 100, MaxPerBackend: 100, Drain: time.Second, AdminListen: "127.0.0.1:9513",
		Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Now: func() time.Time { return time.Now().Add(skew) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
