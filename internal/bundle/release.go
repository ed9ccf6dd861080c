package bundle

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// kubernetesModule is the module whose version is the Kubernetes of a lock.
const kubernetesModule = "k8s.io/kubernetes"

// Release is a further release of Kubernetes that a bundle carries: a cluster that is older than the lock's own
// Kubernetes goes through it, because Kubernetes' version skew policy allows one minor version at a time. It consists
// of the same programs, files and images as the lock's own Kubernetes, so only what differs is written down.
type Release struct {
	Version    string            `yaml:"version"`    // "v1.35.4"
	Sum        string            `yaml:"sum"`        // of the module
	Pins       Pins              `yaml:"pins"`       // what its go.mod takes from its source tree, by version
	Digests    map[string]string `yaml:"digests"`    // of what is built, by the name of the lock's own: "kubeadm"
	URLDigests map[string]string `yaml:"urlDigests"` // of what is downloaded
}

// group is the group of all artefacts of a release. It is made unless it is declined.
func (r Release) group() string { return "kubernetes-" + version.MinorOf(r.Version) }

// kubernetes is the lock's own Kubernetes; nil if it has none.
func (l *Lock) kubernetes() *Module {
	for i := range l.Modules {
		if l.Modules[i].Path == kubernetesModule {
			return &l.Modules[i]
		}
	}
	return nil
}

// ofKubernetes says whether a program is built from the lock's own Kubernetes.
func (l *Lock) ofKubernetes(program string) bool {
	own, prog := l.kubernetes(), l.program(program)
	return own != nil && prog != nil && prog.Module == own.Name
}

// kubernetesFile and kubernetesImage say what a release has: what every deployment has of the lock's own Kubernetes.
func (l *Lock) kubernetesFile(f File) bool {
	own := l.kubernetes()
	return own != nil && f.Version == own.Version && f.Group == "" && f.release == "" && l.ofKubernetes(f.Program)
}

func (l *Lock) kubernetesImage(i Image) bool {
	own := l.kubernetes()
	if own == nil || i.Version != own.Version || i.Group != "" || i.release != "" {
		return false
	}
	return slices.ContainsFunc(slices.Collect(maps.Values(i.Programs)), l.ofKubernetes)
}

// kubernetesNames are the names of those files and images.
func (l *Lock) kubernetesNames() []string {
	var out []string
	for _, f := range l.Files {
		if l.kubernetesFile(f) {
			out = append(out, f.Name)
		}
	}
	for _, i := range l.Images {
		if l.kubernetesImage(i) {
			out = append(out, i.Name)
		}
	}
	return out
}

// checkReleases: minor versions are gone through one by one, so there is one of each, without a gap, up to the lock's
// own.
func (p *parser) checkReleases(l *Lock) {
	if len(l.Releases) == 0 {
		return
	}
	own := l.kubernetes()
	if own == nil {
		p.problem(p.at("releases"), "there are releases of Kubernetes, and no module %s whose programs they have", kubernetesModule)
		return
	}
	if l.Version < 2 {
		p.problem(p.at("version"), "releases need version: 2")
	}
	names := l.kubernetesNames()
	for i, r := range l.Releases {
		if !reGoVersion.MatchString(r.Version) {
			p.problem(p.at("releases", i, "version"), "not a version of Kubernetes: %q", r.Version)
			continue
		}
		next := own.Version
		if i+1 < len(l.Releases) {
			next = l.Releases[i+1].Version
		}
		if version.Minor(r.Version)+1 != version.Minor(next) {
			p.problem(p.at("releases", i, "version"),
				"after %s comes %s: releases are in order, one of each minor version, up to the lock's own %s", r.Version, next, own.Version)
		}
		if r.Sum != "" {
			p.match(reSum, r.Sum, "not a sum as in go.sum", "releases", i, "sum")
		}
		p.pins(r.Pins, "releases", i, "pins")
		for _, of := range []struct {
			key     string
			digests map[string]string
		}{{"digests", r.Digests}, {"urlDigests", r.URLDigests}} {
			for _, name := range slices.Sorted(maps.Keys(of.digests)) {
				if !slices.Contains(names, name) {
					p.problem(p.at("releases", i, of.key, name), "%s is nothing of Kubernetes; that is %q", name, names)
				}
				if digest := of.digests[name]; digest != "" {
					p.match(reDigest, digest, "not a digest", "releases", i, of.key, name)
				}
			}
		}
	}
}

