package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Item is one thing on a machine as it should be: exactly one of the kinds is set.
type Item struct {
	// Place is the physical host or the container, Group the part of the deployment.
	Place string `json:"place"`
	Group string `json:"group"`

	File      *File      `json:"file,omitempty"`
	Module    *Module    `json:"module,omitempty"`
	Sysctl    *Sysctl    `json:"sysctl,omitempty"`
	Unit      *Unit      `json:"unit,omitempty"`
	Container *Container `json:"container,omitempty"`
	Images    *Images    `json:"images,omitempty"`
	HAProxy   *HAProxy   `json:"haproxy,omitempty"`
	Returned  *Returned  `json:"returned,omitempty"`

	User       *User       `json:"user,omitempty"`
	Aside      *Aside      `json:"aside,omitempty"`
	Credential *Credential `json:"credential,omitempty"`
	Relay      *Relay      `json:"relay,omitempty"`

	Certificate *ServerCertificate `json:"certificate,omitempty"`

	Kept   *Kept   `json:"kept,omitempty"`
	Builds *Builds `json:"builds,omitempty"`
	Pins   *Pins   `json:"pins,omitempty"`
}

// resource is what each kind can do.
type resource interface {
	// thing is how it should be; have helps where that depends on what is there already (lines added to a file of others).
	thing(have plan.Facts) plan.Thing
	// observe looks; nil facts mean that it is not there.
	observe(ctx context.Context, m *Machine) (plan.Facts, error)
	// ensure brings it there, from whatever is there.
	ensure(ctx context.Context, m *Machine) error
}

func (i Item) resource() (resource, error) {
	switch {
	case i.File != nil:
		return i.File, nil
	case i.Module != nil:
		return i.Module, nil
	case i.Sysctl != nil:
		return i.Sysctl, nil
	case i.Unit != nil:
		return i.Unit, nil
	case i.Container != nil:
		return i.Container, nil
	case i.Images != nil:
		return i.Images, nil
	case i.HAProxy != nil:
		return i.HAProxy, nil
	case i.Returned != nil:
		return i.Returned, nil
	case i.User != nil:
		return i.User, nil
	case i.Aside != nil:
		return i.Aside, nil
	case i.Credential != nil:
		return i.Credential, nil
	case i.Relay != nil:
		return i.Relay, nil
	case i.Certificate != nil:
		return i.Certificate, nil
	case i.Kept != nil:
		return i.Kept, nil
	case i.Builds != nil:
		return i.Builds, nil
	case i.Pins != nil:
		return i.Pins, nil
	}
	return nil, errors.New("an item without a kind: the agent is older than the deployer")
}

// Thing is the item as plan compares it.
func (i Item) Thing(have plan.Facts) plan.Thing {
	r, err := i.resource()
	if err != nil {
		return plan.Thing{Place: i.Place, Group: i.Group}
	}
	t := r.thing(have)
	t.Place, t.Group = i.Place, i.Group
	return t
}

// Key names the item within its place: kind and name.
func (i Item) Key() string {
	t := i.Thing(nil)
	return t.Kind + " " + t.Name
}

// Diff is what would change, nil if nothing.
func (i Item) Diff(have plan.Facts) *plan.Change {
	c := plan.Compare(i.Thing(have), have)
	r, _ := i.resource() // none gives nothing back
	if s, ok := r.(spares); ok && c != nil {
		c.Summary, c.What = s.gives(have), GivesBack{}
	}
	return c
}

// Blobs are the digests that Ensure needs in the machine's store.
func (i Item) Blobs() []string {
	switch {
	case i.File != nil && i.File.Blob != "" && !i.File.Self:
		return []string{i.File.Blob}
	case i.Container != nil && i.Container.RootFS != "":
		return []string{i.Container.RootFS}
	case i.Images != nil:
		return i.Images.blobs()
	}
	return nil
}

// Follows are the files that the item has to take notice of when they change: what a unit reads when it starts. A path
// that ends in a slash means everything below it.
func (i Item) Follows() []string {
	switch {
	case i.Unit != nil && i.Unit.Active:
		return i.Unit.Uses
	case i.Relay != nil:
		return i.Relay.Uses
	case i.HAProxy != nil:
		return []string{i.HAProxy.Fragments + "/"}
	}
	return nil
}

// Observe looks at items; the answers are in their order, nil for what is not there.
func Observe(ctx context.Context, m *Machine, items []Item) ([]plan.Facts, error) {
	out := make([]plan.Facts, len(items))
	var errs []error
	for n, i := range items {
		r, err := i.resource()
		if err == nil {
			out[n], err = r.observe(ctx, m)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("look at %s: %w", i.Key(), err))
		}
	}
	return out, errors.Join(errs...)
}

// Ensure brings items to where they should be, in order, and stops at the first that fails. Those that are there
// already are not touched. What it does it reports.
func Ensure(ctx context.Context, m *Machine, items []Item, report func(Event)) error {
	for _, i := range items {
		r, err := i.resource()
		if err != nil {
			return err
		}
		have, err := r.observe(ctx, m)
		if err != nil {
			return fmt.Errorf("look at %s: %w", i.Key(), err)
		}
		change := i.Diff(have)
		if change == nil {
			continue
		}
		report(Event{Change: change})
		if err := r.ensure(ctx, m); err != nil {
			return fmt.Errorf("%s %s: %w", change.Action, i.Key(), err)
		}
		report(Event{Change: change, Done: true})
	}
	return nil
}

// Event is progress.
type Event struct {
	Change *plan.Change `json:"change,omitempty"`
	Done   bool         `json:"done,omitempty"`
	Text   string       `json:"text,omitempty"`
}
