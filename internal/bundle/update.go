package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// UpdateOptions say whose digests are asked for.
type UpdateOptions struct {
	LockFile string
	Cache    string // of modules that publishers are known by, the same as a build's
	HTTP     *http.Client
	Now      func() time.Time
	// Changed takes a digest that is another one than the lock's. Publishers do not change what they have released: that
	// there is something else under a version is for somebody to look at.
	Changed bool
}

// Updated is what became of the lock's digests of what is published.
type Updated struct {
	New, Changed, Same int
	// Signed are the places whose publisher has signed what is there, of so many.
	Signed, Places int
	Nowhere        []string // published nowhere: built from source alone
}

// publication is one place where something is published, and the artefacts that come from it.
type publication struct {
	url, checksums string // of a file
	reference      string // of an image
	signedBy       string // the name of who must have signed it, "" for nobody
	of             []*Artefact
}

// kind is what its artefacts are.
func (p publication) kind() string {
	if p.reference != "" {
		return "image"
	}
	return "file"
}

func (p publication) name() string {
	if p.reference != "" {
		return p.reference
	}
	return p.url
}

// Update asks publishers what they have published under the lock's addresses, and writes the digests into the lock. A
// file's comes from the list of sums that its publisher has beside it, an image's from its registry, both with the
// publisher's signature where the lock names who signs. What was found is written even if something else was not: the
// error names all that is missing.
func Update(ctx context.Context, o UpdateOptions) (*Updated, error) {
	text, err := os.ReadFile(o.LockFile)
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	lock, err := ParseLock(o.LockFile, text)
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	places, nowhere := lock.published()
	signers, err := lock.trust(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	digests, problems := ask(ctx, signers, places)
	done := &Updated{Nowhere: nowhere, Places: len(places)}
	found := map[string]string{}
	for i, p := range places {
		if p.signedBy != "" && digests[i] != "" {
			done.Signed++
		}
		for _, a := range p.of {
			switch {
			case digests[i] == "":
				continue
			case a.URLDigest == digests[i]:
				done.Same++
				continue
			case a.URLDigest == "":
				done.New++
			case !o.Changed:
				problems = append(problems, fmt.Errorf("%s %s was %s in the lock, and its publisher says %s now: find out why before you accept it (--changed)", a.Name, a.Version, a.URLDigest, digests[i]))
				continue
			default:
				done.Changed++
			}
			found[p.kind()+" "+a.Name] = digests[i]
		}
	}
	if len(found) > 0 {
		after, err := withURLDigests(text, found)
		if err != nil {
			return nil, fmt.Errorf("update: %w", err)
		}
		if _, err := ParseLock(o.LockFile, after); err != nil {
			return nil, fmt.Errorf("update: the lock would be wrong, and stays as it is: %w", err)
		}
		if err := writeLock(o.LockFile, after); err != nil {
			return nil, fmt.Errorf("update: %w", err)
		}
	}
	return done, errors.Join(problems...)
}

// published lists where the lock's artefacts are, each place once: several files come from one archive.
func (l *Lock) published() (places []publication, nowhere []string) {
	add := func(p publication, a *Artefact) {
		i := slices.IndexFunc(places, func(have publication) bool { return have.name() == p.name() })
		if i < 0 {
			i, places = len(places), append(places, p)
		}
		places[i].of = append(places[i].of, a)
		places[i].signedBy = cmp.Or(places[i].signedBy, a.SignedBy)
	}
	for i := range l.Files {
		f := &l.Files[i]
		if f.URL == "" {
			nowhere = append(nowhere, "file "+f.Name)
			continue
		}
		checksums := f.Checksums
		if checksums == "" {
			checksums = f.URL + ".sha256"
		}
		add(publication{url: f.URL, checksums: checksums}, &f.Artefact)
	}
	for i := range l.Images {
		img := &l.Images[i]
		if img.URL == "" {
			nowhere = append(nowhere, "image "+img.Name)
			continue
		}
		add(publication{reference: img.Reference}, &img.Artefact)
	}
	return places, nowhere
}

// ask asks all publishers, some at once. A digest is empty where there is a problem.
func ask(ctx context.Context, t *trust, places []publication) ([]string, []error) {
	digests, wrong := make([]string, len(places)), make([]error, len(places))
	var group errgroup.Group
	group.SetLimit(8)
	for i, p := range places {
		group.Go(func() error {
			digests[i], wrong[i] = t.digestOf(ctx, p)
			return nil // each has its own
		})
	}
	_ = group.Wait() // never an error, see above
	return digests, slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
}

// reSumLine is a line of sha256sum ("SUM  name", "SUM *name"), a sum alone, or BSD's "SHA256 (name) = SUM".
var (
	reSumLine = regexp.MustCompile(`^([0-9a-fA-F]{64})(?:[ \t]+\*?(.+))?$`)
	reSumBSD  = regexp.MustCompile(`^SHA256 \((.+)\) = ([0-9a-fA-F]{64})$`)
)

// sumIn finds a file's sum in a list of sums. A sum without a name counts only if it is the only one there.
func sumIn(text, name string) (string, error) {
	var nameless, named []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n \t")
		sum, of := "", ""
		if m := reSumLine.FindStringSubmatch(line); m != nil {
			sum, of = m[1], m[2]
		} else if m := reSumBSD.FindStringSubmatch(line); m != nil {
			sum, of = m[2], m[1]
		}
		switch {
		case sum == "":
		case of == "":
			nameless = append(nameless, strings.ToLower(sum))
		case path.Base(of) == name:
			named = append(named, strings.ToLower(sum))
		}
	}
	named, nameless = slices.Compact(named), slices.Compact(nameless)
	switch {
	case len(named) == 1:
		return named[0], nil
	case len(named) > 1:
		return "", fmt.Errorf("it has several sums of %s", name)
	case len(nameless) == 1:
		return nameless[0], nil
	}
	return "", fmt.Errorf("it has no SHA-256 sum of %s", name)
}

// withURLDigests writes digests into a lock's text, by kind and name ("file kubeadm").
func withURLDigests(text []byte, found map[string]string) ([]byte, error) {
	e, err := newEditor(text)
	if err != nil {
		return nil, err
	}
	for _, section := range []struct{ name, kind string }{{"files", "file"}, {"images", "image"}} {
		for _, item := range list(e.root, section.name) {
			if digest, ok := found[section.kind+" "+nameOf(item)]; ok {
				e.set(item, "urlDigest", digest)
			}
		}
	}
	for _, item := range list(e.root, "releases") {
		version := child(item, "version")
		for key, digest := range found {
			_, name, _ := strings.Cut(key, " ")
			if base, ok := strings.CutSuffix(name, "-"+version.Value); ok {
				e.setIn(item, "urlDigests", base, digest)
			}
		}
	}
	return e.text()
}

// Lacking lists what cannot be built because the lock has no digest of it, and what cannot be downloaded because it has
// none of what its publisher has.
func (l *Lock) Lacking() (built, downloaded []string) {
	l.every(l.groups(), func(kind string, a *Artefact) {
		if a.Digest == "" && (kind != "image" || !l.skips(a.Name)) {
			built = append(built, kind+" "+a.Name)
		}
		if !rendered(kind) && a.URLDigest == "" {
			downloaded = append(downloaded, kind+" "+a.Name)
		}
	})
	return built, downloaded
}
