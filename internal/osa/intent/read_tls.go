package intent

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// BackendTLS is TLS between load balancers and Magnum's servers, where magnum_backend_ssl asks for it. The files of a
// server are the operator's (magnum_user_ssl_cert, magnum_user_ssl_key), or those that the role pki has made for
// os_magnum; where there are none, a deployment makes them as that role would, signed by OpenStack-Ansible's own
// authority.
type BackendTLS struct {
	// Cert and Key are where they are on a server: magnum_ssl_cert, magnum_ssl_key.
	Cert string `json:"cert"`
	Key  string `json:"key"`
	// Signer is the authority that signs, with those above it, in PEM; SignerKey its key. Empty where every server has
	// files.
	Signer    string `json:"signer"`
	SignerKey Secret `json:"signerKey"`
}

// backendTLS reads the servers' certificates, each with its chain, and who signs those that are not there. s is of
// Magnum's first host.
func (r *reader) backendTLS(s *scope) {
	const at = "magnum.service.backendTLS"
	m := &r.in.Magnum
	m.Service.BackendTLS.Cert, m.Service.BackendTLS.Key = s.text(at+".cert", "magnum_ssl_cert"), s.text(at+".key", "magnum_ssl_key")
	derived := Origin{Variable: "openstack_pki_dir", Level: "derived", Why: "files below openstack_pki_dir"}
	r.from(at+".signer", derived)
	r.from(at+".signerKey", derived)
	missing := false
	for i := range m.Hosts {
		h, host := &m.Hosts[i], fmt.Sprintf("magnum.hosts[%d]", i)
		r.from(host+".certificate", derived)
		r.from(host+".key", derived)
		if !m.Service.BackendSSL || m.Service.Implementation == ImplementationMagnum { // then os_magnum does it
			continue
		}
		cert, key, none := r.serverPair(r.scopes[h.Name], host)
		h.Certificate, h.Key = cert, NewSecret(key)
		missing = missing || none
	}
	if missing {
		r.signer(s)
	}
}

// serverPair are a server's certificate and key: the operator's, or the role pki's; none says that there are none, and
// one is to be made.
func (r *reader) serverPair(s *scope, at string) (cert, key string, none bool) {
	files, own := [2]string{s.quiet("magnum_user_ssl_cert"), s.quiet("magnum_user_ssl_key")}, true
	if files[0] == "" && files[1] == "" {
		name := cmp.Or(r.facts(s)["hostname"], strings.ReplaceAll(s.host, "_", "-")) // os_magnum: "magnum_" and the host's name
		dir := filepath.Join(r.pkiDir(s), "certs")
		files, own = [2]string{filepath.Join(dir, "certs", "magnum_"+name+"-chain.crt"), filepath.Join(dir, "private", "magnum_"+name+".key.pem")}, false
	}
	var texts [2]string
	for i, file := range files {
		text, err := osa.ReadFile(filepath.Clean(file))
		if !own && errors.Is(err, fs.ErrNotExist) {
			return "", "", true // one of a pair is none as well
		}
		if err != nil {
			r.fail("magnum-certificate", r.at(at+".certificate"), "set magnum_user_ssl_cert and magnum_user_ssl_key to a certificate with its chain and its key, in files of the deploy host, or neither",
				"the TLS certificate of %s: %v", s.host, err)
			return "", "", false
		}
		texts[i] = string(text)
	}
	if problem := serverProblem(texts[0], texts[1]); problem != "" {
		r.fail("magnum-certificate", r.at(at+".certificate"), "put a certificate with its chain and its key, in PEM, into both files", "the TLS certificate of %s: %s and %s: %s", s.host, files[0], files[1], problem)
		return "", "", false
	}
	return texts[0], texts[1], false
}

// serverProblem says what is wrong with a server's certificate and key, "" if nothing. It does not repeat any of them.
func serverProblem(cert, key string) string {
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		return "they are no certificate and its key"
	}
	return ""
}

// signer reads the authority that the role pki would sign with.
func (r *reader) signer(s *scope) {
	name := cmp.Or(s.quiet("magnum_pki_intermediate_cert_name"), s.quiet("openstack_pki_service_intermediate_cert_name"), "ExampleCorpIntermediate")
	dir := filepath.Join(r.pkiDir(s), "roots", filepath.Base(name))
	chain, err := osa.ReadFile(filepath.Join(dir, "certs", filepath.Base(name)+"-chain.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		chain, err = osa.ReadFile(filepath.Join(dir, "certs", filepath.Base(name)+".crt"))
	}
	key, keyErr := osa.ReadFile(filepath.Join(dir, "private", filepath.Base(name)+".key.pem"))
	problem := ""
	if err = errors.Join(err, keyErr); err != nil {
		problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	} else {
		problem = authority(string(chain), NewSecret(string(key)))
	}
	if problem != "" {
		tell := r.warn
		if r.in.Magnum.Service.Implementation == ImplementationJeroboam {
			tell = r.fail
		}
		tell("magnum-certificate", r.at("magnum.service.backendSSL"), "run OpenStack-Ansible's certificate-authority.yml first, name files in magnum_user_ssl_cert and magnum_user_ssl_key, or set magnum_backend_ssl: false",
			"magnum_backend_ssl is true, servers of Magnum have no certificate, and the authority %s cannot sign one: %s", name, problem)
		return
	}
	r.in.Magnum.Service.BackendTLS.Signer, r.in.Magnum.Service.BackendTLS.SignerKey = string(chain), NewSecret(string(key))
}

// pkiDir is where the role pki keeps authorities and certificates on the deploy host.
func (r *reader) pkiDir(s *scope) string {
	dir := s.quiet("openstack_pki_dir")
	if dir == "" || dir == osa.SystemDir+"/pki" { // the default, of a directory that may be read elsewhere
		return filepath.Join(r.opts.Config, "pki")
	}
	return dir
}
