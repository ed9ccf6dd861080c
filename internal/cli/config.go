package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

// Config is what the server takes from the operator's magnum.conf. The names and defaults are Magnum's,
// keystonemiddleware's and the Python driver's.
type Config struct {
	Listen          string // host:port
	TLSCert, TLSKey string // [api] ssl_cert_file, ssl_key_file where enabled_ssl is set; empty: plain HTTP
	MaxLimit        int    // rows in one answer
	QuotaClusters   int    // clusters per project
	WWWAuthenticate string // where a 401 sends people
	OpenStack       openstack.Settings
	ClientEndpoint  string // [capi_client] endpoint_type, for the clouds.yaml of clusters
	ClientCA        []byte // [capi_client] ca_file
	ClientInsecure  bool
	NodeCA          []byte // [drivers] openstack_ca_file: what nodes and addons trust besides the system's authorities
	NodeInsecure    bool   // [drivers] verify_ca is false
	KeystonePolicy  string // [kubernetes] keystone_auth_default_policy; empty: there is no such file
	Autoscalers     string // [auto_scaling] image_repository
	BootVolumeSize  int    // GiB; 0: the flavor's own disk
	BootVolumeType  string
	ManagementCIDRs []string // [kubernetes] management_cidrs
	NotifyLine      bool     // [oslo_messaging_notifications] driver has log
	NotifyURL       string   // [oslo_messaging_notifications] webhook_url; empty: nobody listens
	NetworkDriver   string
	NetworkDrivers  []string
	ServiceDownTime time.Duration
	Policy          PolicyConfig
	Proxies         api.Proxies
	MaxBodyBytes    int // [oslo_middleware] max_request_body_size; 0: the API's own default
	DefaultDriver   string
	Debug           bool
}

// ReadConfig reads the files in order, then the environment, and reports every problem at once. Options that mean
// nothing here are logged: most belong to parts of Magnum that are gone, some are mistakes.
func ReadConfig(log *slog.Logger, environ []string, files ...string) (Config, error) {
	var sources []oslo.Source
	for _, name := range files {
		data, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
		sources = append(sources, oslo.Source{Name: name, Data: data})
	}
	o, err := oslo.Read(sources...)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration:\n%w", err)
	}
	o.SetEnvironment(environ)
	return interpret(log, o, files)
}

func interpret(log *slog.Logger, o *oslo.Config, files []string) (Config, error) {
	const token, capi, tmpl = "keystone_authtoken", "capi_client", "cluster_template"
	c := Config{
		Listen:          net.JoinHostPort(o.String("api", "host", "127.0.0.1"), strconv.Itoa(o.Int("api", "port", 9511))),
		MaxLimit:        o.Int("api", "max_limit", 1000),
		QuotaClusters:   o.Int("quotas", "max_clusters_per_project", 20),
		WWWAuthenticate: o.String(token, "www_authenticate_uri", ""),
		OpenStack: openstack.Settings{
			AuthURL: o.String(token, "auth_url", ""), Username: o.String(token, "username", ""),
			Password: o.String(token, "password", ""), ProjectName: o.String(token, "project_name", ""),
			UserDomainID: o.String(token, "user_domain_id", ""), UserDomainName: o.String(token, "user_domain_name", ""),
			ProjectDomainID:   o.String(token, "project_domain_id", ""),
			ProjectDomainName: o.String(token, "project_domain_name", ""),
			Region:            o.String(token, "region_name", ""), CAFile: o.String(token, "cafile", ""),
			Insecure:       o.Bool(token, "insecure", false),
			TokenCacheTime: o.Seconds(token, "token_cache_time", 300*time.Second),
		},
		ClientEndpoint:  o.String(capi, "endpoint_type", "publicURL"),
		ClientInsecure:  o.Bool(capi, "insecure", false),
		BootVolumeSize:  o.Int("cinder", "default_boot_volume_size", 0),
		BootVolumeType:  o.String("cinder", "default_boot_volume_type", ""),
		NetworkDriver:   o.String(tmpl, "kubernetes_default_network_driver", "calico"),
		NetworkDrivers:  o.List(tmpl, "kubernetes_allowed_network_drivers", []string{"calico", "cilium", "flannel"}),
		ServiceDownTime: o.Seconds("DEFAULT", "service_down_time", 180*time.Second),
		DefaultDriver:   o.String("drivers", "default_driver", ""),
		Debug:           o.Bool("DEFAULT", "debug", false),
	}
	c.OpenStack.Endpoints = endpoints(o)
	var problems []error
	var err error
	if c.Policy, err = policyConfig(o, files); err != nil {
		problems = append(problems, err)
	}
	if c.ManagementCIDRs, err = managementCIDRs(o); err != nil {
		problems = append(problems, err)
	}
	if c.NotifyURL, c.NotifyLine, err = notifications(o); err != nil {
		problems = append(problems, err)
	}
	if c.Proxies, err = proxies(o); err != nil {
		problems = append(problems, err)
	}
	if c.TLSCert, c.TLSKey, err = serverTLS(o); err != nil {
		problems = append(problems, err)
	}
	if o.Has("oslo_middleware", "max_request_body_size") {
		if c.MaxBodyBytes = o.Int("oslo_middleware", "max_request_body_size", 0); c.MaxBodyBytes < 1 {
			problems = append(problems, errors.New("[oslo_middleware] max_request_body_size must be at least 1"))
		}
	}
	if err := o.Err(); err != nil {
		problems = append(problems, err)
	}
	for _, f := range []struct {
		section, option string
		to              *[]byte
	}{{capi, "ca_file", &c.ClientCA}, {"drivers", "openstack_ca_file", &c.NodeCA}} {
		file := o.String(f.section, f.option, "")
		if file == "" {
			continue
		}
		if *f.to, err = readAuthorities(file); err != nil {
			problems = append(problems, fmt.Errorf("[%s] %s: %w", f.section, f.option, err))
		}
	}
	file := o.String("kubernetes", "keystone_auth_default_policy", "/etc/magnum/keystone_auth_default_policy.json")
	policy, err := os.ReadFile(filepath.Clean(file))
	if errors.Is(err, os.ErrNotExist) && !o.Has("kubernetes", "keystone_auth_default_policy") {
		err = nil // Magnum's default file need not exist
	} else if err == nil {
		err = addon.CheckKeystonePolicy(policy)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("[kubernetes] keystone_auth_default_policy: %s: %w", file, err))
	}
	c.KeystonePolicy = string(policy)
	c.Autoscalers = o.String("auto_scaling", "image_repository", "")
	c.NodeInsecure = !o.Bool("drivers", "verify_ca", true)
	if c.MaxLimit < 1 {
		problems = append(problems, errors.New("[api] max_limit must be at least 1"))
	}
	if o.Has(capi, "endpoint") {
		// Deployments made by OpenStack-Ansible carry this; the Python driver ignored it silently.
		log.Warn("[capi_client] endpoint is no option and has no effect; endpoint_type is meant")
	}
	for _, u := range o.Unused() {
		log.Debug("option without a meaning here", "option", u.String())
	}
	return c, errors.Join(problems...)
}

