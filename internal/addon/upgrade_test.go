package addon_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// Who changes when, while a cluster goes from one Kubernetes to the next.
func TestTurns(t *testing.T) {
	const before, after = "v1.35.4", "v1.36.4"
	ranges := map[string]string{ // of addon and version; what is not here serves both
		addon.CloudManager + " v1.0.0": "<1.36.0-0", addon.CloudManager + " v1.1.0": ">=1.36.0-0",
		addon.CinderCSI + " v1.0.0": "<1.36.0-0", addon.CinderCSI + " v1.1.0": ">=1.35.0-0",
	}
	for name, is := range map[string]struct {
		reason           string
		masters, workers string
		ranges           map[string]string // besides those above
		installed        map[string]string
		want             map[string]string // addon -> version, with "waits" when it does
	}{
		"nothing has changed": {
			reason:  "the network is for both from now on, the others stay: a cloud controller manager must not be newer than an API server",
			masters: before, workers: before,
			installed: map[string]string{addon.Cilium: "v1.0.0", addon.CloudManager: "v1.0.0", addon.CinderCSI: "v1.0.0"},
			want:      map[string]string{addon.Cilium: "v1.1.0", addon.CloudManager: "v1.0.0 waits", addon.CinderCSI: "v1.0.0 waits"},
		},
		"masters are done": {
			reason:  "storage rests while workers are drained, whose volumes move",
			masters: after, workers: before,
			installed: map[string]string{addon.CloudManager: "v1.0.0", addon.CinderCSI: "v1.0.0"},
			want:      map[string]string{addon.Cilium: "v1.1.0", addon.CloudManager: "v1.1.0", addon.CinderCSI: "v1.0.0 waits"},
		},
		"workers are done": {
			reason:  "all have their turn",
			masters: after, workers: after,
			installed: map[string]string{addon.CinderCSI: "v1.0.0"},
			want:      map[string]string{addon.Cilium: "v1.1.0", addon.CloudManager: "v1.1.0", addon.CinderCSI: "v1.1.0"},
		},
		"the network's newest is for the new version only": {
			reason:  "nodes of both need it: it comes when the old ones are gone",
			masters: after, workers: before, ranges: map[string]string{addon.Cilium + " v1.1.0": ">=1.36.0-0"},
			want: map[string]string{addon.Cilium: "v1.0.0"},
		},
		"and then": {
			reason:  "the old nodes are gone",
			masters: after, workers: after, ranges: map[string]string{addon.Cilium + " v1.1.0": ">=1.36.0-0"},
			want: map[string]string{addon.Cilium: "v1.1.0"},
		},
		"the network has none for both": {
			reason:  "a gap is not made, it is said",
			masters: before, workers: before, ranges: map[string]string{addon.Cilium + " v1.0.0": "<1.36.0-0", addon.Cilium + " v1.1.0": ">=1.36.0-0"},
			want: map[string]string{addon.Cilium: "the addon catalogue has no cilium for Kubernetes v1.35.4 and v1.36.4"},
		},
		"an older storage driver is installed than the newest for what runs": {
			reason:  "it is not changed twice",
			masters: before, workers: before, ranges: map[string]string{addon.CinderCSI + " v1.0.0": "<1.37.0-0", addon.CinderCSI + " v1.1.0": "<1.37.0-0"},
			installed: map[string]string{addon.CinderCSI: "v1.0.0"},
			want:      map[string]string{addon.CinderCSI: "v1.0.0 waits"},
		},
		"what is installed is not in the catalogue any more": {
			reason:  "the newest for what runs takes its place",
			masters: before, workers: before, installed: map[string]string{addon.CloudManager: "v0.9.0"},
			want: map[string]string{addon.CloudManager: "v1.0.0 waits"},
		},
		"nothing is for what runs": {
			reason:  "the version for what will run is the best there is",
			masters: before, workers: before, ranges: map[string]string{addon.CinderCSI + " v1.0.0": ">=1.36.0-0", addon.CinderCSI + " v1.1.0": ">=1.36.0-0"},
			want: map[string]string{addon.CinderCSI: "v1.1.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := catalogue(t, func(l *addon.List, _ fstest.MapFS) {
				for i, e := range l.Addons {
					for _, all := range []map[string]string{ranges, is.ranges} {
						if r, ok := all[e.Name+" "+e.Version]; ok {
							l.Addons[i].Kubernetes = r
						}
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			k := cluster(map[string]string{label.KubeTag: after})
			k.Running, k.Installed = addon.Running{Masters: is.masters, Workers: is.workers}, is.installed
			releases := c.Releases(k)
			for name, want := range is.want {
				r := release(t, releases, name)
				got := r.Version + r.Problem
				if r.Waits != "" {
					got += " waits"
				}
				if got != want && (r.Problem == "" || !strings.HasPrefix(r.Problem, want)) {
					t.Errorf("%s is %q, want %q: %s", name, got, want, is.reason)
				}
			}
			if is.workers == before {
				err := c.Missing(addon.Cilium, map[string]string{label.KubeTag: after}, before)
				if (err != nil) != strings.Contains(is.want[addon.Cilium], "has no") {
					t.Errorf("when the upgrade is asked for: %v", err)
				}
			}
		})
	}
}

// What waits stays as it is: not one byte of its objects is of the new version.
func TestWhatWaitsIsNotTouched(t *testing.T) {
	c, err := catalogue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	running := release(t, c.Releases(cluster(map[string]string{label.KubeTag: "v1.35.4"})), addon.CinderCSI)
	k := cluster(map[string]string{label.KubeTag: "v1.36.4"})
	k.Running = addon.Running{Masters: "v1.36.4", Workers: "v1.35.4"}
	waiting := release(t, c.Releases(k), addon.CinderCSI)
	if text(t, running) != text(t, waiting) || waiting.Waits == "" {
		t.Errorf("waits %q:\n%s\nwas\n%s", waiting.Waits, text(t, waiting), text(t, running))
	}
	k.Running.Workers = "v1.36.4"
	if done := release(t, c.Releases(k), addon.CinderCSI); text(t, done) == text(t, running) || done.Waits != "" {
		t.Error("its turn has not come")
	}
}

func TestReadyFor(t *testing.T) {
	releases := []addon.Release{{Name: "a"}, {Name: "network", First: true}, {Name: "other", First: true, Skipped: "the cluster's network is another"}}
	for name, is := range map[string]struct {
		reason    string
		available []string
		ready     bool
	}{
		"the network is not": {"nodes of the new version would not become ready", []string{"a"}, false},
		"the network is":     {"nothing else is waited for", []string{"network"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ready, why := addon.ReadyFor(releases, func(name string) (bool, string) {
				return strings.Contains(strings.Join(is.available, " "), name), "no pods"
			})
			if ready != is.ready || ready == strings.Contains(why, "network has to be ready for the new version first: no pods") {
				t.Errorf("%t %q: %s", ready, why, is.reason)
			}
		})
	}
}

func TestOldest(t *testing.T) {
	for want, of := range map[string][]string{
		"v1.9.0": {"v1.36.4", "v1.9.0", "v1.35.4"}, "v1.36.4": {"", "v1.36.4", "latest"}, "": {""},
	} {
		if got := addon.Oldest(of...); got != want {
			t.Errorf("of %q: %q, want %q", of, got, want)
		}
	}
}
