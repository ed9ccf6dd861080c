package addon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// CatalogueFile is the file of a catalogue that names all others.
const CatalogueFile = "catalogue.yaml"

// List is catalogue.yaml.
type List struct {
	Version int     `yaml:"version"` // of the format: 1
	Addons  []Entry `yaml:"addons"`
}

// Entry is one version of one addon.
type Entry struct {
	Name    string `yaml:"name"`    // one of Names
	Version string `yaml:"version"` // what labels such as cilium_tag name
	// Kubernetes is a constraint on the version of clusters it serves: ">=1.33.0-0 <1.38.0-0" (Masterminds/semver).
	Kubernetes string `yaml:"kubernetes"`
	File       string `yaml:"file"`   // a chart (.tgz) or plain objects (.yaml), beside catalogue.yaml
	Digest     string `yaml:"digest"` // "sha256:..." of the file
	// Values are values of the chart that belong to these images. They take the place of the chart's own, and what a
	// cluster needs takes the place of them.
	Values map[string]any `yaml:"values,omitempty"`
	// Images are all images it may use, with upstream's names.
	Images []string `yaml:"images,omitempty"`
}

// Catalogue is a checked catalogue with its charts in memory. It never changes, so any number of goroutines may use it.
type Catalogue struct {
	entries []entry
	Digest  string // of catalogue.yaml: another digest is another catalogue
}

type entry struct {
	Entry

	serves *semver.Constraints
	chart  *chart.Chart
	plain  []byte
}

// Load reads and checks a catalogue. It returns all problems at once.
func Load(files fs.FS) (*Catalogue, error) { return LoadTrusted(files, sign.Trust{}) }

// LoadTrusted is Load for a catalogue that somebody must have signed. The list is read once, so what was checked is
// what is used, and the list has the digests of all the rest.
func LoadTrusted(files fs.FS, trust sign.Trust) (*Catalogue, error) {
	text, err := trust.CheckFile(files, CatalogueFile)
	if err != nil {
		return nil, fmt.Errorf("read the addon catalogue: %w", err)
	}
	var list List
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", CatalogueFile, err)
	}
	if list.Version != 1 {
		return nil, fmt.Errorf("%s has version %d, this release reads version 1", CatalogueFile, list.Version)
	}
	c := &Catalogue{Digest: digestOf(text)}
	var problems []error
	seen := map[string]bool{}
	for _, e := range list.Addons {
		loaded, err := loadEntry(files, e)
		if key := e.Name + " " + e.Version; err == nil && seen[key] {
			err = errors.New("it is there twice")
		} else {
			seen[key] = true
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %s %s: %w", CatalogueFile, e.Name, e.Version, err))
			continue
		}
		c.entries = append(c.entries, loaded)
	}
	return c, errors.Join(problems...)
}

func loadEntry(files fs.FS, e Entry) (entry, error) {
	out := entry{Entry: e}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !slices.Contains(Names(), e.Name) {
		problem("there is no such addon, the names are %s", strings.Join(Names(), ", "))
	}
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(e.Version, "v")); err != nil || !strings.HasPrefix(e.Version, "v") {
		problem("version must be written v1.2.3")
	}
	var err error
	if out.serves, err = semver.NewConstraint(e.Kubernetes); err != nil {
		problem("kubernetes: %q is no constraint on versions", e.Kubernetes)
	}
	if !fs.ValidPath(e.File) || path.Dir(e.File) != "." {
		problem("file: %q is no file beside %s", e.File, CatalogueFile)
		return out, errors.Join(problems...)
	}
	text, err := fs.ReadFile(files, e.File)
	if err != nil {
		return out, errors.Join(append(problems, err)...)
	}
	if have := digestOf(text); have != e.Digest {
		problem("%s has the digest %s, and not %s: take the catalogue again from where it was made", e.File, have, e.Digest)
		return out, errors.Join(problems...)
	}
	switch path.Ext(e.File) {
	case ".tgz":
		if out.chart, err = loader.LoadArchive(bytes.NewReader(text)); err != nil {
			problem("%s: %w", e.File, err)
		}
	case ".yaml":
		out.plain = text
	default:
		problem("%s: a chart ends with .tgz, plain objects end with .yaml", e.File)
	}
	return out, errors.Join(problems...)
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Entries lists what the catalogue has.
func (c *Catalogue) Entries() []Entry {
	if c == nil {
		return nil
	}
	out := make([]Entry, len(c.entries))
	for i, e := range c.entries {
		out[i] = e.Entry
	}
	return out
}

// choose finds the entry of an addon: the version that tag names if it is not empty, else the newest that serves every
// one of some versions of Kubernetes.
func (c *Catalogue) choose(name, tag string, kubernetes ...string) (*entry, error) {
	wanted := make([]*semver.Version, len(kubernetes))
	for i, k := range kubernetes {
		var err error
		if wanted[i], err = semver.NewVersion(k); err != nil {
			return nil, fmt.Errorf("kubernetes version %q: %w", k, err)
		}
	}
	var best *entry
	var versions []string
	for i := range c.entries {
		e := &c.entries[i]
		if e.Name != name {
			continue
		}
		versions = append(versions, e.Version)
		unserved := func(v *semver.Version) bool { return !e.serves.Check(v) }
		if tag != "" && e.Version != tag || slices.ContainsFunc(wanted, unserved) {
			continue
		}
		if best == nil || newer(e.Version, best.Version) {
			best = e
		}
	}
	if best != nil {
		return best, nil
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("the addon catalogue has no %s", name)
	}
	what := strings.TrimSpace(name + " " + tag)
	slices.Sort(kubernetes)
	return nil, fmt.Errorf("the addon catalogue has no %s for Kubernetes %s, it has %s", what, strings.Join(slices.Compact(kubernetes), " and "),
		strings.Join(versions, ", "))
}

func newer(a, b string) bool {
	x, err1 := semver.NewVersion(a)
	y, err2 := semver.NewVersion(b)
	return err1 == nil && err2 == nil && x.GreaterThan(y)
}
