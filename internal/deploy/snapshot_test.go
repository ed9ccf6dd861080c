package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// The programs are brought before they are run: a cluster of somebody else's has none on its nodes.
func TestASnapshotIsTakenWithOurPrograms(t *testing.T) {
	w, world := deploytest.Upgrading(t, 0)
	for i, item := range w.Items {
		if item.File != nil && strings.HasPrefix(item.File.Path, "/usr/bin/etcd") {
			world.Items[i] = nil
		}
	}
	var did []string
	hosts := site.Hosts{}
	for _, h := range w.Intent.Hosts {
		hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(container, op string, raw json.RawMessage) (any, error) {
			switch op {
			case host.OpEnsure:
				var items []host.Item
				err := json.Unmarshal(raw, &items)
				for _, i := range items {
					did = append(did, container+" "+i.File.Path)
				}
				return struct{}{}, err
			case host.OpRun:
				var c host.Command
				err := json.Unmarshal(raw, &c)
				did = append(did, container+" "+strings.Join(c.Args[:2], " "))
				return host.Output{}, err
			}
			return struct{}{}, nil
		}}
	}
	d := &deploy.Deployment{Wanted: w, World: world, Plan: deploy.Diff(w, world, now), Run: quiet(hosts)}
	if err := deploy.Snapshot(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	n := w.Intent.Nodes[0].Name
	if diff := cmp.Diff([]string{n + " /usr/bin/etcdctl", n + " /usr/bin/etcdutl", n + " sh -ec"}, did); diff != "" {
		t.Error(diff)
	}
}
