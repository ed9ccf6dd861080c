package simcloud

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const tokenKeySize = 32

// roleNames in the order in which each implies the next, but for service.
var roleNames = []string{"admin", "member", "reader", "service"}

// withImplied adds the roles a role implies, as Keystone lists them in a token.
func withImplied(roles []string) []string {
	var all []string
	for i, name := range roleNames {
		has := slices.Contains(roles, name)
		if name != "service" {
			has = has || slices.ContainsFunc(roleNames[:i], func(higher string) bool { return slices.Contains(roles, higher) })
		}
		if has {
			all = append(all, name)
		}
	}
	return all
}

// sealer makes tokens nobody else can make or read: AES-GCM, as Fernet is AES and HMAC.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("the token key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("the token key: %w", err)
	}
	return sealer{aead}, nil
}

// ticket is what a token says.
type ticket struct {
	UserID     string   `json:"u"`
	ProjectID  string   `json:"p,omitempty"`
	System     bool     `json:"s,omitempty"`
	Methods    []string `json:"m"`
	Credential string   `json:"a,omitempty"`
	AuditID    string   `json:"i"`
	IssuedAt   int64    `json:"t"` // microseconds
	ExpiresAt  int64    `json:"x"`
}

func (t ticket) expires() time.Time { return time.UnixMicro(t.ExpiresAt).UTC() }

func (s sealer) seal(t ticket) (string, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, text, nil)), nil
}

func (s sealer) open(token string) (t ticket, good bool) {
	box, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return t, false
	}
	text, err := s.aead.Open(nil, nil, box, nil)
	if err != nil {
		return t, false
	}
	return t, json.Unmarshal(text, &t) == nil
}

func newAuditID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // Never fails: see crypto/rand.
	return base64.RawURLEncoding.EncodeToString(raw)
}

// caller is whoever a token stands for, with the roles they have now.
type caller struct {
	ticket
	user       user
	project    project
	roles      []string
	restricted bool // by an application credential that may not manage credentials
}

func (w *caller) is(role string) bool { return slices.Contains(w.roles, role) }

func (w *caller) admin() bool { return w.is("admin") }

// sees tells whether things of the project are the caller's business.
func (w *caller) sees(projectID string) bool {
	return w.admin() || (projectID != "" && w.ProjectID == projectID)
}

// identify opens a token. Roles are looked up anew: whoever lost them has no token either.
func (c *Cloud) identify(token string) (*caller, bool) {
	t, good := c.seal.open(token)
	if !good || !c.now().Before(t.expires()) {
		return nil, false
	}
	if _, revoked := c.store.view().Revoked[t.AuditID]; revoked {
		return nil, false
	}
	return c.caller(t)
}

func (c *Cloud) caller(t ticket) (*caller, bool) {
	u, known := c.user(t.UserID)
	if !known {
		return nil, false
	}
	w := &caller{ticket: t, user: u}
	switch {
	case t.System:
		w.roles = withImplied(u.rolesOn(""))
	case t.ProjectID != "":
		if w.project, known = c.project(t.ProjectID); !known {
			return nil, false
		}
		w.roles = withImplied(u.rolesOn(t.ProjectID))
	default:
		return w, true
	}
	if t.Credential != "" {
		cred, exists := c.store.view().Credentials[t.Credential]
		if !exists || cred.expired(c.now()) || slices.ContainsFunc(cred.Roles, func(role string) bool { return !w.is(role) }) {
			return nil, false
		}
		w.roles, w.restricted = withImplied(cred.Roles), !cred.Unrestricted
	}
	return w, len(w.roles) > 0
}

func (u user) rolesOn(projectID string) (roles []string) {
	for _, g := range u.Grants {
		if g.ProjectID == projectID {
			roles = append(roles, g.Role)
		}
	}
	return roles
}

func (k credential) expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// access is who may use a route.
type access int

const (
	open   access = iota // anybody, without a token
	anyone               // with a token, whatever its scope
	read                 // reader in a project, or admin
	write                // member in a project, or admin
	admins               // admin
)

const (
	notAuthenticated = "The request you have made requires authentication."
	notAllowed       = "You are not authorized to perform the requested action."
)

func (c *Cloud) admit(q *call, a access) error {
	if a == open {
		return nil
	}
	who, good := c.identify(q.Header.Get("X-Auth-Token"))
	if !good {
		return fail(http.StatusUnauthorized, notAuthenticated)
	}
	q.who = who
	allowed := a == anyone || who.admin() ||
		(who.ProjectID != "" && (a == read && who.is("reader") || a == write && who.is("member")))
	if !allowed {
		return fail(http.StatusForbidden, notAllowed)
	}
	return nil
}
