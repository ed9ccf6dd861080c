package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What is removed is what we put there: servers, proxies, and what leads to them; a second look finds nothing, and
// hosts that are down are named.
func TestServicesAreRemoved(t *testing.T) {
	for own, stays := range map[string]bool{"/root/jeroboam": false, "/usr/local/bin/jeroboam": true} {
		w := deploytest.Network(t, 2)
		full := seed(t)
		w.In.Magnum.Hosts, w.In.HAProxy.Hosts = full.Magnum.Hosts, full.HAProxy.Hosts
		if _, err := w.Run(t, false, true); err != nil {
			t.Fatal(err)
		}
		hosts, lost := w.Hosts()
		o := site.LookOutside(t.Context(), hosts, lost)
		for _, h := range w.In.HAProxy.Hosts {
			f := o.Facts[h.PhysicalHost]
			f.Fragments = map[string]string{"magnum": "# Written by jeroboam deploy.\nfrontend magnum\n"}
			o.Facts[h.PhysicalHost] = f
			maps.DeleteFunc(w.Have[h.Name], func(key string, _ plan.Facts) bool { return strings.HasPrefix(key, "haproxy ") }) // it reads again
		}
		look := func() (deploy.Services, plan.Plan) {
			t.Helper()
			found, err := magnum.Inspect(t.Context(), o, w.In)
			if err != nil {
				t.Fatal(err)
			}
			wanted := deploy.Nothing(w.In, o.Facts)
			s, err := deploy.NoServices(t.Context(), o, wanted, found, proxy.Inspect(t.Context(), o, w.In, found.Serves), own)
			if err != nil {
				t.Fatal(err)
			}
			return s, deploy.DestroyPlan(deploy.Wanted{}, deploy.World{}, s, kubeconfigs.Leftovers{})
		}
		s, p := look()
		if len(p.Blocked(nil)) == 0 || !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Where == "keystone" }) {
			t.Errorf("the plan says %+v", p.Findings)
		}
		w.Log = nil
		d := &deploy.Deployment{Plan: p, Services: s, Outside: hosts, Run: quiet(nil)}
		if err := d.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := slices.IndexFunc(w.Log, func(s string) bool { return strings.Contains(s, "stops unit jeroboam.service") })
		if i := slices.IndexFunc(w.Log, func(s string) bool { return strings.Contains(s, "has haproxy") }); first < 0 || i < 0 || i > first {
			t.Errorf("clients are sent to what goes: %q", w.Log)
		}
		for place, have := range w.Have {
			for _, gone := range []string{"unit jeroboam.service", "service jeroboam-proxy@", "unit jeroboam-proxy-access.service", "credential /etc/jeroboam/proxy-access.kubeconfig", "file /etc/systemd/system/jeroboam-proxy@.service"} {
				if have[gone] != nil && !strings.HasPrefix(gone, "credential") { // the fake keeps a credential and a file apart
					t.Errorf("%s still has %s", place, gone)
				}
			}
			if strings.HasPrefix(place, "net") && (have["file /usr/local/bin/jeroboam"] != nil) != stays {
				t.Errorf("%s: the program where the deployer's is %s: %v", place, own, have["file /usr/local/bin/jeroboam"])
			}
		}
		for _, h := range w.In.HAProxy.Hosts {
			o.Facts[h.PhysicalHost].Fragments["magnum"] = ""
		}
		w.Down["net2"] = true
		hosts, lost = w.Hosts()
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
	w := deploytest.NewTown(t)
	w.Nodes = true
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	made, shared := w.In.Magnum.Hosts[0], w.In.Magnum.Hosts[1]
	w.Have[shared.Name]["file /etc/systemd/system/magnum-api.service"] = plan.Facts{"mode": "0644"}
	hosts, lost := w.Hosts()
	o := site.LookOutside(t.Context(), hosts, lost)
	for _, h := range []intent.MagnumHost{made, shared} {
		f := o.Facts[h.PhysicalHost]
		f.Made = map[string]bool{h.Name: true}
		o.Facts[h.PhysicalHost] = f
	}
	found, err := magnum.Inspect(t.Context(), o, w.In)
	if err != nil {
		t.Fatal(err)
	}
	s, err := deploy.NoServices(t.Context(), o, deploy.Nothing(w.In, o.Facts), found, proxy.World{}, "/root/jeroboam")
	if err != nil {
		t.Fatal(err)
	}
	at := site.Place{Host: made.PhysicalHost, Container: made.Name}
	l := s.Except(kubeconfigs.Leftovers{Entered: []site.Place{at, {Host: shared.PhysicalHost, Container: shared.Name}}, Copies: []kubeconfigs.Copy{{Place: at}}})
	if !slices.Contains(l.Entered, site.Place{Host: shared.PhysicalHost, Container: shared.Name}) || slices.Contains(l.Entered, at) || len(l.Copies) != 0 {
		t.Errorf("what goes with the container is removed before it as well: %+v", l)
	}
	for _, n := range w.In.Nodes { // OpenStack-Ansible made these
		if !slices.Contains(l.Entered, site.Place{Host: n.PhysicalHost, Container: n.Name}) {
			t.Errorf("the agent in %s stays", n.Name)
		}
	}
	w.Log = nil
	p := deploy.DestroyPlan(deploy.Wanted{}, deploy.World{}, s, l)
	d := &deploy.Deployment{Plan: p, Services: s, Outside: hosts, Run: quiet(nil)}
	if err := d.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var removed []string
	for _, line := range w.Log {
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
	w := deploytest.Network(t, 3)
	w.In.Magnum.Hosts = seed(t).Magnum.Hosts
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	look := func() deploy.Status {
		seen := w.Look(t, true)
		for name, n := range seen.World.Cluster.Nodes {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
			seen.World.Cluster.Nodes[name] = n
		}
		s := sessionOf(seen.Wanted, seen.World, seen.Hosts)
		s.Services = seen.Services
		return s.Status(t.Context(), now)
	}
	if status := look(); !status.Healthy {
		t.Errorf("all is well, and it says %+v", status)
	}
	w.Have["net1"]["service jeroboam-proxy@"]["active"] = "no"
	delete(w.Have["net2"], "credential /etc/jeroboam/proxy.kubeconfig")
	w.Have[w.In.Magnum.Hosts[1].Name]["unit jeroboam.service"]["ready"] = "no" // it ends again and again
	w.Down["net3"] = true
	var got []string
	status := look()
	for _, one := range status.Services {
		got = append(got, strings.Join([]string{one.Service, one.Place, one.State, one.Credential}, ", "))
	}
	if status.Healthy {
		t.Error("it is healthy")
	}
	golden.Compare(t, *update, "status-services.txt", strings.Join(got, "\n")+"\n")
}
