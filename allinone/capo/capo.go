// Package capo runs Cluster API's provider for OpenStack (CAPO). It is a program of its own: it is built with another
// release of Cluster API than the all-in-one links, so it cannot be in the same process ("make capo" builds it).
//
// The program is kept running: it is started again when it ends, later each time, and it ends when this process does,
// however that ends. Its admission webhooks are served with a certificate of ours, so that an object it would refuse
// anywhere is refused here; its conversion webhooks are not needed, because only stored versions are served (package
// manifests).
package capo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
)

// Ports of the program. Those of health and metrics are on 127.0.0.1; that of the webhooks is on every address, for the
// program has no way to say where.
type Ports struct {
	Webhooks, Health, Metrics int
}

// Provider is a component (see package lifecycle).
type Provider struct {
	Program string    // the executable
	Dir     string    // for its kubeconfig and certificate
	Ports   Ports     // one for each thing it serves
	Log     io.Writer // what it logs

	// Certificate makes the serving certificate of the webhooks.
	Certificate func() (certPEM, keyPEM []byte, err error)
	// Kubeconfig writes the kubeconfig that it connects to the management cluster with, and returns when it may be used.
	Kubeconfig func(ctx context.Context, path string) error
	// Say is told what an operator may want to know about the program; nil is silence.
	Say func(message string, err error)

	// FirstPause is how long to wait before the program is started again, the first time; 0 is a second.
	FirstPause time.Duration

	stop context.CancelFunc
	done chan struct{}
}

const (
	longestPause = 30 * time.Second
	// steady is how long a run must last to be none of a row of failures.
	steady = time.Minute
	// hopeless is how often the program may end before it served once.
	hopeless = 3
	// patience is how long the program may finish what it does when it is asked to end. Being killed does it no harm
	// either.
	patience = 3 * time.Second
)

// WebhookURL is where its webhooks are served.
func (p *Provider) WebhookURL() string { return "https://" + local(p.Ports.Webhooks) }

// Check tells what would keep the program from being started.
func (p *Provider) Check() error {
	info, err := os.Stat(p.Program)
	switch {
	case errors.Is(err, os.ErrNotExist):
		//nolint:staticcheck // a name
		return fmt.Errorf("Cluster API's OpenStack provider is not at %s: build it with make capo, or say with --capo where it is", p.Program)
	case err != nil:
		return fmt.Errorf("look at Cluster API's OpenStack provider: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is no program that can be executed", p.Program)
	}
	return nil
}

// Start returns when the program serves.
func (p *Provider) Start(ctx context.Context, _ func(error)) error {
	if err := errors.Join(p.Check(), p.portsAreFree(ctx)); err != nil {
		return err
	}
	if err := p.writeFiles(ctx); err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop, p.done = stop, make(chan struct{})
	hope := make(chan error, 1) // tells when there is none
	go func() {
		defer close(p.done)
		p.keep(life, hope)
	}()
	return p.waitReady(ctx, hope)
}

// Stop ends the program.
func (p *Provider) Stop(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	p.stop()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Provider) portsAreFree(ctx context.Context) error {
	var problems []error
	for _, port := range []struct {
		number        int
		address, flag string
	}{
		{p.Ports.Webhooks, ":" + strconv.Itoa(p.Ports.Webhooks), "--capo-webhook-port"},
		{p.Ports.Health, local(p.Ports.Health), "--capo-health-port"},
		{p.Ports.Metrics, local(p.Ports.Metrics), "--capo-metrics-port"},
	} {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", port.address)
		if err != nil {
			problems = append(problems, fmt.Errorf("port %d: %w (%s chooses another port)", port.number, err, port.flag))
			continue
		}
		_ = l.Close() // only tried
	}
	return errors.Join(problems...)
}

func (p *Provider) kubeconfig() string { return filepath.Join(p.Dir, "kubeconfig") }

func (p *Provider) writeFiles(ctx context.Context) error {
	certPEM, keyPEM, err := p.Certificate()
	if err != nil {
		return err
	}
	err = errors.Join(
		datadir.WriteFile(filepath.Join(p.Dir, "certs", "tls.crt"), certPEM, 0o600),
		datadir.WriteFile(filepath.Join(p.Dir, "certs", "tls.key"), keyPEM, 0o600),
	)
	if err != nil {
		return err
	}
	return p.Kubeconfig(ctx, p.kubeconfig())
}

func (p *Provider) args() []string {
	return []string{
		"--kubeconfig=" + p.kubeconfig(),
		"--webhook-port=" + strconv.Itoa(p.Ports.Webhooks),
		"--webhook-cert-dir=" + filepath.Join(p.Dir, "certs"),
		"--health-addr=" + local(p.Ports.Health),
		"--diagnostics-address=" + local(p.Ports.Metrics),
		"--insecure-diagnostics", // on 127.0.0.1
		"--v=2",
	}
}

// waitReady asks until the program's own answer is that it is ready. That its webhooks listen is part of it.
func (p *Provider) waitReady(ctx context.Context, hope <-chan error) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + local(p.Ports.Health) + "/readyz"
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, client, url) {
			return nil
		}
		select {
		case err := <-hope:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false // it does not listen yet
	}
	_ = resp.Body.Close() // only the status counts
	return resp.StatusCode == http.StatusOK
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
