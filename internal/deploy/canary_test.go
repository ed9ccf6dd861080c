package deploy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Secrets stand in whatever an operator can write, and in what hosts have of before: a plan shows none, whatever its
// items are.
func TestNoSecretIsInAPlan(t *testing.T) {
	const canary = "correct-horse"
	in := seed(t)
	url := "http://user:" + canary + "%40battery@proxy:3128"
	in.Containerd.HTTPProxy, in.Containerd.HTTPSProxy = url, url
	in.Kubernetes.KubeletSysctls = map[string]string{"net.core.somaxconn": url, "vm.max_map_count": url}
	in.Kubernetes.KubeletExtraArgs = map[string]string{"some": url}
	in.Kubernetes.OIDC.IssuerURL = strings.Replace(url, "http", "https", 1)
	in.CustomCA = intent.CustomCA{Allow: true, Cert: "public", Key: intent.NewSecret("-----BEGIN PRIVATE KEY-----\n" + canary + "-lines\n")}
	for i := range in.Nodes {
		in.Nodes[i].LXC.Config = append(in.Nodes[i].LXC.Config, "lxc.environment = http_proxy="+url)
		in.Nodes[i].Labels = map[string]string{"label": url}
	}
	for i := range in.HAProxy.Hosts {
		for k := range in.HAProxy.Hosts[i].Services {
			in.HAProxy.Hosts[i].Services[k].FrontendRaw = []string{"# " + url}
		}
	}
	b := bundle()
	w, err := deploy.Want(in, b, facts(in), nil)
	if err != nil {
		t.Fatal(err)
	}
	place := in.Nodes[0].Name
	w.Items = append(
		w.Items, // kinds that only Magnum's and the proxies' hosts have
		host.Item{Place: place, Group: "node", User: &host.User{Name: "u", Home: url}},
		host.Item{Place: place, Group: "node", Aside: &host.Aside{Path: "/p", To: url, Mark: url}},
		host.Item{Place: place, Group: "node", Credential: &host.Credential{Path: "/c", Server: url, User: url, Content: url}},
		host.Item{Place: place, Group: "node", Certificate: &host.ServerCertificate{Path: "/t", Key: "/k", Names: []string{"n"}, Content: url, KeyContent: url}},
		host.Item{Place: place, Group: "node", Relay: &host.Relay{Template: url + "@", Uses: []string{url}}},
	)
	kinds := map[string]bool{"Returned": true} // gives back what was lent; never in a plan
	for _, item := range w.Items {
		v := reflect.ValueOf(item)
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
				kinds[v.Type().Field(i).Name] = true
			}
		}
	}
	for i := range reflect.TypeFor[host.Item]().NumField() {
		if f := reflect.TypeFor[host.Item]().Field(i); f.Type.Kind() == reflect.Pointer && !kinds[f.Name] {
			t.Errorf("no item of kind %s is tried", f.Name)
		}
	}
	old := converged(w)
	for i := range old.Items {
		for k := range old.Items[i] {
			old.Items[i][k] = "http://user:old-" + canary + "@proxy\n"
		}
	}
	hide := in.Masker()
	for name, world := range map[string]deploy.World{"empty": empty(w), "old": old} {
		p := plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
		var text strings.Builder
		if err := plan.WriteText(&text, p, true); err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if name == "old" && !strings.Contains(text.String(), canary) {
			t.Error("the test shows nothing: the canary is nowhere in the plan")
		}
		for line := range strings.Lines(hide(text.String()) + hide(string(asJSON))) {
			if strings.Contains(line, "correct") || strings.Contains(line, "battery") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// A password's %40 is an address of systemd's specifiers otherwise, and the unit does not load.
func TestProxiesAreAsSystemdReadsThem(t *testing.T) {
	in := seed(t)
	in.Containerd.HTTPSProxy = "http://user:a%40b@proxy:3128"
	for _, item := range want(t, in, facts(in)).Items {
		if item.File != nil && strings.HasSuffix(item.File.Path, "/containerd.service") && !strings.Contains(item.File.Content, `"HTTPS_PROXY=http://user:a%%40b@proxy:3128"`) {
			t.Errorf("%s", item.File.Content)
		}
	}
}
