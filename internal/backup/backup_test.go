package backup_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

func TestTake(t *testing.T) {
	n := newNode(t)
	id, public := key(t)
	_, other := key(t)
	s := n.member(t, public, other)
	n.put(t, "/var/backup/x/.new-123", "what a killed run left")
	n.put(t, "/var/backup/x/notes.txt", "somebody's")
	n.put(t, "/var/lib/jeroboam/backup/snapshot.db", "what a killed run left")
	var last backup.Taken
	for range 3 {
		var err error
		if last, err = backup.Take(t.Context(), n.Machine, s); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"n1-20261124T140000Z.tar.gz.age 0600", "n1-20261124T150000Z.tar.gz.age 0600", "notes.txt 0600"}, n.files(t, "/var/backup/x")); diff != "" {
		t.Errorf("kept: %s", diff)
	}
	if left := n.files(t, "/var/lib/jeroboam"); len(left) > 0 {
		t.Errorf("left in clear: %q", left)
	}
	sealed := n.text(t, last.Path)
	for _, secret := range []string{"hunter2", "the cluster's", "etcdetcd"} {
		if strings.Contains(sealed, secret) {
			t.Errorf("%q is in the archive in clear", secret)
		}
	}
	members := map[string]string{}
	m, err := backup.Read(strings.NewReader(sealed), []age.Identity{id}, func(name string, _ int64, r io.Reader) error {
		text, err := io.ReadAll(r)
		members[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Snapshot.Revision != 42 || m.Objects != 3 || m.Node != "n1" || !strings.HasPrefix(m.Authority, "sha256:") || !m.Time.Equal(now.Add(3*time.Hour)) {
		t.Errorf("the manifest says %+v", m)
	}
	if len(m.Missing) != 1 || !strings.Contains(m.Missing[0], "broken.cluster.x-k8s.io") {
		t.Errorf("missing: %q", m.Missing)
	}
	want := []string{
		"etcd/snapshot.db", "objects/clusters.cluster.x-k8s.io/0001.yaml", "objects/clusters.cluster.x-k8s.io/0002.yaml", "objects/tenant/secrets/0001.yaml",
		"pki/ca.crt", "pki/ca.key", "pki/etcd/ca.crt", "pki/etcd/ca.key", "pki/front-proxy-ca.crt", "pki/front-proxy-ca.key", "pki/sa.key", "pki/sa.pub",
	}
	var got []string
	for name := range members {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members: %s", diff)
	}
	if text := members["objects/clusters.cluster.x-k8s.io/0002.yaml"]; !strings.Contains(text, "name: two") || strings.Contains(text, "noise") {
		t.Errorf("an object became %q", text)
	}
}

func TestTakeRefuses(t *testing.T) {
	_, public := key(t)
	for _, tt := range []struct {
		reason string
		spoil  func(n *node, s *backup.Settings)
		want   string
	}{
		{"no key", func(_ *node, s *backup.Settings) { s.Recipients = nil }, "no key to encrypt for"},
		{"no good key", func(_ *node, s *backup.Settings) { s.Recipients = []string{"x"} }, "keys to encrypt for"},
		{"etcd is down", func(n *node, _ *backup.Settings) { n.killAt = "etcdctl" }, "take etcd's snapshot"},
		{"a snapshot that is none", func(n *node, _ *backup.Settings) { n.killAt = "etcdutl" }, "check etcd's snapshot"},
		{"an authority somewhere else", func(n *node, _ *backup.Settings) { _ = os.Remove(n.Root + "/etc/kubernetes/pki/ca.key") }, "without the authority's own key"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			n := newNode(t)
			s := n.member(t, public)
			n.put(t, "/var/backup/x/n1-20200101T000000Z.tar.gz.age", "the last good one")
			s.Keep = 1
			tt.spoil(n, &s)
			if _, err := backup.Take(t.Context(), n.Machine, s); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
			if diff := cmp.Diff([]string{"n1-20200101T000000Z.tar.gz.age 0600"}, n.files(t, "/var/backup/x")); diff != "" {
				t.Errorf("the last good one should be there, and nothing else: %s", diff)
			}
		})
	}
}

// archive is a small good one.
func archive(tb testing.TB, public string, leave ...string) []byte {
	tb.Helper()
	to, err := backup.Recipients([]string{public})
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, to)
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{
		"etcd/snapshot.db", "pki/ca.crt", "pki/ca.key", "pki/etcd/ca.crt", "pki/etcd/ca.key", "pki/front-proxy-ca.crt", "pki/front-proxy-ca.key", "pki/sa.key", "pki/sa.pub",
	} {
		if slices.Contains(leave, name) {
			continue
		}
		if err := w.Add(name, int64(len("old "+name)), strings.NewReader("old "+name)); err != nil {
			tb.Fatal(err)
		}
	}
	if slices.Contains(leave, "manifest.json") {
		return out.Bytes()
	}
	if _, err := w.Close(backup.Manifest{Node: "n1", Time: now}); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestReadRefuses(t *testing.T) {
	id, public := key(t)
	stranger, _ := key(t)
	good := archive(t, public)
	for _, tt := range []struct {
		reason string
		text   []byte
		key    age.Identity
		want   string
	}{
		{"another key", good, stranger, "not made for this key"},
		{"nothing", nil, id, "no backup"},
		{"something else", []byte("hello"), id, "no backup"},
		{"a cut end", good[:len(good)-1], id, "damaged"},
		{"one bit", append(append(slices.Clone(good[:len(good)-9]), good[len(good)-9]^1), good[len(good)-8:]...), id, "damaged"},
		{"an archive that was not ended", archive(t, public, "manifest.json"), id, ""},
		{"no snapshot", archive(t, public, "etcd/snapshot.db"), id, "etcd/snapshot.db is not in it"},
		{"no authority", archive(t, public, "pki/ca.key"), id, "pki/ca.key is not in it"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if _, err := backup.Read(bytes.NewReader(tt.text), []age.Identity{tt.key}, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
		})
	}
	if _, err := backup.Read(bytes.NewReader(good), []age.Identity{id}, nil); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func TestWriterRefusesNames(t *testing.T) {
	_, public := key(t)
	to, _ := backup.Recipients([]string{public})
	w, err := backup.NewWriter(io.Discard, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "x", "../x/y", "/etc/passwd", "a/../../b", "manifest.json"} {
		if err := w.Add(name, 0, strings.NewReader("")); err == nil {
			t.Errorf("%q became a member", name)
		}
	}
	if err := w.Add("a/b", 5, strings.NewReader("abc")); err == nil {
		t.Error("a file that shrank was written")
	}
}

// ordered puts an archive into a node's store and gives the order to restore it.
func ordered(t *testing.T, n *node, id age.Identity, text []byte) backup.Order {
	t.Helper()
	key, err := backup.FileKey(bytes.NewReader(text), []age.Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	n.put(t, host.BlobPath(digest), string(text))
	return backup.Order{Archive: digest, Key: key, Node: "n2", Peer: "https://172.29.236.12:2380"}
}

func TestUnpack(t *testing.T) {
	id, public := key(t)
	n := newNode(t)
	o := ordered(t, n, id, archive(t, public))
	n.put(t, "/etc/kubernetes/pki/apiserver.crt", "signed by another authority")
	n.put(t, "/etc/kubernetes/kubeadm.yaml", "the deployment's")
	n.killAt = "etcdutl snapshot restore"
	if _, err := backup.Unpack(t.Context(), n.Machine, o); err == nil {
		t.Fatal("it did not notice")
	}
	if mark := n.text(t, host.RestoreMark); mark != o.Archive+"\n" {
		t.Errorf("an interrupted restore has left the mark %q", mark)
	}
	n.killAt = ""
	for range 2 { // and a third time, when all is there
		if _, err := backup.Unpack(t.Context(), n.Machine, o); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"member/snap/db 0600"}, n.files(t, "/var/lib/etcd")); diff != "" {
		t.Error(diff)
	}
	if got := n.text(t, "/var/lib/etcd/member/snap/db"); got != "old etcd/snapshot.db" {
		t.Errorf("etcd's data is %q", got)
	}
	want := []string{
		"kubeadm.yaml 0600", "pki/ca.crt 0644", "pki/ca.key 0600", "pki/etcd/ca.crt 0644", "pki/etcd/ca.key 0600", "pki/front-proxy-ca.crt 0644",
		"pki/front-proxy-ca.key 0600", "pki/sa.key 0600", "pki/sa.pub 0644",
	}
	if diff := cmp.Diff(want, n.files(t, "/etc/kubernetes")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"blobs/sha256/" + strings.Repeat("a", 64) + " 0600", "restoring 0644"}, n.files(t, "/var/lib/jeroboam")); diff != "" {
		t.Errorf("left: %s", diff)
	}
	restores := slices.DeleteFunc(slices.Clone(n.ran), func(l string) bool { return !strings.Contains(l, "snapshot restore") })
	if len(restores) != 2 || !strings.Contains(restores[1], "--name n2 --initial-cluster n2=https://172.29.236.12:2380") || !strings.Contains(restores[1], "--mark-compacted") {
		t.Errorf("etcdutl was called with %q", restores)
	}
	n.put(t, "/etc/kubernetes/pki/apiserver.crt", "kubeadm's")
	if _, err := backup.Unpack(t.Context(), n.Machine, o); err != nil || n.text(t, "/etc/kubernetes/pki/apiserver.crt") != "kubeadm's" {
		t.Errorf("kubeadm's certificates went when the data was back already (%v)", err)
	}
}

func TestUnpackTouchesNothingOfOthers(t *testing.T) {
	id, public := key(t)
	for _, tt := range []struct{ reason, mark, want string }{
		{"a living member", "", "there is data of etcd"},
		{"another restore's data", "sha256:" + strings.Repeat("b", 64), "there is data of etcd"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			n := newNode(t)
			o := ordered(t, n, id, archive(t, public))
			n.put(t, "/var/lib/etcd/member/snap/db", "new")
			n.put(t, "/etc/kubernetes/pki/ca.key", "new")
			if tt.mark != "" {
				n.put(t, host.RestoreMark, tt.mark)
			}
			if _, err := backup.Unpack(t.Context(), n.Machine, o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if n.text(t, "/var/lib/etcd/member/snap/db")+n.text(t, "/etc/kubernetes/pki/ca.key") != "newnew" {
				t.Error("something was overwritten")
			}
		})
	}
	n := newNode(t)
	text := archive(t, public)
	o := ordered(t, n, id, text[:len(text)-1])
	n.put(t, "/etc/kubernetes/pki/ca.key", "new")
	if _, err := backup.Unpack(t.Context(), n.Machine, o); err == nil || n.text(t, "/etc/kubernetes/pki/ca.key") != "new" {
		t.Errorf("a damaged archive was used (%v)", err)
	}
}

func FuzzRead(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	plain, err := age.Decrypt(bytes.NewReader(archive(f, id.Recipient().String())), id)
	if err != nil {
		f.Fatal(err)
	}
	seed, err := io.ReadAll(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var sealed bytes.Buffer
		w, err := age.Encrypt(&sealed, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		_, _ = backup.Read(&sealed, []age.Identity{id}, func(name string, _ int64, _ io.Reader) error {
			if strings.Contains(name, "..") || strings.HasPrefix(name, "/") {
				t.Errorf("a member is called %q", name)
			}
			return nil
		})
	})
}

// Copies have what the node has. A place that is away makes the run fail, after the others and after the backup itself.
func TestTakeCopies(t *testing.T) {
	n, place := newNode(t), filepath.Join(t.TempDir(), "elsewhere")
	_, public := key(t)
	s := n.member(t, public)
	s.Copies = "/etc/jeroboam/backup-copies.json"
	n.put(t, s.Copies, `[{"url":"file:///away/hunter2","secretKey":"hunter3"},{"url":"file://`+place+`","keep":1}]`)
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		taken, err := backup.Take(t.Context(), n.Machine, s)
		if err == nil || !strings.Contains(err.Error(), "file:///away/hunter2") || strings.Contains(err.Error(), "hunter3") {
			t.Errorf("a place that is away: %v", err)
		}
		entries, e := os.ReadDir(place)
		if e != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(taken.Path) {
			t.Errorf("there is %v %v and not only %s", entries, e, taken.Path)
		}
		if here := n.text(t, taken.Path); len(here) == 0 || here != read(t, filepath.Join(place, filepath.Base(taken.Path))) {
			t.Error("the copy is another one")
		}
	}
	if mine := n.files(t, s.Directory); len(mine) != 2 {
		t.Errorf("the node has %v", mine)
	}
}

// A place that takes the connection and says nothing more keeps no other from its copy.
func TestAPlaceThatHangs(t *testing.T) {
	n, place := newNode(t), t.TempDir()
	_, public := key(t)
	s := n.member(t, public)
	s.Copies = "/etc/jeroboam/backup-copies.json"
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts: the kernel does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hostKey, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	known, err := ssh.NewPublicKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	url := "sftp://backup@" + l.Addr().String() + "/srv"
	text, err := json.Marshal([]offsite.Target{
		{URL: url, PrivateKey: string(pem.EncodeToMemory(block)), HostKey: string(ssh.MarshalAuthorizedKey(known))}, {URL: "file://" + place},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.put(t, s.Copies, string(text))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := backup.Take(ctx, n.Machine, s)
		ended <- err
	}()
	arrived := func() bool {
		names, err := filepath.Glob(filepath.Join(place, "*.age"))
		return err == nil && len(names) == 1
	}
	for until := time.Now().Add(20 * time.Second); !arrived() && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
	}
	if !arrived() {
		t.Error("the other place has no copy")
	}
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("nothing is said of the place that hangs: %v", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
