package bundle

import (
	"io/fs"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// What words of a lock may look like. Programs are started with these as arguments: none begins with a dash, none has a
// space.
var (
	reToolchain = regexp.MustCompile(`^go1\.[0-9]+(\.[0-9]+|rc[0-9]+)?$`)
	rePlatform  = regexp.MustCompile(`^linux/(amd64|arm64)$`)
	reName      = regexp.MustCompile(`^[a-z0-9][a-z0-9._+-]*$`)
	reModule    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~/-]*$`)
	reGoVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*$`)
	reVersion   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~:-]*$`)
	reSum       = regexp.MustCompile(`^h1:[A-Za-z0-9+/]{43}=$`)
	reDigest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	reTag       = regexp.MustCompile(`^[a-z0-9_]+$`)
	reVariable  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	reValue     = regexp.MustCompile(`^[A-Za-z0-9._:+/ -]*$`)
	reUser      = regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`)
)

// check looks at all of a lock and notes every problem.
func (p *parser) check(l *Lock) {
	if l.Version != 1 && l.Version != 2 {
		p.problem(p.at("version"), "version is %d; this program reads versions 1 and 2", l.Version)
	}
	p.match(reToolchain, l.Toolchain, "toolchain must be a Go release like go1.26.8", "toolchain")
	p.match(rePlatform, l.Platform, "platform must be linux/amd64 or linux/arm64", "platform")
	for name, version := range l.Host {
		p.match(reName, name, "not the name of a Debian package", "host", name)
		p.match(reVersion, version, "not the version of a Debian package", "host", name)
	}
	for name, pins := range l.Pins {
		p.pins(pins, "pins", name)
	}
	used := map[string]bool{}
	p.checkModules(l, used)
	p.checkPrograms(l, used)
	p.checkPackages(l)
	paths := map[string]bool{}
	p.checkFiles(l, paths, used)
	p.checkImages(l, used)
	p.checkManifests(l, paths, used)
	p.checkAddons(l, used)
	p.checkPublishers(l, used)
	p.checkUsed(l, used)
	p.checkNames(l)
	p.checkReleases(l)
	for i, g := range l.Default {
		if !slices.Contains(l.groups(), g) {
			p.problem(p.at("default", i), "nothing is in the group %q", g)
		}
	}
}

func (p *parser) match(re *regexp.Regexp, value, problem string, where ...any) {
	if !re.MatchString(value) {
		p.problem(p.at(where...), "%s: %q", problem, value)
	}
}

func (p *parser) pins(pins Pins, where ...any) {
	for _, module := range slices.Sorted(maps.Keys(pins)) {
		here := append(slices.Clone(where), module)
		p.match(reModule, module, "not a module's path", here...)
		p.match(reGoVersion, pins[module], "not a module's version", here...)
	}
}

func (p *parser) checkModules(l *Lock, used map[string]bool) {
	for i, m := range l.Modules {
		p.match(reName, m.Name, "a module needs a name of lower case letters, digits and dashes", "modules", i, "name")
		p.match(reModule, m.Path, "not a module's path", "modules", i, "path")
		p.match(reGoVersion, m.Version, "not a module's version", "modules", i, "version")
		if m.Sum != "" || m.Private {
			p.match(reSum, m.Sum, "not a sum as in go.sum", "modules", i, "sum")
		}
		for j, set := range m.Pins {
			if _, ok := l.Pins[set]; !ok {
				p.problem(p.at("modules", i, "pins", j), "there are no pins %q", set)
			}
			used["pins "+set] = true
		}
		p.pins(m.Require, "modules", i, "require")
		for j, r := range m.Replace {
			p.checkReplace(r, "modules", i, "replace", j)
		}
	}
}

func (p *parser) checkReplace(r Replace, where ...any) {
	at := func(key ...any) []any { return append(slices.Clone(where), key...) }
	p.match(reModule, r.Module, "not a module's path", at("module")...)
	if len(r.Files) > 0 {
		p.inside(r.Module, at("module")...) // its files are written to a place named after it
	}
	if strings.TrimSpace(r.Reason) == "" {
		p.problem(p.at(where...), "the replacement of %s needs a reason", r.Module)
	}
	if (r.With == "") == (len(r.Files) == 0) {
		p.problem(p.at(where...), "the replacement of %s needs one of with and files", r.Module)
	}
	if r.With != "" {
		path, version, _ := strings.Cut(r.With, " ")
		p.match(reModule, path, "a replacement is \"path version\"", at("with")...)
		p.match(reGoVersion, version, "a replacement is \"path version\"", at("with")...)
	}
	for name := range r.Files {
		p.inside(name, at("files", name)...)
		if !strings.HasSuffix(name, ".go") {
			p.problem(p.at(at("files", name)...), "not a Go file: %s", name)
		}
	}
}

