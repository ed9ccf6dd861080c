package deploy_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// network is a town whose Magnum is done, and which has hosts with Neutron's namespaces.
func network(t *testing.T, hosts int) *town {
	t.Helper()
	w := newTown(t)
	w.in.Magnum.Hosts, w.in.HAProxy.Hosts = nil, nil // other tests look at these
	w.in.Proxy.Pattern, w.nodes = "network_hosts", true
	for n := range hosts {
		name := fmt.Sprintf("net%d", n+1)
		w.in.Hosts = append(w.in.Hosts, intent.Host{Name: name, ManagementAddress: fmt.Sprintf("172.29.236.%d", 100+n)})
		w.in.Proxy.Hosts = append(w.in.Proxy.Hosts, intent.ProxyHost{
			Container:   intent.Container{Name: name, PhysicalHost: name, IsMetal: true},
			Environment: map[string]string{"PROXY_BIND": fmt.Sprintf("172.29.236.%d", 100+n), "PROXY_PORT": "44355"},
		})
	}
	return w
}

// old puts the collection's proxy on all hosts.
func (w *town) old() {
	for _, h := range w.in.Proxy.Hosts {
		w.have[h.Name] = map[string]plan.Facts{"unit magnum-cluster-api-proxy.service": {"enabled": "yes", "active": "yes"}}
	}
}

func TestProxiesOnNewCloud(t *testing.T) {
	w := network(t, 2)
	p, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "hunter2") {
		t.Error("a token is in the plan")
	}
	slices.Sort(w.log) // hosts are changed at once
	golden.Compare(t, *update, "proxies-new.txt", strings.Join(only(p), "\n")+"\n\nwhat happened:\n"+strings.Join(w.log, "\n")+"\n")
	w.settled(t)
	for _, h := range w.in.Proxy.Hosts {
		if got := w.have[h.Name]["credential /etc/jeroboam/proxy.kubeconfig"]["bound"]; !strings.HasPrefix(got, "uid-") {
			t.Errorf("%s: its token is bound to %q", h.Name, got)
		}
	}
	if a, b := w.have["net1"], w.have["net2"]; a["credential /etc/jeroboam/proxy.kubeconfig"]["bound"] == b["credential /etc/jeroboam/proxy.kubeconfig"]["bound"] {
		t.Error("two hosts have a token that ends with the same Secret")
	}
}

