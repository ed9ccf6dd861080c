package bundle

import "slices"

// Lock is a lock file. Sections are in the order in which a build uses them.
type Lock struct {
	Version   int               `yaml:"version"`   // of the format: 1, or 2 with releases
	Toolchain string            `yaml:"toolchain"` // the Go release everything is built with, "go1.26.8"
	Platform  string            `yaml:"platform"`  // "linux/amd64"
	Host      map[string]string `yaml:"host"`      // Debian packages that C code is compiled with, and their versions
	Default   []string          `yaml:"default"`   // groups that are made unless they are declined
	Pins      map[string]Pins   `yaml:"pins"`      // named sets of module versions
	Modules   []Module          `yaml:"modules"`
	Programs  []Program         `yaml:"programs"`
	Packages  []Package         `yaml:"packages"`
	Files     []File            `yaml:"files"`
	Images    []Image           `yaml:"images"`
	Manifests []Manifest        `yaml:"manifests"`
	Addons    []Addon           `yaml:"addons"` // of workload clusters: the catalogue
	// Publishers are whose signatures Update asks for.
	Publishers []Publisher `yaml:"publishers"`
	// Releases are further releases of Kubernetes, from the oldest on. What they consist of is in the lists above as well,
	// with the version after each name ("kubeadm-v1.35.4").
	Releases []Release `yaml:"releases"`
}

// Publisher is who signs what is published. What his signature is held against comes from a module whose sum is in the
// lock, so it comes another way than what is signed.
type Publisher struct {
	Name   string `yaml:"name"`
	Module string `yaml:"module"`
	File   string `yaml:"file"` // of the module: a keyring of OpenPGP, or with an identity sigstore's trusted_root.json
	// Identity and Issuer are what a certificate of sigstore must say: who has signed, and who vouches for that.
	Identity string `yaml:"identity"`
	Issuer   string `yaml:"issuer"`
}

// Pins are versions by module path.
type Pins map[string]string

// Module is a Go module whose programs or files are used.
type Module struct {
	Name    string    `yaml:"name"`
	Path    string    `yaml:"path"`
	Version string    `yaml:"version"`
	Sum     string    `yaml:"sum"`     // go.sum's "h1:..." of the module
	Pins    []string  `yaml:"pins"`    // sets that apply
	Require Pins      `yaml:"require"` // further versions, for modules that its own go.mod replaces, or patches
	Replace []Replace `yaml:"replace"` // modules that it is not built with
	// Private is a module the public checksum database does not know; its sum here is what it is compared with.
	Private bool `yaml:"private"`
}

// Replace is a module that a build uses in place of one that is asked for: another version or module, or a few files
// written into the lock. It changes what a project released, so it has a reason.
type Replace struct {
	Module string            `yaml:"module"` // the path that is asked for
	With   string            `yaml:"with"`   // "path version"
	Files  map[string]string `yaml:"files"`  // or a module of these files: name -> text
	Reason string            `yaml:"reason"`
}

// Program is one executable built from a module: of a Go package, or of one C file.
type Program struct {
	Name      string            `yaml:"name"`
	Module    string            `yaml:"module"`
	Package   string            `yaml:"package"` // path below the module's; "" is the module's root
	C         string            `yaml:"c"`       // or a C file of the module, compiled statically
	Tags      []string          `yaml:"tags"`
	Variables map[string]string `yaml:"variables"` // linker variables: "package.name" -> value
	Cgo       bool              `yaml:"cgo"`       // linked statically, with the libraries of "host"
	Test      bool              `yaml:"test"`      // of the package's tests
}

// Artefact is what files, images and manifests have in common.
type Artefact struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// URL is where upstream publishes it, and URLDigest what is there. Without the latter it cannot be downloaded, only
	// built.
	URL       string `yaml:"url"`
	URLDigest string `yaml:"urlDigest"`
	// SignedBy is the publisher whose signature of it is asked for. Without it, the digest that is at URL is believed.
	SignedBy string `yaml:"signedBy"`
	// Digest is of what is built from source: of a file's bytes, of an image's manifest.
	Digest string `yaml:"digest"`
	// Group is empty for what every deployment needs; other groups are made when they are asked for.
	Group string `yaml:"group"`

	base, release string // of a further release of Kubernetes: the name of the lock's own, and the version
}

// Package is a Debian package that is taken as it is.
type Package struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Digest  string `yaml:"digest"`
	Ship    bool   `yaml:"ship"`  // into the bundle as files/debs/..., for who makes nodes by hand: a deployment needs none
	Group   string `yaml:"group"` // of one that is shipped; others come with the images that have them
}

// File is an artefact that hosts use as a file.
type File struct {
	Artefact `yaml:",inline"`
	Path     string `yaml:"path"` // below the bundle's files
	Program  string `yaml:"program"`
	Member   string `yaml:"member"` // of the archive at URL
	// Checksums is where the publisher says what is at URL: a file of SHA-256 sums. Without it, it is URL with .sha256
	// after it.
	Checksums string `yaml:"checksums"`
}

// Image is a container image.
type Image struct {
	Artefact   `yaml:",inline"`
	Reference  string            `yaml:"reference"`
	Aliases    []string          `yaml:"aliases"`  // further names that nodes ask for it by
	Programs   map[string]string `yaml:"programs"` // path in the image -> program
	Packages   []string          `yaml:"packages"` // Debian packages whose files it has
	Paths      []string          `yaml:"paths"`    // which of their files: path prefixes
	Sources    []Source          `yaml:"sources"`  // files of modules, as they are
	Links      map[string]string `yaml:"links"`    // path -> target
	Writable   []string          `yaml:"writable"` // directories that every user may write to, as /tmp
	Entrypoint []string          `yaml:"entrypoint"`
	Command    []string          `yaml:"command"` // what it does when a pod says nothing else
	User       string            `yaml:"user"`
	// Unbuilt says why an image cannot be built from source. Without urlDigest it is left out of bundles that are.
	Unbuilt string `yaml:"unbuilt"`
}

