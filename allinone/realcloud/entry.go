// Package realcloud is an OpenStack that is there already, as an entry of clouds.yaml describes it: logging in, the
// service user of Magnum's configuration, and the place of the Magnum API in Keystone's catalog.
package realcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"go.yaml.in/yaml/v3"
)

// Entry is one entry of a clouds.yaml. It holds a password: it is never printed.
type Entry struct {
	Name      string
	File      string
	Interface string // public, internal or admin
	CAFile    string // absolute; "" is the system's authorities
	Insecure  bool

	auth     gophercloud.AuthOptions
	endpoint gophercloud.EndpointOpts
	tls      *tls.Config
}

// Read finds an entry. A secure.yaml beside the file is read as well, as every client does.
func Read(file, name string) (*Entry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read clouds.yaml: %w", err)
	}
	var raw struct {
		Clouds map[string]struct {
			Cert         string `yaml:"cacert"`
			Verify       *bool  `yaml:"verify"`
			Interface    string `yaml:"interface"`
			EndpointType string `yaml:"endpoint_type"`
			Auth         any    `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	this, ok := raw.Clouds[name]
	if !ok {
		var names []string
		for n := range raw.Clouds {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("%s has no cloud %q; it has %s", file, name, strings.Join(names, ", "))
	}
	if this.Auth == nil {
		return nil, fmt.Errorf("%s: cloud %q does not say how to log in: it has no auth", file, name)
	}
	e := &Entry{Name: name, File: file, CAFile: this.Cert, Insecure: this.Verify != nil && !*this.Verify}
	// gophercloud: endpoint_type wins over interface.
	e.Interface = strings.TrimSuffix(this.EndpointType, "URL")
	if e.Interface == "" {
		e.Interface = strings.TrimSuffix(this.Interface, "URL")
	}
	if e.Interface == "" {
		e.Interface = "public"
	}
	if e.CAFile != "" {
		if e.CAFile, err = filepath.Abs(e.CAFile); err != nil {
			return nil, fmt.Errorf("%s: cacert: %w", file, err)
		}
	}
	if e.auth, e.endpoint, e.tls, err = clouds.Parse(clouds.WithLocations(file), clouds.WithCloudName(name)); err != nil {
		return nil, fmt.Errorf("read %s: cloud %q: %w", file, name, err)
	}
	e.auth.AllowReauth = e.auth.TokenID == ""
	return e, nil
}

// AuthURL is where Keystone is.
func (e *Entry) AuthURL() string { return e.auth.IdentityEndpoint }

// Endpoint says which endpoints of the catalog are this entry's.
func (e *Entry) Endpoint() gophercloud.EndpointOpts { return e.endpoint }

// Login gets a token.
func (e *Entry) Login(ctx context.Context) (*gophercloud.ProviderClient, error) {
	client, err := config.NewProviderClient(ctx, e.auth, config.WithTLSConfig(e.tls))
	if err != nil {
		return nil, fmt.Errorf("log in to %s as cloud %q of %s: %w", e.auth.IdentityEndpoint, e.Name, e.File, err)
	}
	return client, nil
}

// ServiceUser is what [keystone_authtoken] says of the service user.
type ServiceUser struct {
	AuthURL, Username, Password, ProjectName, Region string
	UserDomainID, UserDomainName                     string
	ProjectDomainID, ProjectDomainName               string
	Interface, CAFile                                string
	Insecure                                         bool
}

// ServiceUser is the entry as Magnum's service user. That has a password and a project: its configuration knows nothing
// else.
func (e *Entry) ServiceUser() (ServiceUser, error) {
	a := e.auth
	u := ServiceUser{
		AuthURL: a.IdentityEndpoint, Username: a.Username, Password: a.Password, Region: e.endpoint.Region,
		UserDomainID: a.DomainID, UserDomainName: a.DomainName, Interface: e.Interface, CAFile: e.CAFile, Insecure: e.Insecure,
	}
	if a.Scope != nil {
		u.ProjectName, u.ProjectDomainID, u.ProjectDomainName = a.Scope.ProjectName, a.Scope.DomainID, a.Scope.DomainName
	}
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"auth_url", u.AuthURL}, {"username", u.Username}, {"password", u.Password}, {"project_name", u.ProjectName},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return u, fmt.Errorf("%s: cloud %q cannot be Magnum's service user: it has no %s (an application credential does not do)",
			e.File, e.Name, strings.Join(missing, ", no "))
	}
	if strings.ContainsAny(u.Password, "\r\n") || strings.Contains(u.Password, `\$`) {
		return u, errors.New(`a password with a line break or with \$ cannot be written into magnum.conf`)
	}
	return u, nil
}
