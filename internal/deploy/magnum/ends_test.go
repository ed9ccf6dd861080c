package magnum

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// A certificate of the operator's that ends is told of in time, and one that has ended as such; by the clock of the
// place.
func TestCertificatesThatEnd(t *testing.T) {
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ca, err := pki.NewCA(rand.Reader, made, "ExampleCorpIntermediate")
	if err != nil {
		t.Fatal(err)
	}
	server, err := pki.NewServer(ca, []string{"magnum"}, pki.Options{Random: rand.Reader, Now: made, Validity: 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ends, err := pki.End(server.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.End(ca.CertPEM)
	if err != nil || !authority.After(ends) {
		t.Fatalf("the authority ends on %s, what it signed on %s, %v", authority, ends, err)
	}
	if chain, err := pki.End(append(ca.CertPEM, server.CertPEM...)); err != nil || !chain.Equal(ends) {
		t.Errorf("a chain ends with what ends first: %s, %v", chain, err)
	}
	const day, before = 24 * time.Hour, 60 * 24 * time.Hour
	on := ends.Format(time.DateOnly)
	for _, tt := range []struct {
		reason string
		chain  string
		now    time.Time
		plain  bool // no TLS behind load balancers
		want   string
	}{
		{reason: "it is good for long", chain: string(server.CertPEM), now: ends.Add(-before - day)},
		{
			reason: "it ends soon", chain: string(server.CertPEM), now: ends.Add(-before + day),
			want: "the TLS certificate of its server ends on " + on + ": put a new one with its key where magnum_user_ssl_cert and magnum_user_ssl_key name it, or renew that of the role pki",
		},
		{
			reason: "it has ended", chain: string(server.CertPEM), now: ends.Add(day),
			want: "the TLS certificate of its server has ended on " + on + ", and nobody who verifies it believes it: put a new one with its key where magnum_user_ssl_cert and magnum_user_ssl_key name it, or renew that of the role pki",
		},
		{reason: "nobody uses it", chain: string(server.CertPEM), now: ends.Add(day), plain: true},
		{reason: "the time of its place is not known", chain: string(server.CertPEM)},
		{
			reason: "the authority that is to sign has ended", now: authority.Add(day),
			want: "OpenStack-Ansible's authority, which signs the certificate of its server, has ended on " + authority.Format(time.DateOnly) + ", and nobody who verifies it believes it: renew it with certificate-authority.yml",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in := seed(t)
			in.Magnum.Hosts = in.Magnum.Hosts[:1]
			in.Magnum.Hosts[0].Certificate = tt.chain
			in.Magnum.Service.BackendSSL, in.Magnum.Service.BackendTLS.Signer = !tt.plain, string(ca.CertPEM)
			got := ""
			for _, f := range Ends(in, func(intent.MagnumHost) time.Time { return tt.now }, before) {
				if f.Blocks || f.Where != in.Magnum.Hosts[0].Name || f.Judge != "certificate" {
					t.Errorf("%+v", f)
				}
				got += f.Text
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
