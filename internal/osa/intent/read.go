package intent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Options say where to read.
type Options struct {
	Config      string // the operator's directory; "" is /etc/openstack_deploy
	Environment string // OpenStack-Ansible's inventory directory; "" is /opt/openstack-ansible/inventory
	Release     string // which release to be; "" is concluded from what is there
	System      string // where files are looked for that Config lacks; "" is /etc/openstack_deploy
	Facts       string // Ansible's fact cache; "" is ansible_facts in Config
	// HostFacts are facts that somebody gathered, by host and by Ansible's short name ("hostname", "os_family",
	// "architecture"). They go before the cache.
	HostFacts map[string]map[string]string
	Passwords []osa.VaultPassword
	// Types are the rules for types of templates; nil goes by the release.
	Types *jinja.Types
	// Env looks up environment variables for lookup('env'); nil is the process's.
	Env func(string) (string, bool)
	// Draw names new containers and picks their addresses; the zero value draws at random.
	Draw osa.Draw
}

// Read reads everything. The error is for what could not be read; what is wrong with the content is in the findings,
// all of it, and an Intent with errors among them is not to be deployed.
func Read(opts Options) (Intent, osa.Findings, error) {
	r := &reader{opts: opts.filled(), seen: map[string]bool{}, broken: map[string]bool{}, scopes: map[string]*scope{}, asked: map[string]bool{}}
	r.in.Origins, r.in.NeedFacts = map[string]Origin{}, []string{}
	for _, s := range steps() {
		if err := s.do(r); err != nil {
			return Intent{}, r.found, fmt.Errorf("%s: %w", s.name, err)
		}
		if s.gate && r.found.Count(osa.Error) > 0 {
			break
		}
	}
	r.hide()
	return r.in, r.found, nil
}

// ReadAssuming is Read for who has gathered no facts. Those that a variable needs are assumed as OpenStack-Ansible
// makes them: the host name of a container is its name, with dashes.
func ReadAssuming(opts Options) (Intent, osa.Findings, error) {
	in, found, err := Read(opts)
	if err != nil || len(in.NeedFacts) == 0 {
		return in, found, err
	}
	opts.HostFacts = maps.Clone(opts.HostFacts)
	if opts.HostFacts == nil {
		opts.HostFacts = map[string]map[string]string{}
	}
	for _, name := range in.NeedFacts {
		opts.HostFacts[name] = map[string]string{"hostname": strings.ReplaceAll(name, "_", "-"), "os_family": "Debian", "architecture": "x86_64"}
	}
	return Read(opts)
}

func (o Options) filled() Options {
	if o.Config == "" {
		o.Config = osa.SystemDir
	}
	if o.Environment == "" {
		o.Environment = osa.BaseDir
	}
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Draw.Suffix == nil {
		o.Draw = osa.NewDraw()
	}
	return o
}

type step struct {
	name string
	do   func(*reader) error
	gate bool // without what it found the rest means nothing
}

// steps reads from what is certain to what builds on it.
func steps() []step {
	return []step{
		{"read the configuration", (*reader).load, true},
		{"make the inventory", (*reader).inventory, true},
		{"read the variables", (*reader).variables, true},
		{"virtual addresses", (*reader).vips, false},
		{"nodes", (*reader).nodes, true},
		{"networks", (*reader).ranges, false},
		{"versions", (*reader).versions, false},
		{"Kubernetes", (*reader).kubernetes, false},
		{"certificate authorities", (*reader).customCA, false},
		{"containerd", (*reader).containerd, false},
		{"charts", (*reader).charts, false},
		{"Cluster API", (*reader).clusterAPI, false},
		{"load balancers", (*reader).haproxy, false},
		{"sources", (*reader).sources, false},
		{"Magnum", (*reader).magnum, false},
		{"proxy", (*reader).proxy, false},
		{"backups", (*reader).backups, false},
		{"physical hosts", (*reader).hosts, false},
		{"facts that are missing", (*reader).tellFacts, false},
		{"checks", (*reader).check, false},
	}
}

// reader is one reading.
type reader struct {
	opts   Options
	in     Intent
	found  osa.Findings
	src    *osa.Source
	inv    *osa.Inventory
	vars   *osa.Variables // outside of any role
	roles  *osa.Variables // with the defaults of roles below
	scopes map[string]*scope
	seen   map[string]bool // findings that were told once
	broken map[string]bool // variables that cannot be evaluated
	asked  map[string]bool // variables that somebody asked for, under all the names that they may have

	factless []factNeed
	written  []writtenService
}

