package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Usage shows Prometheus what there is: clusters, node groups and nodes, as all servers of one management cluster see
// them alike, so that whoever adds servers up counts twice (alerts take the maximum). It says nothing of single
// clusters or projects, whose number has no bound: labels are states, roles and minor versions of Kubernetes.
func (v *View) Usage(now func() time.Time) prometheus.Collector {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("jeroboam_"+name, help, labels, nil)
	}
	return &usage{
		view: v, now: now,
		clusters: gauge("clusters", "Clusters, by status.", "status"),
		health:   gauge("clusters_health", "Clusters, by health status; none: not checked yet.", "health"),
		versions: gauge("clusters_kubernetes", "Clusters, by minor version of Kubernetes.", "version"),
		groups:   gauge("node_groups", "Node groups, by status.", "status"),
		nodes:    gauge("nodes", "Nodes that were asked for, by role and by their group's status.", "role", "status"),
		running:  gauge("nodes_kubernetes", "Nodes that were asked for, by minor version of Kubernetes.", "version"),
		oldest:   gauge("oldest_operation_seconds", "How long the oldest operation of a kind has been in progress; 0: there is none.", "operation"),
		projects: gauge("projects", "Projects that have clusters."),
	}
}

type usage struct {
	view *View
	now  func() time.Time

	clusters, health, versions, groups, nodes, running, oldest, projects *prometheus.Desc
}

// maxVersions bounds the label version: a client may ask for any. The rest is "other".
const maxVersions = 16

const (
	anyOther = "other"
	none     = "none"
)

// Describe implements prometheus.Collector.
func (u *usage) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{u.clusters, u.health, u.versions, u.groups, u.nodes, u.running, u.oldest, u.projects} {
		out <- d
	}
}

// counts are what one look has found.
type counts struct {
	clusters, groups          map[magnum.Status]int
	health, versions, running map[string]int
	nodes                     map[[2]string]int // role and status
	oldest                    map[string]time.Time
	projects                  map[string]bool
}

// Collect implements prometheus.Collector.
func (u *usage) Collect(out chan<- prometheus.Metric) {
	c := u.view.count()
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range states() { // what there is none of is 0, so that an alert sees it come
		send(u.clusters, float64(c.clusters[s]), string(s))
		send(u.groups, float64(c.groups[s]), string(s))
		for _, role := range []string{magnum.RoleMaster, magnum.RoleWorker} {
			send(u.nodes, float64(c.nodes[[2]string{role, string(s)}]), role, string(s))
		}
	}
	for _, h := range []string{string(magnum.Healthy), string(magnum.Unhealthy), string(magnum.HealthUnknown), none} {
		send(u.health, float64(c.health[h]), h)
	}
	for version, n := range bounded(c.versions) {
		send(u.versions, float64(n), version)
	}
	for version, n := range bounded(c.running) {
		send(u.running, float64(n), version)
	}
	for _, operation := range []string{"create", "update", "delete"} {
		age := 0.0
		if since := c.oldest[operation]; !since.IsZero() {
			age = max(0, u.now().Sub(since).Seconds())
		}
		send(u.oldest, age, operation)
	}
	send(u.projects, float64(len(c.projects)))
}

func states() []magnum.Status {
	return []magnum.Status{
		magnum.CreateInProgress, magnum.CreateComplete, magnum.CreateFailed, magnum.UpdateInProgress, magnum.UpdateComplete, magnum.UpdateFailed,
		magnum.DeleteInProgress, magnum.DeleteFailed,
	}
}

func (v *View) count() counts {
	c := counts{
		clusters: map[magnum.Status]int{}, groups: map[magnum.Status]int{}, health: map[string]int{}, versions: map[string]int{},
		running: map[string]int{}, nodes: map[[2]string]int{}, oldest: map[string]time.Time{}, projects: map[string]bool{},
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, e := range v.clusters {
		k := e.snapshot
		c.clusters[k.Status]++
		c.health[cmp.Or(string(k.Health), none)]++
		c.versions[minor(k.COEVersion)]++
		c.projects[k.ProjectID] = true
		if operation, _, going := strings.Cut(string(k.Status), "_IN_PROGRESS"); going {
			operation = strings.ToLower(operation)
			if since, had := began(e.record, k), c.oldest[operation]; had.IsZero() || since.Before(had) {
				c.oldest[operation] = since
			}
		}
		for _, g := range e.ordered {
			role := magnum.RoleWorker // a tenant may invent roles
			if g.Role == magnum.RoleMaster {
				role = magnum.RoleMaster
			}
			c.groups[g.Status]++
			c.nodes[[2]string{role, string(g.Status)}] += g.NodeCount
			c.running[minor(cmp.Or(g.Version, k.COEVersion))] += g.NodeCount
		}
	}
	return c
}

// began is when the operation that a cluster is in the middle of was asked for, as far as its record knows.
func began(r *v1alpha1.MagnumCluster, k *magnum.Cluster) time.Time {
	switch {
	case r.DeletionTimestamp != nil:
		return r.DeletionTimestamp.Time
	case k.Status == magnum.CreateInProgress:
		return r.CreationTimestamp.Time
	case r.Generation > r.Status.ObservedGeneration || r.Status.OperationStartedAt == nil: // nobody has looked at it yet
		return k.UpdatedAt
	}
	return r.Status.OperationStartedAt.Time
}

// minor is the minor version of a version: v1.34 of v1.34.2.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || len(parts[0])+len(parts[1]) > 8 {
		return none
	}
	return parts[0] + "." + parts[1]
}

// bounded keeps the versions that most have, and sums the others up.
func bounded(versions map[string]int) map[string]int {
	if len(versions) <= maxVersions {
		return versions
	}
	names := slices.SortedFunc(maps.Keys(versions), func(a, b string) int {
		return cmp.Or(cmp.Compare(versions[b], versions[a]), strings.Compare(a, b))
	})
	out := map[string]int{}
	for i, name := range names {
		if i >= maxVersions {
			name = anyOther
		}
		out[name] += versions[names[i]]
	}
	return out
}