func (p *parser) checkPrograms(l *Lock, used map[string]bool) {
	for i, prog := range l.Programs {
		p.match(reName, prog.Name, "a program needs a name of lower case letters, digits and dashes", "programs", i, "name")
		p.hasModule(l, prog.Module, used, "programs", i, "module")
		if prog.Package != "" {
			p.inside(prog.Package, "programs", i, "package")
		}
		if prog.C != "" {
			p.inside(prog.C, "programs", i, "c")
			if prog.Package != "" || prog.Cgo || len(prog.Tags) > 0 || len(prog.Variables) > 0 {
				p.problem(p.at("programs", i), "a C program has no Go package, tags or variables")
			}
		}
		for j, tag := range prog.Tags {
			p.match(reTag, tag, "not a build tag", "programs", i, "tags", j)
		}
		for name, value := range prog.Variables {
			p.match(reVariable, name, "not a linker variable", "programs", i, "variables", name)
			p.match(reValue, value, "the value of a linker variable may not have such characters", "programs", i, "variables", name)
		}
		if (prog.Cgo || prog.C != "") && len(l.Host) == 0 {
			p.problem(p.at("programs", i), "%s is compiled with C: name the host's packages and their versions under host", prog.Name)
		}
	}
}

func (p *parser) checkPackages(l *Lock) {
	for i, pkg := range l.Packages {
		p.match(reName, pkg.Name, "not the name of a Debian package", "packages", i, "name")
		p.match(reVersion, pkg.Version, "not the version of a Debian package", "packages", i, "version")
		if pkg.Digest != "" {
			p.match(reDigest, pkg.Digest, "not a digest", "packages", i, "digest")
		}
		if pkg.Group != "" {
			p.match(reName, pkg.Group, "not the name of a group", "packages", i, "group")
		}
	}
}

func (p *parser) artefact(a Artefact, where ...any) {
	at := func(key string) []any { return append(slices.Clone(where), key) }
	p.match(reName, a.Name, "an artefact needs a name of lower case letters, digits and dashes", at("name")...)
	p.match(reVersion, a.Version, "not a version", at("version")...)
	if a.URL != "" {
		u, err := url.Parse(a.URL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "docker") {
			p.problem(p.at(at("url")...), "not an https or docker URL: %q", a.URL)
		}
	}
	if a.URLDigest != "" {
		p.match(reDigest, a.URLDigest, "not a digest", at("urlDigest")...)
		if a.URL == "" {
			p.problem(p.at(at("urlDigest")...), "there is no url that has this digest")
		}
	}
	if a.Digest != "" {
		p.match(reDigest, a.Digest, "not a digest", at("digest")...)
	}
	if a.Group != "" {
		p.match(reName, a.Group, "not the name of a group", at("group")...)
	}
}

// signer checks who is to have signed an artefact.
func (p *parser) signer(l *Lock, a Artefact, image bool, used map[string]bool, where ...any) {
	if a.SignedBy == "" {
		return
	}
	used["publisher "+a.SignedBy] = true
	if problem := l.lacksSigner(a, image); problem != "" {
		p.problem(p.at(where...), "%s: %s", a.Name, problem)
	}
}

// path checks a place below the bundle's files, and that nothing else has it.
func (p *parser) path(value string, paths map[string]bool, where ...any) {
	p.inside(value, where...)
	if paths[value] {
		p.problem(p.at(where...), "something else has the path %s", value)
	}
	paths[value] = true
}

func (p *parser) inside(value string, where ...any) {
	if !fs.ValidPath(value) || value == "." || strings.HasPrefix(value, "-") || strings.ContainsAny(value, " \n\\") {
		p.problem(p.at(where...), "not a relative path without dots and spaces: %q", value)
	}
}

func (p *parser) hasModule(l *Lock, name string, used map[string]bool, where ...any) {
	if l.module(name) == nil {
		p.problem(p.at(where...), "there is no module %q", name)
	}
	used["module "+name] = true
}

func (p *parser) hasProgram(l *Lock, name string, used map[string]bool, where ...any) {
	if l.program(name) == nil {
		p.problem(p.at(where...), "there is no program %q", name)
	}
	used["program "+name] = true
}

func (p *parser) checkFiles(l *Lock, paths, used map[string]bool) {
	for i, f := range l.Files {
		p.artefact(f.Artefact, "files", i)
		p.path(f.Path, paths, "files", i, "path")
		if f.Program != "" {
			p.hasProgram(l, f.Program, used, "files", i, "program")
		} else if f.URL == "" {
			p.problem(p.at("files", i), "%s has neither a program nor a url", f.Name)
		}
		p.signer(l, f.Artefact, false, used, "files", i, "signedBy")
		if u, err := url.Parse(f.Checksums); f.Checksums != "" && (err != nil || u.Scheme != "https" || u.Host == "" || f.URL == "") {
			p.problem(p.at("files", i, "checksums"), "not an https URL of the sums of what is at url: %q", f.Checksums)
		}
	}
}

