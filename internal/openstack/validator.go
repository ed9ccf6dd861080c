package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/singleflight"
)

const (
	maxTokenLength  = 8192 // PKI tokens were the longest there ever were.
	maxIdentities   = 16384
	maxRefusals     = 4096
	refusalLifetime = 10 * time.Second
	validateTimeout = 10 * time.Second
)

// Identity is what Keystone says about a token: keystonemiddleware's X-User-*, X-Project-* and X-Roles. It is shared
// between requests; nobody changes it.
type Identity struct {
	UserID            string
	UserName          string
	UserDomainID      string
	UserDomainName    string
	ProjectID         string
	ProjectName       string
	ProjectDomainID   string
	ProjectDomainName string
	DomainID          string // of a domain-scoped token
	SystemScope       string // "all" for a system-scoped token
	Roles             []string
	ExpiresAt         time.Time
}

// HasRole tells whether the token carries the role.
func (i Identity) HasRole(name string) bool { return slices.Contains(i.Roles, name) }

// Validator turns tokens into identities. What Keystone said is believed for token_cache_time and never longer than the
// token lives: a revoked token therefore works at most that long, and a Keystone outage shorter than that goes
// unnoticed by whoever was here before. A refusal is remembered for a few seconds, so that a broken client does not
// become Keystone's problem.
type Validator struct {
	cloud    *Cloud
	lifetime time.Duration
	known    *cache[Identity]
	refused  *cache[struct{}]
	flight   singleflight.Group
}

// Validator makes a validator with an empty cache.
func (c *Cloud) Validator() *Validator {
	return &Validator{
		cloud:    c,
		lifetime: c.settings.TokenCacheTime,
		known:    newCache[Identity](maxIdentities),
		refused:  newCache[struct{}](maxRefusals),
	}
}

// Validate answers ErrUnauthorized for a token that is none, and ErrUnavailable when Keystone cannot be asked.
func (v *Validator) Validate(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, ErrUnauthorized
	}
	key, now := keyOf(token), v.cloud.now()
	if identity, ok := v.known.get(key, now); ok {
		return identity, nil
	}
	if _, ok := v.refused.get(key, now); ok {
		return Identity{}, ErrUnauthorized
	}
	if !sendable(token) {
		return Identity{}, ErrUnauthorized
	}
	return await[Identity](ctx, v.flight.DoChan(string(key[:]), func() (any, error) {
		return v.ask(ctx, key, token)
	}))
}

// ask puts the question to Keystone and remembers the answer. It runs once for all who wait for the same token.
func (v *Validator) ask(ctx context.Context, key cacheKey, token string) (Identity, error) {
	ctx, cancel := detached(ctx, min(validateTimeout, v.cloud.settings.Timeout))
	defer cancel()
	identity, err := v.cloud.introspect(ctx, token)
	now := v.cloud.now()
	switch {
	case errors.Is(err, ErrUnauthorized):
		v.refused.put(key, struct{}{}, now.Add(refusalLifetime), now)
		return Identity{}, err
	case err != nil:
		return Identity{}, err
	case !now.Before(identity.ExpiresAt):
		return Identity{}, ErrUnauthorized
	}
	expires := now.Add(v.lifetime)
	if identity.ExpiresAt.Before(expires) {
		expires = identity.ExpiresAt
	}
	v.known.put(key, identity, expires, now)
	return identity, nil
}

// introspect asks with the service user's token about somebody else's.
func (c *Cloud) introspect(ctx context.Context, token string) (Identity, error) {
	const doing = "validate a token"
	service, err := c.service.get(ctx)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", doing, err)
	}
	var answer tokenAnswer
	//nolint:bodyclose // gophercloud has read and closed it
	_, err = service.provider.Request(ctx, http.MethodGet, c.keystone()+"auth/tokens?nocatalog", &gophercloud.RequestOpts{
		MoreHeaders:  map[string]string{"X-Subject-Token": token},
		JSONResponse: &answer,
		OkCodes:      []int{http.StatusOK, http.StatusNonAuthoritativeInfo},
	})
	if err == nil {
		return answer.identity(), nil
	}
	var code gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &code) {
		return Identity{}, explain(doing, err, token)
	}
	// Keystone's words are left out: a 404 repeats the token. A 401 or 403 is about our own token, which was just renewed.
	if code.Actual == http.StatusNotFound && fromKeystone(code) {
		return Identity{}, ErrUnauthorized
	}
	return Identity{}, fmt.Errorf("%s as service user %q: %w (HTTP %d)", doing, c.settings.Username, ErrUnavailable, code.Actual)
}

// sendable tells whether a token can be a header's value and may be one of Keystone's.
func sendable(token string) bool {
	if len(token) > maxTokenLength {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return false
		}
	}
	return true
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type inDomain struct {
	named
	Domain named `json:"domain"`
}

type tokenAnswer struct {
	Token struct {
		User      inDomain  `json:"user"`
		Project   inDomain  `json:"project"`
		Domain    named     `json:"domain"`
		Roles     []named   `json:"roles"`
		ExpiresAt time.Time `json:"expires_at"`
		System    struct {
			All bool `json:"all"`
		} `json:"system"`
	} `json:"token"`
}

func (a tokenAnswer) identity() Identity {
	t := a.Token
	identity := Identity{
		UserID: t.User.ID, UserName: t.User.Name, UserDomainID: t.User.Domain.ID, UserDomainName: t.User.Domain.Name,
		ProjectID: t.Project.ID, ProjectName: t.Project.Name,
		ProjectDomainID: t.Project.Domain.ID, ProjectDomainName: t.Project.Domain.Name,
		DomainID: t.Domain.ID, ExpiresAt: t.ExpiresAt,
	}
	if t.System.All {
		identity.SystemScope = "all"
	}
	for _, role := range t.Roles {
		identity.Roles = append(identity.Roles, role.Name)
	}
	return identity
}
