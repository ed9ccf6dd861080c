package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// TestReviewedPlan carries out plans that were written to a file and reviewed, on a deployment of which nothing changes
// by itself but what moves all the time: the second look must come to the same. It needs a lab that is deployed, or
// makes it so.
func TestReviewedPlan(t *testing.T) {
	l := open(t)
	dir := t.TempDir()
	identity := filepath.Join(dir, "identity")
	out, code := l.run(t, l.jeroboam, "deploy", "backup", "key", "--to", identity)
	if code != 0 {
		t.Fatal(out)
	}
	l.configure(t)
	l.rounds(t, dir)
	t.Run("nothing to do", func(t *testing.T) { l.reviewed(t, dir, 0) })
	l.configure(
		t, "cluster_api_backups_enabled: true", "cluster_api_backups_recipients: ["+strings.TrimSpace(out)+"]",
		"cluster_api_backups_copies:", "- {url: 'file:///srv/elsewhere', keep: 2}",
	)
	t.Run("settings", func(t *testing.T) { l.reviewed(t, dir, 2) })
	nodes := l.nodes(t)
	node := nodes[len(nodes)-1] // makes the backups, because nobody named one
	t.Run("the world moves in between", func(t *testing.T) { l.outdated(t, dir, node) })
	t.Run("a backup is copied", func(t *testing.T) { l.copied(t, node, identity) })
	t.Run("metrics", func(t *testing.T) { l.metrics(t, node) })
	t.Run("backups come and go", func(t *testing.T) { l.reviewed(t, dir, 0) }) // the names of archives are no part of a plan
	l.configure(t)
	l.applied(t, "--allow", "delete")
}

// rounds go from whatever is there to a deployment, by reviewed plans alone: where containers have to be started before
// anybody can look into them, the first one does that, and asks for another.
func (l lab) rounds(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "rounds.plan")
	for round := 1; ; round++ {
		out, code := l.deploy(t, "plan", "--out", file)
		if code == 0 {
			break
		}
		if code != 2 || round > 3 {
			t.Fatalf("round %d: plan: status %d\n%s", round, code, out)
		}
		out, code = l.try(t, "apply", file, "--allow", "delete")
		t.Logf("round %d: status %d", round, code)
		if code != 0 && !strings.Contains(out, "all that could be reviewed is done") {
			t.Fatalf("round %d: apply of what was reviewed: status %d\n%s", round, code, out)
		}
	}
	l.converged(t)
}

