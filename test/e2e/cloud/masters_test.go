package cloud

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOneMaster loses the only master of a cluster without a load balancer: a tenant deletes its server in Nova. The
// machine is given up, another one initializes the control plane anew at the same address, and the worker is replaced,
// for the new API server does not know it. etcd's data are lost with the server; the authorities and the tenant's
// kubeconfig stay good.
func TestOneMaster(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "one", network(), "--labels", labels)
	w.create(t, "one", "one", 1, 1)
	first := w.reaches(t, "one", "CREATE_COMPLETE", 15*time.Minute)
	config := w.config(t, "one")
	w.apply(t, config, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-before}\n")
	masters := "cluster.x-k8s.io/control-plane,cluster.x-k8s.io/cluster-name=" + first.Stack
	machine, err := w.manage(t, "get", "machines", "-l", masters, "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		t.Fatal(err)
	}
	servers := w.servers(t, "one")
	if servers[machine] == "" {
		t.Fatalf("no server of machine %s: %v", machine, servers)
	}
	began := time.Now()
	w.say(t, w.tenant, "server", "delete", "--wait", servers[machine])
	step := func(what string, limit time.Duration, ready func() error) {
		t.Helper()
		w.await(t, limit, what, ready)
		t.Logf("%s: %.0f s after the server was deleted", what, time.Since(began).Seconds())
	}
	var second string
	step("another machine", 5*time.Minute, func() error {
		out, err := w.manage(t, "get", "machines", "-l", masters, "-o", "jsonpath={.items[*].metadata.name}")
		if second = out; err == nil && (out == "" || strings.Contains(out, machine)) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
	step("an API server that knows nothing of before", 5*time.Minute, func() error {
		out, err := w.kubectl(t, config, "get", "configmaps", "-o", "name")
		if err == nil && (strings.Contains(out, "of-before") || !strings.Contains(out, "kube-root-ca.crt")) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
	step("two nodes that are ready", 10*time.Minute, func() error {
		out, err := w.kubectl(t, config, "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		if err == nil && (strings.Count(out, " True") != 2 || strings.Contains(out, machine)) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
	step("a healthy cluster", 5*time.Minute, func() error {
		s, err := w.cluster(t, "one")
		if err == nil && (s.Health != "HEALTHY" || !strings.HasSuffix(s.Status, "_COMPLETE")) {
			err = fmt.Errorf("%w: %s %s %s", errNotYet, s.Status, s.StatusReason, s.Health)
		}
		return err
	})
	if s := w.mustCluster(t, "one"); s.APIAddress != first.APIAddress {
		t.Errorf("the API was at %s and is at %s", first.APIAddress, s.APIAddress)
	}
	if last, err := w.manage(t, "get", "machines", "-l", masters, "-o", "jsonpath={.items[*].metadata.name}"); err != nil || last != second {
		t.Errorf("%v: the machine that initialized the control plane was %s, and now it is %s", err, second, last)
	}
	told := w.mustExec(t, time.Minute, w.tenant, place(t, "JEROBOAM"), "cluster", "events", "one")
	for _, want := range []string{"ControlPlaneLost", "ControlPlaneAnew", "WorkerReplaced"} {
		if !strings.Contains(told, want) {
			t.Errorf("the tenant is not told %s: %s", want, told)
		}
	}
	w.nodesAreReady(t, config, "one", 2)
	w.podsTalk(t, config, 2, withShell(network()))
	w.delete(t, "one")
	w.nothingLeft(t, before, first)
}

// TestThreeMasters has three masters behind Octavia. One of their servers is deleted in Nova behind everybody's back:
// the API goes on, the machine is replaced, etcd has three members again.
func TestThreeMasters(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "three", network(), "--labels", labels, "--master-lb-enabled")
	began := time.Now()
	w.create(t, "three", "three", 3, 0)
	s := w.reaches(t, "three", "CREATE_COMPLETE", 25*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	config := w.config(t, "three")
	w.nodesAreReady(t, config, "three", 3)
	if members := w.etcdMembers(t, config); len(members) != 3 {
		t.Fatalf("three members of etcd wanted: %v", members)
	}

	victims := w.servers(t, "three")
	var victim string
	for name := range victims {
		victim = name
	}
	watch := w.watchAPI(t, config)
	began = time.Now()
	w.say(t, w.tenant, "server", "delete", "--wait", victims[victim])
	w.await(t, 20*time.Minute, "three masters without "+victim, func() error {
		out, err := w.kubectl(t, config, "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		if err == nil && (strings.Contains(out, victim+" ") || strings.Count(out, " True") != 3) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
	w.await(t, 3*time.Minute, "three members of etcd", func() error {
		if members := w.etcdMembers(t, config); len(members) != 3 || slices.Contains(members, victim) {
			return fmt.Errorf("%w: %v", errNotYet, members)
		}
		return nil
	})
	t.Logf("healed %.0f s after %s was deleted in Nova", time.Since(began).Seconds(), victim)
	asked, failed, gap := watch()
	t.Logf("of %d requests to the API %d failed; longest time without an answer %.1f s", asked, failed, gap.Seconds())
	if gap > 30*time.Second {
		t.Errorf("the API did not answer for %s", gap)
	}
	w.nodesAreReady(t, config, "three", 3)
	w.delete(t, "three")
	w.nothingLeft(t, before, s)
}

// etcdMembers are the names that etcd has in its list, as the masters' own etcdctl shows it.
func (w *world) etcdMembers(t *testing.T, config string) []string {
	t.Helper()
	pods, err := w.kubectl(t, config, "-n", "kube-system", "get", "pods", "-l", "component=etcd", "--field-selector=status.phase=Running", "-o", "name")
	if err != nil || len(strings.Fields(pods)) == 0 {
		return nil
	}
	for _, pod := range strings.Fields(pods) {
		out, err := w.kubectl(t, config, "-n", "kube-system", "exec", pod, "--", "etcdctl", "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
			"--cert=/etc/kubernetes/pki/etcd/server.crt", "--key=/etc/kubernetes/pki/etcd/server.key", "member", "list")
		if err != nil {
			continue // its node may be the one that is gone
		}
		var members []string
		for line := range strings.Lines(out) {
			if f := strings.Split(line, ", "); len(f) > 2 {
				members = append(members, f[2])
			}
		}
		return members
	}
	return nil
}

// watchAPI asks the API server five times a second through its address, each time on a new connection, until the
// function that it returns is called, which says what was seen.
func (w *world) watchAPI(t *testing.T, config string) func() (asked, failed int, gap time.Duration) {
	t.Helper()
	server, err := w.kubectl(t, config, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		t.Fatal(err)
	}
	return w.watchURL(t, strings.TrimSpace(server)+"/readyz", "ok")
}

// watchURL asks for a page five times a second; with a certificate and a key it is an object, and written. One process
// inside the cloud's network does it: starting one for each request would be most of what is measured.
func (w *world) watchURL(t *testing.T, url, want string, certificate ...string) func() (asked, failed int, gap time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := w.command(ctx, "", append([]string{"/usr/bin/python3", "-u", "-c", watchScript, url, want}, certificate...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // "cloud exec" hands it on; killed it would leave the other behind
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked, failed int
	var gap time.Duration
	last := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var answer string
		for {
			if _, err := fmt.Fscanln(out, &answer); err != nil {
				return
			}
			mu.Lock()
			asked++
			if answer == "good" {
				gap = max(gap, time.Since(last))
				last = time.Now()
			} else {
				failed++
			}
			mu.Unlock()
		}
	}()
	return func() (int, int, time.Duration) {
		cancel()
		<-done
		_ = cmd.Wait() // it was killed
		if asked == 0 {
			t.Errorf("nobody asked %s", url)
		}
		return asked, failed, max(gap, time.Since(last))
	}
}

const watchScript = `
import json, ssl, sys, time, urllib.request
url, want, certificate = sys.argv[1], sys.argv[2], sys.argv[3:]
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
if certificate: c.load_cert_chain(*certificate)
n = 0
while True:
    began = time.time(); n += 1
    r = urllib.request.Request(url)
    if certificate:
        r = urllib.request.Request(url, json.dumps({'data': {'n': str(n)}}).encode(), {'Content-Type': 'application/merge-patch+json'}, method='PATCH')
    try:
        text = urllib.request.urlopen(r, timeout=5, context=c).read().decode()
        print('good' if certificate or text == want else 'bad')
    except Exception:
        print('bad')
    time.sleep(max(0, 0.2 - (time.time() - began)))
`