// Whoever deletes a host's Secret ends its token, and the next run makes another one there and nowhere else.
func TestProxyTokenIsRevoked(t *testing.T) {
	w := network(t, 3)
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	var all corev1.SecretList
	if err := w.api.List(t.Context(), &all, client.InNamespace("jeroboam-proxy")); err != nil || len(all.Items) != 3 {
		t.Fatalf("%d Secrets, %v", len(all.Items), err)
	}
	for _, s := range all.Items {
		if s.Name == "jeroboam-proxy-net2" {
			if err := w.api.Delete(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(only(p), "; "); got != "net2: update credential /etc/jeroboam/proxy.kubeconfig" && !strings.HasPrefix(got, "net2: update credential /etc/jeroboam/proxy.kubeconfig; net2: restart service") {
		t.Errorf("the plan is %s", got)
	}
	w.settled(t)
	w.in.Proxy.Hosts = w.in.Proxy.Hosts[:2] // net3 is no host of the proxy any more
	if p, err = w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(only(p), "; "); got != "cluster: delete token net3" {
		t.Errorf("the plan is %s", got)
	}
	if i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Name == "net3" }); i < 0 || !strings.Contains(p.Changes[i].Summary, "systemctl disable --now jeroboam-proxy@a") {
		t.Errorf("the plan does not say that a proxy goes on: %+v", p.Changes)
	}
	w.settled(t)
}

// The last host of the proxy loses its token as any other; a node that is none of the cluster's any more loses that of
// "proxy access", with which all kubeconfigs are read.
func TestTokensOfWhoHasLeft(t *testing.T) {
	w := network(t, 1)
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	nodes, left := w.in.Nodes, w.in.Nodes[2].Name
	tokens := func() []string {
		t.Helper()
		var out []string
		for _, namespace := range []string{"jeroboam-proxy", "magnum-system"} {
			var all corev1.SecretList
			if err := w.api.List(t.Context(), &all, client.InNamespace(namespace), client.HasLabels{"jeroboam.cloud/proxy-host"}); err != nil {
				t.Fatal(err)
			}
			for _, s := range all.Items {
				out = append(out, s.Labels["jeroboam.cloud/proxy-host"])
			}
		}
		slices.Sort(out)
		return out
	}
	w.in.Nodes = nodes[:2]
	p, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(only(p), "; "), "cluster: delete token "+left; got != want {
		t.Errorf("the plan is %s, not %s", got, want)
	}
	if diff := cmp.Diff([]string{nodes[0].Name, nodes[1].Name, "net1"}, tokens()); diff != "" {
		t.Error(diff)
	}
	w.settled(t)
	w.in.Proxy.Hosts = nil // the fleet has gone
	if _, err = w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.noAccess(t)
	if got := tokens(); len(got) > 0 {
		t.Errorf("tokens of %v are good", got)
	}
	w.settled(t)
}

// noAccess sees that "jeroboam proxy access" runs on no node.
func (w *town) noAccess(t *testing.T) {
	t.Helper()
	for _, n := range w.in.Nodes {
		if w.have[n.Name]["unit jeroboam-proxy-access.service"] != nil {
			t.Errorf("proxy access still runs on %s", n.Name)
		}
	}
}

// The old proxy stops on one host after the other, and ours knows that there are old ones as long as there are.
func TestProxiesReplaceTheOldOnes(t *testing.T) {
	w := network(t, 3)
	w.old()
	w.slow = time.Millisecond
	p, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return strings.Contains(f.Text, "stops, host by host, on net1, net2, net3") }) {
		t.Errorf("the plan does not say what stops: %+v", p.Findings)
	}
	w.settled(t)
	var order []string
	for _, line := range w.log {
		if strings.HasPrefix(line, "net") {
			order = append(order, strings.ReplaceAll(line, "unit magnum-cluster-api-proxy.service", "old"))
		}
	}
	want := "net1 stops old; net1 has service jeroboam-proxy@; net2 stops old; net2 has service jeroboam-proxy@; net3 stops old; net3 has service jeroboam-proxy@"
	if got := strings.Join(order, "; "); !strings.HasPrefix(got, want) {
		t.Errorf("it went\n%s, not\n%s", got, want)
	}
	for _, h := range w.in.Proxy.Hosts {
		if text := w.have[h.Name]["file /etc/default/jeroboam-proxy"]["content"]; strings.Contains(text, "--old-hosts") {
			t.Errorf("%s still minds old hosts: %s", h.Name, text)
		}
	}
	w.in.Proxy.Implementation = intent.ImplementationOldProxy
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
	w.noAccess(t)
	for _, h := range w.in.Proxy.Hosts {
		if have := w.have[h.Name]; have["unit magnum-cluster-api-proxy.service"] == nil || have["service jeroboam-proxy@"] != nil || have["credential /etc/jeroboam/proxy.kubeconfig"] != nil && have["file /etc/jeroboam/proxy.kubeconfig"] != nil {
			t.Errorf("%s, on the way back: %v", h.Name, have)
		}
	}
}

// Killed after some items, however many, the next run finishes it, and no host minds old ones at the end.
func TestProxiesInterrupted(t *testing.T) {
	for n := 0; ; n++ {
		w := network(t, 2)
		w.old()
		w.left = n
		_, err := w.run(t, false, true)
		ended := err == nil
		w.left = -1
		if _, err := w.run(t, false, true); err != nil {
			t.Fatalf("after %d items, again: %v", n, err)
		}
		w.settled(t)
		for _, h := range w.in.Proxy.Hosts {
			if have := w.have[h.Name]; have["unit magnum-cluster-api-proxy.service"] != nil || strings.Contains(have["file /etc/default/jeroboam-proxy"]["content"], "--old-hosts") {
				t.Fatalf("killed after %d items, %s has %v", n, h.Name, have)
			}
		}
		if ended {
			return
		}
		if n > 100 {
			t.Fatal("it never ends")
		}
	}
}

