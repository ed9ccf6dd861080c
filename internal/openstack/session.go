package openstack

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	gopenstack "github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"golang.org/x/sync/singleflight"
)

// session is somebody logged in: a provider client that renews its token by itself, and what Keystone said about them.
type session struct {
	provider  *gophercloud.ProviderClient
	catalog   catalog
	projectID string
}

func (c *Cloud) provider() (*gophercloud.ProviderClient, error) {
	provider, err := gopenstack.NewClient(c.keystone())
	if err != nil {
		return nil, fmt.Errorf("auth url of Keystone: %w", err)
	}
	provider.HTTPClient = c.http
	return provider, nil
}

// login makes a session. A provider client answers a 401 with one new login, shared by all who wait, and repeats the
// request.
func (c *Cloud) login(ctx context.Context, options gophercloud.AuthOptions) (*session, error) {
	options.IdentityEndpoint = c.keystone()
	options.AllowReauth = true
	provider, err := c.provider()
	if err != nil {
		return nil, err
	}
	if err := gopenstack.AuthenticateV3(ctx, provider, &options, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	result, ok := provider.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return nil, errors.New("keystone's answer to a login is not a token")
	}
	entries, err := result.ExtractServiceCatalog()
	if err != nil {
		return nil, fmt.Errorf("read the catalog of a token: %w", err)
	}
	s := &session{provider: provider, catalog: entries.Entries}
	if project, err := result.ExtractProject(); err == nil && project != nil {
		s.projectID = project.ID
	}
	return s, nil
}

// serviceSession is the one session of the service user, made when it is first needed.
type serviceSession struct {
	cloud   *Cloud
	current atomic.Pointer[session]
	flight  singleflight.Group
}

func (s *serviceSession) get(ctx context.Context) (*session, error) {
	if current := s.current.Load(); current != nil {
		return current, nil
	}
	done := s.flight.DoChan("", func() (any, error) {
		ctx, cancel := detached(ctx, s.cloud.settings.Timeout)
		defer cancel()
		made, err := s.cloud.login(ctx, s.cloud.serviceUser())
		if err != nil {
			return nil, fmt.Errorf("log in as service user %q: %w", s.cloud.settings.Username, loginFailure(err))
		}
		s.current.Store(made)
		return made, nil
	})
	return await[*session](ctx, done)
}

func (c *Cloud) serviceUser() gophercloud.AuthOptions {
	s := c.settings
	options := gophercloud.AuthOptions{
		Username: s.Username, Password: s.Password, DomainID: s.UserDomainID,
		Scope: &gophercloud.AuthScope{ProjectName: s.ProjectName, DomainID: s.ProjectDomainID},
	}
	if s.UserDomainID == "" {
		options.DomainName = s.UserDomainName
	}
	if s.ProjectDomainID == "" {
		options.Scope.DomainName = s.ProjectDomainName
	}
	return options
}

// detached outlives the caller: work that many wait for must not end because the first of them went away.
func detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

func await[T any](ctx context.Context, done <-chan singleflight.Result) (T, error) {
	var zero T
	select {
	case <-ctx.Done():
		return zero, ctx.Err()
	case result := <-done:
		if result.Err != nil {
			return zero, result.Err
		}
		value, ok := result.Val.(T)
		if !ok {
			return zero, fmt.Errorf("a flight brought a %T", result.Val)
		}
		return value, nil
	}
}
