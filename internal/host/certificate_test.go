package host_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// A server's certificate is made anew when it is not what it should be, and its key never shows.
func TestServerCertificates(t *testing.T) {
	now := time.Now()
	authority := func(name string) pki.Authority {
		ca, err := pki.NewCA(rand.Reader, now, name)
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca, other := authority("ours"), authority("another's")
	signed := func(by pki.Authority, validity time.Duration, names ...string) pki.Client {
		made, err := pki.NewServer(by, names, pki.Options{Random: rand.Reader, Now: now, Validity: validity})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	const year = 365 * 24 * time.Hour
	good := signed(ca, year, "m1", "172.29.236.50")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	want := host.ServerCertificate{
		Path: "/etc/magnum/magnum.pem", Key: "/etc/magnum/magnum.key", Mode: 0o640, Owner: me.Username + ":" + me.Username, Names: []string{"172.29.236.50", "m1"},
		Authority: pki.PublicKeyHash(ca.CertPEM), Before: 60 * 24 * time.Hour,
	}
	for _, tt := range []struct {
		reason    string
		cert, key []byte
		chain     []byte
		differs   string // what of it is not as it should be; "": nothing
	}{
		{"as it should be", good.CertPEM, good.KeyPEM, ca.CertPEM, ""},
		{"not there", nil, nil, nil, "create"},
		{"killed after the key", nil, good.KeyPEM, nil, "create"},
		{"killed between two", good.CertPEM, signed(ca, year, "m1").KeyPEM, ca.CertPEM, "key"},
		{"of another authority", signed(other, year, "m1", "172.29.236.50").CertPEM, nil, other.CertPEM, "key"},
		{"without its chain, load balancers do not believe it", good.CertPEM, good.KeyPEM, nil, "authority"},
		{"for another address", signed(ca, year, "m1", "172.29.236.51").CertPEM, nil, ca.CertPEM, "key"},
	} {
		m, _ := machine(t, nil)
		put(t, m, "/etc/magnum/x", "")
		if tt.cert != nil {
			put(t, m, want.Path, string(tt.cert)+string(tt.chain))
		}
		if tt.key != nil {
			put(t, m, want.Key, string(tt.key))
			if err := os.Chmod(m.Root+want.Key, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		c := want
		item := host.Item{Certificate: &c}
		seen, err := host.Observe(t.Context(), m, []host.Item{item})
		if err != nil {
			t.Fatal(err)
		}
		change := item.Diff(seen[0])
		if got := fmt.Sprint(change); tt.differs == "" && change != nil || tt.differs != "" && (change == nil || !strings.Contains(got, tt.differs)) && tt.key != nil {
			t.Errorf("%s: the plan has %s", tt.reason, got)
		}
		if strings.Contains(fmt.Sprint(change, seen[0]), "PRIVATE") {
			t.Errorf("%s: the key shows", tt.reason)
		}
		if err := host.Ensure(t.Context(), m, []host.Item{item}, func(host.Event) {}); (err == nil) != (change == nil) {
			t.Errorf("%s: without anything to write: %v", tt.reason, err)
		}
		c.Content, c.KeyContent = string(good.CertPEM)+string(ca.CertPEM), string(good.KeyPEM)
		if err := host.Ensure(t.Context(), m, []host.Item{item}, func(host.Event) {}); err != nil {
			t.Fatalf("%s: %v", tt.reason, err)
		}
		if seen, err = host.Observe(t.Context(), m, []host.Item{item}); err != nil || item.Diff(seen[0]) != nil {
			t.Errorf("%s: after it was written: %v, %v", tt.reason, item.Diff(seen[0]), err)
		}
		later := *m
		later.Now = func() time.Time { return now.Add(year - 30*24*time.Hour) }
		if seen, err = host.Observe(t.Context(), &later, []host.Item{item}); err != nil || item.Diff(seen[0]) == nil {
			t.Errorf("%s: it is not renewed thirty days before its end: %v", tt.reason, err)
		}
	}
}
