package backups_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

var update = golden.Flag()

// backedUp is the seed with backups on its last node.
func backedUp(t *testing.T) (intent.Intent, map[string]host.Facts) {
	t.Helper()
	in := deploytest.BackedUp(t)
	f := deploytest.Facts(in)
	for name, h := range f {
		h.Agent = "agent-0123456789abcdef"
		f[name] = h
	}
	return in, f
}

func TestFilesOfBackups(t *testing.T) {
	in, f := backedUp(t)
	w := deploytest.Want(t, in, f)
	var text strings.Builder
	for _, i := range w.Items {
		if i.Place == in.Nodes[2].Name && (i.File != nil && strings.Contains(i.File.Path, "backup") || i.Unit != nil && strings.Contains(i.Unit.Name, "backup")) {
			fmt.Fprintf(&text, "## %s\n", i.Key())
			if i.File != nil {
				fmt.Fprintf(&text, "%s%s", i.File.Content, i.File.Link)
			}
			text.WriteString("\n")
		}
		if i.Place == in.Nodes[0].Name && strings.Contains(i.Key(), "backup") && i.Thing(nil).Want != nil {
			t.Errorf("%s is on a node that makes no backups", i.Key())
		}
	}
	golden.Compare(t, *update, "backup.txt", text.String())
	if p := deploy.Diff(w, deploytest.Converged(w), deploytest.Now()); !p.Empty() {
		t.Errorf("a converged world has changes: %q", deploytest.Only(p))
	}
}

func TestBackupsAreTurnedOff(t *testing.T) {
	in, f := backedUp(t)
	was := deploytest.Want(t, in, f)
	in.Backups.Enabled = false
	w := deploytest.Want(t, in, f)
	world := deploytest.Converged(w)
	n := in.Nodes[2].Name
	for i, item := range w.Items { // what is there is what was wanted before
		for j, old := range was.Items {
			if item.Place == n && old.Place == n && item.Key() == old.Key() {
				world.Items[i] = deploytest.Converged(was).Items[j]
			}
		}
	}
	want := []string{
		n + ": delete unit jeroboam-backup.timer", n + ": delete file /etc/systemd/system/jeroboam-backup.timer", n + ": delete file /etc/systemd/system/jeroboam-backup.service",
		n + ": delete file /etc/jeroboam/backup.json", n + ": delete file /etc/jeroboam/backup-copies.json", n + ": delete file /usr/local/lib/jeroboam/backup",
	}
	if diff := cmp.Diff(want, deploytest.Only(deploy.Diff(w, world, deploytest.Now()))); diff != "" {
		t.Error(diff)
	}
}

func TestBackupNow(t *testing.T) {
	in, f := backedUp(t)
	content := strings.Repeat("sealed", 1<<20)
	sum := blobOf(content)
	for _, tt := range []struct {
		reason, digest, want string
	}{
		{"as it should be", sum, ""},
		{"damaged on the way", deploytest.Blob("9"), "should be"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			agents := site.Hosts{}
			for _, h := range in.Hosts {
				agents[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(container, op string, raw json.RawMessage) (any, error) {
					switch op {
					case host.OpNode:
						state := host.Node{AdminConf: true, Etcd: "ok"}
						if container == in.Nodes[2].Name {
							state.Etcd = "connection refused"
						}
						return state, nil
					case host.OpRun:
						var c host.Command
						_ = json.Unmarshal(raw, &c)
						if container != in.Nodes[1].Name || strings.Join(c.Args, " ") != "/usr/local/lib/jeroboam/agent-0123456789abcdef agent --backup -" || !strings.Contains(c.Stdin, deploytest.PublicKey) {
							return nil, fmt.Errorf("%s was told to run %+v", container, c)
						}
						text, _ := json.Marshal(backup.Taken{Path: "/x", Size: int64(len(content)), Digest: tt.digest})
						return host.Output{Out: string(text)}, nil
					case host.OpPart:
						var p host.Part
						_ = json.Unmarshal(raw, &p)
						rest := content[min(int(p.Offset), len(content)):]
						return []byte(rest[:min(p.Length, len(rest))]), nil
					}
					return struct{}{}, nil
				}}
			}
			n, err := backups.Serving(t.Context(), agents, in, "")
			if err != nil || n.Name != in.Nodes[1].Name {
				t.Fatalf("%s makes it (%v): the last one does not serve", n.Name, err)
			}
			b := backups.Backup{Intent: in, Node: n, Facts: f[n.PhysicalHost], Hosts: agents, Recipients: in.Backups.Recipients, To: "here"}
			var got bytes.Buffer
			_, err = b.Take(t.Context(), &got)
			if tt.want == "" && (err != nil || got.String() != content) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
			asked := agents[n.PhysicalHost].(*deploytest.Agent).Asked
			if asked[len(asked)-1] != n.Name+" ensure" {
				t.Errorf("the archive was left on the node: %q", asked)
			}
		})
	}
	if _, err := backups.Serving(t.Context(), site.Hosts{}, in, "nobody"); err == nil || !strings.Contains(err.Error(), "no node nobody") {
		t.Errorf("got %v", err)
	}
}

