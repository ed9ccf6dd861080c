package simcloud

import (
	"bytes"
	_ "embed"
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed default.yaml
var defaultYAML []byte

// Duration is a time.Duration written as "1m30s" in YAML and JSON.
type Duration time.Duration

var (
	_ encoding.TextMarshaler   = Duration(0)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
)

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration as Go does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration such as 500ms or 1m30s", text)
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalYAML reads a duration and tells the line of one that is none, as YAML's own types do.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	if err := d.UnmarshalText([]byte(node.Value)); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", node.Line, err)}}
	}
	return nil
}

// Seed is what the simulated cloud holds at first. docs/simcloud.md describes the YAML.
type Seed struct {
	Region              string             `yaml:"region"`
	TokenLifetime       Duration           `yaml:"token_lifetime"`
	Quotas              Quotas             `yaml:"quotas"`
	Domains             []SeedDomain       `yaml:"domains"`
	Projects            []SeedProject      `yaml:"projects"`
	Users               []SeedUser         `yaml:"users"`
	Flavors             []SeedFlavor       `yaml:"flavors"`
	Images              []SeedImage        `yaml:"images"`
	Networks            []SeedNetwork      `yaml:"networks"`
	Keypairs            []SeedKeypair      `yaml:"keypairs"`
	VolumeTypes         []SeedVolumeType   `yaml:"volume_types"`
	AvailabilityZones   []string           `yaml:"availability_zones"`
	LoadBalancerFlavors []string           `yaml:"load_balancer_flavors"`
	LoadBalancerZones   []string           `yaml:"load_balancer_availability_zones"`
	LoadBalancerDelay   Duration           `yaml:"load_balancer_delay"`
	LoadBalancers       []SeedLoadBalancer `yaml:"load_balancers"`
	Faults              Faults             `yaml:"faults"`
}

// Quotas are how many of each a project, or for key pairs a user, may have.
type Quotas struct {
	Instances          int `yaml:"instances"`
	Cores              int `yaml:"cores"`
	RAM                int `yaml:"ram"`
	ServerGroupMembers int `yaml:"server_group_members"`
	ServerGroups       int `yaml:"server_groups"`
	KeyPairs           int `yaml:"key_pairs"`
	FloatingIPs        int `yaml:"floating_ips"`
	LoadBalancers      int `yaml:"load_balancers"`
}

// SeedDomain is a Keystone domain.
type SeedDomain struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

// SeedProject is a Keystone project.
type SeedProject struct {
	ID     string `yaml:"id"`
	Name   string `yaml:"name"`
	Domain string `yaml:"domain"`
}

// SeedUser is a Keystone user with their role assignments.
type SeedUser struct {
	ID             string      `yaml:"id"`
	Name           string      `yaml:"name"`
	Domain         string      `yaml:"domain"`
	Password       string      `yaml:"password"`
	DefaultProject string      `yaml:"default_project"`
	Roles          []SeedGrant `yaml:"roles"`
}

// SeedGrant is a role on a project or on the system.
type SeedGrant struct {
	Role    string `yaml:"role"`
	Project string `yaml:"project"`
	System  bool   `yaml:"system"`
}

// SeedFlavor is a Nova flavor, and what becomes of its machines.
type SeedFlavor struct {
	ID         string            `yaml:"id"`
	Name       string            `yaml:"name"`
	VCPUs      int               `yaml:"vcpus"`
	RAM        int               `yaml:"ram"`
	Disk       int               `yaml:"disk"`
	ExtraSpecs map[string]string `yaml:"extra_specs"`
	Fail       string            `yaml:"fail"`
	Delay      Duration          `yaml:"delay"`
}

// SeedImage is a Glance image; private ones belong to Project.
type SeedImage struct {
	ID         string            `yaml:"id"`
	Name       string            `yaml:"name"`
	Project    string            `yaml:"project"`
	Visibility string            `yaml:"visibility"`
	MinDisk    int               `yaml:"min_disk"`
	MinRAM     int               `yaml:"min_ram"`
	Size       int64             `yaml:"size"`
	Properties map[string]string `yaml:"properties"`
}

// SeedNetwork is a Neutron network.
type SeedNetwork struct {
	ID       string       `yaml:"id"`
	Name     string       `yaml:"name"`
	Project  string       `yaml:"project"`
	External bool         `yaml:"external"`
	Shared   bool         `yaml:"shared"`
	Subnets  []SeedSubnet `yaml:"subnets"`
}

// SeedSubnet is a Neutron subnet.
type SeedSubnet struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
	CIDR string `yaml:"cidr"`
}

// SeedKeypair is a Nova key pair that a user has from the start.
type SeedKeypair struct {
	User      string `yaml:"user"`
	Name      string `yaml:"name"`
	PublicKey string `yaml:"public_key"`
}

// SeedVolumeType is a Cinder volume type.
type SeedVolumeType struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Default bool   `yaml:"default"`
}

// SeedLoadBalancer is an Octavia load balancer that is there from the start.
type SeedLoadBalancer struct {
	Name        string `yaml:"name"`
	Project     string `yaml:"project"`
	Description string `yaml:"description"`
	FloatingIP  bool   `yaml:"floating_ip"`
}

// DefaultYAML is the built-in seed as text.
func DefaultYAML() []byte { return bytes.Clone(defaultYAML) }