// reviewed plans into a file, and applies that.
func (l lab) reviewed(t *testing.T, dir string, status int) {
	t.Helper()
	file := filepath.Join(dir, "reviewed.plan")
	out, code := l.deploy(t, "plan", "--out", file)
	if code != status {
		t.Fatalf("plan: status %d, not %d\n%s", code, status, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file of the plan: %v, %v", info, err)
	}
	if out, code := l.deploy(t, "apply", file); code != 0 {
		t.Fatalf("apply of what was reviewed: status %d\n%s", code, out)
	}
	l.converged(t)
}

// outdated changes a file by hand after the review: nothing is done, and the answer says what is new.
func (l lab) outdated(t *testing.T, dir string, n node) {
	t.Helper()
	file := filepath.Join(dir, "outdated.plan")
	if out, code := l.deploy(t, "plan", "--out", file); code != 0 {
		t.Fatalf("plan: status %d\n%s", code, out)
	}
	l.inside(t, n, "echo '# by hand' >> /etc/crictl.yaml")
	out, code := l.try(t, "apply", file)
	if code != 1 || !strings.Contains(out, "does not hold any more") || !strings.Contains(out, "/etc/crictl.yaml") {
		t.Errorf("apply of an outdated plan: status %d\n%s", code, out)
	}
	if got := l.inside(t, n, "cat /etc/crictl.yaml"); !strings.Contains(got, "# by hand") {
		t.Error("the plan that did not hold was carried out")
	}
	p, code := l.plan(t)
	if code != 2 || len(p.Changes) != 1 {
		t.Errorf("after it the plan has (status %d) %s", code, plan.Summary(p))
	}
	l.reviewed(t, dir, 2)
}

// copied makes backups as the timer does, first while the place is not there, and looks at the copies.
func (l lab) copied(t *testing.T, n node, identity string) {
	t.Helper()
	where := "/openstack/backup/" + n.name + "/cluster-api-backup"
	if out, code := l.sh(t, n.host, "lxc-attach -n "+n.name+" -- systemctl start jeroboam-backup.service"); code == 0 {
		t.Errorf("a backup without the place for its copy succeeded: %s", out)
	}
	if got := l.inside(t, n, "journalctl -u jeroboam-backup.service --no-pager -o cat"); !strings.Contains(got, "file:///srv/elsewhere") {
		t.Errorf("the journal does not say which place it was: %s", got)
	}
	made := strings.Fields(l.ssh(t, n.host, "ls "+where))
	if len(made) != 1 {
		t.Errorf("the backup itself: %q", made)
	}
	l.inside(t, n, "mkdir -m 700 /srv/elsewhere")
	for range 3 {
		l.inside(t, n, "systemctl start jeroboam-backup.service; sleep 1")
	}
	made = strings.Fields(l.ssh(t, n.host, "ls "+where))
	copies := strings.Fields(l.inside(t, n, "ls /srv/elsewhere"))
	if len(made) != 4 || len(copies) != 2 || copies[0] != made[2] || copies[1] != made[3] {
		t.Errorf("of the backups %q the last two should be copied: %q", made, copies)
	}
	root := "/var/lib/lxc/" + n.name + "/rootfs/srv/elsewhere/"
	name := copies[len(copies)-1]
	if got := l.ssh(t, n.host, "cmp "+root+name+" "+where+"/"+name+" && stat -c %a:%U "+root+name); strings.TrimSpace(got) != "600:root" {
		t.Errorf("the copy is %q", got)
	}
	copied := filepath.Join(t.TempDir(), "copy.age")
	scp := []string{"scp", "-q", "-i", l.dir + "/ssh/id_ed25519", "-o", "UserKnownHostsFile=" + l.dir + "/ssh/known_hosts", "root@" + n.host + ":" + root + name, copied}
	if _, code := l.run(t, scp...); code != 0 {
		t.Fatal("fetch the copy")
	}
	if err := os.Chmod(copied, 0o600); err != nil {
		t.Fatal(err)
	}
	show(t, l, copied, identity)
	l.inside(t, n, "rm -r /srv/elsewhere; systemctl reset-failed jeroboam-backup.service")
}

// metrics of a deployment that serves, with a backup; the textfile has the same.
func (l lab) metrics(t *testing.T, n node) {
	t.Helper()
	out, code := l.deploy(t, "status", "--output", "prometheus")
	for _, want := range []string{
		`(?m)^jeroboam_deploy_healthy 1$`,
		`(?m)^jeroboam_deploy_drift_changes 0$`,
		`(?m)^jeroboam_deploy_runs 0$`,
		`(?m)^jeroboam_deploy_node_ready\{node="[^"]+"\} 1$`,
		`(?m)^jeroboam_deploy_etcd_voter\{node="[^"]+"\} 1$`,
		`(?m)^jeroboam_deploy_certificate_expiry_timestamp_seconds\{certificate="[^"]+",node="[^"]+"\} 1\.[0-9]+e\+09$`,
		`(?m)^jeroboam_deploy_backup_timestamp_seconds\{node="[^"]+"\} 1\.[0-9]+e\+09$`,
		`(?m)^jeroboam_deploy_backend_up\{balancer="[^"]+",server="` + n.name + `",service="k8s"\} 1$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("status %d: there is no %s", code, want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	file := filepath.Join(t.TempDir(), "deploy.prom")
	if out, code := l.deploy(t, "status", "--output", "prometheus", "--textfile", file); code != 0 {
		t.Errorf("--textfile: status %d\n%s", code, out)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "jeroboam_deploy_healthy 1\n") {
		t.Errorf("the textfile: %v\n%s", err, text)
	}
}
