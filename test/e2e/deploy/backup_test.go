package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
)

const precious = `
apiVersion: v1
kind: Namespace
metadata: {name: tenant}
---
apiVersion: v1
kind: Secret
metadata: {name: precious, namespace: tenant}
stringData: {password: hunter2hunter2}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: precious, namespace: tenant}
spec:
  paused: true
  clusterNetwork: {pods: {cidrBlocks: [10.99.0.0/16]}}
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: OpenStackCluster, name: precious}
  controlPlaneRef: {apiGroup: controlplane.cluster.x-k8s.io, kind: KubeadmControlPlane, name: precious}
`

// TestBackupAndRestore loses a control plane, all of its nodes, and makes it again from a backup.
func TestBackupAndRestore(t *testing.T) {
	l := open(t)
	dir := t.TempDir()
	identity, archive := filepath.Join(dir, "identity"), filepath.Join(dir, "monday.tar.gz.age")
	out, code := l.run(t, l.jeroboam, "deploy", "backup", "key", "--to", identity)
	if code != 0 {
		t.Fatal(out)
	}
	l.configure(t, "cluster_api_backups_enabled: true", "cluster_api_backups_keep: 2", "cluster_api_backups_recipients: ["+strings.TrimSpace(out)+"]")
	l.applied(t)
	nodes := l.nodes(t)
	node := nodes[len(nodes)-1] // makes the backups, because nobody named one

	l.kubectlWith(t, node, precious, "apply -f -")
	ca := l.inside(t, node, "sha256sum < /etc/kubernetes/pki/ca.key")
	l.timer(t, node, identity)

	out, code = l.deploy(t, "backup", "--to", archive)
	if code != 0 {
		t.Fatalf("backup: status %d\n%s", code, out)
	}
	t.Log(out)
	before := show(t, l, archive, identity)
	l.kubectl(t, node, "create namespace too-late") // not in the backup
	if out, code := l.deploy(t, "restore", "--from", archive, "--identity", identity); code != 1 || !strings.Contains(out, "(overwrite)") {
		t.Fatalf("a living cluster: status %d\n%s", code, out)
	}
	if got := l.kubectl(t, node, "get namespace too-late -o name"); !strings.Contains(got, "too-late") {
		t.Fatal("the refused restore has changed something")
	}

	t.Log("the control plane is lost")
	for _, n := range nodes {
		l.ssh(t, n.host, fmt.Sprintf("lxc-stop -k -n %[1]s; rm -rf /var/lib/lxc/%[1]s", n.name))
	}
	l.start(t, "restore", "--from", archive, "--identity", identity, "--output", "json").killAfter(`"step":"restore the backup"`, 2*time.Second) // into the middle of it
	if out, code := l.deploy(t, "apply"); code == 0 || !strings.Contains(out, "(restore)") {
		t.Errorf("apply in the middle of a restore: status %d\n%s", code, out)
	}
	l.start(t, "restore", "--from", archive, "--identity", identity, "--output", "json").killAfter(`"step":"make the cluster"`, 2*time.Second) // into the middle of it
	began := time.Now()
	if out, code := l.deploy(t, "restore", "--from", archive, "--identity", identity); code != 0 {
		t.Fatalf("restore: status %d\n%s", code, out)
	}
	t.Logf("restored in %.0f s", time.Since(began).Seconds())
	l.restored(t, node, ca, before)

	l.kubectl(t, node, "create namespace too-late")
	if out, code := l.deploy(t, "restore", "--from", archive, "--identity", identity, "--allow", "overwrite"); code != 0 {
		t.Fatalf("restore over a living cluster: status %d\n%s", code, out)
	}
	l.restored(t, node, ca, before)
	l.timer(t, node, identity)

	t.Log("backups are turned off: the timer goes, archives stay")
	l.configure(t)
	l.applied(t, "--allow", "delete")
	if left := l.inside(t, node, "ls /etc/systemd/system/jeroboam-backup.* /etc/jeroboam/backup.json 2>/dev/null || true"); left != "" {
		t.Errorf("of the timer there is left: %s", left)
	}
	if kept := strings.Fields(l.ssh(t, node.host, "ls /openstack/backup/"+node.name+"/cluster-api-backup")); len(kept) != 2 {
		t.Errorf("archives after turning backups off: %q", kept)
	}
}

