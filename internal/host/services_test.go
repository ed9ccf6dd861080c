package host_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestUsers(t *testing.T) {
	const add = "useradd --system --gid magnum --home-dir /var/lib/magnum --no-create-home --shell /bin/false --comment Magnum magnum"
	for _, tt := range []struct {
		reason        string
		passwd, group string
		want          []string
	}{
		{reason: "neither is there", want: []string{"groupadd --system magnum", add}},
		{reason: "a run was killed between the two", group: "magnum:x:9:\n", want: []string{add}},
		{reason: "OpenStack-Ansible made both", passwd: "root:x:0:0::/:/\nmagnum:x:9:9::/:/\n", group: "magnum:x:9:\n"},
		{reason: "another's name begins with it", passwd: "magnum2:x:9:9::/:/\n", group: "magnum2:x:9:\n", want: []string{"groupadd --system magnum", add}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m, ran := machine(t, map[string]string{"useradd": "", "groupadd": ""})
			put(t, m, "/etc/passwd", tt.passwd)
			put(t, m, "/etc/group", tt.group)
			item := host.Item{User: &host.User{Name: "magnum", Home: "/var/lib/magnum", Comment: "Magnum"}}
			if err := host.Ensure(t.Context(), m, []host.Item{item}, func(host.Event) {}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *ran, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What others wrote is there again after going over and back, however often and wherever that was interrupted.
func TestAside(t *testing.T) {
	const path, kept, mark, theirs, ours = "/etc/magnum/magnum.conf", "/etc/magnum/magnum.conf.others", "# ours\n", "theirs\n", "# ours\nx\n"
	over := []host.Item{{Aside: &host.Aside{Path: path, To: kept, Mark: mark}}, {File: &host.File{Path: path, Content: ours}}}
	back := []host.Item{{Aside: &host.Aside{Path: path, To: kept, Mark: mark, Back: true}}}
	for _, tt := range []struct {
		reason string
		before string
		runs   [][]host.Item
		want   map[string]string
	}{
		{reason: "over", before: theirs, runs: [][]host.Item{over}, want: map[string]string{path: ours, kept: theirs}},
		{reason: "killed before ours was written", before: theirs, runs: [][]host.Item{over[:1], over}, want: map[string]string{path: ours, kept: theirs}},
		{reason: "over twice keeps theirs, not ours", before: theirs, runs: [][]host.Item{over, over}, want: map[string]string{path: ours, kept: theirs}},
		{reason: "and back", before: theirs, runs: [][]host.Item{over, back}, want: map[string]string{path: theirs}},
		{reason: "back twice", before: theirs, runs: [][]host.Item{over, back, back}, want: map[string]string{path: theirs}},
		{reason: "there was nothing before", runs: [][]host.Item{over, back}, want: map[string]string{}},
		{reason: "back without having been over", before: theirs, runs: [][]host.Item{back}, want: map[string]string{path: theirs}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m, _ := machine(t, nil)
			if owner(t); tt.before != "" {
				put(t, m, path, tt.before)
			}
			for _, items := range tt.runs {
				if err := host.Ensure(t.Context(), m, items, func(host.Event) {}); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]string{}
			for _, p := range []string{path, kept, kept + ".jeroboam-new"} {
				if text, err := os.ReadFile(filepath.Join(m.Root, p)); err == nil {
					got[p] = string(text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func kubeconfig(t *testing.T, ca []byte, account clientcmdapi.AuthInfo) string {
	t.Helper()
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://vip:6443", CertificateAuthorityData: ca}
	cfg.AuthInfos["a"] = &account
	cfg.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "a"}
	cfg.CurrentContext = "x"
	text, err := clientcmd.Write(*cfg)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func token(sub, uid string, end time.Time) string {
	text := fmt.Sprintf(`{"sub":%q,"exp":%d,"kubernetes.io":{"secret":{"uid":%q}}}`, sub, end.Unix(), uid)
	return "h." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".s"
}

func TestCredentials(t *testing.T) {
	now := time.Now()
	ca, err := pki.NewCA(rand.Reader, now, "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	client, err := pki.NewClient(ca, "jeroboam", nil, pki.Options{Random: rand.Reader, Now: now, Validity: 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cert := clientcmdapi.AuthInfo{ClientCertificateData: client.CertPEM, ClientKeyData: client.KeyPEM}
	const account = "system:serviceaccount:jeroboam-proxy:jeroboam-proxy"
	day := 24 * time.Hour
	hash := pki.PublicKeyHash(ca.CertPEM)
	own := owner(t)
	good := host.Credential{Path: "/etc/k", Mode: 0o600, Owner: own, Server: "https://vip:6443", Authority: hash, User: "jeroboam", Before: 60 * day}
	proxy := good
	proxy.User, proxy.Bound = account, "u1"
	for _, tt := range []struct {
		reason string
		want   host.Credential
		have   string
		differ string // aspects, "" for no change
	}{
		{reason: "good", want: good, have: kubeconfig(t, ca.CertPEM, cert)},
		{reason: "nothing there", want: good, differ: "create"},
		{reason: "no kubeconfig", want: good, have: "x: [", differ: "authority, fresh, server, user"},
		{reason: "about to end", want: func() host.Credential { c := good; c.Before = 366 * day; return c }(), have: kubeconfig(t, ca.CertPEM, cert), differ: "fresh"},
		{reason: "another's", want: func() host.Credential { c := good; c.User = "admin"; return c }(), have: kubeconfig(t, ca.CertPEM, cert), differ: "user"},
		{reason: "of another cluster", want: func() host.Credential { c := good; c.Authority = "sha256:00"; return c }(), have: kubeconfig(t, ca.CertPEM, cert), differ: "authority"},
		{reason: "a token", want: proxy, have: kubeconfig(t, ca.CertPEM, clientcmdapi.AuthInfo{Token: token(account, "u1", now.Add(100*day))})},
		{reason: "a token that ends", want: proxy, have: kubeconfig(t, ca.CertPEM, clientcmdapi.AuthInfo{Token: token(account, "u1", now.Add(59*day))}), differ: "fresh"},
		{reason: "a token that was revoked", want: proxy, have: kubeconfig(t, ca.CertPEM, clientcmdapi.AuthInfo{Token: token(account, "u0", now.Add(100*day))}), differ: "bound"},
		{reason: "a token that never ends", want: proxy, have: kubeconfig(t, ca.CertPEM, clientcmdapi.AuthInfo{Token: "opaque"}), differ: "bound, fresh, user"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m, _ := machine(t, nil)
			if tt.have != "" {
				put(t, m, "/etc/k", tt.have)
				if err := os.Chmod(filepath.Join(m.Root, "/etc/k"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			have, err := host.Observe(t.Context(), m, []host.Item{{Credential: &tt.want}})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if change := (host.Item{Credential: &tt.want}).Diff(have[0]); change != nil {
				if got = "create"; change.Action != plan.Create {
					got = differing(host.Item{Credential: &tt.want}, have[0])
				}
			}
			if got != tt.differ {
				t.Errorf("differs in %q, not %q: %v", got, tt.differ, have[0])
			}
			if text := fmt.Sprint(have[0]); strings.Contains(text, "PRIVATE") || strings.Contains(text, "h.ey") {
				t.Errorf("what was observed has a secret: %s", text)
			}
			if err := host.Ensure(t.Context(), m, []host.Item{{Credential: &tt.want}}, func(host.Event) {}); (err != nil) != (tt.differ != "") {
				t.Errorf("without a content: %v", err)
			}
		})
	}
}

// differing are the aspects in which a thing differs, in order.
func differing(i host.Item, have plan.Facts) string {
	var out []string
	for k, v := range i.Thing(have).Want {
		if have[k] != v {
			out = append(out, k)
		}
	}
	for n := range out {
		for o := range out[:n] {
			if out[n] < out[o] {
				out[n], out[o] = out[o], out[n]
			}
		}
	}
	return strings.Join(out, ", ")
}

// The agent's own program is brought nowhere: it is there.
func TestOwnProgram(t *testing.T) {
	owner(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	item := host.Item{File: &host.File{Path: "/usr/local/bin/jeroboam", Self: true, Blob: digest(string(text)), Mode: 0o755}}
	if len(item.Blobs()) != 0 {
		t.Errorf("the program would be uploaded: %v", item.Blobs())
	}
	m, _ := machine(t, nil)
	if diff := cmp.Diff([]string{"create file /usr/local/bin/jeroboam"}, settle(t, m, item)); diff != "" {
		t.Error(diff)
	}
	item.File.Blob, item.File.Path = digest("another build"), "/usr/local/bin/other"
	if err := host.Ensure(t.Context(), m, []host.Item{item}, func(host.Event) {}); err == nil {
		t.Error("an agent of another build was taken for the program")
	}
}
