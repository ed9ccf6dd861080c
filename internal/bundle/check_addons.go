package bundle

import (
	"cmp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
)

func (p *parser) checkAddons(l *Lock, used map[string]bool) {
	seen := map[string]bool{}
	for i, a := range l.Addons {
		p.artefact(a.Artefact, "addons", i)
		if a.URL != "" {
			p.problem(p.at("addons", i, "url"), "%s is packed from a module, it has no url", a.Name)
		}
		name := cmp.Or(a.Addon, a.Name)
		if !slices.Contains(addon.Names(), name) {
			p.problem(p.at("addons", i), "there is no addon %q, the names are %s", name, strings.Join(addon.Names(), ", "))
		}
		if seen[name+" "+a.Version] {
			p.problem(p.at("addons", i), "the catalogue has %s %s already", name, a.Version)
		}
		seen[name+" "+a.Version] = true
		if _, err := semver.NewConstraint(a.Kubernetes); err != nil {
			p.problem(p.at("addons", i, "kubernetes"), "not a range of versions like \">=1.33.0-0 <1.38.0-0\": %q", a.Kubernetes)
		}
		p.checkChart(l, i, a, used)
		for j, ref := range a.Images {
			if l.image(ref) == nil {
				p.problem(p.at("addons", i, "images", j), "there is no image %s", ref)
			}
		}
	}
}

func (p *parser) checkChart(l *Lock, i int, a Addon, used map[string]bool) {
	switch {
	case a.Chart != "" && a.Plain != "", a.Chart == "" && a.Plain == "" && len(a.Files) == 0:
		p.problem(p.at("addons", i), "%s needs one of chart, plain and files", a.Name)
	case a.Plain != "" && len(a.Files)+len(a.Except)+len(a.Set)+len(a.Values)+len(a.Images) > 0:
		p.problem(p.at("addons", i), "%s is plain objects: they have no files, values or images of their own here", a.Name)
	}
	if a.Plain == "" && len(a.Rename) > 0 {
		p.problem(p.at("addons", i, "rename"), "only images of plain objects can have other names: set the chart's values")
	}
	for from, to := range a.Rename {
		if l.image(to) == nil {
			p.problem(p.at("addons", i, "rename", from), "there is no image %s", to)
		}
	}
	if a.Module != "" || a.Chart != "" || a.Plain != "" {
		p.hasModule(l, a.Module, used, "addons", i, "module")
	}
	for _, at := range []string{a.Chart, a.Plain} {
		if at != "" {
			p.inside(at, "addons", i)
		}
	}
	for j, except := range a.Except {
		p.inside(except, "addons", i, "except", j)
	}
	for name := range a.Files {
		p.inside(name, "addons", i, "files", name)
	}
}
