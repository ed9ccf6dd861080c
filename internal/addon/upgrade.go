package addon

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// Running is which Kubernetes a cluster's nodes run. While a cluster is upgraded that is not what was asked for:
// masters change one after the other, then the workers.
type Running struct {
	Masters string // the oldest API server's; "": the one that was asked for
	Workers string // the oldest kubelet's of a node that goes along with the upgrade; "": the same
}

// turn says when an addon takes the version that is for another Kubernetes.
type turn int

const (
	// withMasters is when every API server is of the new version: what Kubernetes wants no newer than its API server, and
	// what only masters run.
	withMasters turn = iota
	// first is before anything else changes, in a version for both: nodes of both need it, and a new node is not ready
	// without it.
	first
	// last is when every worker has been replaced: volumes move between nodes for as long as workers are, so what moves
	// them rests.
	last
)

// chosen is which entry an addon has now.
type chosen struct {
	entry *entry
	// kubernetes is what its objects are rendered for. While an addon waits for its turn they stay as they are.
	kubernetes string
	// waits says what for, if another version may be the addon's then.
	waits string
}

// pick chooses an addon's entry. It depends on what nodes run, on what is installed, and on nothing else, so a process
// that is killed in an upgrade goes on where it was:
//
//	first        the newest for all versions there are and will be; then the newest for what was asked for
//	withMasters  what it was until the masters are done, then the newest
//	last         what it was until the workers are done as well, then the newest
func (c *Catalogue) pick(d definition, cluster Cluster) (chosen, error) {
	tag := d.version(cluster.Labels)
	masters, workers := cmp.Or(cluster.Running.Masters, cluster.Kubernetes), cmp.Or(cluster.Running.Workers, cluster.Kubernetes)
	mastersWait, workersWait := masters != cluster.Kubernetes, workers != cluster.Kubernetes
	switch {
	case d.turn == first && (mastersWait || workersWait):
		e, err := c.choose(d.name, tag, cluster.Kubernetes, masters, workers)
		return chosen{entry: e, kubernetes: cluster.Kubernetes}, err
	case mastersWait:
		return c.stay(d, cluster, masters, "every master runs Kubernetes "+cluster.Kubernetes)
	case d.turn == last && workersWait:
		return c.stay(d, cluster, workers, "every worker runs Kubernetes "+cluster.Kubernetes)
	}
	e, err := c.choose(d.name, tag, cluster.Kubernetes)
	return chosen{entry: e, kubernetes: cluster.Kubernetes}, err
}

// stay is what an addon is while it waits: the version that is installed, as it was rendered, if the catalogue still
// has it, else the newest for the nodes there are. That it may be told to wait for a version that it never gets is an
// error now and not then.
func (c *Catalogue) stay(d definition, cluster Cluster, kubernetes, until string) (chosen, error) {
	tag := d.version(cluster.Labels)
	if _, err := c.choose(d.name, tag, cluster.Kubernetes); err != nil {
		return chosen{}, err
	}
	out := chosen{kubernetes: kubernetes, waits: "it is not upgraded until " + until}
	for _, version := range []string{cluster.Installed[d.name], ""} { // "" is the newest
		if e, err := c.choose(d.name, version, kubernetes); err == nil {
			out.entry = e
			return out, nil
		}
	}
	// Nothing is for what runs: better now the version for what will.
	e, err := c.choose(d.name, tag, cluster.Kubernetes)
	return chosen{entry: e, kubernetes: cluster.Kubernetes}, err
}

// ReadyFor tells whether what has to be first is there for the masters to change to the version that was asked for,
// where available says whether an addon is; if not, why. There is nothing to wait for without an upgrade.
func ReadyFor(releases []Release, available func(name string) (bool, string)) (bool, string) {
	for _, r := range releases {
		if !r.First || r.Skipped != "" {
			continue
		}
		if ok, why := available(r.Name); !ok {
			return false, fmt.Sprintf("%s has to be ready for the new version first: %s", r.Name, why)
		}
	}
	return true, ""
}

// Oldest is the lowest of some versions; "" if there is none. What is no version is not counted.
func Oldest(versions ...string) string {
	versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { _, err := semver.NewVersion(v); return err != nil })
	if len(versions) == 0 {
		return ""
	}
	return slices.MinFunc(versions, func(a, b string) int {
		switch {
		case newer(a, b):
			return 1
		case newer(b, a):
			return -1
		}
		return 0
	})
}
