package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// api measures the Magnum API over sockets with 1 to 10,000 clusters. The server is "jeroboam server" alone, so that
// its processor time and memory are told from everybody else's; records lie in a management cluster that has no
// controllers, and tokens are an all-in-one's, which is asked once and then remembered.
func (b *bench) api(ctx context.Context) error {
	sizes := []int{1, 100, 1000, 10000}
	if b.quick {
		sizes = sizes[:3]
	}
	keystone, err := b.up(ctx, "--first-cluster=false")
	if err != nil {
		return err
	}
	defer keystone.stop()
	who, err := keystone.caller(ctx)
	if err != nil {
		return err
	}
	kubeconfig, stop, err := b.management(ctx)
	if err != nil {
		return err
	}
	defer stop()
	w, err := newWriter(kubeconfig, who.project)
	if err != nil {
		return err
	}
	costs := map[string]map[int]float64{}
	one := 0.0
	for _, n := range sizes {
		b.say("  %d clusters", n)
		if err := w.grow(ctx, n); err != nil {
			return fmt.Errorf("make %d records: %w", n, err)
		}
		rss, err := b.apiAt(ctx, n, keystone, kubeconfig, who.token, w.uuid(n/2), costs)
		if err != nil {
			return fmt.Errorf("with %d clusters: %w", n, err)
		}
		if n == 1 {
			one = rss
		}
		if n == sizes[len(sizes)-1] {
			b.report.note(fmt.Sprintf("memory for each 1000 clusters (of %d)", n), (rss-one)*1000/float64(n), "MiB")
			for _, what := range slices.Sorted(maps.Keys(costs)) {
				b.report.note(fmt.Sprintf("%s, CPU of one request: %d clusters to 100", what, n), costs[what][n]/costs[what][100], "x")
			}
		}
	}
	return nil
}

type caller struct{ token, project string }

func (c *cloud) caller(ctx context.Context) (caller, error) {
	magnum, err := c.tenant(ctx, c.magnum)
	if err != nil {
		return caller{}, err
	}
	result, ok := magnum.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return caller{}, fmt.Errorf("the login's answer is a %T", magnum.GetAuthResult())
	}
	project, err := result.ExtractProject()
	if err != nil {
		return caller{}, err
	}
	return caller{magnum.Token(), project.ID}, nil
}

// management starts a management cluster with the definitions of records and nothing that works on them.
func (b *bench) management(ctx context.Context) (kubeconfig string, stop func(), err error) {
	dir := b.place()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	p, err := start(b.allinone, "management", "--data-dir", filepath.Join(dir, "data"), "--kubeconfig-out", kubeconfig)
	if err != nil {
		return "", nil, err
	}
	if err := p.saw(ctx, startBound, func(l string) bool { return l == "ready" }); err != nil {
		p.stop()
		return "", nil, fmt.Errorf("management cluster: %w", err)
	}
	crds, err := start(b.binary, "crds", "--kubeconfig", kubeconfig)
	if err == nil {
		<-crds.ended
		err = crds.err
	}
	if err != nil {
		p.stop()
		return "", nil, fmt.Errorf("install the definitions: %w", err)
	}
	return kubeconfig, p.stop, nil
}

// apiAt starts a server on n clusters, and returns its memory before it was asked anything.
func (b *bench) apiAt(ctx context.Context, n int, keystone *cloud, kubeconfig, token, uuid string, costs map[string]map[int]float64) (float64, error) {
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return 0, err
	}
	address, admin := local(ports[0]), local(ports[1])
	server, err := start(b.binary, "server", "--no-controllers", "--config-file", filepath.Join(keystone.dataDir, "magnum.conf"),
		"--kubeconfig", kubeconfig, "--listen", address, "--admin-listen", admin)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	if err := server.until(ctx, startBound, func() bool { return answers(ctx, "http://"+admin+"/readyz") }); err != nil {
		return 0, err
	}
	b.report.note(fmt.Sprintf("server start to ready, %d clusters", n), time.Since(server.began).Seconds(), "s")
	rss, err := server.memory("VmRSS")
	if err != nil {
		return 0, err
	}
	b.report.note(fmt.Sprintf("server memory when ready, %d clusters", n), rss, "MiB")
	for _, l := range []struct {
		name, path string
		rate, p99  goal
	}{
		{"list of 100", "/v1/clusters?limit=100", atLeast(2000), atMost(20)},
		{"get one", "/v1/clusters/" + uuid, atLeast(5000), goal{}},
	} {
		if n != 1000 { // that is where the goals are set
			l.rate, l.p99 = goal{}, goal{}
		}
		r, err := b.load(ctx, server, address, l.path, token)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", l.path, err)
		}
		what := fmt.Sprintf("%s, %d clusters: ", l.name, n)
		b.report.add(what+"per core-second of the server", float64(r.requests)/r.cpu, "requests", l.rate)
		b.report.note(what+"per second", float64(r.requests)/r.took.Seconds(), "requests")
		b.report.note(what+"p50", quantile(r.each, 0.5), "ms")
		b.report.add(what+"p99", quantile(r.each, 0.99), "ms", l.p99)
		if costs[l.name] == nil {
			costs[l.name] = map[int]float64{}
		}
		costs[l.name][n] = r.cpu / float64(r.requests)
	}
	return rss, nil
}

func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = a.Body.Close() // nothing in it is of interest
	return a.StatusCode == http.StatusOK
}
