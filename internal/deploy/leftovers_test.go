package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What apply wrote on Magnum's and the proxies' hosts goes with the cluster, the agents there as well.
func TestDestroyTakesKubeconfigsAway(t *testing.T) {
	const magnum, capi, ours = "/var/lib/magnum/.kube/config", "/var/lib/capi_proxy/.kube/config", "/etc/jeroboam/proxy.kubeconfig"
	in := seed(t)
	box := in.Nodes[0].PhysicalHost + "-magnum-container-1"
	in.Magnum.KubeconfigPath = magnum
	in.Magnum.Hosts = []intent.MagnumHost{{Container: intent.Container{Name: box, PhysicalHost: in.Nodes[0].PhysicalHost, Tech: "lxc"}}}
	in.Proxy.Hosts = []intent.ProxyHost{{Container: intent.Container{Name: "compute1", PhysicalHost: "compute1", IsMetal: true}, User: "capi_proxy", Group: "capi_proxy", Kubeconfig: capi}}
	kubeconfig := func(server string) string {
		return "apiVersion: v1\nkind: Config\nclusters: [{name: k, cluster: {server: \"" + server + "\"}}]\n"
	}
	right := kubeconfig("https://" + in.Kubernetes.ControlPlaneHost + ":6443")
	all := map[string]string{box + " " + magnum: right, "compute1 " + capi: right, "compute1 " + ours: right}
	removed := []string{box + " " + magnum, "compute1 " + capi, "compute1 " + ours}
	for _, tt := range []struct {
		reason    string
		have      map[string]string
		adopted   bool // OpenStack-Ansible made a node's container
		boxState  string
		unreached map[string]error
		want      []string
		left      []string // agents are removed there
		notes     string
	}{
		{reason: "all of them", have: all, boxState: "runs", want: removed, left: []string{box, "compute1"}},
		{reason: "there are none, and agents that looked", boxState: "runs", left: []string{box, "compute1"}},
		{
			reason: "one of another cluster stays", boxState: "runs", have: map[string]string{box + " " + magnum: kubeconfig("https://192.0.2.1:6443"), "compute1 " + ours: right},
			want: []string{"compute1 " + ours}, left: []string{box, "compute1"}, notes: box + ": " + magnum + " stays: it belongs to another cluster",
		},
		{
			reason: "a cluster in containers of OpenStack-Ansible stays, and so do its administrators' kubeconfigs", adopted: true, boxState: "runs", have: all,
			want: []string{"compute1 " + ours}, left: []string{box, "compute1"}, notes: "because its cluster does",
		},
		{reason: "a container that does not run is told of", boxState: "stopped", have: all, want: removed[1:], left: []string{"compute1"}, notes: "start it, and run destroy again"},
		{reason: "a container that is not there needs no word", have: all, want: removed[1:], left: []string{"compute1"}},
		{
			reason: "a host that does not answer is told of", boxState: "runs", have: all, unreached: map[string]error{"compute1": errors.New("no route to host")},
			want: removed[:1], left: []string{box}, notes: "compute1: what is left there stays: no route to host",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var gone, left []string
			hosts := site.Hosts{}
			for _, name := range append([]string{"compute1"}, hostNames(in)...) {
				if tt.unreached[name] != nil {
					continue
				}
				hosts[name] = &deploytest.Agent{Host: name, Answer: func(container, op string, raw json.RawMessage) (any, error) {
					at := name
					if container != "" {
						at = container
					}
					switch op {
					case host.OpFacts:
						f := host.Facts{Containers: map[string]bool{}}
						if tt.boxState != "" && name == in.Nodes[0].PhysicalHost {
							f.Containers[box] = tt.boxState == "runs"
						}
						return f, nil
					case host.OpObserve:
						var items []host.Item
						_ = json.Unmarshal(raw, &items)
						if _, ok := tt.have[at+" "+items[0].File.Path]; !ok {
							return host.Observed{nil}, nil
						}
						return host.Observed{plan.Facts{"mode": "0600"}}, nil
					case host.OpRead:
						var path string
						_ = json.Unmarshal(raw, &path)
						return tt.have[at+" "+path], nil
					case host.OpEnsure:
						var items []host.Item
						_ = json.Unmarshal(raw, &items)
						for _, i := range items {
							if i.File == nil || !i.File.Gone {
								return nil, errors.New("something else than a removal")
							}
							gone = append(gone, at+" "+i.File.Path)
						}
						return struct{}{}, nil
					case host.OpLeave:
						left = append(left, at)
						return struct{}{}, nil
					}
					return nil, fmt.Errorf("%s was asked for %s", at, op)
				}}
			}
			f := facts(in)
			if tt.adopted {
				theirs := f[in.Nodes[1].PhysicalHost]
				theirs.Containers[in.Nodes[1].Name] = true
				f[in.Nodes[1].PhysicalHost] = theirs
			}
			w := deploy.Nothing(in, f)
			w.Items, w.Intent.HAProxy.Hosts = nil, nil // other tests look at these
			l := deploy.LookAtLeftovers(t.Context(), hosts, tt.unreached, w)
			p := deploy.DestroyPlan(w, deploy.World{}, deploy.Services{}, l)
			d := &deploy.Deployment{Wanted: w, Plan: p, Leftovers: l, Run: quiet(hosts)}
			if err := errors.Join(d.Destroy(t.Context()), l.Leave(t.Context())); err != nil {
				t.Fatal(err)
			}
			var planned []string
			for _, c := range p.Changes {
				planned = append(planned, c.Place+" "+c.Name)
			}
			if diff := cmp.Diff(tt.want, planned); diff != "" {
				t.Errorf("planned: %s", diff)
			}
			if diff := cmp.Diff(tt.want, gone); diff != "" {
				t.Errorf("removed: %s", diff)
			}
			for _, at := range tt.left {
				if !slices.Contains(left, at) {
					t.Errorf("the agent stays on %s: %v", at, left)
				}
			}
			if i, k := slices.Index(left, box), slices.Index(left, in.Nodes[0].PhysicalHost); i > k {
				t.Errorf("the host's agent left before its container's: %v", left)
			}
			notes := ""
			for _, f := range p.Findings {
				if f.Judge != "delete" {
					notes += f.Where + ": " + f.Text + "\n"
				}
			}
			if !strings.Contains(notes, tt.notes) || tt.notes == "" && notes != "" {
				t.Errorf("said %q, want %q", notes, tt.notes)
			}
		})
	}
}

func hostNames(in intent.Intent) []string {
	var out []string
	for _, n := range in.Nodes {
		out = append(out, n.PhysicalHost)
	}
	return out
}
