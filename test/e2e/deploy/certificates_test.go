package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// authority makes an operator's own authority.
func authority(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Example Corp"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", text)
}

// TestCustomAuthorities deploys with the operator's own authorities, on hosts without a cluster.
func TestCustomAuthorities(t *testing.T) {
	l := open(t)
	if os.Getenv("BUNDLE_PATCH_BEFORE") != "" {
		l = l.other(t, "BUNDLE_PATCH_BEFORE") // so that the tests of upgrades go on from here
	}
	if have := l.ssh(t, "infra1", "lxc-ls -1"); have != "" {
		t.Skip("needs hosts without containers (lab down, lab up): authorities are for new clusters")
	}
	var secrets strings.Builder
	certs := map[string]string{}
	for _, name := range []string{"ca", "etcd_ca", "front_proxy_ca"} {
		cert, key := authority(t, name)
		certs[name] = cert
		for what, text := range map[string]string{"cert": cert, "key": key} {
			secrets.WriteString("kubernetes_custom_" + name + "_" + what + ": |\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n")
		}
	}
	secrets.WriteString("kubernetes_allow_custom_ca: true\n")
	if err := os.WriteFile(l.dir+"/openstack_deploy/user_secrets.yml", []byte(secrets.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l.configure(t)
	t.Logf("deployed in %.0f s", l.applied(t).Seconds())
	for _, n := range l.nodes(t) {
		for name, path := range map[string]string{"ca": "ca", "etcd_ca": "etcd/ca", "front_proxy_ca": "front-proxy-ca"} {
			if got := l.inside(t, n, "cat /etc/kubernetes/pki/"+path+".crt"); strings.TrimSpace(got) != strings.TrimSpace(certs[name]) {
				t.Errorf("%s has another %s than the operator's", n.name, path)
			}
			if mode := l.inside(t, n, "stat -c %a /etc/kubernetes/pki/"+path+".key"); strings.TrimSpace(mode) != "600" {
				t.Errorf("%s.key has mode %s", path, mode)
			}
		}
	}
	// What serves the virtual address was signed by it.
	file := t.TempDir() + "/ca.crt"
	if err := os.WriteFile(file, []byte(certs["ca"]), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := l.run(t, "sh", "-c", "echo | timeout 20 openssl s_client -connect 172.29.236.9:6443 -CAfile "+file+" -verify_return_error 2>&1")
	if !strings.Contains(out, "Verify return code: 0") {
		t.Errorf("the API at the virtual address is not verified by the operator's authority: %s", out)
	}
}

// TestRenewal lets apply renew certificates that end in ten days.
func TestRenewal(t *testing.T) {
	l := open(t)
	l.configure(t)
	l.applied(t, "--allow", "restart")
	soon := time.Now().Add(60 * 24 * time.Hour)
	for _, n := range l.members(t) {
		if n.Expires.Before(soon) {
			t.Fatalf("%s has a certificate that ends on %s already", n.Name, n.Expires)
		}
	}
	nodes := l.nodes(t)
	for _, n := range nodes {
		l.inside(t, n, "(kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get cm kubeadm-config -o jsonpath={.data.ClusterConfiguration} | grep -v certificateValidityPeriod; echo certificateValidityPeriod: 240h) > /run/short.yaml && kubeadm certs renew all --config /run/short.yaml >/dev/null && rm /run/short.yaml")
	}
	out, code := l.deploy(t, "plan")
	if code != 2 || strings.Count(out, "kubeadm certs renew") != len(nodes) {
		t.Fatalf("certificates end in ten days; plan: status %d\n%s", code, out)
	}
	if out, code := l.deploy(t, "apply"); code != 1 || !strings.Contains(out, "(restart)") {
		t.Errorf("renewing restarts etcd, and nobody allowed it: status %d\n%s", code, out)
	}
	l.applied(t, "--allow", "restart")
	for _, n := range l.members(t) {
		if n.Expires.Before(time.Now().Add(300 * 24 * time.Hour)) {
			t.Errorf("%s: a certificate still ends on %s", n.Name, n.Expires)
		}
		// What is served is new as well: the API server, and etcd.
		for _, port := range []string{"6443", "2379"} {
			end, _ := l.run(t, "sh", "-c", "echo | timeout 20 openssl s_client -connect "+n.Address+":"+port+" 2>/dev/null | openssl x509 -noout -checkend 25920000")
			if !strings.Contains(end, "will not expire") {
				t.Errorf("%s serves on %s a certificate that ends soon: %s", n.Name, port, end)
			}
		}
	}
}
