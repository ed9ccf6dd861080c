package simcloud

import (
	"cmp"
	"crypto/md5" // Key pair fingerprints are MD5, as Nova's are.
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"
)

// Options are how a simulated cloud is set up. The zero value is a cloud with the built-in seed that forgets
// everything.
type Options struct {
	Seed              *Seed            // nil: the built-in seed
	Dir               string           // where the state is kept; empty: in memory only
	BaseURL           string           // what the catalog says; empty: what the client called us
	ContainerInfraURL string           // the Magnum API in the catalog; empty: http://127.0.0.1:9511/v1
	Now               func() time.Time // nil: time.Now
	Log               *slog.Logger     // nil: slog.Default

	// ProjectOf finds the project of a Cluster API cluster. Nil, or an empty answer: the project that has the cluster's
	// server group.
	ProjectOf func(cluster string) string
}

// Cloud is a running simulated cloud.
type Cloud struct {
	options Options
	now     func() time.Time
	log     *slog.Logger
	seed    *Seed
	store   *store
	handler http.Handler
	seal    sealer

	domains  []domain
	projects []project
	users    []user
	flavors  []flavor
	images   []image
	networks []network
	volumes  []volumeType

	mu     sync.Mutex
	faults []*requestRule
	rules  []MachineFault
}

type domain struct{ ID, Name string }

type project struct {
	ID, Name    string
	Description string
	Domain      domain
}

type user struct {
	ID, Name, Password string
	Domain             domain
	DefaultProject     string // id
	Grants             []grant
}

// grant is a role on a project; on the system when ProjectID is empty.
type grant struct{ Role, ProjectID string }

type flavor struct {
	SeedFlavor
}

type image struct {
	SeedImage
	Owner     string
	CreatedAt time.Time
}

type network struct {
	SeedNetwork
	Owner string
}

type volumeType struct{ SeedVolumeType }

// New builds the cloud: what the seed holds, and what the state file remembers.
func New(options Options) (*Cloud, error) {
	if options.Seed == nil {
		seed, err := ParseSeed(nil)
		if err != nil {
			return nil, err
		}
		options.Seed = seed
	}
	options.ContainerInfraURL = cmp.Or(options.ContainerInfraURL, "http://127.0.0.1:9511/v1")
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	c := &Cloud{options: options, now: options.Now, log: options.Log, seed: options.Seed}
	store, err := openStore(options.Dir, c.log)
	if err != nil {
		return nil, err
	}
	c.store = store
	if c.seal, err = newSealer(store.view().TokenKey); err != nil {
		return nil, err
	}
	c.plantIdentity()
	c.plantResources()
	if err := c.store.update(c.plantOnce); err != nil {
		return nil, err
	}
	if err := c.SetFaults(options.Seed.Faults); err != nil {
		return nil, err
	}
	c.handler = c.routes()
	return c, nil
}

// Close writes what was not written yet. The cloud answers on, from memory.
func (c *Cloud) Close() error { return c.store.close() }

// ServeHTTP serves every service of the cloud.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// WriteCloudsYAML writes a clouds.yaml with a cloud for every user that has a default project, named as the user. It
// holds passwords: only the owner may read it.
func (c *Cloud) WriteCloudsYAML(path string) error {
	if c.options.BaseURL == "" {
		return errors.New("clouds.yaml needs the address of Keystone: Options.BaseURL is not set")
	}
	clouds := map[string]any{}
	for _, u := range c.users {
		p, ok := c.project(u.DefaultProject)
		if !ok {
			continue
		}
		clouds[u.Name] = map[string]any{
			"auth": map[string]any{
				"auth_url": c.options.BaseURL + "/v3", "username": u.Name, "password": u.Password, "user_domain_name": u.Domain.Name,
				"project_name": p.Name, "project_domain_name": p.Domain.Name,
			},
			"region_name": c.seed.Region, "identity_api_version": 3, "interface": "public",
		}
	}
	text, err := yaml.Marshal(map[string]any{"clouds": clouds})
	if err != nil {
		return fmt.Errorf("write clouds.yaml: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write clouds.yaml: %w", err)
	}
	if err := replaceFile(path, text); err != nil {
		return fmt.Errorf("write clouds.yaml: %w", err)
	}
	return nil
}

// Ids are made from names: a restart, and another developer's machine, has the same ones.
var idSpace = uuid.MustParse("6a65726f-626f-616d-0000-73696d636c64")

func idOf(kind, name string) string { return uuid.NewSHA1(idSpace, []byte(kind+"/"+name)).String() }

// keystoneID has Keystone's form: no dashes.
func keystoneID(kind, name string) string { return strings.ReplaceAll(idOf(kind, name), "-", "") }

func newID() string { return uuid.NewString() }