// expand adds the artefacts of the lock's releases to its lists, where all that works on artefacts finds them.
func (l *Lock) expand() {
	for _, r := range l.Releases {
		l.expandRelease(r)
	}
}

func (l *Lock) expandRelease(r Release) {
	own := *l.kubernetes()
	swap := func(s string) string { return swapVersion(s, own.Version, r.Version) }
	name := func(s string) string { return s + "-" + r.Version }
	module := own
	module.Name, module.Version, module.Sum, module.Pins, module.Require = name(own.Name), r.Version, r.Sum, nil, r.Pins
	l.Modules = append(l.Modules, module)
	programs := map[string]bool{}
	artefact := func(a *Artefact) {
		a.Digest, a.URLDigest = r.Digests[a.Name], r.URLDigests[a.Name]
		a.base, a.release = a.Name, r.Version
		a.Name, a.Version, a.URL, a.Group = name(a.Name), r.Version, swap(a.URL), r.group()
	}
	for _, f := range slices.Clone(l.Files) {
		if l.kubernetesFile(f) {
			programs[f.Program] = true
			artefact(&f.Artefact)
			f.Checksums = swap(f.Checksums)
			f.Path, f.Program = "releases/"+r.Version+"/"+f.Path, name(f.Program)
			l.Files = append(l.Files, f)
		}
	}
	for _, i := range slices.Clone(l.Images) {
		if l.kubernetesImage(i) {
			artefact(&i.Artefact)
			i.Reference, i.Aliases = swap(i.Reference), nil
			renamed := map[string]string{}
			for at, program := range i.Programs {
				renamed[at] = program
				if l.ofKubernetes(program) {
					programs[program], renamed[at] = true, name(program)
				}
			}
			i.Programs = renamed
			l.Images = append(l.Images, i)
		}
	}
	for _, old := range slices.Sorted(maps.Keys(programs)) {
		program := *l.program(old)
		program.Name, program.Module, program.Variables = name(old), module.Name, swapVariables(program.Variables, own.Version, r.Version)
		l.Programs = append(l.Programs, program)
	}
}

// swapVersion puts another version in the place of one, where it stands for itself: v1.36.4 is not in v1.36.40.
func swapVersion(s, from, to string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, from)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		word := to
		if after != "" && after[0] >= '0' && after[0] <= '9' {
			word = from
		}
		out.WriteString(word)
		s = after
	}
}

// swapVariables are the linker's variables of another release: versions, and the minor version by itself.
func swapVariables(variables map[string]string, from, to string) map[string]string {
	out := map[string]string{}
	for key, value := range variables {
		out[key] = swapVariable(key, value, from, to)
	}
	return out
}

func swapVariable(key, value, from, to string) string {
	if strings.HasSuffix(key, ".gitMinor") && value == strconv.Itoa(version.Minor(from)) {
		return strconv.Itoa(version.Minor(to))
	}
	return swapVersion(value, from, to)
}

// KubernetesVersions are the releases of Kubernetes that a bundle carries, from the oldest to its own. Without kubeadm
// there is none.
func (b *Bundle) KubernetesVersions() []string {
	var out []string
	for _, f := range b.Index.Files {
		if f.Kind == "file" && (f.Name == "kubeadm" || (f.Release != "" && f.Name == "kubeadm-"+f.Release)) {
			out = append(out, f.Version)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return version.Minor(a) - version.Minor(b) }) // there is one of each
	return out
}
