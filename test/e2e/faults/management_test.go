package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// split is Jeroboam as an operator runs it: its server, a management cluster and Keystone are processes of their own.
type split struct {
	cloud      *site // only its simulated OpenStack is used
	management *process
	server     *process
	ports      ports // magnum and admin are the server's
	kubeconfig string
	conf       string
	dir        string
}

// apart starts all three.
func apart(t *testing.T, conf string) *split {
	t.Helper()
	dir := t.TempDir()
	s := &split{cloud: running(t), ports: freePorts(t), dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), conf: filepath.Join(dir, "magnum.conf")}
	keystone := "http://" + local(s.cloud.ports.keystone) + "/v3"
	if err := os.WriteFile(s.conf, []byte(`[keystone_authtoken]
auth_url = `+keystone+`
www_authenticate_uri = `+keystone+`
username = magnum
password = magnum
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
`+conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startManagement(t)
	if out := launch(t, nil, lightBinary, "crds", "--kubeconfig", s.kubeconfig); !ends(out) {
		t.Fatalf("jeroboam crds: %v %s", out.err, out.stderr())
	}
	s.server = launch(t, nil, lightBinary, "server", "--config-file", s.conf, "--kubeconfig", s.kubeconfig, "--infrastructure", "inmemory",
		"--listen", local(s.ports.magnum), "--admin-listen", local(s.ports.admin), "--log-format", "text")
	t.Cleanup(func() {
		if t.Failed() {
			text := s.server.stderr()
			t.Logf("the end of the server's log:\n%s", text[max(0, len(text)-6000):])
		}
	})
	await(t, "the server is ready", startBound, func(ctx context.Context) (bool, string, error) {
		u := &tenant{}
		a, err := u.send(ctx, "GET", "http://"+local(s.ports.admin)+"/readyz", nil)
		if err == nil {
			a, err = u.send(ctx, "GET", "http://"+local(s.ports.magnum)+"/healthcheck", nil)
		}
		return a.status == http.StatusOK, string(a.body), err
	})
	return s
}

// ends waits for a good end.
func ends(p *process) bool {
	select {
	case <-p.ended:
	case <-time.After(startBound):
		return false
	}
	return p.err == nil
}

// startManagement starts the management cluster, again if need be.
func (s *split) startManagement(t *testing.T) {
	t.Helper()
	s.management = launch(t, nil, allinoneBinary, "management", "--data-dir", filepath.Join(s.dir, "data"), "--api-port", strconv.Itoa(s.ports.management),
		"--controllers", "clusterapi", "--kubeconfig-out", s.kubeconfig,
		"--workload-ports", fmt.Sprintf("%d-%d", s.ports.workload, s.ports.workload+workloadPorts-1))
	s.management.says(t, "ready")
}

// as logs a user in and sends them to the server that stands alone.
func (s *split) as(t *testing.T, user string) *tenant {
	t.Helper()
	u := s.cloud.as(t, user)
	u.magnum = "http://" + local(s.ports.magnum)
	return u
}

// tally counts answers by what was asked and the status, "broken" for none.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	odd   []string // error bodies that are none
}

func (c *tally) note(what string, a answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.count[what+" broken"]++
		c.odd = append(c.odd, err.Error())
		return
	}
	c.count[fmt.Sprintf("%s %d", what, a.status)]++
	if a.status >= http.StatusBadRequest {
		if _, err := a.magnumError(); err != nil {
			c.odd = append(c.odd, what+": "+err.Error())
		}
	}
}

// reset returns what was counted and begins anew.
func (c *tally) reset() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.count
	c.count = map[string]int{}
	return out
}

// load is a few clients that each ask again as soon as they are answered, until stop is called.
func load(t *testing.T, u *tenant, reads []string) (c *tally, stop func()) {
	t.Helper()
	c = &tally{count: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	again := func(pause time.Duration, ask func(n int)) {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				ask(n)
				time.Sleep(pause) // the tests next door want the processor too
			}
		})
	}
	for range 4 {
		again(10*time.Millisecond, func(n int) {
			a, err := u.do(ctx, "GET", reads[n%len(reads)], nil)
			if ctx.Err() == nil {
				c.note("GET", a, err)
			}
		})
	}
	again(50*time.Millisecond, func(n int) {
		a, err := u.do(ctx, "POST", "/clustertemplates", templateBody(fmt.Sprintf("load-%d", n), "v1.34.2"))
		if ctx.Err() != nil {
			return
		}
		c.note("POST", a, err)
		var made struct{ UUID string }
		if json.Unmarshal(a.body, &made) == nil && made.UUID != "" {
			a, err := u.do(ctx, "DELETE", "/clustertemplates/"+made.UUID, nil)
			if ctx.Err() == nil {
				c.note("DELETE", a, err)
			}
		}
	})
	return c, func() { cancel(); all.Wait() }
}

