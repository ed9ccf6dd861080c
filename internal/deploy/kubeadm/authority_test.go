package kubeadm_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func selfSigned(t *testing.T, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestAuthorities(t *testing.T) {
	in := deploytest.Seed(t)
	in.CustomCA.Allow, in.CustomCA.Cert = true, selfSigned(t, deploytest.Now().AddDate(10, 0, 0))
	a := in.Nodes[0]
	w := deploytest.Want(t, in, deploytest.Facts(in))
	world := deploytest.Converged(w)
	n := world.Nodes[a.Name]
	n.Certificates = append(n.Certificates, host.Certificate{Path: "/etc/kubernetes/pki/etcd/ca.crt", Until: deploytest.Now().Add(90 * 24 * time.Hour), CA: true})
	world.Nodes[a.Name] = n
	p := plan.Judged(plan.Plan{}, kubeadm.Authorities(w.Wanted, world.World))
	var got []string
	for _, f := range p.Findings {
		if f.Blocks {
			t.Errorf("%+v blocks", f)
		}
		got = append(got, f.Where+": "+f.Text)
	}
	text := strings.Join(got, "\n")
	if strings.Count(text, "another authority than kubernetes_custom_ca_cert") != 3 || !strings.Contains(text, a.Name+": /etc/kubernetes/pki/etcd/ca.crt ends on 2027-02-22") {
		t.Error(text)
	}
}

// An authority that has ended is nothing to begin a cluster with.
func TestACustomAuthorityThatHasEnded(t *testing.T) {
	for _, tt := range []struct {
		reason string
		until  time.Time
		blocks int
	}{
		{"it is good", deploytest.Now().AddDate(10, 0, 0), 0},
		{"it ended yesterday", deploytest.Now().AddDate(0, 0, -1), 1},
	} {
		in := deploytest.Seed(t)
		in.CustomCA.Allow, in.CustomCA.EtcdCert = true, selfSigned(t, tt.until)
		w := deploytest.Want(t, in, deploytest.Facts(in))
		world := deploytest.Empty(w)
		p := plan.Judged(deploy.Diff(w, world, deploytest.Now()), kubeadm.Authorities(w.Wanted, world.World))
		found := p.Blocked(nil)
		if len(found) != tt.blocks || tt.blocks > 0 && !strings.Contains(found[0].Text, "kubernetes_custom_etcd_ca_cert has ended on 2026-11-23") {
			t.Errorf("%s: %v", tt.reason, found)
		}
	}
}
