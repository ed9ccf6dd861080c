package kubeadm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestASnapshotBeforeAnUpgrade(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		done    int
		change  func(w *deploy.Wanted, world *deploy.World)
		want    []kubeadm.Snapshot // without nodes' names
		node    int
		finding string
	}{
		{reason: "nothing is upgraded", done: 3},
		{reason: "an upgrade begins", want: []kubeadm.Snapshot{{File: "/var/lib/jeroboam/before-upgrades/etcd-1.35.4-to-1.36.4.db", Fresh: true}}},
		{reason: "an upgrade goes on", done: 1, want: []kubeadm.Snapshot{{File: "/var/lib/jeroboam/before-upgrades/etcd-1.35.4-to-1.36.4.db"}}},
		{reason: "it was killed in the midst of the first member", change: func(w *deploy.Wanted, world *deploy.World) {
			world.Nodes[w.Intent.Nodes[0].Name].StaticPods["kube-apiserver"] = "v1.36.4"
		}, want: []kubeadm.Snapshot{{File: "/var/lib/jeroboam/before-upgrades/etcd-1.35.4-to-1.36.4.db"}}},
		{reason: "the first node does not serve", node: 1, change: func(w *deploy.Wanted, world *deploy.World) {
			n := world.Nodes[w.Intent.Nodes[0].Name]
			n.Etcd = "timeout"
			world.Nodes[w.Intent.Nodes[0].Name] = n
		}, want: []kubeadm.Snapshot{{File: "/var/lib/jeroboam/before-upgrades/etcd-1.35.4-to-1.36.4.db", Fresh: true}}},
		{reason: "a bundle without etcd's programs", change: func(w *deploy.Wanted, _ *deploy.World) { w.Bundle.Programs = w.Bundle.Programs[:3] }, finding: "etcdutl"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w, world := deploytest.Upgrading(t, tt.done)
			if tt.change != nil {
				tt.change(&w, &world)
			}
			for i := range tt.want {
				tt.want[i].Node = w.Intent.Nodes[tt.node].Name
			}
			p := plan.Judged(deploy.Diff(w, world, deploytest.Now()), kubeadm.NoSnapshot(w.Wanted))
			if diff := cmp.Diff(tt.want, plan.Of[kubeadm.Snapshot](p)); diff != "" {
				t.Error(diff)
			}
			told := slices.ContainsFunc(p.Findings, func(f plan.Finding) bool {
				return f.Judge == "snapshot" && tt.finding != "" && strings.Contains(f.Text, tt.finding)
			})
			if told != (tt.finding != "") {
				t.Errorf("findings: %+v", p.Findings)
			}
			at := func(kind string) int {
				return slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Kind == kind && c.Name != "settings" })
			}
			if len(tt.want) > 0 && at("snapshot") > at("kubeadm") {
				t.Errorf("the plan names the snapshot after the upgrade: %v", deploytest.Only(p))
			}
		})
	}
}

// etcds are programs that stand for etcd's: a snapshot is what STATE has, and one with "broken" in it is not whole.
func etcds(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"etcdctl": "#!/bin/sh\n[ \"$1 $2\" = 'snapshot save' ] || exit 1\nprintf %s \"$STATE\" > \"$3\"\n",
		"etcdutl": "#!/bin/sh\n[ \"$1 $2\" = 'snapshot status' ] || exit 1\n! grep -q broken \"$3\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // programs
			t.Fatal(err)
		}
	}
	return append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
}

func TestSnapshotsAreWholeAndOfBefore(t *testing.T) {
	env, dir := etcds(t), t.TempDir()
	take := func(state, file string, fresh bool) error {
		c := exec.CommandContext(t.Context(), "sh", "-ec", kubeadm.SnapshotScript(kubeadm.Snapshot{File: filepath.Join(dir, "s", file), Fresh: fresh}, "/pki"))
		c.Env = append(env, "STATE="+state)
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	has := func(reason string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		entries, _ := os.ReadDir(filepath.Join(dir, "s"))
		for _, e := range entries {
			text, _ := os.ReadFile(filepath.Join(dir, "s", e.Name()))
			got[e.Name()] = string(text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", reason, diff)
		}
	}
	age := func(file string, hours int) {
		then := time.Now().Add(-time.Duration(hours) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "s", file), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := take("one", "a.db", true); err != nil {
		t.Fatal(err)
	}
	has("the first", map[string]string{"a.db": "one"})
	info, err := os.Stat(filepath.Join(dir, "s", "a.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it has every Secret of the cluster and is %v (%v)", info.Mode(), err)
	}
	if err := take("between", "a.db", false); err != nil {
		t.Fatal(err)
	}
	has("a run that goes on has the one of before", map[string]string{"a.db": "one"})
	if err := take("broken", "a.db", true); err == nil {
		t.Error("a broken snapshot is taken for one")
	}
	has("a broken one replaces nothing, and the rest of it is cleared by the next", map[string]string{"a.db": "one", "a.db.new": "broken"})
	if err := take("two", "a.db", true); err != nil {
		t.Fatal(err)
	}
	has("another attempt of the same upgrade", map[string]string{"a.db": "two"})
	age("a.db", 9)
	if err := take("three", "b.db", true); err != nil {
		t.Fatal(err)
	}
	age("b.db", 5)
	if err := take("four", "c.db", true); err != nil {
		t.Fatal(err)
	}
	has("the last two stay", map[string]string{"b.db": "three", "c.db": "four"})
}

func TestKubeadmsCopiesOfTheLastUpgradesStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"kubeadm-backup-etcd-2026-01-01-10-00-00/etcd", "kubeadm-backup-etcd-2026-03-01-10-00-00/etcd", "kubeadm-backup-etcd-2026-02-01-10-00-00/etcd",
		"kubeadm-backup-manifests-2026-03-01-10-00-00/etcd.yaml", "kubeadm-upgraded-manifests123/etcd.yaml", "kubeadm-kubelet-config9/config.yaml", "somebody/else",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "kubeadm-backup-etcd-2026-04-01-10-00-00"), 0o700); err != nil { // of a change of settings
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing to do
		if out, err := exec.CommandContext(t.Context(), "sh", "-ec", kubeadm.TidyScript(dir)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var got []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			got = append(got, e.Name())
		}
		want := []string{"kubeadm-backup-etcd-2026-02-01-10-00-00", "kubeadm-backup-etcd-2026-03-01-10-00-00", "kubeadm-backup-manifests-2026-03-01-10-00-00", "somebody"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", kubeadm.TidyScript(filepath.Join(dir, "nowhere"))).CombinedOutput(); err != nil {
		t.Errorf("a node that kubeadm has left nothing on: %v: %s", err, out)
	}
}
