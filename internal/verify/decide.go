package verify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Prefix begins the name of everything that a run makes.
const Prefix = "jeroboam-verify-"

// Thing is something in the cloud.
type Thing struct{ ID, Name string }

// Flavor is a size of nodes.
type Flavor struct {
	Thing

	VCPUs, RAM, Disk int // MB, GB
}

// Found is what the cloud has, as the user sees it.
type Found struct {
	Admin     bool // the token has the role admin
	Project   string
	Externals []Thing
	Images    []Thing
	Flavors   []Flavor
	Templates []Thing
	Clusters  []Thing
	Keypairs  []Thing
	Balancers bool // there is an Octavia
	Volumes   bool // there is a Cinder
}

// Choice is a thing that is used: one that is there, or one that is made.
type Choice struct {
	Thing

	Make bool
	Why  string // in words
}

// Plan is what a run uses and makes.
type Plan struct {
	Name string // of everything that is made

	Cluster, Template, Network, Image, Flavor, Keypair Choice
}

// What a node of kubeadm needs, and what a flavor is made with.
const (
	minVCPUs, minRAM, minDisk    = 2, 3072, 10
	makeVCPUs, makeRAM, makeDisk = 2, 4096, 20
)

// Decide says what is made and what is found. Its error has all problems.
func Decide(o Options, f Found) (Plan, error) {
	p := Plan{Name: Prefix + o.RunID}
	made := func(why string) Choice { return Choice{Thing{Name: p.Name}, true, why} }
	problems := o.problems()
	use := func(kind, flag, name string, among []Thing) Choice {
		c, err := find(kind, name, among)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", flag, err))
		}
		return c
	}
	if o.Cluster != "" {
		p.Cluster = use("cluster", "--cluster", o.Cluster, f.Clusters)
		return p, errors.Join(problems...)
	}
	p.Cluster = made(fmt.Sprintf("%d masters, %d workers", o.Masters, o.Nodes))
	if o.Keypair == "" {
		p.Keypair = made("its private half is thrown away")
	} else {
		p.Keypair = use("key pair", "--keypair", o.Keypair, f.Keypairs)
	}
	if o.ClusterTemplate != "" {
		p.Template = use("cluster template", "--cluster-template", o.ClusterTemplate, f.Templates)
		return p, errors.Join(problems...)
	}
	p.Template = made("")
	switch {
	case o.Image != "":
		p.Image = made("uploaded from " + o.Image)
	case o.ImageName != "":
		p.Image = use("image", "--image-name", o.ImageName, f.Images)
	default:
		problems = append(problems, errors.New("which image do nodes boot from? --image FILE uploads one, --image-name NAME uses one that is there"))
	}
	var err error
	if p.Network, err = network(o, f, made); err != nil {
		problems = append(problems, err)
	}
	if p.Flavor, err = flavor(o, f, made); err != nil {
		problems = append(problems, err)
	}
	return p, errors.Join(problems...)
}

func network(o Options, f Found, made func(string) Choice) (Choice, error) {
	switch {
	case o.ExternalNetwork != "":
		c, err := find("external network", o.ExternalNetwork, f.Externals)
		if err != nil {
			return c, fmt.Errorf("--external-network: %w", err)
		}
		return c, nil
	case len(f.Externals) == 1:
		return Choice{Thing: f.Externals[0], Why: "the only external network"}, nil
	case len(f.Externals) > 1:
		return Choice{}, fmt.Errorf("the cloud has the external networks %s: choose one with --external-network", names(f.Externals))
	case o.Public == PublicNetwork{}:
		return Choice{}, errors.New("the cloud has no external network: --public-physical-network and --public-cidr make one (an administrator)")
	case !f.Admin:
		return Choice{}, errors.New("the cloud has no external network, and this user is no administrator, who could make one")
	}
	return made("external, flat, on " + o.Public.Physical), nil
}

func flavor(o Options, f Found, made func(string) Choice) (Choice, error) {
	all := make([]Thing, len(f.Flavors))
	for i := range f.Flavors {
		all[i] = f.Flavors[i].Thing
	}
	if o.Flavor != "" {
		c, err := find("flavor", o.Flavor, all)
		if err != nil {
			return c, fmt.Errorf("--flavor: %w", err)
		}
		return c, nil
	}
	if f.Admin {
		return made(fmt.Sprintf("%d VCPUs, %d MB, %d GB", makeVCPUs, makeRAM, makeDisk)), nil
	}
	fit := slices.DeleteFunc(slices.Clone(f.Flavors), func(v Flavor) bool { return v.VCPUs < minVCPUs || v.RAM < minRAM || v.Disk < minDisk })
	if len(fit) == 0 {
		return Choice{}, fmt.Errorf("no flavor has %d VCPUs, %d MB and %d GB, and this user may make none: name one with --flavor", minVCPUs, minRAM, minDisk)
	}
	least := slices.MinFunc(fit, func(a, b Flavor) int {
		return cmp.Or(cmp.Compare(a.RAM, b.RAM), cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.Disk, b.Disk), cmp.Compare(a.Name, b.Name))
	})
	return Choice{Thing: least.Thing, Why: fmt.Sprintf("the smallest that fits: %d VCPUs, %d MB, %d GB", least.VCPUs, least.RAM, least.Disk)}, nil
}

func find(kind, name string, among []Thing) (Choice, error) {
	var hits []Thing
	for _, t := range among {
		if t.ID == name {
			return Choice{Thing: t}, nil
		}
		if t.Name == name {
			hits = append(hits, t)
		}
	}
	switch len(hits) {
	case 0:
		return Choice{}, fmt.Errorf("there is no %s %q; there is %s", kind, name, cmp.Or(names(among), "none"))
	case 1:
		return Choice{Thing: hits[0]}, nil
	}
	return Choice{}, fmt.Errorf("%d of the %ss are called %q: use an id", len(hits), kind, name)
}

// names are shown to people: not all of a thousand.
func names(of []Thing) string {
	const most = 20
	var out []string
	for _, t := range of {
		out = append(out, t.Name)
	}
	slices.Sort(out)
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more", len(of)-most))
	}
	return strings.Join(out, ", ")
}
