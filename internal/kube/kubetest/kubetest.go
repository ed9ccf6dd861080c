// Package kubetest gives tests a real management cluster: it starts the all-in-one's binary ("jeroboam-allinone
// management"), as tests elsewhere start envtest's binaries, with an API server of the version we ship and no download.
// See docs/decisions/0004.
package kubetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// Cluster is a management cluster that ends with the tests.
type Cluster struct {
	Config     *rest.Config
	Client     client.Client // as administrator, without a cache
	Kubeconfig string
	// Workload is a kubeconfig of a workload cluster's API server, with all of Kubernetes' kinds and no nodes, if Options
	// ask for it.
	Workload string
}

// Options say what runs in the cluster beside the API server.
type Options struct {
	ClusterAPI bool     // Cluster API's controllers and webhooks, and the in-memory infrastructure
	Workload   bool     // a workload cluster's API server as well
	CRDDirs    []string // further custom resource definitions
}

// Main runs a package's tests with one cluster, which the tests get from the function given to set. Call it from
// TestMain.
func Main(m *testing.M, o Options, set func(*Cluster)) int {
	dir, err := os.MkdirTemp("", "kubetest")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, stop, err := start(dir, o)
	if err != nil {
		return failed(err)
	}
	defer stop()
	set(c)
	return m.Run()
}

// Start gives one test a cluster of its own.
func Start(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, stop, err := start(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func start(dir string, o Options) (*Cluster, func(), error) {
	_, here, _, _ := runtime.Caller(0)
	binary := os.Getenv("JEROBOAM_ALLINONE")
	if binary == "" {
		binary = filepath.Join(moduleRoot(filepath.Dir(here)), "bin", "jeroboam-allinone")
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, nil, fmt.Errorf("these tests need the all-in-one's binary: run \"make allinone\" first (%w)", err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	args := []string{
		"management", "--data-dir", filepath.Join(dir, "data"), "--kubeconfig-out", kubeconfig, "--exit-on-stdin-close",
		"--workload-ports", "30000-31999",
	}
	if o.ClusterAPI {
		args = append(args, "--controllers", "clusterapi")
	}
	workload := ""
	if o.Workload {
		workload = filepath.Join(dir, "workload")
		args = append(args, "--workload-kubeconfig-out", workload)
	}
	for _, d := range o.CRDDirs {
		args = append(args, "--crds", d)
	}
	stop, err := run(binary, args)
	if err != nil {
		return nil, nil, err
	}
	c, err := connect(kubeconfig)
	if err != nil {
		stop()
		return nil, nil, err
	}
	c.Workload = workload
	return c, stop, nil
}

// moduleRoot finds go.mod. Builds with -trimpath know no directory of their own; tests run in their package's.
func moduleRoot(dir string) string {
	if !filepath.IsAbs(dir) {
		dir, _ = os.Getwd()
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
	}
	return dir
}

func run(binary string, args []string) (func(), error) {
	cmd := exec.CommandContext(context.Background(), binary, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = stdin.Close() // that is how it is asked to end
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait() // its data goes with the test
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		stop()
		return nil, errors.New("the management cluster did not start:\n" + said.String())
	}
	return stop, nil
}

func connect(kubeconfig string) (*Cluster, error) {
	cfg, err := kube.Connect(kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err := kube.InstallCRDs(ctx, c, manifests.FS); err != nil {
		return nil, err
	}
	return &Cluster{Config: cfg, Client: c, Kubeconfig: kubeconfig}, kube.EnsureNamespace(ctx, c, v1alpha1.Namespace)
}