func (r *reader) load() error {
	src, err := osa.Load(osa.Options{Config: r.opts.Config, Environment: r.opts.Environment, Release: r.opts.Release, System: r.opts.System})
	if err != nil {
		return err
	}
	r.src, r.in.Directory, r.in.Release = src, r.opts.Config, src.Release.Name
	r.from("directory", Origin{Level: "derived", Why: "where the configuration was read"})
	r.from("release", Origin{Level: "derived", Why: src.Release.From})
	return nil
}

func (r *reader) inventory() error {
	res, err := osa.Generate(r.src, r.opts.Draw)
	r.found = append(r.found, res.Findings...)
	var refused *osa.Refusal
	if errors.As(err, &refused) { // its errors are among the findings; what else cannot be read is told with them
		r.unreadableFiles(func(e osa.Entity) (read, open bool) { return !e.Stray, false })
		return nil
	}
	if err != nil {
		return err
	}
	r.inv = res.Inventory
	r.in.Drawn = drawn(r.src.Existing, r.inv)
	r.from("drawn", Origin{Pos: osa.Pos{File: r.src.Dir}, Level: "derived", Why: "what " + osa.InventoryFile + " does not have"})
	return nil
}

// drawn are the containers that only this run knows.
func drawn(existing *osa.Map, now *osa.Inventory) []string {
	var before *osa.Inventory
	if existing != nil {
		before = osa.NewInventory(existing)
	}
	out := []string{}
	for _, h := range now.Hosts() {
		if h.IsMetal() {
			continue
		}
		known := false
		if before != nil {
			_, known = before.Host(h.Name)
		}
		if !known {
			out = append(out, h.Name)
		}
	}
	return out
}

func (r *reader) variables() error {
	opts := osa.VarsOptions{
		Config: r.opts.Config, Tree: r.opts.Environment, Facts: r.opts.Facts, HostFacts: r.opts.HostFacts,
		Passwords: r.opts.Passwords, SafeGroups: !r.src.Release.DashesMatter, Types: jinja.Native, Lookups: osa.Lookups(r.opts.Env),
	}
	if r.src.Release.DashesMatter {
		opts.Types = jinja.Text // ansible-core before 2.19, which OpenStack-Ansible 33 brought
	}
	if r.opts.Types != nil {
		opts.Types = *r.opts.Types
	}
	generated := r.inv
	vars, err := osa.LoadVars(generated, opts)
	if err == nil {
		r.inv = vars.Inventory() // with what the two files inventory.ini add
	}
	var static *osa.StaticError
	if errors.As(err, &static) {
		r.fail("inventory-ini", osa.Pos{}, "write it as Ansible's plugin ini reads it (docs/variables.md)", "%v", static)
	}
	if r.unreadableFiles(r.reads()) || static != nil {
		return nil //nolint:nilerr // it is among the findings
	}
	if err != nil {
		return err
	}
	r.vars = vars
	if err := r.generation(); err != nil {
		return err
	}
	if opts.RoleDefaults, err = roleDefaults(r.in.Generation); err != nil {
		return err
	}
	r.roles, err = osa.LoadVars(generated, opts)
	return err
}

// reads says which files of groups and hosts Ansible reads, and which of them a deployment needs for sure.
func (r *reader) reads() func(osa.Entity) (read, open bool) {
	needed := map[[2]string]bool{{osa.GroupVarsDir, "all"}: true}
	for _, group := range []string{groupNodes, groupMagnum, groupHAProxy} {
		for _, host := range r.inv.Members(group) {
			needed[[2]string{osa.HostVarsDir, host}] = true
			for _, a := range r.inv.Ancestors(host) {
				needed[[2]string{osa.GroupVarsDir, a.Name}] = true
			}
		}
	}
	return func(e osa.Entity) (read, open bool) { return r.inv.Has(e), needed[[2]string{e.Kind, e.Name}] }
}

// unreadableFiles tells all files of variables that cannot be read.
func (r *reader) unreadableFiles(reads func(osa.Entity) (read, open bool)) bool {
	wrong := osa.Unreadable(r.opts.Config, r.opts.Passwords, reads)
	r.found = append(r.found, wrong...)
	return len(wrong) > 0
}

func (r *reader) from(path string, o Origin) { r.in.Origins[path] = o }
