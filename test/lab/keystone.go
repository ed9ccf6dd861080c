package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// keystoneIP is where Debian's own Keystone runs, behind the lab's load balancer, in a lab that has one. It stands for
// the identity service of the cloud that Magnum and proxies belong to; the rest of that cloud is not there.
const keystoneIP = "172.29.236.20"

// labPassword is of Keystone's administrator and of Magnum's account: of no use outside the lab's network.
const labPassword = "lab"

// keystoneFiles make Debian's keystone package a service: tables in a file, which only one thread at a time may use,
// and the administrator's account.
func keystoneFiles() map[string]string {
	internal, public := "https://"+internalVIP+":5000/v3", "https://"+external+":5000/v3"
	return map[string]string{
		"usr/local/sbin/lab-keystone": `#!/bin/sh -e
sed -i -e 's/,apparmor//' -e '/^apparmor-profile/d' -e 's/^processes *=.*/processes = 1/' -e 's/^threads *=.*/threads = 1/' /etc/keystone/keystone-uwsgi.ini
# uwsgi closes a connection after each answer, and has to say so.
grep -q '^add-header' /etc/keystone/keystone-uwsgi.ini || printf '\nadd-header = Connection: close\n' >> /etc/keystone/keystone-uwsgi.ini
keystone-manage db_sync
# Keystone's own readers, which it forgets to end, would lock its writers out otherwise.
python3 -c 'import sqlite3; sqlite3.connect("/var/lib/keystone/keystone.db").execute("PRAGMA journal_mode=WAL")'
keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
keystone-manage bootstrap --bootstrap-password ` + labPassword + ` --bootstrap-region-id RegionOne --bootstrap-admin-url ` + internal +
			` --bootstrap-internal-url ` + internal + ` --bootstrap-public-url ` + public + `
chown -R keystone: /var/lib/keystone /var/log/keystone
`,
		"etc/systemd/system/lab-keystone.service": `[Unit]
Before=keystone.service
ConditionPathExists=!/var/lib/keystone/made
[Service]
Type=oneshot
ExecStart=/bin/sh -e /usr/local/sbin/lab-keystone
ExecStart=touch /var/lib/keystone/made
[Install]
RequiredBy=keystone.service
`,
		"etc/keystone/keystone.conf.d/lab.conf": "[database]\nconnection = sqlite:////var/lib/keystone/keystone.db\n[token]\nprovider = fernet\n",
	}
}

// keystoneFragment is Keystone at the load balancer, as OpenStack-Ansible's role leaves it: TLS on both virtual
// addresses, each with a certificate of its own.
func keystoneFragment(balancer string) string {
	text := "\n# Ansible managed\n"
	for i, address := range []string{external, internalVIP} {
		text += fmt.Sprintf(`
frontend keystone_service-front-%d
    bind %s:5000 ssl crt %s alpn h2,http/1.1
    option httplog
    option forwardfor except 127.0.0.0/8
    http-request add-header X-Forwarded-Proto https
    mode http
    default_backend keystone_service-back
`, i+1, address, "/"+certificateFile(balancer, address))
	}
	return text + `
backend keystone_service-back
    mode http
    balance leastconn
    option forwardfor
    option httpchk GET /v3
    server keystone ` + keystoneIP + `:5000 check port 5000 inter 2000 rise 1 fall 3
`
}

// certificateFile is the role's name for the certificate of a virtual address.
func certificateFile(balancer, address string) string {
	return "etc/haproxy/ssl/haproxy_" + balancer + "-" + address + ".pem"
}

// makeAuthorities makes two: OpenStack-Ansible's own, which it keeps with the operator's configuration and which signs
// for the internal address, and somebody else's, which signs for the external one. Clients find the second one at
// authorities/public.crt. Load balancers trust the first one's root, as all hosts of OpenStack-Ansible do, and its
// intermediate one is there to sign for servers behind them.
func (l *Lab) makeAuthorities(ctx context.Context) error {
	if !l.hasKeystone() && l.Cloud == "" {
		return nil
	}
	const root = "openstack_deploy/pki/roots/ExampleCorpRoot/certs/ExampleCorpRoot.crt"
	for _, a := range []struct{ name, certificate, address string }{
		{"ExampleCorpRoot", root, internalVIP},
		{"Public Trust", "authorities/public.crt", external},
	} {
		ca, err := newAuthority(a.name, nil)
		if err != nil {
			return err
		}
		server, err := pki.NewServer(ca, []string{a.address}, pki.Options{Random: rand.Reader, Now: time.Now()})
		if err != nil {
			return err
		}
		files := map[string]string{a.certificate: string(ca.CertPEM)}
		for _, h := range l.Hosts {
			if h.Balancer {
				files[strings.TrimPrefix(l.root(h), l.Dir+"/")+"/"+certificateFile(h.Name, a.address)] = string(server.CertPEM) + string(server.KeyPEM)
			}
		}
		if a.certificate == root {
			const dir = "openstack_deploy/pki/roots/" + intermediate
			below, err := newAuthority(intermediate, &ca)
			if err != nil {
				return err
			}
			files[dir+"/certs/"+intermediate+".crt"] = string(below.CertPEM)
			files[dir+"/certs/"+intermediate+"-chain.crt"] = string(below.CertPEM) + string(ca.CertPEM)
			files[dir+"/private/"+intermediate+".key.pem"] = string(below.KeyPEM)
		}
		if err := writeFiles(l.Dir, files); err != nil {
			return err
		}
	}
	return l.trust(ctx, l.path(root))
}

// intermediate is the role pki's name for the authority that signs for servers.
const intermediate = "ExampleCorpIntermediate"

// newAuthority makes one below another, or one of its own. It may have others below itself, which Jeroboam's own may
// not.
func newAuthority(name string, above *pki.Authority) (pki.Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pki.Authority{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pki.Authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	parent, signer := template, crypto.PrivateKey(key)
	if above != nil {
		pair, err := tls.X509KeyPair(above.CertPEM, above.KeyPEM)
		if err != nil {
			return pki.Authority{}, err
		}
		parent, signer = pair.Leaf, pair.PrivateKey
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pki.Authority{}, err
	}
	return pki.Authority{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

// trust adds an authority to those that load balancers' systems trust.
func (l *Lab) trust(_ context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, h := range l.Hosts {
		if !h.Balancer {
			continue
		}
		bundle := filepath.Join(l.root(h), "etc/ssl/certs/ca-certificates.crt")
		if err := os.MkdirAll(filepath.Dir(bundle), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(bundle, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) hasKeystone() bool {
	for _, h := range l.Hosts {
		if h.Keystone {
			return true
		}
	}
	return false
}

// keystoneDeployFiles are what an operator's files have where there is a Keystone, in place of the word that nobody
// serves Magnum.
func keystoneDeployFiles() map[string]string {
	return map[string]string{
		"user_magnum.yml": "openstack_service_internaluri_proto: https\nopenstack_service_adminuri_proto: https\n" +
			"haproxy_magnum_service_overrides:\n  haproxy_ssl_all_vips: true\n",
		"user_secrets.yml": "keystone_auth_admin_password: " + labPassword + "\nmagnum_service_password: magnum-of-the-lab\n",
	}
}

// enableKeystone makes the package's service start at boot, after its tables.
func enableKeystone(ctx context.Context, root string) error {
	if err := os.Remove(filepath.Join(root, "var/lib/keystone/keystonedb")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return machine.Command(ctx, "systemctl", "--root", root, "--quiet", "enable", "lab-keystone", "keystone")
}