func (c *Cloud) plantIdentity() {
	for _, d := range c.seed.Domains {
		c.domains = append(c.domains, domain{ID: cmp.Or(d.ID, keystoneID("domain", d.Name)), Name: d.Name})
	}
	for _, p := range c.seed.Projects {
		c.projects = append(c.projects, project{
			ID: cmp.Or(p.ID, keystoneID("project", p.Name)), Name: p.Name, Domain: c.domainNamed(p.Domain),
		})
	}
	for _, u := range c.seed.Users {
		planted := user{
			ID: cmp.Or(u.ID, keystoneID("user", u.Name)), Name: u.Name, Password: u.Password, Domain: c.domainNamed(u.Domain),
			DefaultProject: c.projectNamed(u.DefaultProject),
		}
		for _, g := range u.Roles {
			planted.Grants = append(planted.Grants, grant{Role: g.Role, ProjectID: c.projectNamed(g.Project)})
		}
		c.users = append(c.users, planted)
	}
}

func (c *Cloud) plantResources() {
	for i, f := range c.seed.Flavors {
		f.ID = cmp.Or(f.ID, fmt.Sprint(i+1))
		c.flavors = append(c.flavors, flavor{f})
	}
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, i := range c.seed.Images {
		i.ID = cmp.Or(i.ID, idOf("image", i.Name))
		i.Visibility = cmp.Or(i.Visibility, "public")
		c.images = append(c.images, image{SeedImage: i, Owner: c.projectNamed(cmp.Or(i.Project, "admin")), CreatedAt: created})
	}
	for _, n := range c.seed.Networks {
		n.ID = cmp.Or(n.ID, idOf("network", n.Name))
		n.Subnets = slices.Clone(n.Subnets)
		for j := range n.Subnets {
			n.Subnets[j].ID = cmp.Or(n.Subnets[j].ID, idOf("subnet", n.Name+"/"+n.Subnets[j].Name))
		}
		c.networks = append(c.networks, network{SeedNetwork: n, Owner: c.projectNamed(cmp.Or(n.Project, "admin"))})
	}
	for _, v := range c.seed.VolumeTypes {
		v.ID = cmp.Or(v.ID, idOf("volume-type", v.Name))
		c.volumes = append(c.volumes, volumeType{v})
	}
}

// plantOnce adds what clients may delete, unless it was added in an earlier life.
func (c *Cloud) plantOnce(s *state) error {
	for _, k := range c.seed.Keypairs {
		mark := "keypair/" + k.User + "/" + k.Name
		if s.Seeded[mark] {
			continue
		}
		md5sum, err := fingerprint(k.PublicKey)
		if err != nil {
			return fmt.Errorf("key pair %q: %w", k.Name, err)
		}
		owner := c.userNamed(k.User)
		s.Seeded[mark] = true
		s.Keypairs[owner+"/"+k.Name] = keypair{
			UserID: owner, Name: k.Name, Type: "ssh", PublicKey: k.PublicKey, Fingerprint: md5sum, CreatedAt: c.now().UTC(),
		}
	}
	for i, lb := range c.seed.LoadBalancers {
		mark := fmt.Sprintf("load-balancer/%d/%s/%s", i, lb.Project, lb.Name)
		if s.Seeded[mark] {
			continue
		}
		s.Seeded[mark] = true
		if err := c.plantLoadBalancer(s, lb); err != nil {
			return fmt.Errorf("load balancer %q: %w", lb.Name, err)
		}
	}
	return nil
}

func (c *Cloud) domainNamed(name string) domain {
	for _, d := range c.domains {
		if d.Name == name || name == "" {
			return d
		}
	}
	return domain{}
}

func (c *Cloud) projectNamed(name string) string {
	for _, p := range c.projects {
		if p.Name == name {
			return p.ID
		}
	}
	return ""
}

func (c *Cloud) userNamed(name string) string {
	for _, u := range c.users {
		if u.Name == name {
			return u.ID
		}
	}
	return ""
}

func (c *Cloud) project(id string) (project, bool) {
	all := c.everyProject()
	i := slices.IndexFunc(all, func(p project) bool { return p.ID == id && id != "" })
	if i < 0 {
		return project{}, false
	}
	return all[i], true
}

func (c *Cloud) user(id string) (user, bool) {
	i := slices.IndexFunc(c.users, func(u user) bool { return u.ID == id && id != "" })
	if i < 0 {
		return user{}, false
	}
	return c.users[i], true
}

// fingerprint is the MD5 of an OpenSSH public key, which it also checks.
func fingerprint(publicKey string) (string, error) {
	fields := strings.Fields(publicKey)
	if len(fields) < 2 {
		return "", errors.New("not a public key in OpenSSH's form")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(blob) < 4 {
		return "", errors.New("not a public key in OpenSSH's form")
	}
	length := int(binary.BigEndian.Uint32(blob))
	if length > len(blob)-4 || string(blob[4:4+length]) != fields[0] {
		return "", fmt.Errorf("the key is not of type %s", fields[0])
	}
	sum := md5.Sum(blob) // Nova's fingerprints are MD5.
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":"), nil
}
