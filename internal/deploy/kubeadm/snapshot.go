package kubeadm

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

const (
	// snapshots is where a node keeps them, in clear beside etcd's own data and as closed as that.
	snapshots = host.Directory + "/before-upgrades"
	// copiesKept is how many of a node's snapshots, and of kubeadm's own copies, stay: those of this upgrade and of the
	// one before.
	copiesKept = 2
)

// SnapshotChanges are the snapshot before an upgrade: of the version that the cluster leaves, on the first node that
// serves. Without etcd's own programs, which only a bundle of somebody's own making lacks, there is none, and a judge
// says so.
func SnapshotChanges(w Wanted, world World, control []plan.Change) []plan.Change {
	upgrades := plan.Of[Upgrade](plan.Plan{Changes: control})
	at := slices.IndexFunc(w.Living(), func(n intent.Node) bool { return world.Member(n) && world.Nodes[n.Name].Healthy() })
	if len(upgrades) == 0 || at < 0 || !snapshotPossible(w) {
		return nil
	}
	begun := slices.ContainsFunc(w.Living(), func(n intent.Node) bool { return world.Member(n) && begun(w, world, n) })
	u := upgrades[0]
	return []plan.Change{Snapshot{
		Node: w.Living()[at].Name, File: path.Join(snapshots, "etcd-"+u.From+"-to-"+u.To+".db"), Fresh: !begun,
	}.change()}
}

// begun says whether anything on a member has the version of an upgrade. kubeadm changes one static pod after the
// other, and a run may be killed between two of the first member's: what etcd has then is no longer what the old
// version wrote.
func begun(w Wanted, world World, n intent.Node) bool {
	want := w.Intent.Versions.Kubernetes
	for name, v := range world.Nodes[n.Name].StaticPods {
		if name != "etcd" && version.Trim(v) == want {
			return true
		}
	}
	return version.Trim(world.Cluster.Nodes[n.NodeName].Status.NodeInfo.KubeletVersion) == want
}

// etcdPrograms take and check snapshots.
func etcdPrograms() []string { return []string{"etcdctl", "etcdutl"} }

func snapshotPossible(w Wanted) bool {
	for _, name := range etcdPrograms() {
		if !slices.ContainsFunc(w.Bundle.Programs, func(p site.Program) bool { return p.Name == name }) {
			return false
		}
	}
	return true
}

// NoSnapshot judges an upgrade without a way back.
func NoSnapshot(w Wanted) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		if len(plan.Of[Upgrade](p)) == 0 || len(plan.Of[Snapshot](p)) > 0 {
			return nil
		}
		text := "no snapshot of etcd is taken before the upgrade, because no member is healthy"
		if !snapshotPossible(w) {
			text = "no snapshot of etcd is taken before the upgrade, because the bundle has no etcdctl and etcdutl: make a backup first (jeroboam deploy backup)"
		}
		return []plan.Finding{{Judge: "snapshot", Where: site.Cluster, Text: text}}
	}
}

// TakesSnapshots says of an item of a node that it is one of the programs that a snapshot needs. They are brought
// before: a cluster that somebody else made has none of them on its nodes.
func TakesSnapshots(i host.Item) bool {
	return i.File != nil && slices.Contains(etcdPrograms(), path.Base(i.File.Path))
}

// TakeSnapshot takes one.
func (r *Run) TakeSnapshot(ctx context.Context, s Snapshot) error {
	r.Say(SnapshotStep, s.Node, "%s", s.File)
	_, err := r.Command(ctx, r.Wanted.Places[s.Node], 30*time.Minute, "sh", "-ec", snapshotScript(s, "/etc/kubernetes/pki/etcd"))
	return err
}

// snapshotScript takes a snapshot, checks it, and gives it its name then. One that an earlier run of the same upgrade
// has taken stays: it is of before the first member changed. etcdutl reads the whole file and compares its digest.
func snapshotScript(s Snapshot, pki string) string {
	script := "umask 077\nmkdir -p " + path.Dir(s.File) + "\ncd " + path.Dir(s.File) + "\nfile=" + path.Base(s.File) + "\nrm -f ./*.new\n"
	if !s.Fresh {
		script += "if [ -s \"$file\" ] && etcdutl snapshot status \"$file\" >/dev/null; then exit 0; fi\n"
	}
	return script + "etcdctl snapshot save \"$file.new\" --endpoints https://127.0.0.1:2379 --cacert " + pki + "/ca.crt" +
		" --cert " + pki + "/healthcheck-client.crt --key " + pki + "/healthcheck-client.key >/dev/null\n" +
		"etcdutl snapshot status \"$file.new\" >/dev/null\nsync \"$file.new\"\nmv \"$file.new\" \"$file\"\n" +
		oldest("-t", "*.db")
}

// oldest removes all but the newest of what a pattern names in the directory; order is ls's, newest first.
func oldest(order, pattern string) string {
	return "ls -d " + order + " -- " + pattern + " 2>/dev/null | tail -n +" + fmt.Sprint(copiesKept+1) + " | while read -r old; do rm -rf \"./$old\"; done\n"
}

// tidy removes what kubeadm left for its own use. Its copies of etcd's data and of the manifests, which it makes in
// case it has to go back, stay for the last upgrades: they are the way back when what is wrong shows later.
func (r *Run) tidy(ctx context.Context, n intent.Node) error {
	_, err := r.Command(ctx, r.place(n), 2*time.Minute, "sh", "-ec", tidyScript("/etc/kubernetes/tmp"))
	return err
}

// tidyScript keeps the newest copies by their names, which end in the time (kubeadm/app/constants:
// CreateTimestampDirForKubeadm).
func tidyScript(dir string) string {
	var script strings.Builder
	script.WriteString("[ -d " + dir + " ] || exit 0\ncd " + dir + "\n")
	// kubeadm makes both directories even if it changes only arguments; an empty one is no way back.
	script.WriteString("find . -mindepth 1 -maxdepth 1 -name 'kubeadm-backup-*' -type d -empty -exec rmdir {} +\n")
	for _, kind := range []string{"kubeadm-backup-etcd-", "kubeadm-backup-manifests-"} {
		script.WriteString(oldest("-r", kind+"*"))
	}
	script.WriteString("find . -mindepth 1 -maxdepth 1 -name 'kubeadm-*' ! -name 'kubeadm-backup-*' -exec rm -rf {} +\n")
	return script.String()
}