// only checks that nothing but the given answers came, and that each came.
func only(t *testing.T, when string, have map[string]int, must []string, may ...string) {
	t.Helper()
	t.Logf("%s: %v", when, have)
	known := map[string]bool{}
	for _, k := range must {
		known[k] = true
		if have[k] == 0 {
			t.Errorf("%s: no %q", when, k)
		}
	}
	for _, k := range may {
		known[k] = true
	}
	for k, n := range have {
		if !known[k] {
			t.Errorf("%s: %d times %q", when, n, k)
		}
	}
}

// dropTemplates deletes what a load leaves: a 503 does not say whether the write was done, and whoever is stopped
// between making and deleting does not delete.
func (u *tenant) dropTemplates(t *testing.T, prefix string) {
	t.Helper()
	var all struct {
		ClusterTemplates []struct{ UUID, Name string }
	}
	u.want(t, http.StatusOK, "GET", "/clustertemplates", nil, &all)
	for _, c := range all.ClusterTemplates {
		if strings.HasPrefix(c.Name, prefix) {
			u.want(t, http.StatusNoContent, "DELETE", "/clustertemplates/"+c.UUID, nil, nil)
		}
	}
}

// The management cluster's API server goes away under load and comes back: twice, once for a moment and once for longer
// than the lease of the server that leads.
func TestManagementClusterRestarts(t *testing.T) {
	t.Parallel()
	s := apart(t, "")
	u := s.as(t, "demo")
	template := u.template(t, "v1.34.2")
	there := u.create(t, "there", template, 1, 1)
	u.reaches(t, there, "CREATE_COMPLETE")
	before := objects(t, s.kubeconfig)

	reads := []string{"/clusters", "/clusters/" + there, "/clusters/" + there + "/nodegroups", "/clustertemplates/" + template, "/clusters/detail"}
	counts, stop := load(t, u, reads)
	defer stop()
	time.Sleep(2 * time.Second)
	only(t, "before", counts.reset(), []string{"GET 200", "POST 201", "DELETE 204"})

	for name, away := range map[string]time.Duration{"for-a-moment": 2 * time.Second, "for-long": 25 * time.Second} {
		coming := u.create(t, name, template, 1, 1)
		time.Sleep(time.Second) // its machines are on their way
		s.management.kill()
		time.Sleep(500 * time.Millisecond) // what was under way has been answered
		between := counts.reset()
		only(t, "while it is killed", between, []string{"GET 200"}, "POST 201", "DELETE 204", "POST 503", "DELETE 503")
		time.Sleep(away)
		only(t, "while it is away "+name, counts.reset(), []string{"GET 200", "POST 503"})
		if !s.server.running() {
			t.Fatalf("the server ended when the management cluster was away: %v", s.server.err)
		}
		a := u.want(t, http.StatusServiceUnavailable, "DELETE", "/clusters/"+there, nil, nil)
		if detail, err := a.magnumError(); err != nil {
			t.Error(err)
		} else {
			t.Log(detail)
		}
		s.startManagement(t)
		only(t, "while it starts", counts.reset(), []string{"GET 200", "POST 503"}, "POST 201", "DELETE 204", "DELETE 503")
		await(t, "writes succeed again", soonBound, func(context.Context) (bool, string, error) {
			n := counts.reset()
			return n["POST 201"] > 0 && n["POST 503"] == 0, fmt.Sprint(n), nil
		})
		u.reaches(t, coming, "CREATE_COMPLETE")
		only(t, "afterwards", counts.reset(), []string{"GET 200", "POST 201", "DELETE 204"})
		u.want(t, http.StatusNoContent, "DELETE", "/clusters/"+coming, nil, nil)
		u.gone(t, coming)
	}
	stop()
	for _, o := range counts.odd {
		t.Error(o)
	}
	if !s.server.running() || !s.management.running() || !s.cloud.running() {
		t.Error("a process has ended")
	}
	u.dropTemplates(t, "load-")
	await(t, "nothing is left of what came and went", soonBound, func(context.Context) (bool, string, error) {
		have := objects(t, s.kubeconfig)
		more := slices.DeleteFunc(slices.Clone(have), func(o string) bool { return slices.Contains(before, o) })
		return len(have) <= len(before), fmt.Sprintf("%d objects, %d before; new are %v", len(have), len(before), more), nil
	})
}
