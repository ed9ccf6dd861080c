package intent

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// checkCustomCA looks at the operator's own authorities.
func (r *reader) checkCustomCA() {
	c := r.in.CustomCA
	for _, a := range []struct {
		name, certPath, keyPath, cert string
		key                           Secret
	}{
		{"kubernetes_custom_ca", "customCA.cert", "customCA.key", c.Cert, c.Key},
		{"kubernetes_custom_etcd_ca", "customCA.etcdCert", "customCA.etcdKey", c.EtcdCert, c.EtcdKey},
		{"kubernetes_custom_front_proxy_ca", "customCA.frontProxyCert", "customCA.frontProxyKey", c.FrontProxyCert, c.FrontProxyKey},
	} {
		if a.key.Set() {
			r.checkPlainKey(a.name+"_key", a.keyPath)
		}
		switch {
		case !c.Allow && (a.cert != "" || a.key.Set()):
			r.warn("custom-ca-unused", r.at(a.keyPath), "set kubernetes_allow_custom_ca: true, or remove it", "%s_* have no effect: kubernetes_allow_custom_ca is false", a.name)
		case !c.Allow:
		case a.cert == "" || !a.key.Set():
			r.fail("custom-ca-missing", r.at("customCA.allow"), "set both, for the cluster, etcd and the front proxy", "kubernetes_allow_custom_ca is true, and %s_cert or %s_key is missing", a.name, a.name)
		default:
			if problem := authority(a.cert, a.key); problem != "" {
				r.fail("custom-ca-invalid", r.at(a.certPath), "give an authority's certificate and its private key, in PEM", "%s: %s", a.name, problem)
			}
		}
	}
}

// checkPlainKey finds private keys in files that are neither encrypted nor for secrets.
func (r *reader) checkPlainKey(name, path string) {
	if o := r.in.Origin(path); !o.Secret && o.Pos.File != "" {
		r.warn("plain-key", o.Pos, "move it to user_secrets.yml, or encrypt it with ansible-vault", "%s is a private key in plain text", name)
	}
}

// authority says what is wrong with a certificate and its key, "" if nothing. It does not repeat any of them.
func authority(cert string, key Secret) string {
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key.Reveal()))
	if err != nil {
		if block, _ := pem.Decode([]byte(cert)); block == nil {
			return "the certificate is no PEM"
		}
		return "the key is none, or not the certificate's"
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return "the certificate cannot be read"
	}
	if !leaf.IsCA {
		return "the certificate is not an authority's"
	}
	return ""
}

// isRepository is the beginning of an image's name (the grammar of distribution's reference package).
var isRepository = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`) //nolint:gochecknoglobals // compiled once

// checkSources finds downloads that nobody can vouch for.
func (r *reader) checkSources() {
	if !r.in.Sources.ValidateCerts {
		r.warn("no-validation", r.at("sources.validateCerts"), "install the mirror's authority on the hosts and set it to true", "download_artifact_validate_certs is false: downloads can be replaced on their way")
	}
	for name, text := range r.in.Sources.URLs {
		path := "sources.urls." + name
		if u, err := url.Parse(text); err != nil || u.Host == "" && u.Scheme != "file" {
			r.fail("url-invalid", r.at(path), "write a URL with scheme and host", "%s is not a URL: %s", name, r.show(path, text))
		}
	}
	if repository := r.in.Kubernetes.ImageRepository; repository != "" && !isRepository.MatchString(repository) && !r.lost("kubernetes.imageRepository") {
		r.fail("registry-invalid", r.at("kubernetes.imageRepository"), "write host[:port]/path, without a scheme, a tag or a slash at the end",
			"kubernetes_image_repository is %q, which no image's name can begin with", r.show("kubernetes.imageRepository", repository))
	}
	for i, registry := range r.in.Containerd.InsecureRegistries {
		if !isRegistry.MatchString(registry) {
			r.fail("registry-invalid", r.at("containerd.insecureRegistries"), "write host:port", "containerd_insecure_registries[%d] is %q, and no registry", i, r.show("containerd.insecureRegistries", registry))
		}
	}
}

// checkNoProxy finds proxies for HTTP that would stand between the nodes and their own API.
func (r *reader) checkNoProxy() {
	c := r.in.Containerd
	if c.HTTPProxy == "" && c.HTTPSProxy == "" {
		return
	}
	words := strings.FieldsFunc(c.NoProxy, func(x rune) bool { return x == ',' || x == ' ' })
	host := r.in.Kubernetes.ControlPlaneHost
	if host != "" && !slices.Contains(words, host) && !slices.Contains(words, r.in.Network.ManagementCIDR) && !slices.Contains(words, "*") {
		r.warn("no-proxy", r.at("containerd.noProxy"), "add it, the management network, "+r.in.Network.ServiceCIDR+" and cilium_ipv4_cidr to no_proxy", "an HTTP proxy is set, and no_proxy does not have %s", host)
	}
}

// checkCAFiles looks at the files Magnum's driver is told to trust. Whether they are there only the hosts know.
func (r *reader) checkCAFiles() {
	if len(r.in.Magnum.Hosts) == 0 {
		return
	}
	s := r.scopes[r.in.Magnum.Hosts[0].Name]
	installed := r.installed(s)
	for _, f := range []struct{ path, option, file, who string }{
		{"magnum.driversCAFile", "[drivers] openstack_ca_file", r.in.Magnum.DriversCAFile, "nodes of workload clusters"},
		{"magnum.capiClientCAFile", "[capi_client] ca_file", r.in.Magnum.CAPIClientCAFile, "Cluster API's controllers"},
	} {
		name, inStore := strings.CutPrefix(f.file, "/usr/local/share/ca-certificates/")
		switch {
		case f.file == "":
			r.warn("ca-unset", r.at(f.path), "set it in magnum_config_overrides to a file with the authority of the endpoints", "%s is not set: %s trust public authorities only, which OpenStack-Ansible's own is not among", f.option, f.who)
		case !filepath.IsAbs(f.file):
			r.fail("ca-path", r.at(f.path), "write an absolute path", "%s is %q", f.option, r.show(f.path, f.file))
		case inStore && r.facts(s)["os_family"] == "RedHat":
			r.fail("ca-path", r.at(f.path), "write /etc/pki/ca-trust/source/anchors/"+name, "%s names %s, which does not exist on %s: its system keeps authorities elsewhere", f.option, r.show(f.path, f.file), s.host)
		case inStore && !slices.Contains(installed, strings.TrimSuffix(name, ".crt")):
			r.warn("ca-unknown", r.at(f.path), "name one of them, or add it to openstack_pki_install_ca", "%s names %s, and openstack_pki_install_ca installs %s", f.option, r.show(f.path, f.file), strings.Join(installed, ", "))
		}
	}
}

// installed are the authorities that OpenStack-Ansible puts on every host.
func (r *reader) installed(s *scope) []string {
	v, ok := s.variable("openstack_pki_install_ca")
	if !ok {
		return nil
	}
	list, _ := osa.Reveal(v.Value).(*osa.List)
	var out []string
	for _, item := range list.Items() {
		m, _ := item.(*osa.Map)
		out = append(out, text(m, "name"))
	}
	return out
}
