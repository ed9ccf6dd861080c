package simcloud

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (g serverGroup) document(q *call) obj {
	d := obj{"id": g.ID, "name": g.Name, "members": []string{}}
	if q.version >= 13 { // Nova 2.13
		d["project_id"], d["user_id"] = g.ProjectID, g.UserID
	}
	if q.version >= onePolicy {
		rules := g.Rules
		if rules == nil {
			rules = json.RawMessage("{}")
		}
		d["policy"], d["rules"] = g.Policy, rules
		return d
	}
	d["policies"], d["metadata"] = []string{g.Policy}, obj{}
	return d
}

func (c *Cloud) listServerGroups(q *call) (reply, error) {
	all := q.who.admin() && q.URL.Query().Has("all_projects")
	var list []obj
	groups := sorted(c.store.view().ServerGroups, func(a, b serverGroup) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	for _, g := range groups {
		if all || g.ProjectID == q.who.ProjectID {
			list = append(list, g.document(q))
		}
	}
	part, _, err := page(q, list, "id")
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"server_groups": part})
}

func (c *Cloud) serverGroupOf(q *call, s *state) (serverGroup, error) {
	g, known := s.ServerGroups[q.PathValue("id")]
	if !known || !q.who.sees(g.ProjectID) {
		return serverGroup{}, fail(http.StatusNotFound, "Instance group %s could not be found.", q.PathValue("id"))
	}
	return g, nil
}

func (c *Cloud) showServerGroup(q *call) (reply, error) {
	g, err := c.serverGroupOf(q, c.store.view())
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"server_group": g.document(q)})
}

func (c *Cloud) deleteServerGroup(q *call) (reply, error) {
	err := c.store.update(func(s *state) error {
		g, err := c.serverGroupOf(q, s)
		if err != nil {
			return err
		}
		delete(s.ServerGroups, g.ID)
		return nil
	})
	return reply{status: http.StatusNoContent}, err
}

type serverGroupRequest struct {
	Group struct {
		Name     string          `json:"name"`
		Policy   string          `json:"policy"`
		Policies []string        `json:"policies"`
		Rules    json.RawMessage `json:"rules"`
	} `json:"server_group"`
}

// policy: one since 2.64, a list of exactly one before, and only since 2.15 a soft one.
func (in serverGroupRequest) policy(version int) (string, error) {
	given := in.Group
	policy := given.Policy
	if version < onePolicy {
		if given.Policy != "" || len(given.Policies) != 1 {
			return "", fail(http.StatusBadRequest, "Invalid input for field/attribute policies. Value: %v.", given.Policies)
		}
		policy = given.Policies[0]
	} else if given.Policies != nil {
		return "", fail(http.StatusBadRequest,
			"Invalid input for field/attribute server_group. Additional properties are not allowed ('policies' was unexpected)")
	}
	allowed := []string{"affinity", "anti-affinity"}
	if version >= softPolicies {
		allowed = append(allowed, "soft-affinity", "soft-anti-affinity")
	}
	if !slices.Contains(allowed, policy) {
		return "", fail(http.StatusBadRequest, "Invalid input for field/attribute policy. Value: %s. '%s' is not one of %v", policy, policy, allowed)
	}
	return policy, nil
}

func (c *Cloud) createServerGroup(q *call) (reply, error) {
	var in serverGroupRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Group.Name == "" {
		return reply{}, fail(http.StatusBadRequest, "Invalid input for field/attribute name. Value: . '' is too short")
	}
	policy, err := in.policy(q.version)
	if err != nil {
		return reply{}, err
	}
	made := serverGroup{
		ID: newID(), Name: in.Group.Name, Policy: policy, Rules: in.Group.Rules, UserID: q.who.UserID, ProjectID: q.who.ProjectID,
	}
	err = c.store.update(func(s *state) error {
		used := 0
		for _, g := range s.ServerGroups {
			if g.ProjectID == made.ProjectID {
				used++
			}
		}
		if beyond(used, c.seed.Quotas.ServerGroups) {
			return fail(http.StatusForbidden, "Quota exceeded, too many server groups.")
		}
		s.ServerGroups[made.ID] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"server_group": made.document(q)})
}

func (k keypair) document(q *call) obj {
	d := obj{"name": k.Name, "public_key": k.PublicKey, "fingerprint": k.Fingerprint}
	if q.version >= keypairTypes {
		d["type"] = k.Type
	}
	return d
}

// keyOwner is whose key pairs a request is about: an admin may name a user, since 2.10.
func keyOwner(q *call) string {
	if id := q.URL.Query().Get("user_id"); id != "" && q.who.admin() {
		return id
	}
	return q.who.UserID
}