// Two hundred hosts, some of them down: the others are changed many at once and not too many, and nobody waits for
// those that are down.
func TestManyProxies(t *testing.T) {
	w := network(t, 200)
	for n := 0; n < 200; n += 10 {
		w.down[w.in.Proxy.Hosts[n].Name] = true
	}
	p, _ := w.run(t, false, false)
	if blocked := p.Blocked(nil); len(blocked) != 20 || blocked[0].Judge != "unreachable" {
		t.Fatalf("%d findings block: %+v", len(blocked), blocked[:min(2, len(blocked))])
	}
	w.slow, w.most, w.meet, w.until = 20*time.Millisecond, 0, 8, time.Now().Add(time.Minute) // however busy the machine is
	if _, err := w.run(t, true, true); err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, h := range w.in.Proxy.Hosts {
		if w.have[h.Name]["service jeroboam-proxy@"] != nil {
			done++
		}
	}
	if done != 180 || w.most > 32 || w.most < 8 {
		t.Errorf("%d hosts were changed, %d at once at most", done, w.most)
	}
	w.down = map[string]bool{}
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
}

// One host that fails keeps no other from being changed, and is named.
func TestAProxyThatFails(t *testing.T) {
	w := network(t, 3)
	w.broken = "net2"
	_, err := w.run(t, false, true)
	if err == nil || !strings.Contains(err.Error(), "net2") || strings.Contains(err.Error(), "net1") {
		t.Errorf("it said %v", err)
	}
	if w.have["net1"]["service jeroboam-proxy@"] == nil || w.have["net3"]["service jeroboam-proxy@"] == nil {
		t.Error("others were left out")
	}
	w.broken = ""
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
}

// As long as OpenStack's own Magnum serves, its proxy stays, unless the operator says otherwise.
func TestOldProxiesStayWithTheirMagnum(t *testing.T) {
	w := network(t, 1)
	w.in.Magnum.Hosts, w.in.Magnum.Service.Implementation = seed(t).Magnum.Hosts, intent.ImplementationMagnum
	w.theirs()
	w.old()
	p, _ := w.run(t, false, false)
	if slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == "net1" }) || !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return strings.Contains(f.Text, "magnum_proxy_implementation: jeroboam") }) {
		t.Errorf("nobody has asked for it: %v, %+v", only(p), p.Findings)
	}
	w.in.Proxy.Implementation = intent.ImplementationJeroboam
	if p, _ := w.run(t, false, false); !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == "net1" }) {
		t.Error("the operator has asked for it, and nothing changes")
	}
}

var errBroken = errors.New("its disk is full")

// lookedAt is a host that is looked at by shell script, and on which nobody may do more.
type lookedAt struct {
	deploytest.Agent

	t     *testing.T
	hangs int // from this look on; 0: never
	asked int
}

func (l *lookedAt) Call(context.Context, string, string, any, any, func(json.RawMessage)) error {
	l.t.Error("an agent was brought to " + l.Host)
	return errors.New("no agent")
}

func (l *lookedAt) Script(_ context.Context, script string) (string, error) {
	l.asked++
	if l.hangs > 0 && l.asked >= l.hangs {
		return "", errors.New("host " + l.Host + ": no answer")
	}
	out := "T 1764000000.0 1000.0\n" // there is nothing of all that
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "u '"); ok {
			out += fmt.Sprintf("U %s %s\n", base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(name, "'"))), base64.StdEncoding.EncodeToString([]byte("LoadState=not-found\n")))
		}
	}
	return out + "E\n", nil
}

// A plan brings nothing to hosts that have only a proxy, and one of them that hangs is named, whenever it does.
func TestProxiesAreLookedAtWithoutAnAgent(t *testing.T) {
	for _, hangs := range []int{1, 2} {
		w := network(t, 3)
		hosts, lost := w.hosts()
		for _, h := range w.in.Proxy.Hosts {
			if !deploy.OnlyProxy(w.in, h.Name) {
				t.Errorf("%s is taken for more than a proxy's host", h.Name)
			}
			one := &lookedAt{Agent: deploytest.Agent{Host: h.Name}, t: t}
			if h.Name == "net2" {
				one.hangs = hangs
			}
			hosts[h.Name] = one
		}
		if deploy.OnlyProxy(w.in, w.in.Nodes[0].PhysicalHost) {
			t.Error("a node's host is taken for a proxy's")
		}
		o := site.LookOutside(t.Context(), hosts, lost)
		proxies := deploy.FindProxies(t.Context(), o, w.in, "")
		wanted := want(t, w.in, facts(w.in))
		wanted.Proxies = proxies.Runs
		world := converged(wanted)
		copies := kubeconfigs.Look(t.Context(), o.Hosts, o.Lost, deploy.CopiesFrom(o.Hosts, wanted, world, w.dial))
		for _, skip := range []bool{false, true} {
			s, err := deploy.LookAtServices(t.Context(), o, wanted, world, deploy.MagnumFound{}, deploy.ServiceOptions{Program: blob("8"), Skip: skip, Proxies: proxies, Dial: w.dial})
			if err != nil {
				t.Fatalf("a host that hangs from look %d on: %v", hangs, err)
			}
			p := s.Plan(copies.Plan(deploy.Diff(wanted, world, now), nil))
			for _, name := range []string{"net1", "net2", "net3"} {
				planned := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == name && c.Kind == "service" && c.Action == plan.Create })
				if planned != (name != "net2") {
					t.Errorf("%s: planned %v: %v", name, planned, only(p))
				}
			}
			named := slices.ContainsFunc(p.Findings, func(f plan.Finding) bool {
				return f.Where == "net2" && strings.Contains(f.Text, "no answer") && f.Blocks != skip
			})
			if blocked := p.Blocked(nil); !named || len(blocked) > 1 {
				t.Errorf("who hangs, skipped %v: %+v", skip, p.Findings)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		hosts["net2"].(*lookedAt).hangs = 1
		if s, err := deploy.LookAtServices(ctx, o, wanted, world, deploy.MagnumFound{}, deploy.ServiceOptions{Program: blob("8"), Proxies: proxies, Dial: w.dial}); hangs == 2 && err == nil {
			t.Errorf("who interrupts a look is told of hosts that hang: %+v", s.Notes)
		}
	}
}