// A backup is fetched under another name, and never takes the place of a file that is there.
func TestTakeTo(t *testing.T) {
	in, f := backedUp(t)
	sealed := "sealed"
	hosts := site.Hosts{}
	for _, h := range in.Hosts {
		hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(_, op string, raw json.RawMessage) (any, error) {
			switch op {
			case host.OpFacts:
				return f[h.Name], nil
			case host.OpNode:
				return host.Node{AdminConf: true, Etcd: "ok"}, nil
			case host.OpRun:
				text, err := json.Marshal(backup.Taken{Path: "/x", Size: int64(len(sealed)), Digest: blobOf(sealed)})
				return host.Output{Out: string(text)}, err
			case host.OpPart:
				var p host.Part
				err := json.Unmarshal(raw, &p)
				return []byte(sealed[min(int(p.Offset), len(sealed)):]), err
			}
			return struct{}{}, nil
		}}
	}
	b, err := backups.Prepare(t.Context(), hosts, in, "")
	if err != nil || b.Node.Name != in.Nodes[2].Name || b.Facts.Agent == "" {
		t.Fatalf("%v: %s makes it, with the agent %q", err, b.Node.Name, b.Facts.Agent)
	}
	b.To = filepath.Join(t.TempDir(), "monday")
	for _, again := range []bool{false, true} {
		if _, err := b.TakeTo(t.Context()); (err == nil) == again {
			t.Errorf("again %v: %v", again, err)
		}
		entries, err := os.ReadDir(filepath.Dir(b.To))
		if err != nil || len(entries) != 1 || entries[0].Name() != "monday" {
			t.Errorf("there is %v (%v)", entries, err)
		}
	}
	if text, err := os.ReadFile(b.To); err != nil || string(text) != sealed {
		t.Errorf("%q, %v", text, err)
	}
}

// An archive is read as a whole before anything is done with it, and opened with a key of its own.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	secret, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var sealed bytes.Buffer
	recipients, err := backup.Recipients([]string{public})
	if err != nil {
		t.Fatal(err)
	}
	w, err := backup.NewWriter(&sealed, recipients)
	for _, name := range []string{
		"etcd/snapshot.db", "pki/ca.crt", "pki/ca.key", "pki/front-proxy-ca.crt", "pki/front-proxy-ca.key", "pki/sa.key", "pki/sa.pub", "pki/etcd/ca.crt", "pki/etcd/ca.key",
	} {
		if err == nil {
			err = w.Add(name, 4, strings.NewReader("text"))
		}
	}
	if err == nil {
		_, err = w.Close(backup.Manifest{Node: "infra3", Kubernetes: "1.36.4"})
	}
	if err != nil {
		t.Fatal(err)
	}
	file, key := put("monday.tar.gz.age", sealed.String()), put("key", secret)
	r, err := backups.Open(file, key)
	if err != nil || r.Name != "monday.tar.gz.age" || r.Digest != blobOf(sealed.String()) || r.Manifest.Node != "infra3" || len(r.Key) == 0 || strings.Contains(secret, string(r.Key)) {
		t.Errorf("%+v, %v", r, err)
	}
	for reason, of := range map[string][2]string{
		"another key":           {file, put("other", other)},
		"no key":                {file, filepath.Join(dir, "nothing")},
		"no archive":            {filepath.Join(dir, "nothing"), key},
		"damaged at its end":    {put("damaged", sealed.String()[:sealed.Len()-1]), key},
		"something else at all": {put("else", "hello"), key},
	} {
		if _, err := backups.Open(of[0], of[1]); err == nil {
			t.Errorf("%s: it was opened", reason)
		}
	}
}

func blobOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
