package simcloud

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	hashRounds = 4096 // A simulated cloud keeps no valuable secrets; a test suite makes many.
	hashSize   = 32
)

func hashed(secret string, salt []byte) []byte {
	hash, err := pbkdf2.Key(sha256.New, secret, salt, hashRounds, hashSize)
	if err != nil {
		return nil // Only for sizes that make no sense.
	}
	return hash
}

func (k credential) fits(secret string) bool {
	return len(k.Hash) == hashSize && subtle.ConstantTimeCompare(k.Hash, hashed(secret, k.Salt)) == 1
}

func (k credential) document(q *call) obj {
	d := obj{
		"id": k.ID, "name": k.Name, "description": k.Description, "project_id": k.ProjectID, "user_id": k.UserID, "system": nil,
		"unrestricted": k.Unrestricted, "expires_at": nil, "access_rules": []obj{}, "roles": credentialRoles(k.Roles),
		"links": obj{"self": q.base + "/v3/users/" + k.UserID + "/application_credentials/" + k.ID},
	}
	if !k.ExpiresAt.IsZero() {
		d["expires_at"] = k.ExpiresAt.Format("2006-01-02T15:04:05.000000")
	}
	return d
}

func credentialRoles(names []string) []obj {
	roles := roleDocuments(names)
	for _, role := range roles {
		role["domain_id"] = nil
	}
	return roles
}

func (c *Cloud) credentialsOf(userID string) []credential {
	var own []credential
	for _, k := range c.store.view().Credentials {
		if k.UserID == userID {
			own = append(own, k)
		}
	}
	slices.SortFunc(own, func(a, b credential) int { return strings.Compare(a.Name, b.Name) })
	return own
}

// refuseRestricted: Keystone lets a credential manage credentials only when it was made unrestricted.
func refuseRestricted(q *call) error {
	if q.who.restricted {
		return fail(http.StatusForbidden, "You are not authorized to perform the requested action: Using method "+
			"'application_credential' is not allowed for managing additional application credentials.")
	}
	return nil
}

func (c *Cloud) listCredentials(q *call) (reply, error) {
	u, err := c.ownUser(q)
	if err != nil {
		return reply{}, err
	}
	var list []obj
	for _, k := range c.credentialsOf(u.ID) {
		list = append(list, k.document(q))
	}
	return collection(q, "application_credentials", list)
}

func (c *Cloud) showCredential(q *call) (reply, error) {
	u, err := c.ownUser(q)
	if err != nil {
		return reply{}, err
	}
	k, known := c.store.view().Credentials[q.PathValue("id")]
	if !known || k.UserID != u.ID {
		return reply{}, noCredential(q)
	}
	return ok(obj{"application_credential": k.document(q)})
}

func noCredential(q *call) error {
	return fail(http.StatusNotFound, "Could not find Application Credential: %s.", q.PathValue("id"))
}

func (c *Cloud) deleteCredential(q *call) (reply, error) {
	u, err := c.ownUser(q)
	if err != nil {
		return reply{}, err
	}
	if err := refuseRestricted(q); err != nil {
		return reply{}, err
	}
	err = c.store.update(func(s *state) error {
		id := q.PathValue("id")
		if k, known := s.Credentials[id]; !known || k.UserID != u.ID {
			return noCredential(q)
		}
		delete(s.Credentials, id)
		return nil
	})
	return reply{status: http.StatusNoContent}, err
}

type credentialRequest struct {
	Credential struct {
		Name         string      `json:"name"`
		Description  string      `json:"description"`
		Secret       string      `json:"secret"`
		ExpiresAt    string      `json:"expires_at"`
		Unrestricted bool        `json:"unrestricted"`
		Roles        []reference `json:"roles"`
	} `json:"application_credential"`
}

// createCredential is for oneself only: not even an admin makes one for somebody else.
func (c *Cloud) createCredential(q *call) (reply, error) {
	if q.PathValue("user") != q.who.UserID || q.who.ProjectID == "" {
		return reply{}, fail(http.StatusForbidden, notAllowed)
	}
	if err := refuseRestricted(q); err != nil {
		return reply{}, err
	}
	var in credentialRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	made, err := c.newCredential(q, in)
	if err != nil {
		return reply{}, err
	}
	secret := in.Credential.Secret
	if secret == "" {
		raw := make([]byte, 64)
		_, _ = rand.Read(raw) // Never fails: see crypto/rand.
		secret = base64.RawURLEncoding.EncodeToString(raw)
	}
	made.Salt = make([]byte, 16)
	_, _ = rand.Read(made.Salt)
	made.Hash = hashed(secret, made.Salt)
	err = c.store.update(func(s *state) error {
		for _, other := range s.Credentials {
			if other.UserID == made.UserID && other.Name == made.Name {
				return fail(http.StatusConflict,
					"Conflict occurred attempting to store application_credential - Duplicate entry found with name %s.", made.Name)
			}
		}
		s.Credentials[made.ID] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	document := made.document(q)
	document["secret"] = secret // The one time it is seen.
	return reply{status: http.StatusCreated, body: obj{"application_credential": document}}, nil
}

func (c *Cloud) newCredential(q *call, in credentialRequest) (credential, error) {
	given := in.Credential
	made := credential{
		ID: strings.ReplaceAll(newID(), "-", ""), Name: given.Name, Description: given.Description, Unrestricted: given.Unrestricted,
		UserID: q.who.UserID, ProjectID: q.who.ProjectID, Roles: q.who.roles,
	}
	if given.Name == "" || len(given.Name) > 255 {
		return made, fail(http.StatusBadRequest, "Invalid input for field 'name': a name of 1 to 255 characters is required.")
	}
	if len(given.Roles) > 0 {
		names, known := rolesNamed(given.Roles)
		if !known || slices.ContainsFunc(names, func(name string) bool { return !q.who.is(name) }) {
			return made, fail(http.StatusBadRequest, "Invalid application credential: Could not find role assignment with the given roles.")
		}
		made.Roles = names
	}
	if given.ExpiresAt != "" {
		at, err := parseKeystoneTime(given.ExpiresAt)
		if err != nil || !at.After(c.now()) {
			return made, fail(http.StatusBadRequest, "Invalid input for field 'expires_at': %q is not a time in the future.", given.ExpiresAt)
		}
		made.ExpiresAt = at
	}
	return made, nil
}

// parseKeystoneTime reads what clients send: with and without fractions and zone.
func parseKeystoneTime(text string) (at time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02T15:04"} {
		if at, err = time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return at, err
}