// buildable tells that an image can be made without its registry.
func (i *Image) buildable() bool { return len(i.Programs)+len(i.Packages) > 0 }

// Source is a file or a directory of a module that an image has as it is.
type Source struct {
	Module string   `yaml:"module"`
	From   string   `yaml:"from"`   // below the module
	To     string   `yaml:"to"`     // in the image
	Except []string `yaml:"except"` // below From: files and directories that are left out
	Script bool     `yaml:"script"` // it can be executed, which a module's files cannot
}

// Manifest is Kubernetes objects rendered from a module's sources into one file.
type Manifest struct {
	Artefact  `yaml:",inline"`
	Path      string            `yaml:"path"`
	Module    string            `yaml:"module"`
	Kustomize string            `yaml:"kustomize"` // a directory of the module
	Plain     string            `yaml:"plain"`     // or a file of the module, as it is
	Chart     *Chart            `yaml:"chart"`     // or a chart of the module
	Tool      string            `yaml:"tool"`      // the program that renders: kustomize or helm
	Images    map[string]string `yaml:"images"`    // image without tag, as the sources have it -> reference in this lock
	Variables map[string]string `yaml:"variables"` // of ${NAME:=default} in the sources
}

// Chart is how a chart is put together and rendered.
type Chart struct {
	Dir       string            `yaml:"dir"`
	Metadata  string            `yaml:"metadata"`  // a file that becomes Chart.yaml
	Templates string            `yaml:"templates"` // a directory whose files become templates as well
	Release   string            `yaml:"release"`
	Namespace string            `yaml:"namespace"`
	Values    map[string]any    `yaml:"values"`
	Set       map[string]string `yaml:"set"` // fields of Chart.yaml
	// KubeVersion is the release the chart is to think it is rendered for.
	KubeVersion string `yaml:"kubeVersion"`
}

// Addon is an entry of the catalogue of workload clusters' addons: a chart or plain objects of a module, as they are. A
// server renders them for each cluster, so nothing is rendered here. With neither chart nor plain, files are the chart.
type Addon struct {
	Artefact   `yaml:",inline"`
	Addon      string            `yaml:"addon"`      // what it is an entry of, "cilium"; the name, if it is empty
	Kubernetes string            `yaml:"kubernetes"` // constraint on the workload cluster's version
	Module     string            `yaml:"module"`
	Chart      string            `yaml:"chart"`  // a directory of the module
	Plain      string            `yaml:"plain"`  // or a file of the module
	Except     []string          `yaml:"except"` // below the chart: files and directories that are left out
	Files      map[string]string `yaml:"files"`  // of the chart: further ones, or in place of its own
	Set        map[string]any    `yaml:"set"`    // fields of Chart.yaml; null takes one away
	Values     map[string]any    `yaml:"values"`
	Images     []string          `yaml:"images"` // references in this lock; those of plain objects are found in them
	Rename     map[string]string `yaml:"rename"` // of plain objects: image without tag -> reference in this lock
}

// every calls f with each artefact of the chosen groups.
func (l *Lock) every(groups []string, f func(kind string, a *Artefact)) {
	for i := range l.Files {
		if chosen(l.Files[i].Group, groups) {
			f("file", &l.Files[i].Artefact)
		}
	}
	for i := range l.Images {
		if chosen(l.Images[i].Group, groups) {
			f("image", &l.Images[i].Artefact)
		}
	}
	for i := range l.Manifests {
		if chosen(l.Manifests[i].Group, groups) {
			f("manifest", &l.Manifests[i].Artefact)
		}
	}
	for i := range l.Addons {
		if chosen(l.Addons[i].Group, groups) {
			f("addon", &l.Addons[i].Artefact)
		}
	}
}

// rendered says whether artefacts of a kind are made from module sources in all builds, and never downloaded.
func rendered(kind string) bool { return kind == "manifest" || kind == "addon" }

func chosen(group string, groups []string) bool {
	return group == "" || slices.Contains(groups, group)
}

// chosenGroups are the lock's own choice, which releases of Kubernetes always are, and the user's, without those that
// the user declined.
func (l *Lock) chosenGroups(with, without []string) []string {
	all := append(slices.Clone(l.Default), with...)
	for _, r := range l.Releases {
		all = append(all, r.group())
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(g string) bool { return slices.Contains(without, g) })
}

func (l *Lock) module(name string) *Module {
	for i := range l.Modules {
		if l.Modules[i].Name == name {
			return &l.Modules[i]
		}
	}
	return nil
}

func (l *Lock) program(name string) *Program {
	for i := range l.Programs {
		if l.Programs[i].Name == name {
			return &l.Programs[i]
		}
	}
	return nil
}

func (l *Lock) image(reference string) *Image {
	for i := range l.Images {
		if l.Images[i].Reference == reference {
			return &l.Images[i]
		}
	}
	return nil
}

func (l *Lock) publisher(name string) *Publisher {
	for i := range l.Publishers {
		if l.Publishers[i].Name == name {
			return &l.Publishers[i]
		}
	}
	return nil
}

func (l *Lock) pkg(name string) *Package {
	for i := range l.Packages {
		if l.Packages[i].Name == name {
			return &l.Packages[i]
		}
	}
	return nil
}
