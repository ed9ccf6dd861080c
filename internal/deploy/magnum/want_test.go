package magnum

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Update is for all tests of the package: those outside of it know more of a deployment.
var Update = golden.Flag()

const canary = "hunter2-of-magnum"

// seed is the configuration of the document Jeroboam started from, with an account.
func seed(t *testing.T) intent.Intent {
	t.Helper()
	opts := intent.Options{Config: "../../osa/testdata/oracle/ha3/deploy", Environment: "../../osa/testdata/base/30.1.5", System: "testdata/nowhere"}
	in, _, err := intent.Read(opts)
	if err != nil {
		t.Fatal(err)
	}
	in.Magnum.Service.Password = intent.NewSecret(canary)
	in.Magnum.Service.Authorities = map[string]string{"ExampleCorpRoot": "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"}
	return in
}

func wish(t *testing.T) Wish {
	t.Helper()
	return Wish{
		Intent: seed(t), Program: "sha256:" + strings.Repeat("ab", 32), Server: "https://172.29.236.9:6443", Authority: "sha256:cd", Renew: 60 * 24 * time.Hour,
		Catalogue: map[string]string{"catalogue.yaml": "sha256:" + strings.Repeat("01", 32), "cilium-1.19.6.tgz": "sha256:" + strings.Repeat("02", 32)},
	}
}

