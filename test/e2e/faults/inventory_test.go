package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// belongings are a project's and its user's things in the cloud that a cluster may leave behind, each as "kind name".
func (u *tenant) belongings(t *testing.T) []string {
	t.Helper()
	var out []string
	for kind, path := range map[string]string{
		"servers": "/compute/v2.1/servers", "loadbalancers": "/load-balancer/v2/lbaas/loadbalancers",
		"floatingips": "/network/v2.0/floatingips", "server_groups": "/compute/v2.1/os-server-groups",
		"application_credentials": "/v3/users/" + u.user + "/application_credentials",
	} {
		var list map[string]json.RawMessage
		u.cloud(t, 200, "GET", path, nil, &list)
		var items []struct {
			Name    string
			Address string `json:"floating_ip_address"`
		}
		if err := json.Unmarshal(list[kind], &items); err != nil {
			t.Fatalf("%s: %v: %s", path, err, list[kind])
		}
		for _, i := range items {
			out = append(out, kind+" "+i.Name+i.Address)
		}
	}
	slices.Sort(out)
	return out
}

// classes are what the clusters of one release share. They stay.
var classes = regexp.MustCompile(`^(clusterclasses|[a-z]+templates)\.(cluster|controlplane\.cluster|bootstrap\.cluster|infrastructure\.cluster)\.x-k8s\.io/`)

// objects lists everything in the management cluster's namespace for clusters, as "resource.group/name". Events tell
// what was and go by themselves; leases are the controllers' own.
func (s *site) objects(t *testing.T) []string {
	t.Helper()
	return objects(t, filepath.Join(s.dir, "state", "management.kubeconfig"))
}

func objects(t *testing.T, kubeconfig string) []string {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := d.ServerPreferredNamespacedResources()
	if err != nil || len(lists) < 10 {
		t.Fatalf("the management cluster knows only %v: %v", lists, err)
	}
	c, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") || r.Name == "events" || r.Name == "leases" {
				continue
			}
			items, err := c.Resource(gv.WithResource(r.Name)).Namespace("magnum-system").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("list %s: %v", r.Name, err)
			}
			for i := range items.Items {
				out = append(out, gv.WithResource(r.Name).GroupResource().String()+"/"+items.Items[i].GetName())
			}
		}
	}
	slices.Sort(out)
	return out
}

// asked is what a cluster should be.
type asked struct {
	uuid             string
	masters, workers int
	version          string
}

// wantExactly checks that the cloud and the management cluster hold what was asked for, each thing once.
func (s *site) wantExactly(t *testing.T, u *tenant, all ...asked) {
	t.Helper()
	want := map[string]int{}
	for _, a := range all {
		c, ok, err := u.get(t.Context(), a.uuid)
		if err != nil || !ok {
			t.Fatalf("cluster %s: there: %v, %v", a.uuid, ok, err)
		}
		if c.MasterCount != a.masters || c.NodeCount != a.workers || c.COEVersion != a.version {
			t.Errorf("cluster %s shows %d masters, %d nodes, %s; want %+v", c.Name, c.MasterCount, c.NodeCount, c.COEVersion, a)
		}
		want["servers "+c.Stack] = a.masters + a.workers
		want["machines.cluster.x-k8s.io/"+c.Stack] = a.masters + a.workers
		want["clusters.cluster.x-k8s.io/"+c.Stack] = 1
		want["application_credentials "+a.uuid] = 1
		want["server_groups "+c.Stack] = 1
		want["server_groups "+c.Stack+"-default-worker"] = 1
		want["secrets/"+c.Stack+"-cloud-config"] = 1
		want["magnumclusters.magnum.jeroboam.cloud/"+a.uuid] = 1
		want["magnumnodegroups.magnum.jeroboam.cloud"] += 2
	}
	// What leaves takes a moment longer than the state says: machines are judged once they have settled.
	await(t, "everything is there exactly once", 2*soonBound, func(context.Context) (bool, string, error) {
		have := append(u.belongings(t), s.objects(t)...)
		diff := cmp.Diff(want, count(have))
		return diff == "", diff + "\nthere is:\n" + strings.Join(slices.DeleteFunc(have, func(o string) bool {
			return !strings.HasPrefix(o, "servers ") && !strings.HasPrefix(o, "machines.") && !strings.HasPrefix(o, "devmachines.")
		}), "\n"), nil
	})
}

var stack = regexp.MustCompile(`^((?:servers |machines\.cluster\.x-k8s\.io/|clusters\.cluster\.x-k8s\.io/)kube-[a-z0-9]{5})(?:-.*)?$`)

// count counts the things that wantExactly speaks of.
func count(things []string) map[string]int {
	out := map[string]int{}
	for _, thing := range things {
		kind, _, _ := strings.Cut(thing, "/")
		switch {
		case stack.MatchString(thing):
			out[stack.FindStringSubmatch(thing)[1]]++
		case kind == "magnumnodegroups.magnum.jeroboam.cloud":
			out[kind]++
		case strings.HasPrefix(thing, "server_groups "), strings.HasPrefix(thing, "application_credentials "),
			kind == "magnumclusters.magnum.jeroboam.cloud", kind == "secrets" && strings.HasSuffix(thing, "-cloud-config"):
			out[thing]++
		}
	}
	return out
}

// wantNothing waits until only what was there before is there. Servers may go a moment after their machines.
func (s *site) wantNothing(t *testing.T, u *tenant, before []string) {
	t.Helper()
	await(t, "nothing is left behind", soonBound, func(context.Context) (bool, string, error) {
		diff := cmp.Diff(before, s.everything(t, u))
		return diff == "", fmt.Sprintf("(-before +after)\n%s", diff), nil
	})
}

// everything is all that clusters could leave behind, here and there.
func (s *site) everything(t *testing.T, u *tenant) []string {
	t.Helper()
	return slices.DeleteFunc(append(u.belongings(t), s.objects(t)...), classes.MatchString)
}