func show(t *testing.T, l lab, archive, identity string) backup.Manifest {
	t.Helper()
	out, code := l.run(t, l.jeroboam, "deploy", "backup", "show", archive, "--identity", identity, "--output", "json")
	var m backup.Manifest
	if err := json.Unmarshal([]byte(out), &m); code != 0 || err != nil {
		t.Fatalf("show: status %d, %v\n%s", code, err, out)
	}
	if m.Objects == 0 || m.Snapshot.Revision == 0 || len(m.Missing) > 0 {
		t.Errorf("the manifest says %+v", m)
	}
	text, err := os.ReadFile(archive)
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret can be read in the archive (%v)", err)
	}
	if info, err := os.Stat(archive); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive's mode is %v (%v)", info.Mode(), err)
	}
	return m
}

// timer runs what the timer runs, three times, and looks at what is kept.
func (l lab) timer(t *testing.T, node node, identity string) {
	t.Helper()
	if got := strings.TrimSpace(l.inside(t, node, "systemctl is-active jeroboam-backup.timer; systemctl is-enabled jeroboam-backup.timer")); got != "active\nenabled" {
		t.Errorf("the timer is %q", got)
	}
	for range 3 {
		l.inside(t, node, "systemctl start jeroboam-backup.service; sleep 1")
	}
	where := "/openstack/backup/" + node.name + "/cluster-api-backup"
	kept := strings.Fields(l.ssh(t, node.host, "cd "+where+" && stat -c %a:%U:%n * && ls /var/lib/lxc/"+node.name+"/rootfs/var/lib/jeroboam"))
	if len(kept) < 2 || !strings.HasPrefix(kept[0], "600:root:") || !strings.HasSuffix(kept[1], ".tar.gz.age") || slices.ContainsFunc(kept[2:], func(s string) bool { return strings.Contains(s, "backup") }) {
		t.Errorf("two backups should be kept, and nothing else: %q", kept)
	}
	copied := filepath.Join(t.TempDir(), "copy.age")
	name := strings.TrimPrefix(kept[1], "600:root:")
	if _, code := l.run(t, "scp", "-q", "-i", l.dir+"/ssh/id_ed25519", "-o", "UserKnownHostsFile="+l.dir+"/ssh/known_hosts", "root@"+node.host+":"+where+"/"+name, copied); code != 0 {
		t.Fatal("fetch the timer's backup")
	}
	if err := os.Chmod(copied, 0o600); err != nil {
		t.Fatal(err)
	}
	show(t, l, copied, identity)
}

// restored looks whether everything of the backup is back, and works.
func (l lab) restored(t *testing.T, node node, ca string, before backup.Manifest) {
	t.Helper()
	if got := l.inside(t, node, "sha256sum < /etc/kubernetes/pki/ca.key"); got != ca {
		t.Error("the authority is another one")
	}
	if got := l.kubectl(t, node, "get secret -n tenant precious -o jsonpath={.data.password}"); got != "aHVudGVyMmh1bnRlcjI=" {
		t.Errorf("the secret is %q", got)
	}
	if got := l.kubectl(t, node, "get clusters.cluster.x-k8s.io -n tenant precious -o jsonpath={.spec.paused}"); got != "true" {
		t.Errorf("the Cluster is %q", got)
	}
	if got := l.kubectl(t, node, "get namespace too-late -o name --ignore-not-found"); got != "" {
		t.Errorf("what came after the backup is there: %q", got)
	}
	for _, n := range l.nodes(t) {
		if got := l.inside(t, n, "test -e /var/lib/jeroboam/restoring && echo there || echo gone"); !strings.Contains(got, "gone") {
			t.Errorf("the restore has not ended on %s", n.name)
		}
	}
	l.converged(t)
	// A webhook of Cluster API's answers: pods and services work.
	l.kubectl(t, node, "label --overwrite clusters.cluster.x-k8s.io -n tenant precious after="+fmt.Sprint(before.Snapshot.Revision))
}