// ReadSeed reads the seed file, or the built-in seed when the path is empty.
func ReadSeed(path string) (*Seed, error) {
	if path == "" {
		return ParseSeed(nil)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read what the simulated OpenStack holds: %w", err)
	}
	seed, err := ParseSeed(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return seed, nil
}

// ParseSeed lays the text over the built-in seed. All problems are returned at once, each with its line.
func ParseSeed(text []byte) (*Seed, error) {
	seed := &Seed{}
	if err := decodeStrict(defaultYAML, seed); err != nil {
		return nil, fmt.Errorf("the built-in seed: %w", err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	check := &checker{root: &root}
	if err := decodeStrict(text, seed); err != nil {
		var problems *yaml.TypeError
		if !errors.As(err, &problems) {
			return nil, err
		}
		for _, problem := range problems.Errors {
			check.problems = append(check.problems, errors.New(inOurWords(problem)))
		}
	}
	check.seed(seed)
	slices.SortStableFunc(check.problems, func(a, b error) int { return lineIn(a) - lineIn(b) })
	if err := errors.Join(check.problems...); err != nil {
		return nil, err
	}
	return seed, nil
}

func decodeStrict(text []byte, into *Seed) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

var (
	unknownKey = regexp.MustCompile(`field (\S+) not found in type simcloud\.\S+`)
	lineNumber = regexp.MustCompile(`^line (\d+):`)
)

func inOurWords(problem string) string {
	return unknownKey.ReplaceAllString(problem, `unknown key "$1"`)
}

func lineIn(err error) int {
	var line int
	if found := lineNumber.FindStringSubmatch(err.Error()); found != nil {
		_, _ = fmt.Sscan(found[1], &line)
	}
	return line
}

// checker looks for what YAML's types cannot say.
type checker struct {
	root     *yaml.Node
	problems []error
}

// add notes a problem with the thing at the path, a chain of keys and list indexes.
func (c *checker) add(path []any, format string, args ...any) {
	node := c.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	c.problems = append(c.problems, fmt.Errorf("line %d: %s: %s", node.Line, dotted(path), fmt.Sprintf(format, args...)))
}

func dotted(path []any) string {
	var text strings.Builder
	for _, step := range path {
		if i, ok := step.(int); ok {
			fmt.Fprintf(&text, "[%d]", i)
			continue
		}
		if text.Len() > 0 {
			text.WriteByte('.')
		}
		fmt.Fprint(&text, step)
	}
	return text.String()
}

func child(node *yaml.Node, step any) *yaml.Node {
	switch step := step.(type) {
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step]
		}
	}
	return nil
}

func (c *checker) seed(s *Seed) {
	domains := c.names("domains", len(s.Domains), func(i int) string { return s.Domains[i].Name })
	projects := c.names("projects", len(s.Projects), func(i int) string { return s.Projects[i].Name })
	users := c.names("users", len(s.Users), func(i int) string { return s.Users[i].Name })
	c.names("flavors", len(s.Flavors), func(i int) string { return s.Flavors[i].Name })
	c.names("volume_types", len(s.VolumeTypes), func(i int) string { return s.VolumeTypes[i].Name })
	for i, p := range s.Projects {
		c.refers("domain", domains, p.Domain, "projects", i, "domain")
	}
	for i, u := range s.Users {
		c.refers("domain", domains, u.Domain, "users", i, "domain")
		c.refers("project", projects, u.DefaultProject, "users", i, "default_project")
		c.user(i, u, projects)
	}
	for i, image := range s.Images {
		c.refers("project", projects, image.Project, "images", i, "project")
		if !slices.Contains([]string{"", "public", "private", "shared", "community"}, image.Visibility) {
			c.add([]any{"images", i, "visibility"}, "visibility %q is none of public, private, shared, community", image.Visibility)
		}
		if image.Name == "" {
			c.add([]any{"images", i}, "an image needs a name")
		}
	}
	for i, n := range s.Networks {
		c.refers("project", projects, n.Project, "networks", i, "project")
		for j, subnet := range n.Subnets {
			if _, err := netip.ParsePrefix(subnet.CIDR); err != nil {
				c.add([]any{"networks", i, "subnets", j, "cidr"}, "cidr %q is not a network such as 10.0.0.0/24", subnet.CIDR)
			}
		}
	}
	for i, k := range s.Keypairs {
		c.refers("user", users, k.User, "keypairs", i, "user")
		if _, err := fingerprint(k.PublicKey); err != nil {
			c.add([]any{"keypairs", i, "public_key"}, "public_key: %v", err)
		}
	}
	for i, lb := range s.LoadBalancers {
		c.refers("project", projects, lb.Project, "load_balancers", i, "project")
		if lb.Project == "" {
			c.add([]any{"load_balancers", i}, "a load balancer needs a project")
		}
	}
	for i, rule := range s.Faults.Requests {
		if err := rule.check(); err != nil {
			c.add([]any{"faults", "requests", i}, "%v", err)
		}
	}
}

func (c *checker) user(i int, u SeedUser, projects []string) {
	if u.Password == "" {
		c.add([]any{"users", i}, "user %q needs a password", u.Name)
	}
	for j, grant := range u.Roles {
		at := []any{"users", i, "roles", j}
		if !slices.Contains(roleNames, grant.Role) {
			c.add(append(at, "role"), "role %q is none of %s", grant.Role, strings.Join(roleNames, ", "))
		}
		if grant.System == (grant.Project != "") {
			c.add(at, "a role needs either a project or system: true")
		}
		c.refers("project", projects, grant.Project, append(at, "project")...)
	}
}

// names are there, and only once.
func (c *checker) names(list string, count int, name func(int) string) []string {
	var seen []string
	for i := range count {
		n := name(i)
		switch {
		case n == "":
			c.add([]any{list, i}, "an entry of %s needs a name", list)
		case slices.Contains(seen, n):
			c.add([]any{list, i, "name"}, "%s has %q twice", list, n)
		}
		seen = append(seen, n)
	}
	return seen
}

func (c *checker) refers(kind string, known []string, name string, path ...any) {
	if name != "" && !slices.Contains(known, name) {
		c.add(path, "there is no %s %q", kind, name)
	}
}