// serverTLS are the files of the API's own TLS (Magnum: conf/api.py). A certificate that cannot be used is told before
// anybody connects.
func serverTLS(o *oslo.Config) (cert, key string, err error) {
	enabled := o.Bool("api", "enabled_ssl", false)
	cert, key = o.String("api", "ssl_cert_file", ""), o.String("api", "ssl_key_file", "")
	if !enabled {
		return "", "", nil
	}
	if cert == "" || key == "" {
		return "", "", errors.New("[api] enabled_ssl is set: ssl_cert_file and ssl_key_file must name the certificate and its key")
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return "", "", fmt.Errorf("[api] ssl_cert_file %s and ssl_key_file %s: %w", cert, key, err)
	}
	return cert, key, nil
}

// readAuthorities reads a file of certificates in PEM. Nodes and addons get it as it is, and would find out one by one
// that it is none.
func readAuthorities(file string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	found := 0
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s has a %s in it, and must have certificates only", file, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", file, found+1, err)
		}
		found++
	}
	if found == 0 || found != bytes.Count(text, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%s is no file of certificates in PEM (%d of them can be read): give one that begins with -----BEGIN CERTIFICATE-----", file, found)
	}
	return text, nil
}

// endpoints are Magnum's sections for the services that the server calls itself.
func endpoints(o *oslo.Config) map[string]openstack.Endpoint {
	out := map[string]openstack.Endpoint{}
	for service, group := range map[string]string{
		openstack.Compute: "nova_client", openstack.Images: "glance_client", openstack.Networks: "neutron_client",
		openstack.LoadBalancer: "octavia_client", openstack.Volumes: "cinder_client",
	} {
		out[service] = openstack.Endpoint{
			Region: o.String(group, "region_name", ""), Type: o.String(group, "endpoint_type", "publicURL"),
			CAFile: o.String(group, "ca_file", ""), CertFile: o.String(group, "cert_file", ""), KeyFile: o.String(group, "key_file", ""),
			Insecure: o.Bool(group, "insecure", false),
		}
	}
	return out
}

// proxies says whose X-Forwarded headers count. The list is ours: oslo.middleware believes everybody.
func proxies(o *oslo.Config) (api.Proxies, error) {
	const group = "oslo_middleware"
	p := api.Proxies{Believe: o.Bool(group, "enable_proxy_headers_parsing", false)}
	var problems []error
	for _, item := range o.List(group, "trusted_proxies", nil) {
		network, err := netip.ParsePrefix(item)
		if address, alone := netip.ParseAddr(item); alone == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("[oslo_middleware] trusted_proxies: %q is neither an address nor a network", item))
			continue
		}
		p.From = append(p.From, network.Masked())
	}
	return p, errors.Join(problems...)
}

// managementCIDRs reads where the management cluster comes from, as Octavia sees it.
func managementCIDRs(o *oslo.Config) ([]string, error) {
	var out []string
	var problems []error
	for _, text := range o.List("kubernetes", "management_cidrs", nil) {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() || p != p.Masked() {
			problems = append(problems, fmt.Errorf("[kubernetes] management_cidrs: %q is no IPv4 network, such as 192.0.2.0/24", text))
			continue
		}
		out = append(out, text)
	}
	return out, errors.Join(problems...)
}
