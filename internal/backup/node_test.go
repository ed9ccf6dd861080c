package backup_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// node is a directory that stands for a node of a control plane. etcdctl and etcdutl are played; what they are called
// with is the real part.
type node struct {
	*host.Machine
	ran []string
	// killAt makes a program fail, as if the run were killed there.
	killAt string
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{}
	clock := now
	n.Machine = &host.Machine{Root: t.TempDir(), Now: func() time.Time { clock = clock.Add(time.Hour); return clock }, Exec: n.exec}
	return n
}

func (n *node) exec(_ context.Context, c host.Command) (host.Output, error) {
	line := strings.ReplaceAll(strings.Join(c.Args, " "), n.Root, "")
	n.ran = append(n.ran, line)
	if n.killAt != "" && strings.HasPrefix(line, n.killAt) {
		return host.Output{}, errors.New("killed")
	}
	switch {
	case strings.HasPrefix(line, "etcdctl snapshot save"):
		return host.Output{}, os.WriteFile(c.Args[3], []byte(strings.Repeat("etcd", 1<<18)), 0o600)
	case strings.HasPrefix(line, "etcdutl snapshot status"):
		return host.Output{Out: `{"hash":7,"revision":42,"totalKey":3,"totalSize":4096,"version":"3.6.0"}`}, nil
	case strings.HasPrefix(line, "etcdutl snapshot restore"):
		text, err := os.ReadFile(c.Args[3])
		to := c.Args[slices.Index(c.Args, "--data-dir")+1]
		if _, e := os.Stat(to); !errors.Is(e, fs.ErrNotExist) {
			return host.Output{}, fmt.Errorf("data-dir %s not empty or could not be read", to)
		}
		return host.Output{}, errors.Join(err, os.MkdirAll(to+"/member/snap", 0o700), os.WriteFile(to+"/member/snap/db", text, 0o600))
	}
	return host.Output{Code: 127}, fmt.Errorf("the test knows no %q", line)
}

func (n *node) put(t *testing.T, path, text string) {
	t.Helper()
	p := filepath.Join(n.Root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (n *node) text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// files are the files below a directory with their modes.
func (n *node) files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	root := filepath.Join(n.Root, dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(root, path)
		out = append(out, fmt.Sprintf("%s %#o", rel, info.Mode().Perm()))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// member makes the node one of a control plane with an API server, and gives the settings of its backups.
func (n *node) member(t *testing.T, keys ...string) backup.Settings {
	t.Helper()
	api := httptest.NewTLSServer(http.HandlerFunc(serve))
	t.Cleanup(api.Close)
	for _, name := range []string{"ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub", "etcd/ca.crt", "etcd/ca.key", "apiserver.crt"} {
		n.put(t, "/etc/kubernetes/pki/"+name, "the cluster's "+name)
	}
	n.put(t, "/etc/kubernetes/pki/ca.crt", authority(t))
	kubeconfig, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{
			"server": "https://nowhere:6443", "certificate-authority-data": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}),
		}}},
		"users":    []any{map[string]any{"name": "u", "user": map[string]any{"token": "t"}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.put(t, "/etc/kubernetes/admin.conf", string(kubeconfig))
	return backup.Settings{
		Node: "n1", API: api.URL, Server: "https://172.29.236.9:6443", Kubernetes: "1.36.4", Recipients: keys, Directory: "/var/backup/x", Keep: 2,
	}
}

// serve is an API server with two groups that are exported, one that is not, and one that cannot be listed.
func serve(w http.ResponseWriter, r *http.Request) {
	object := func(kind, ns, name string) map[string]any {
		return map[string]any{"kind": kind, "apiVersion": "v1", "metadata": map[string]any{"name": name, "namespace": ns, "managedFields": []any{map[string]any{"manager": "noise"}}}}
	}
	list := func(kind, next string, items ...map[string]any) map[string]any {
		return map[string]any{"kind": kind + "List", "apiVersion": "v1", "metadata": map[string]any{"continue": next}, "items": items}
	}
	group := func(name string) map[string]any {
		v := map[string]any{"groupVersion": name + "/v1", "version": "v1"}
		return map[string]any{"name": name, "versions": []any{v}, "preferredVersion": v}
	}
	resources := func(names ...string) map[string]any {
		var out []any
		for _, n := range names {
			out = append(out, map[string]any{"name": n, "kind": "K", "namespaced": true, "verbs": []string{"list", "get"}})
		}
		return map[string]any{"kind": "APIResourceList", "resources": out}
	}
	groups := []any{group("cluster.x-k8s.io"), group("apps"), group("broken.cluster.x-k8s.io"), group("magnum.jeroboam.cloud")}
	answers := map[string]any{
		"/api":                               map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis":                              map[string]any{"kind": "APIGroupList", "groups": groups},
		"/apis/cluster.x-k8s.io/v1":          resources("clusters", "clusters/status"),
		"/apis/magnum.jeroboam.cloud/v1":     resources("magnumclusters"),
		"/apis/cluster.x-k8s.io/v1/clusters": list("Cluster", "more", object("Cluster", "tenant", "one")),

		"/apis/cluster.x-k8s.io/v1/clusters?more":       list("Cluster", "", object("Cluster", "tenant", "two")),
		"/apis/magnum.jeroboam.cloud/v1/magnumclusters": list("MagnumCluster", ""),
		"/api/v1/namespaces/tenant/secrets":             list("Secret", "", object("Secret", "tenant", "hunter2")),
		"/api/v1/namespaces/tenant/configmaps":          list("ConfigMap", ""),
		"/api/v1/namespaces/magnum-system/secrets":      list("Secret", ""),
		"/api/v1/namespaces/magnum-system/configmaps":   list("ConfigMap", ""),
	}
	key := r.URL.Path
	if c := r.URL.Query().Get("continue"); c != "" {
		key += "?" + c
	}
	answer, ok := answers[key]
	if !ok {
		http.Error(w, "no "+key, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func key(t *testing.T) (age.Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id, id.Recipient().String()
}