// What is removed is what we put there: servers, proxies, and what leads to them; a second look finds nothing, and
// hosts that are down are named.
func TestServicesAreRemoved(t *testing.T) {
	for own, stays := range map[string]bool{"/root/jeroboam": false, "/usr/local/bin/jeroboam": true} {
		w := network(t, 2)
		full := seed(t)
		w.in.Magnum.Hosts, w.in.HAProxy.Hosts = full.Magnum.Hosts, full.HAProxy.Hosts
		if _, err := w.run(t, false, true); err != nil {
			t.Fatal(err)
		}
		hosts, lost := w.hosts()
		o := site.LookOutside(t.Context(), hosts, lost)
		for _, h := range w.in.HAProxy.Hosts {
			f := o.Facts[h.PhysicalHost]
			f.Fragments = map[string]string{"magnum": "# Written by jeroboam deploy.\nfrontend magnum\n"}
			o.Facts[h.PhysicalHost] = f
			maps.DeleteFunc(w.have[h.Name], func(key string, _ plan.Facts) bool { return strings.HasPrefix(key, "haproxy ") }) // it reads again
		}
		look := func() (deploy.Services, plan.Plan) {
			t.Helper()
			found, err := deploy.FindMagnum(t.Context(), o, w.in)
			if err != nil {
				t.Fatal(err)
			}
			wanted := deploy.Nothing(w.in, o.Facts)
			s, err := deploy.NoServices(t.Context(), o, wanted, found, deploy.FindProxies(t.Context(), o, w.in, found.Serves), own)
			if err != nil {
				t.Fatal(err)
			}
			return s, deploy.DestroyPlan(deploy.Wanted{}, deploy.World{}, s, kubeconfigs.Leftovers{})
		}
		s, p := look()
		if len(p.Blocked(nil)) == 0 || !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Where == "keystone" }) {
			t.Errorf("the plan says %+v", p.Findings)
		}
		w.log = nil
		d := &deploy.Deployment{Plan: p, Services: s, Outside: hosts, Run: quiet(nil)}
		if err := deploy.RemoveServices(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		first := slices.IndexFunc(w.log, func(s string) bool { return strings.Contains(s, "stops unit jeroboam.service") })
		if i := slices.IndexFunc(w.log, func(s string) bool { return strings.Contains(s, "has haproxy") }); first < 0 || i < 0 || i > first {
			t.Errorf("clients are sent to what goes: %q", w.log)
		}
		for place, have := range w.have {
			for _, gone := range []string{"unit jeroboam.service", "service jeroboam-proxy@", "unit jeroboam-proxy-access.service", "credential /etc/jeroboam/proxy-access.kubeconfig", "file /etc/systemd/system/jeroboam-proxy@.service"} {
				if have[gone] != nil && !strings.HasPrefix(gone, "credential") { // the fake keeps a credential and a file apart
					t.Errorf("%s still has %s", place, gone)
				}
			}
			if strings.HasPrefix(place, "net") && (have["file /usr/local/bin/jeroboam"] != nil) != stays {
				t.Errorf("%s: the program where the deployer's is %s: %v", place, own, have["file /usr/local/bin/jeroboam"])
			}
		}
		for _, h := range w.in.HAProxy.Hosts {
			o.Facts[h.PhysicalHost].Fragments["magnum"] = ""
		}
		w.down["net2"] = true
		hosts, lost = w.hosts()
		again := site.LookOutside(t.Context(), hosts, lost)
		for name, f := range o.Facts {
			if _, ok := again.Facts[name]; ok {
				f.Run = nil
				again.Facts[name] = f
			}
		}
		o = again
		if _, p = look(); slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Group != "proxy access" }) {
			t.Errorf("a second run would remove %v", only(p))
		}
		if !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Where == "net2" && strings.Contains(f.Text, "run destroy again") }) {
			t.Errorf("net2 is down, and nobody says so: %+v", p.Findings)
		}
	}
}