func (p *parser) checkImages(l *Lock, used map[string]bool) {
	seen := map[string]bool{}
	for i, img := range l.Images {
		p.artefact(img.Artefact, "images", i)
		if err := registry.CheckReference(img.Reference); err != nil {
			p.problem(p.at("images", i, "reference"), "not an image's full reference: %v", err)
		}
		if seen[img.Reference] {
			p.problem(p.at("images", i, "reference"), "another image is %s", img.Reference)
		}
		seen[img.Reference] = true
		p.checkAliases(i, img, seen)
		for at, program := range img.Programs {
			p.absolute(at, "images", i, "programs", at)
			p.hasProgram(l, program, used, "images", i, "programs", at)
		}
		for j, name := range img.Packages {
			if l.pkg(name) == nil {
				p.problem(p.at("images", i, "packages", j), "there is no package %q", name)
			}
			used["package "+name] = true
		}
		for at := range img.Links {
			p.absolute(at, "images", i, "links", at)
		}
		for j, at := range img.Writable {
			p.absolute(at, "images", i, "writable", j)
		}
		for j, s := range img.Sources {
			p.hasModule(l, s.Module, used, "images", i, "sources", j, "module")
			p.inside(s.From, "images", i, "sources", j, "from")
			p.absolute(s.To, "images", i, "sources", j, "to")
			for k, except := range s.Except {
				p.inside(except, "images", i, "sources", j, "except", k)
			}
		}
		p.signer(l, img.Artefact, true, used, "images", i, "signedBy")
		if img.User != "" {
			p.match(reUser, img.User, "a user is a number, or user:group", "images", i, "user")
		}
		if !img.buildable() && img.URL == "" {
			p.problem(p.at("images", i), "%s has neither programs nor packages nor a url", img.Name)
		}
		if img.Unbuilt != "" && img.buildable() {
			p.problem(p.at("images", i, "unbuilt"), "%s has programs or packages that it is built from", img.Name)
		}
	}
}

func (p *parser) checkAliases(i int, img Image, seen map[string]bool) {
	for j, alias := range img.Aliases {
		if err := registry.CheckReference(alias); err != nil {
			p.problem(p.at("images", i, "aliases", j), "not an image's full reference: %v", err)
		}
		if seen[alias] {
			p.problem(p.at("images", i, "aliases", j), "another image is %s", alias)
		}
		seen[alias] = true
	}
}

func (p *parser) absolute(value string, where ...any) {
	if !path.IsAbs(value) || path.Clean(value) != value || value == "/" {
		p.problem(p.at(where...), "not an absolute path: %q", value)
	}
}

func (p *parser) checkManifests(l *Lock, paths, used map[string]bool) {
	for i, m := range l.Manifests {
		p.artefact(m.Artefact, "manifests", i)
		p.path(m.Path, paths, "manifests", i, "path")
		p.hasModule(l, m.Module, used, "manifests", i, "module")
		if m.Tool != "" {
			p.hasProgram(l, m.Tool, used, "manifests", i, "tool")
		}
		ways := 0
		for _, dir := range []string{m.Kustomize, m.Plain} {
			if dir != "" {
				ways++
				p.inside(dir, "manifests", i)
			}
		}
		if m.Chart != nil {
			ways++
			p.inside(m.Chart.Dir, "manifests", i, "chart", "dir")
		}
		if ways != 1 {
			p.problem(p.at("manifests", i), "%s needs one of kustomize, plain and chart", m.Name)
		}
		if (m.Kustomize != "" || m.Chart != nil) && m.Tool == "" {
			p.problem(p.at("manifests", i), "%s needs a tool that renders it", m.Name)
		}
		for from, to := range m.Images {
			if !slices.ContainsFunc(l.Images, func(img Image) bool { return img.Reference == to }) {
				p.problem(p.at("manifests", i, "images", from), "there is no image %s", to)
			}
		}
	}
}

// checkUsed finds what nothing uses: a leftover, or a typing mistake somewhere else.
func (p *parser) checkUsed(l *Lock, used map[string]bool) {
	for i, m := range l.Modules {
		if !used["module "+m.Name] {
			p.problem(p.at("modules", i), "nothing uses the module %s", m.Name)
		}
	}
	for i, prog := range l.Programs {
		if !used["program "+prog.Name] {
			p.problem(p.at("programs", i), "nothing uses the program %s", prog.Name)
		}
	}
	for i, pkg := range l.Packages {
		if !pkg.Ship && !used["package "+pkg.Name] {
			p.problem(p.at("packages", i), "nothing uses the package %s", pkg.Name)
		}
	}
}

func (p *parser) checkNames(l *Lock) {
	seen := map[string]bool{}
	once := func(section string, i int, name string) {
		if seen[section+" "+name] {
			p.problem(p.at(section, i, "name"), "another of the %s has the name %s", section, name)
		}
		seen[section+" "+name] = true
	}
	for i, m := range l.Modules {
		once("modules", i, m.Name)
	}
	for i, prog := range l.Programs {
		once("programs", i, prog.Name)
	}
	for i, pkg := range l.Packages {
		once("packages", i, pkg.Name)
	}
	for i, f := range l.Files {
		once("files", i, f.Name)
	}
	for i, img := range l.Images {
		once("images", i, img.Name)
	}
	for i, m := range l.Manifests {
		once("manifests", i, m.Name)
	}
	for i, a := range l.Addons {
		once("addons", i, a.Name)
	}
}
