package openstack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	defaultTokenCacheTime = 300 * time.Second // keystonemiddleware: [keystone_authtoken] token_cache_time
	defaultTimeout        = 30 * time.Second

	maxCatalogs = 4096
	maxProjects = 4096
)

// Settings say where Keystone is and who Jeroboam's service user is, the values of [keystone_authtoken], and how the
// other services are called, the values of the *_client sections.
type Settings struct {
	AuthURL           string
	Username          string
	Password          string
	UserDomainID      string
	UserDomainName    string
	ProjectName       string
	ProjectDomainID   string
	ProjectDomainName string

	Region    string              // empty: the first one in the catalog
	Endpoints map[string]Endpoint // by service: Compute, Images, Networks, LoadBalancer, Volumes

	CAFile   string
	Insecure bool

	TokenCacheTime time.Duration // zero: 300 s
	Timeout        time.Duration // of one request; zero: 30 s

	Now       func() time.Time  // nil: time.Now
	Transport http.RoundTripper // nil: one made from CAFile and Insecure
}

// String shows the settings without the password.
func (s Settings) String() string {
	return fmt.Sprintf("openstack settings (auth url %s, user %s, project %s)", s.AuthURL, s.Username, s.ProjectName)
}

// GoString is String: %#v must not show the password either.
func (s Settings) GoString() string { return s.String() }

// LogValue is String for log/slog.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Cloud makes the clients. It holds the connections, the session of the service user and what was learned about tokens
// and credentials; all of it can be learned again, so any number of replicas may each have one.
type Cloud struct {
	settings Settings
	http     http.Client
	own      map[string]http.Client // of services that are checked in a way of their own
	now      func() time.Time
	service  *serviceSession
	catalogs *cache[catalog]
	projects *cache[*session]
	flights  singleflight.Group // logins and catalogs: many may ask, one goes
}

// New checks the settings; it does not talk to Keystone, which may come up later than we do.
func New(settings Settings) (*Cloud, error) {
	if err := settings.complete(); err != nil {
		return nil, err
	}
	transport := settings.Transport
	if transport == nil {
		made, err := newTransport(trust{caFile: settings.CAFile, insecure: settings.Insecure, of: "Keystone"})
		if err != nil {
			return nil, err
		}
		transport = made
	}
	c := &Cloud{
		settings: settings,
		http:     http.Client{Transport: transport, Timeout: settings.Timeout},
		now:      settings.Now,
		catalogs: newCache[catalog](maxCatalogs),
		projects: newCache[*session](maxProjects),
	}
	if err := c.ownClients(); err != nil {
		return nil, err
	}
	c.service = &serviceSession{cloud: c}
	return c, nil
}

// Close gives the idle connections back.
func (c *Cloud) Close() {
	c.http.CloseIdleConnections()
	for _, own := range c.own {
		own.CloseIdleConnections()
	}
}

// Ping logs the service user in, if that has not happened yet. Readiness checks call it.
func (c *Cloud) Ping(ctx context.Context) error {
	_, err := c.service.get(ctx)
	return err
}

func (s *Settings) complete() error {
	var problems []error
	for _, f := range []struct{ name, value string }{
		{"auth_url", s.AuthURL}, {"username", s.Username}, {"password", s.Password}, {"project_name", s.ProjectName},
	} {
		if f.value == "" {
			problems = append(problems, fmt.Errorf("[keystone_authtoken] %s is not set", f.name))
		}
	}
	problems = append(problems, s.endpointProblems()...)
	// keystoneauth: a domain that is not given is the default domain.
	if s.UserDomainID == "" && s.UserDomainName == "" {
		s.UserDomainID = "default"
	}
	if s.ProjectDomainID == "" && s.ProjectDomainName == "" {
		s.ProjectDomainID = "default"
	}
	if s.TokenCacheTime <= 0 {
		s.TokenCacheTime = defaultTokenCacheTime
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return errors.Join(problems...)
}

// trust says how a service's certificate is checked, and which one is shown to it.
type trust struct {
	caFile, certFile, keyFile string
	insecure                  bool
	of                        string // for messages
}

func newTransport(t trust) (*http.Transport, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport := base.Clone()
	transport.MaxIdleConnsPerHost = 32
	// Not verifying is the operator's choice: the option insecure of the service's section.
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.insecure}
	if t.caFile != "" {
		pem, err := os.ReadFile(t.caFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA file of %s: %w", t.of, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA file of %s, %s, holds no certificate", t.of, t.caFile)
		}
	}
	if t.certFile != "" {
		pair, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate for %s: %w", t.of, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport.TLSClientConfig = config
	return transport, nil
}

// keystone is the identity API's base, with /v3/ whether the operator's auth_url ends with it or not.
func (c *Cloud) keystone() string {
	base := strings.TrimRight(c.settings.AuthURL, "/")
	base = strings.TrimSuffix(strings.TrimSuffix(base, "/v3"), "/v2.0")
	return base + "/v3/"
}