// lines are items as people read them.
func lines(items []host.Item) string {
	var b strings.Builder
	for _, i := range items {
		t := i.Thing(nil)
		fmt.Fprintf(&b, "%s %s", t.Kind, t.Name)
		for _, k := range []string{"mode", "owner", "user", "server", "enabled", "active", "kept", "of", "sha256"} {
			if v, ok := t.Want[k]; ok && (k != "sha256" || !t.Secret) {
				fmt.Fprintf(&b, " %s=%s", k, v)
			}
		}
		if t.Want == nil {
			b.WriteString(" GONE")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestWant(t *testing.T) {
	w := wish(t)
	items := Want(w, w.Intent.Magnum.Hosts[0])
	golden.Compare(t, *Update, "want.txt", lines(items))
	for _, i := range items {
		if c := i.Diff(nil); c != nil && strings.Contains(fmt.Sprint(*c), canary) {
			t.Errorf("the password is in the plan: %+v", *c)
		}
		if f := i.File; f != nil && strings.Contains(f.Content, canary) && (f.Mode&0o007 != 0 || !f.Secret) {
			t.Errorf("%s has the password and mode %o", f.Path, f.Mode)
		}
	}
	last := items[len(items)-1].Unit
	if last == nil || last.Name != unit {
		t.Fatalf("the service does not start last: %+v", items[len(items)-1])
	}
	for _, i := range items { // whatever it reads makes it start again
		if f := i.File; f != nil && !f.Dir && !contains(last.Uses, f.Path) {
			t.Errorf("the service does not notice that %s changes", f.Path)
		}
	}
	for _, path := range last.Uses {
		if !strings.Contains(lines(items), " "+path+" ") {
			t.Errorf("it waits for changes of %s, which nobody writes", path)
		}
	}
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func TestLeave(t *testing.T) {
	golden.Compare(t, *Update, "leave.txt", lines(leave(Found{Ours: true, Theirs: true}))+"\nwhere OpenStack's own was never there:\n"+lines(leave(Found{Ours: true})))
}

func TestConfig(t *testing.T) {
	in := seed(t)
	golden.Compare(t, *Update, "magnum.conf", Config(in, in.Magnum.Hosts[0]))
	for _, tt := range []struct {
		reason string
		change func(*intent.Intent)
		want   string
		not    string
	}{
		{"an override wins where the option stands", func(in *intent.Intent) { over(in, "api", "port", "9999") }, "\nport = 9999\n", "9511\n\n[keystone"},
		{"a new section", func(in *intent.Intent) { over(in, "quotas", "max_clusters_per_project", "7") }, "[quotas]\nmax_clusters_per_project = 7\n", ""},
		{"a mapping of nothing repeats the option", func(in *intent.Intent) { over(in, "oslo_policy", "policy_dirs", "a\nb") }, "policy_dirs = a\npolicy_dirs = b\n", ""},
		{"an option without a meaning stays", func(in *intent.Intent) { over(in, "docker_registry", "swift_region", "x") }, "[docker_registry]\nswift_region = x\n", ""},
		{"without authorities of its own, the system's are trusted", func(in *intent.Intent) { in.Magnum.Service.Authorities = nil }, "[keystone_authtoken]", "cafile"},
		{"a name is nothing to listen on", func(in *intent.Intent) { in.Magnum.Hosts[0].Bind = "openstack.example.com" }, "host = 0.0.0.0\n", "openstack.example.com\nport"},
		{"only load balancers are believed", func(in *intent.Intent) {
			in.HAProxy.Hosts = in.HAProxy.Hosts[:1]
			in.VIPs.Internal.Bind = "openstack.internal"
		}, "trusted_proxies = 172.29.236.11\n", "openstack.internal"},
	} {
		in := seed(t)
		tt.change(&in)
		got := Config(in, in.Magnum.Hosts[0])
		if !strings.Contains(got, tt.want) || tt.not != "" && strings.Contains(got, tt.not) {
			t.Errorf("%s: no %q, or %q, in\n%s", tt.reason, tt.want, tt.not, got)
		}
	}
}

// TestBackendTLS: a server that speaks TLS has the operator's certificate, or one that load balancers believe, and
// waits for neither with plain HTTP.
func TestBackendTLS(t *testing.T) {
	root, err := pki.NewCA(rand.Reader, time.Now(), "ExampleCorpIntermediate")
	if err != nil {
		t.Fatal(err)
	}
	w := wish(t)
	in, h := &w.Intent, &w.Intent.Magnum.Hosts[0]
	if url := Health(*in, *h); !strings.HasPrefix(url, "http://") {
		t.Errorf("without TLS it is asked at %s", url)
	}
	in.Magnum.Service.BackendSSL = true
	in.Magnum.Service.BackendTLS.Signer, in.Magnum.Service.BackendTLS.SignerKey = string(root.CertPEM), intent.NewSecret(string(root.KeyPEM))
	if url := Health(*in, *h); !strings.HasPrefix(url, "https://") {
		t.Errorf("with TLS it is asked at %s", url)
	}
	if text := Config(*in, *h); !strings.Contains(text, "\nenabled_ssl = True\nssl_cert_file = /etc/magnum/magnum.pem\nssl_key_file = /etc/magnum/magnum.key\n") {
		t.Errorf("its configuration is\n%s", text)
	}
	var item *host.ServerCertificate
	items := Want(w, *h)
	for _, i := range items {
		if i.Certificate != nil {
			item = i.Certificate
		}
	}
	if item == nil {
		t.Fatalf("it has no certificate: %s", lines(items))
	}
	made, err := sign(*in, *item, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(made.Content), []byte(made.KeyContent))
	if err != nil || len(pair.Certificate) != 2 {
		t.Fatalf("the certificate and its chain: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root.CertPEM)
	for _, name := range []string{h.Name, h.ManagementAddress} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
			t.Errorf("load balancers do not believe it as %s: %v", name, err)
		}
	}
	short := *in // an authority that may not have another one below itself
	another, err := pki.NewCA(rand.Reader, time.Now(), "another's")
	if err != nil {
		t.Fatal(err)
	}
	short.Magnum.Service.BackendTLS.Signer += string(another.CertPEM)
	if _, err := sign(short, *item, rand.Reader, time.Now()); err == nil || !strings.Contains(err.Error(), "would not believe") {
		t.Errorf("a chain that leads nowhere is taken: %v", err)
	}
	if gone := lines(noTLS(*in, *h, Found{Ours: true})); !strings.Contains(gone, "/etc/magnum/magnum.key GONE") {
		t.Errorf("a key that we made stays after a removal: %s", gone)
	}
	if gone := noTLS(*in, *h, Found{Ours: true, Theirs: true}); gone != nil {
		t.Errorf("OpenStack's own Magnum is there as well, and loses its certificate: %s", lines(gone))
	}
	if err := Signable(*in); err != nil {
		t.Errorf("there is an authority, and: %v", err)
	}
	nobody := *in
	nobody.Magnum.Service.BackendTLS.Signer = ""
	if err := Signable(nobody); err == nil || !strings.Contains(err.Error(), h.Name) {
		t.Errorf("nobody can sign, and it is found out when the cluster has been changed: %v", err)
	}
	nobody.Magnum.Service.BackendSSL = false
	if err := Signable(nobody); err != nil {
		t.Errorf("without TLS: %v", err)
	}
	h.Certificate, h.Key = "-----BEGIN CERTIFICATE-----\n", intent.NewSecret(canary)
	if gone := noTLS(*in, *h, Found{Ours: true}); gone != nil {
		t.Errorf("the operator's own files are removed: %s", lines(gone))
	}
	items = Want(w, *h)
	for _, i := range items {
		if i.Certificate != nil {
			t.Errorf("the operator has a certificate, and one is made")
		}
		if c := i.Diff(nil); c != nil && strings.Contains(fmt.Sprint(*c), canary) {
			t.Errorf("the key is in the plan: %+v", *c)
		}
	}
	for _, path := range []string{"/etc/magnum/magnum.pem", "/etc/magnum/magnum.key"} {
		if !contains(items[len(items)-1].Unit.Uses, path) {
			t.Errorf("the service does not notice that %s changes", path)
		}
	}
}

func over(in *intent.Intent, section, name, value string) {
	if in.Magnum.ConfigOverrides[section] == nil {
		in.Magnum.ConfigOverrides[section] = map[string]string{}
	}
	in.Magnum.ConfigOverrides[section][name] = value
}

func TestServes(t *testing.T) {
	ours, theirs, both := Found{Ours: true}, Found{Theirs: true}, Found{Ours: true, Theirs: true}
	for _, tt := range []struct {
		reason string
		word   string
		found  map[string]Found
		want   string
		says   string
	}{
		{reason: "a new cloud", found: map[string]Found{"a": {}, "b": {}}, want: "jeroboam"},
		{reason: "a cloud whose Magnum nobody spoke of keeps it", found: map[string]Found{"a": theirs}, want: "magnum", says: "stays"},
		{reason: "a new server beside OpenStack's own", found: map[string]Found{"a": theirs, "b": {}}, want: "magnum", says: "stays"},
		{reason: "once over, it stays over", found: map[string]Found{"a": both}, want: "jeroboam"},
		{reason: "going over", word: "jeroboam", found: map[string]Found{"a": theirs, "b": theirs}, want: "jeroboam", says: "stop on a, b"},
		{reason: "killed on the way", word: "jeroboam", found: map[string]Found{"a": both, "b": theirs}, want: "jeroboam", says: "stop on a, b"},
		{reason: "gone over", word: "jeroboam", found: map[string]Found{"a": both, "b": both}, want: "jeroboam"},
		{reason: "back", word: "magnum", found: map[string]Found{"a": both}, want: "magnum", says: "stops on a"},
		{reason: "it has always been so", word: "magnum", found: map[string]Found{"a": theirs}, want: "magnum"},
		{reason: "Jeroboam, as it was", word: "jeroboam", found: map[string]Found{"a": ours}, want: "jeroboam"},
	} {
		in := intent.Intent{Magnum: intent.Magnum{Hosts: make([]intent.MagnumHost, 1), Service: intent.MagnumService{Implementation: tt.word}}}
		got, why := serves(in, tt.found)
		if got != tt.want || !strings.Contains(why.Text, tt.says) || tt.says == "" && why.Text != "" || why.Blocks {
			t.Errorf("%s: %s, %+v", tt.reason, got, why)
		}
	}
	if got, _ := serves(intent.Intent{}, nil); got != "" {
		t.Errorf("without a host, %s serves", got)
	}
	there := plan.Facts{"mode": "0644"}
	for want, seen := range map[Found][]plan.Facts{{}: {nil, nil, nil}, ours: {there, nil, nil}, theirs: {nil, nil, there}, both: {there, there, there}} {
		if len(seen) != len(witnesses()) || foundBy(seen) != want {
			t.Errorf("%v is %+v, not %+v", seen, foundBy(seen), want)
		}
	}
}
