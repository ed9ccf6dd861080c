package site

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// List is what places should have.
type List struct {
	// Places by name; Items in the order of the work within each place.
	Places map[string]Place
	Items  []host.Item
	// Gone are nodes that the operator declared dead.
	Gone []string
}

// At are the items of a place in the given groups.
func (l List) At(place string, groups ...string) []host.Item {
	var out []host.Item
	for _, i := range l.Items {
		if i.Place == place && slices.Contains(groups, i.Group) {
			out = append(out, i)
		}
	}
	return out
}

// All are all items of a place, and where they are in the list.
func (l List) All(place string) (at []int, items []host.Item) {
	for n, i := range l.Items {
		if i.Place == place {
			at, items = append(at, n), append(items, i)
		}
	}
	return at, items
}

// Place adds a place.
func (l *List) Place(p Place) { l.Places[p.Name()] = p }

// Add adds items of a place.
func (l *List) Add(place, group string, items ...host.Item) {
	for _, i := range items {
		i.Place, i.Group = place, group
		l.Items = append(l.Items, i)
	}
}

// AddOnce leaves out what the place has already: the program, where several services share a host.
func (l *List) AddOnce(place, group string, items ...host.Item) {
	have := map[string]bool{}
	_, all := l.All(place)
	for _, i := range all {
		have[i.Key()] = true
	}
	l.Add(place, group, slices.DeleteFunc(items, func(i host.Item) bool { return have[i.Key()] })...)
}

// Seen is how the items of a list are.
type Seen struct {
	// Items are parallel to the list's.
	Items []plan.Facts
	// Closed are places that are not there yet. Sleeping are containers that are there and do not run: what is in them is
	// known when they have been started. Unseen are places on hosts that nobody reached, which only status goes on
	// without.
	Closed, Sleeping, Unseen map[string]bool
}

// NotLooked is Seen of so many items before anybody has looked.
func NotLooked(items int) Seen {
	return Seen{Items: make([]plan.Facts, items), Closed: map[string]bool{}, Sleeping: map[string]bool{}, Unseen: map[string]bool{}}
}

// OutOfReach says of a place that it could not be looked at, and so nothing is to be done there.
func (l List) OutOfReach(s Seen, place string) bool {
	return slices.Contains(l.Gone, place) || s.Unseen[place] || s.Sleeping[place]
}

// Work is a run with a list to bring about: what of it the plan has.
type Work struct {
	Run
	List List
	Seen Seen
	Plan plan.Plan
	// Open opens a blob of the bundle.
	Open func(digest string) (io.ReadCloser, error)
}

// blobsFor are the digests that the changes at a place need.
func (w Work) blobsFor(place string) []string {
	var out []string
	for i, item := range w.List.Items {
		if item.Place == place && item.Diff(w.Seen.Items[i]) != nil {
			for _, b := range item.Blobs() {
				if !slices.Contains(out, b) {
					out = append(out, b)
				}
			}
		}
	}
	return out
}

// Needs are the digests of files for each host. A host needs what its containers need.
func (w Work) Needs() map[string][]string {
	out := map[string][]string{}
	for name, p := range w.List.Places {
		if w.List.OutOfReach(w.Seen, name) {
			continue
		}
		for _, b := range w.blobsFor(name) {
			if !slices.Contains(out[p.Host], b) {
				out[p.Host] = append(out[p.Host], b)
			}
		}
	}
	return out
}

// BringFiles uploads what hosts lack. The first that fails ends it: nobody waits for the files of others to be told so.
func (w Work) BringFiles(ctx context.Context) error {
	const step = "bring files to the hosts"
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for name, digests := range w.Needs() {
		g.Go(func() error {
			lacking, err := Ask[[]string](gctx, w.Hosts, Place{Host: name}, host.OpMissing, digests)
			if err != nil {
				return err
			}
			for i, digest := range lacking {
				if err := w.upload(gctx, name, digest); err != nil {
					return err
				}
				if (i+1)%10 == 0 || i+1 == len(lacking) {
					w.Say(step, name, "%d of %d files", i+1, len(lacking))
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (w Work) upload(ctx context.Context, name, digest string) error {
	f, err := w.Open(digest)
	if err != nil {
		return fmt.Errorf("open %s in the bundle: %w", digest, err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := w.Hosts[name].Upload(ctx, digest, f); err != nil {
		return fmt.Errorf("bring %s to %s: %w", digest, name, err)
	}
	return nil
}

// Bring brings the items of a place in the given groups to where they should be.
func (w Work) Bring(ctx context.Context, step, place string, groups ...string) error {
	return w.BringItems(ctx, step, place, w.List.At(place, groups...))
}

// Install is Bring, and gives back what was lent.
func (w Work) Install(ctx context.Context, step, place string, groups ...string) error {
	return w.BringItems(ctx, step, place, append(w.List.At(place, groups...), host.Item{Returned: &host.Returned{}}))
}

// BringItems brings items of a place to where they should be.
func (w Work) BringItems(ctx context.Context, step, place string, items []host.Item) error {
	p := w.List.Places[place]
	if len(items) == 0 {
		return nil
	}
	if p.Container != "" {
		if err := w.Lend(ctx, p); err != nil {
			return err
		}
	}
	return w.Ensure(ctx, step, p, items...)
}

// Lend shows a container the files it needs of its host's store.
func (w Work) Lend(ctx context.Context, p Place) error {
	digests := w.blobsFor(p.Container)
	if len(digests) == 0 {
		return nil
	}
	_, err := Ask[struct{}](ctx, w.Hosts, Place{Host: p.Host}, host.OpLend, host.Loan{Container: p.Container, Digests: digests})
	return err
}

// Changes says whether the plan has something for a place in one of the groups.
func (w Work) Changes(place string, groups ...string) bool {
	return slices.ContainsFunc(w.Plan.Changes, func(c plan.Change) bool {
		return c.Place == place && slices.Contains(groups, c.Group)
	})
}

// Each does something at places that have changes in the groups, as AtOnce does.
func (w Work) Each(places []string, groups []string, do func(place string) error) error {
	return AtOnce(slices.DeleteFunc(slices.Clone(places), func(name string) bool { return !w.Changes(name, groups...) }), do)
}
