package simcloud

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Request asks whether a machine may come. Flavor and Image are names or ids; empty ones are not judged. The fields are
// those of allinone/simmachines, so that one converts into the other.
type Request struct {
	Cluster, Name, Flavor, Image string
	ControlPlane                 bool

	Existing bool   // it was judged by an earlier process
	Failure  string // and this was why it did not come
}

// Verdict is the cloud's answer: the machine comes after Delay, or never when Fail says why.
type Verdict struct {
	Delay time.Duration
	Fail  string
}

// Schedule decides about a machine, by the fault rules first and by its flavor then, and shows it in Nova. It may be
// asked again about the same machine: it is then judged by the rules of that moment and keeps its place. An existing
// machine is only shown.
func (c *Cloud) Schedule(_ context.Context, r Request) Verdict {
	verdict := Verdict{Fail: r.Failure}
	_, known := c.store.view().Servers[r.Name]
	if r.Existing && known {
		return verdict
	}
	if !r.Existing {
		verdict = c.judge(r)
	}
	owner, userID := c.ownerOf(r.Cluster)
	now := c.now().UTC()
	c.store.remember(func(s *state) {
		m, known := s.Servers[r.Name]
		if !known {
			m = server{ID: newID(), Name: r.Name, CreatedAt: now}
		}
		m.Cluster, m.Flavor, m.Image, m.ControlPlane = r.Cluster, r.Flavor, r.Image, r.ControlPlane
		m.ReadyAt, m.Fail = m.CreatedAt.Add(verdict.Delay), verdict.Fail
		if owner != "" {
			m.ProjectID, m.UserID = owner, userID
		}
		s.Servers[r.Name] = m
	})
	return verdict
}

// Release forgets a machine; one that is not known is fine.
func (c *Cloud) Release(_ context.Context, name string) {
	if _, known := c.store.view().Servers[name]; known {
		c.store.remember(func(s *state) { delete(s.Servers, name) })
	}
}

// Machines are the names of all there are.
func (c *Cloud) Machines() []string { return slices.Sorted(maps.Keys(c.store.view().Servers)) }

func (c *Cloud) judge(r Request) Verdict {
	f, known := c.flavorNamed(r.Flavor)
	c.mu.Lock()
	rules := c.rules
	c.mu.Unlock()
	for _, rule := range rules {
		if glob(rule.Cluster, r.Cluster) && (glob(rule.Flavor, r.Flavor) || known && (glob(rule.Flavor, f.Name) || glob(rule.Flavor, f.ID))) {
			return Verdict{Delay: time.Duration(rule.Delay), Fail: rule.Message}
		}
	}
	if r.Flavor != "" && !known {
		return Verdict{Fail: fmt.Sprintf("Flavor %s could not be found.", r.Flavor)}
	}
	if r.Image != "" && !slices.ContainsFunc(c.images, func(i image) bool { return i.ID == r.Image || i.Name == r.Image }) {
		return Verdict{Fail: fmt.Sprintf("Image %s could not be found.", r.Image)}
	}
	return Verdict{Delay: time.Duration(f.Delay), Fail: f.Fail}
}

// ownerOf finds the project that a cluster's machines belong to. Jeroboam makes a server group for every cluster, named
// as the cluster: whoever owns that owns the machines.
func (c *Cloud) ownerOf(cluster string) (projectID, userID string) {
	for _, g := range c.store.view().ServerGroups {
		if g.Name == cluster || strings.HasPrefix(g.Name, cluster+"-") {
			projectID, userID = g.ProjectID, g.UserID
		}
	}
	if c.options.ProjectOf != nil {
		if id := c.options.ProjectOf(cluster); id != "" {
			return id, userID
		}
	}
	return projectID, userID
}
