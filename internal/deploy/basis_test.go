package deploy_test

import (
	"maps"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What a reviewed plan follows from is the same in a second look, and not when anything that apply goes by has changed.
func TestBasis(t *testing.T) {
	of := func(change func(w *deploy.Wanted, world *deploy.World, s *deploy.Services)) string {
		w, world := deploytest.Upgrading(t, "../osa", 0)
		var s deploy.Services
		if change != nil {
			change(&w, &world, &s)
		}
		text, err := deploy.Basis(w, world, kubeconfigs.Copies{}, s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := of(nil)
	for _, tt := range []struct {
		reason string
		same   bool
		change func(w *deploy.Wanted, world *deploy.World, s *deploy.Services)
	}{
		{"looked at again", true, func(*deploy.Wanted, *deploy.World, *deploy.Services) {}},
		{"a later time, less disk, another backup", true, func(w *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			for name, f := range w.Facts {
				f.Now, f.Free = f.Now.Add(time.Hour), f.Free-1
				w.Facts[name] = f
			}
			for name, n := range world.Nodes {
				n.Files = []string{"infra1-20261124T120000Z.tar.gz.age"}
				world.Nodes[name] = n
			}
		}},
		{"a file on a node", false, func(_ *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			world.Items[0] = plan.Facts{"content": "by hand"}
		}},
		{"a secret of the configuration", false, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			for i, item := range w.Items {
				if item.File != nil && item.File.Secret {
					file := *item.File
					file.Content += "#"
					w.Items[i].File = &file
				}
			}
		}},
		{"a member that does not serve", false, func(w *deploy.Wanted, world *deploy.World, _ *deploy.Services) {
			n := world.Nodes[w.Intent.Nodes[2].Name]
			n.Etcd = "timeout"
			world.Nodes[w.Intent.Nodes[2].Name] = n
		}},
		{"another bundle", false, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			w.Bundle.Components[0].Manifest = []byte("kind: Other")
		}},
		{"a container that was stopped", false, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) {
			f := w.Facts[w.Intent.Nodes[0].PhysicalHost]
			f.Containers = maps.Clone(f.Containers)
			f.Containers[w.Intent.Nodes[0].Name] = false
			w.Facts[w.Intent.Nodes[0].PhysicalHost] = f
		}},
		{"a node that is declared gone", false, func(w *deploy.Wanted, _ *deploy.World, _ *deploy.Services) { w.Gone = []string{"infra1"} }},
		{"a proxy's host that was lost", false, func(_ *deploy.Wanted, _ *deploy.World, s *deploy.Services) {
			s.Seen.Unseen = map[string]bool{"compute1": true}
		}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if same := of(tt.change) == first; same != tt.same {
				t.Errorf("same: %v", same)
			}
		})
	}
}