func (c *Cloud) listKeypairs(q *call) (reply, error) {
	list := []obj{}
	for _, k := range sorted(c.store.view().Keypairs, func(a, b keypair) int { return strings.Compare(a.Name, b.Name) }) {
		if k.UserID == keyOwner(q) {
			list = append(list, obj{"keypair": k.document(q)})
		}
	}
	return ok(obj{"keypairs": list})
}

func (c *Cloud) showKeypair(q *call) (reply, error) {
	k, known := c.store.view().Keypairs[keyOwner(q)+"/"+q.PathValue("name")]
	if !known {
		return reply{}, noKeypair(q)
	}
	d := k.document(q)
	d["user_id"], d["created_at"], d["deleted"], d["id"] = k.UserID, k.CreatedAt.Format("2006-01-02T15:04:05.000000"), false, 1
	d["deleted_at"], d["updated_at"] = nil, nil
	return ok(obj{"keypair": d})
}

func noKeypair(q *call) error {
	return fail(http.StatusNotFound, "Keypair %s not found for user %s", q.PathValue("name"), keyOwner(q))
}

func (c *Cloud) deleteKeypair(q *call) (reply, error) {
	err := c.store.update(func(s *state) error {
		key := keyOwner(q) + "/" + q.PathValue("name")
		if _, known := s.Keypairs[key]; !known {
			return noKeypair(q)
		}
		delete(s.Keypairs, key)
		return nil
	})
	if q.version < keypairTypes {
		return reply{status: http.StatusAccepted}, err
	}
	return reply{status: http.StatusNoContent}, err
}

type keypairRequest struct {
	Keypair struct {
		Name      string `json:"name"`
		Type      string `json:"type"`
		PublicKey string `json:"public_key"`
	} `json:"keypair"`
}

func (c *Cloud) createKeypair(q *call) (reply, error) {
	var in keypairRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	made, private, err := c.newKeypair(q, in)
	if err != nil {
		return reply{}, err
	}
	err = c.store.update(func(s *state) error {
		used := 0
		for _, k := range s.Keypairs {
			if k.UserID == made.UserID {
				used++
			}
		}
		key := made.UserID + "/" + made.Name
		if _, exists := s.Keypairs[key]; exists {
			return fail(http.StatusConflict, "Key pair '%s' already exists.", made.Name)
		}
		if beyond(used, c.seed.Quotas.KeyPairs) {
			return fail(http.StatusForbidden, "Quota exceeded, too many key pairs.")
		}
		s.Keypairs[key] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	document := made.document(q)
	document["user_id"] = made.UserID
	if private != "" {
		document["private_key"] = private
	}
	status := http.StatusOK
	if q.version >= keypairTypes {
		status = http.StatusCreated
	}
	return reply{status: status, body: obj{"keypair": document}}, nil
}

func (c *Cloud) newKeypair(q *call, in keypairRequest) (made keypair, private string, err error) {
	given := in.Keypair
	if given.Name == "" || len(given.Name) > 255 || strings.ContainsAny(given.Name, "/\x00") {
		return made, "", fail(http.StatusBadRequest, "Keypair data is invalid: Keypair name contains unsafe characters or has a bad length")
	}
	if given.PublicKey == "" {
		if q.version >= keypairImportOnly {
			return made, "", fail(http.StatusBadRequest, "Invalid input for field/attribute keypair. 'public_key' is a required property")
		}
		if given.PublicKey, private, err = generateKey(given.Name); err != nil {
			return made, "", err
		}
	}
	md5sum, err := fingerprint(given.PublicKey)
	if err != nil {
		return made, "", fail(http.StatusBadRequest, "Keypair data is invalid: %v", err)
	}
	made = keypair{
		UserID: q.who.UserID, Name: given.Name, Type: "ssh", PublicKey: given.PublicKey, Fingerprint: md5sum,
		CreatedAt: c.now().UTC().Truncate(time.Microsecond),
	}
	return made, private, nil
}

// generateKey makes a key pair as Nova does, the public half in OpenSSH's form.
func generateKey(comment string) (public, private string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("generate a key pair: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", fmt.Errorf("generate a key pair: %w", err)
	}
	const kind = "ssh-ed25519"
	var blob []byte
	for _, field := range [][]byte{[]byte(kind), pub} {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(field))) // A few bytes.
		blob = append(blob, field...)
	}
	private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return kind + " " + base64.StdEncoding.EncodeToString(blob) + " " + comment, private, nil
}
