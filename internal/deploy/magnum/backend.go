package magnum

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// backendTLS are the files of a server that speaks TLS to load balancers: the operator's or the role pki's where there
// are any, otherwise ours, for the names that os_magnum asks for (magnum_pki_san).
func backendTLS(w Wish, h intent.MagnumHost) []host.Item {
	m := w.Intent.Magnum.Service
	const owner, mode = "root:" + account, 0o640
	switch {
	case !m.BackendSSL:
		return nil
	case h.Certificate != "":
		return []host.Item{
			{File: &host.File{Path: m.BackendTLS.Key, Content: h.Key.Reveal(), Mode: mode, Owner: owner, Secret: true}},
			{File: &host.File{Path: m.BackendTLS.Cert, Content: h.Certificate, Mode: mode, Owner: owner}},
		}
	}
	return []host.Item{{Certificate: &host.ServerCertificate{
		Path: m.BackendTLS.Cert, Key: m.BackendTLS.Key, Mode: mode, Owner: owner,
		Names:     []string{strings.ReplaceAll(h.Name, "_", "-"), h.ManagementAddress},
		Authority: pki.PublicKeyHash([]byte(m.BackendTLS.Signer)), Before: w.Renew,
	}}}
}

// tlsPaths are the files of an item that a server reads when it starts.
func tlsPaths(i host.Item) []string {
	if i.Certificate != nil {
		return []string{i.Certificate.Path, i.Certificate.Key}
	}
	return []string{i.File.Path}
}

// noTLS removes a certificate that a deployment has made, and its key. What the role pki or the operator has is left,
// and so is what OpenStack's own Magnum serves with, where that is there as well: whose certificate it is was not asked
// if the operator wants that one.
func noTLS(in intent.Intent, h intent.MagnumHost, f Found) []host.Item {
	m := in.Magnum.Service
	if !m.BackendSSL || h.Certificate != "" || f.Theirs {
		return nil
	}
	return []host.Item{{File: &host.File{Path: m.BackendTLS.Key, Gone: true}}, {File: &host.File{Path: m.BackendTLS.Cert, Gone: true}}}
}

// Signable refuses a service whose servers need certificates that nobody can make. Reading the configuration only warns
// of it, as long as nobody has said who serves.
func Signable(in intent.Intent) error {
	m := in.Magnum.Service
	for _, h := range in.Magnum.Hosts {
		if m.BackendSSL && h.Certificate == "" && m.BackendTLS.Signer == "" {
			return fmt.Errorf("magnum_backend_ssl is true, %s has no certificate, and there is no authority that could sign one: "+
				"run OpenStack-Ansible's certificate-authority.yml first, name files in magnum_user_ssl_cert and magnum_user_ssl_key, or set magnum_backend_ssl: false", h.Name)
		}
	}
	return nil
}

// sign makes a server's certificate and key with OpenStack-Ansible's authority, with the chain that load balancers
// need.
func sign(in intent.Intent, c host.ServerCertificate, random io.Reader, now time.Time) (host.ServerCertificate, error) {
	tls := in.Magnum.Service.BackendTLS
	ca := pki.Authority{CertPEM: []byte(tls.Signer), KeyPEM: []byte(tls.SignerKey.Reveal())}
	made, err := pki.NewServer(ca, c.Names, pki.Options{Random: random, Now: now})
	if err != nil {
		return c, err
	}
	if err := believed(made.CertPEM, []byte(tls.Signer)); err != nil {
		return c, fmt.Errorf("load balancers would not believe what the authority signs (openstack_pki_service_intermediate_cert_name): %w", err)
	}
	c.Content, c.KeyContent = string(made.CertPEM)+tls.Signer, string(made.KeyPEM)
	return c, nil
}

// believed verifies a certificate as load balancers will, who know the last one of a chain.
func believed(leaf, chain []byte) error {
	block, _ := pem.Decode(leaf)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for rest := chain; ; {
		block, next := pem.Decode(rest)
		if block == nil {
			break
		}
		above, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		between.AddCert(above)
		if more, _ := pem.Decode(next); more == nil {
			roots.AddCert(above)
		}
		rest = next
	}
	_, err = cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: cert.NotBefore.Add(time.Minute)})
	return err
}
