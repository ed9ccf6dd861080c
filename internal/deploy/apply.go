package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// living are the nodes that the operator has not declared gone.
func (w Wanted) living() []intent.Node {
	var out []intent.Node
	for _, n := range w.Intent.Nodes {
		if !slices.Contains(w.Gone, n.Name) {
			out = append(out, n)
		}
	}
	return out
}

// blobsFor are the digests that the changes at a place need.
func (d *Deployment) blobsFor(place string) []string {
	var out []string
	for i, item := range d.Wanted.Items {
		if item.Place == place && item.Diff(d.World.Items[i]) != nil {
			for _, b := range item.Blobs() {
				if !slices.Contains(out, b) {
					out = append(out, b)
				}
			}
		}
	}
	return out
}

// needs are the digests of files for each host. A host needs what its containers need.
func (d *Deployment) needs() map[string][]string {
	out := map[string][]string{}
	for name, p := range d.Wanted.Places {
		if d.Wanted.outOfReach(d.World, name) {
			continue
		}
		for _, b := range d.blobsFor(name) {
			if !slices.Contains(out[p.Host], b) {
				out[p.Host] = append(out[p.Host], b)
			}
		}
	}
	return out
}

// bringFiles uploads what hosts lack.
func (d *Deployment) bringFiles(ctx context.Context) error {
	const step = "bring files to the hosts"
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for name, digests := range d.needs() {
		g.Go(func() error {
			lacking, err := ask[[]string](gctx, d.Hosts, Place{Host: name}, host.OpMissing, digests)
			if err != nil {
				return err
			}
			for i, digest := range lacking {
				if err := d.upload(gctx, name, digest); err != nil {
					return err
				}
				if (i+1)%10 == 0 || i+1 == len(lacking) {
					d.say(step, name, "%d of %d files", i+1, len(lacking))
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (d *Deployment) upload(ctx context.Context, name, digest string) error {
	f, err := d.Wanted.Bundle.Open(digest)
	if err != nil {
		return fmt.Errorf("open %s in the bundle: %w", digest, err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := d.Hosts[name].Upload(ctx, digest, f); err != nil {
		return fmt.Errorf("bring %s to %s: %w", digest, name, err)
	}
	return nil
}

// ensure brings the items of a place in the given groups to where they should be.
func (d *Deployment) ensure(ctx context.Context, step, place string, groups ...string) error {
	return d.ensureItems(ctx, step, place, d.Wanted.At(place, groups...))
}

func (d *Deployment) ensureItems(ctx context.Context, step, place string, items []host.Item) error {
	p := d.Wanted.Places[place]
	if len(items) == 0 {
		return nil
	}
	a, err := d.Hosts.At(p)
	if err != nil {
		return err
	}
	if p.Container != "" {
		if err := d.lend(ctx, p); err != nil {
			return err
		}
	}
	return a.Call(ctx, p.Container, host.OpEnsure, items, nil, func(b json.RawMessage) {
		var e host.Event
		if json.Unmarshal(b, &e) != nil {
			return
		}
		switch {
		case e.Text != "":
			d.say(step, place, "%s", e.Text)
		case e.Done:
		case e.Change != nil:
			d.say(step, place, "%s %s %s", e.Change.Action, e.Change.Kind, e.Change.Name)
		}
	})
}

// lend shows a container the files it needs of its host's store.
func (d *Deployment) lend(ctx context.Context, p Place) error {
	digests := d.blobsFor(p.Container)
	if len(digests) == 0 {
		return nil
	}
	_, err := ask[struct{}](ctx, d.Hosts, Place{Host: p.Host}, host.OpLend, host.Loan{Container: p.Container, Digests: digests})
	return err
}

// each does something at places that have changes in the groups, in parallel, and tells all errors.
func (d *Deployment) each(places []string, groups []string, do func(place string) error) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, name := range places {
		if !d.changes(name, groups...) {
			continue
		}
		all.Go(func() {
			err := do(name)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (d *Deployment) prepareHosts(ctx context.Context) error {
	var places []string
	for _, h := range d.Wanted.Intent.HostsWith(intent.RoleNode) {
		places = append(places, h.Name)
	}
	return d.each(places, []string{groupHost}, func(place string) error {
		return d.ensure(ctx, "prepare hosts", place, groupHost)
	})
}

// strangers are nodes that are not part of the control plane yet: nobody minds what is done to them.
func (d *Deployment) strangers() []intent.Node {
	var out []intent.Node
	for _, n := range d.living() {
		if !d.World.member(n) {
			out = append(out, n)
		}
	}
	return out
}

// containerOf are the items of a node's container on its host.
func (d *Deployment) containerOf(n intent.Node) []host.Item {
	var out []host.Item
	for _, i := range d.Wanted.At(n.PhysicalHost, groupContainer) {
		if i.Container == nil || i.Container.Name == n.Name {
			out = append(out, i)
		}
	}
	return out
}

func (d *Deployment) makeContainers(ctx context.Context) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, n := range d.strangers() {
		if !d.changes(n.PhysicalHost, groupContainer) {
			continue
		}
		all.Go(func() {
			err := d.makeContainer(ctx, "make containers", n)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (d *Deployment) makeContainer(ctx context.Context, step string, n intent.Node) error {
	a, err := d.Hosts.At(Place{Host: n.PhysicalHost})
	if err != nil {
		return err
	}
	return a.Call(ctx, "", host.OpEnsure, d.containerOf(n), nil, func(b json.RawMessage) {
		var e host.Event
		if json.Unmarshal(b, &e) == nil && e.Change != nil && !e.Done {
			d.say(step, n.PhysicalHost, "%s %s %s", e.Change.Action, e.Change.Kind, e.Change.Name)
		}
	})
}

// installNodes does everything inside new containers, up to kubeadm.
func (d *Deployment) installNodes(ctx context.Context) error {
	var places []string
	for _, n := range d.strangers() {
		places = append(places, n.Name)
	}
	return d.each(places, []string{groupNode, groupKubelet, groupRecord}, func(place string) error {
		return d.install(ctx, "install nodes", place, groupNode, groupKubelet, groupRecord)
	})
}

// install ensures and gives back what was lent.
func (d *Deployment) install(ctx context.Context, step, place string, groups ...string) error {
	return d.ensureItems(ctx, step, place, append(d.Wanted.At(place, groups...), host.Item{Returned: &host.Returned{}}))
}