// A container of Magnum that we made goes as a whole, unless another Magnum has moved in.
func TestMagnumsContainersAreRemoved(t *testing.T) {
	w := newTown(t)
	w.nodes = true
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	made, shared := w.in.Magnum.Hosts[0], w.in.Magnum.Hosts[1]
	w.have[shared.Name]["file /etc/systemd/system/magnum-api.service"] = plan.Facts{"mode": "0644"}
	hosts, lost := w.hosts()
	o := site.LookOutside(t.Context(), hosts, lost)
	for _, h := range []intent.MagnumHost{made, shared} {
		f := o.Facts[h.PhysicalHost]
		f.Made = map[string]bool{h.Name: true}
		o.Facts[h.PhysicalHost] = f
	}
	found, err := deploy.FindMagnum(t.Context(), o, w.in)
	if err != nil {
		t.Fatal(err)
	}
	s, err := deploy.NoServices(t.Context(), o, deploy.Nothing(w.in, o.Facts), found, deploy.ProxyFound{}, "/root/jeroboam")
	if err != nil {
		t.Fatal(err)
	}
	at := site.Place{Host: made.PhysicalHost, Container: made.Name}
	l := s.Except(kubeconfigs.Leftovers{Entered: []site.Place{at, {Host: shared.PhysicalHost, Container: shared.Name}}, Copies: []kubeconfigs.Copy{{Place: at}}})
	if !slices.Contains(l.Entered, site.Place{Host: shared.PhysicalHost, Container: shared.Name}) || slices.Contains(l.Entered, at) || len(l.Copies) != 0 {
		t.Errorf("what goes with the container is removed before it as well: %+v", l)
	}
	for _, n := range w.in.Nodes { // OpenStack-Ansible made these
		if !slices.Contains(l.Entered, site.Place{Host: n.PhysicalHost, Container: n.Name}) {
			t.Errorf("the agent in %s stays", n.Name)
		}
	}
	w.log = nil
	p := deploy.DestroyPlan(deploy.Wanted{}, deploy.World{}, s, l)
	d := &deploy.Deployment{Plan: p, Services: s, Outside: hosts, Run: quiet(nil)}
	if err := deploy.RemoveServices(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var removed []string
	for _, line := range w.log {
		if strings.Contains(line, "removes container") {
			removed = append(removed, line)
		}
	}
	if got := strings.Join(removed, "; "); got != made.PhysicalHost+" removes container "+made.Name {
		t.Errorf("it went %q", got)
	}
	if i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Kind == "container" }); i < 0 || p.Changes[i].Name != made.Name {
		t.Errorf("the plan has %v", only(p))
	}
}

func TestStatusOfServices(t *testing.T) {
	w := network(t, 3)
	w.in.Magnum.Hosts = seed(t).Magnum.Hosts
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.have["net1"]["service jeroboam-proxy@"]["active"] = "no"
	delete(w.have["net2"], "credential /etc/jeroboam/proxy.kubeconfig")
	w.have[w.in.Magnum.Hosts[1].Name]["unit jeroboam.service"]["ready"] = "no" // it ends again and again
	w.down["net3"] = true
	var got []string
	status := deploy.Status{Healthy: true}.With(w.look(t, true).services)
	for _, one := range status.Services {
		got = append(got, strings.Join([]string{one.Service, one.Place, one.State, one.Credential}, ", "))
	}
	if status.Healthy {
		t.Error("it is healthy")
	}
	golden.Compare(t, *update, "status-services.txt", strings.Join(got, "\n")+"\n")
}
