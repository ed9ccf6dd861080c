package deploy_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What a reviewed plan follows from is the same in a second look, and not when anything that apply goes by has changed.
func TestBasis(t *testing.T) {
	of := func(change func(w *deploy.Wanted, world *deploy.World, s *deploy.Services)) []plan.Part {
		w, world := deploytest.Upgrading(t, 0)
		var s deploy.Services
		if change != nil {
			change(&w, &world, &s)
		}
		parts, err := deploy.Basis(w, world, kubeconfigs.Copies{}, s)
		if err != nil {
			t.Fatal(err)
		}
		return parts
	}
	first := of(nil)
	secrets := func(w deploy.Wanted) []string {
		var out []string
		for _, item := range w.Items {
			if name := "what configuration, bundle or flags want on " + item.Place; item.File != nil && item.File.Secret && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out
	}
	for _, tt := range []struct {
		reason string
		moved  func(w deploy.Wanted) []string // what is said of it; nil for nothing
		change func(w *deploy.Wanted, world *deploy.World, s *deploy.Services)
	}{
		{"looked at again", nil, func(*deploy.Wanted, *deploy.World, *deploy.Services) {}},
		{"a later time, less disk, another backup", nil, func(w *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			for name, f := range w.Facts {
				f.Now, f.Free = f.Now.Add(time.Hour), f.Free-1
				w.Facts[name] = f
			}
			for name, n := range world.Nodes {
				n.Files = []string{"infra1-20261124T120000Z.tar.gz.age"}
				world.Nodes[name] = n
			}
		}},
		{"a file on a node", func(w deploy.Wanted) []string { return []string{"what is on " + w.Items[0].Place} }, func(_ *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			world.Items[0] = plan.Facts{"content": "by hand"}
		}},
		{"a secret of the configuration", secrets, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			for i, item := range w.Items {
				if item.File != nil && item.File.Secret {
					file := *item.File
					file.Content += "#"
					w.Items[i].File = &file
				}
			}
		}},
		{"a member that does not serve", func(w deploy.Wanted) []string { return []string{"the node " + w.Intent.Nodes[2].Name} }, func(w *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			n := world.Nodes[w.Intent.Nodes[2].Name]
			n.Etcd = "timeout"
			world.Nodes[w.Intent.Nodes[2].Name] = n
		}},
		{"another bundle", func(deploy.Wanted) []string { return []string{"the bundle"} }, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			w.Bundle.Components[0].Manifest = []byte("kind: Other")
		}},
		{"a container that was stopped", func(deploy.Wanted) []string { return []string{"which hosts and containers are there, and answer"} }, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			f := w.Facts[w.Intent.Nodes[0].PhysicalHost]
			f.Containers = maps.Clone(f.Containers)
			f.Containers[w.Intent.Nodes[0].Name] = false
			w.Facts[w.Intent.Nodes[0].PhysicalHost] = f
		}},
		{"a node that is declared gone", func(deploy.Wanted) []string { return []string{"the nodes that are declared gone (--replace)"} }, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) { w.Gone = []string{"infra1"} }},
		{"a proxy's host that was lost", func(deploy.Wanted) []string { return []string{"which hosts and containers are there, and answer"} }, func(_ *deploy.Wanted, _ *deploy.World, s *deploy.Services) {
			s.Seen.Unseen = map[string]bool{"compute1": true}
		}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w, _ := deploytest.Upgrading(t, 0)
			var want, moved []string
			if tt.moved != nil {
				want = tt.moved(w)
			}
			for i, part := range of(tt.change) {
				if part.Name != first[i].Name || !bytes.Equal(part.Text, first[i].Text) {
					moved = append(moved, part.Name)
				}
			}
			if diff := cmp.Diff(want, moved); diff != "" {
				t.Error(diff)
			}
		})
	}
}
