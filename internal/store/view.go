package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// kind tells the four sorts of record apart inside a View.
type kind int

const (
	kindCluster kind = iota
	kindNodeGroup
	kindTemplate
	kindQuota
	kinds
)

// View is what this process knows of all records, as words, in memory. Snapshots handed out are shared and never
// change.
type View struct {
	mu        sync.RWMutex
	clusters  map[string]*clusterEntry // by UUID
	templates map[string]*magnum.ClusterTemplate
	quotas    map[string]*magnum.Quota      // by record name
	orphans   map[string]nodeGroups         // groups that arrived before their cluster, by cluster UUID
	lists     map[string]*[]*magnum.Cluster // by project, "" is all; dropped when a member changes
	seen      [kinds]uint64                 // the newest resource version of each kind
	changed   chan struct{}                 // closed, and replaced, whenever anything changes
	synced    []toolscache.InformerSynced
}

type nodeGroups map[string]*magnum.NodeGroup // by UUID

type clusterEntry struct {
	record   *v1alpha1.MagnumCluster
	groups   nodeGroups
	snapshot *magnum.Cluster
	ordered  []*magnum.NodeGroup
}

// NewView starts to follow the records through c; it is filled once c has synced.
func NewView(ctx context.Context, c cache.Cache) (*View, error) {
	v := &View{
		clusters: map[string]*clusterEntry{}, templates: map[string]*magnum.ClusterTemplate{},
		quotas: map[string]*magnum.Quota{}, orphans: map[string]nodeGroups{},
		lists: map[string]*[]*magnum.Cluster{}, changed: make(chan struct{}),
	}
	for _, f := range []struct {
		object client.Object
		kind   kind
		set    func(obj any)
		drop   func(name string)
	}{
		{&v1alpha1.MagnumCluster{}, kindCluster, v.setCluster, v.dropCluster},
		{&v1alpha1.MagnumNodeGroup{}, kindNodeGroup, v.setNodeGroup, v.dropNodeGroup},
		{&v1alpha1.MagnumClusterTemplate{}, kindTemplate, v.setTemplate, func(name string) { delete(v.templates, name) }},
		{&v1alpha1.MagnumQuota{}, kindQuota, v.setQuota, func(name string) { delete(v.quotas, name) }},
	} {
		inf, err := c.GetInformer(ctx, f.object)
		if err != nil {
			return nil, fmt.Errorf("follow %T: %w", f.object, err)
		}
		reg, err := inf.AddEventHandler(v.handler(f.kind, f.set, f.drop))
		if err != nil {
			return nil, fmt.Errorf("follow %T: %w", f.object, err)
		}
		v.synced = append(v.synced, reg.HasSynced)
	}
	return v, nil
}

// Synced tells whether every record that existed at the start is in the view.
func (v *View) Synced() bool {
	for _, s := range v.synced {
		if !s() {
			return false
		}
	}
	return true
}

func (v *View) handler(k kind, set func(any), drop func(string)) toolscache.ResourceEventHandler {
	update := func(obj any) {
		o, ok := obj.(client.Object)
		if !ok {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		set(obj)
		v.advance(k, o.GetResourceVersion())
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    update,
		UpdateFunc: func(_, obj any) { update(obj) },
		DeleteFunc: func(obj any) {
			if t, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = t.Obj
			}
			o, ok := obj.(client.Object)
			if !ok {
				return
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			drop(o.GetName())
			v.advance(k, o.GetResourceVersion())
		},
	}
}

// advance notes how far the view has come and wakes those who wait for it. The caller holds mu.
func (v *View) advance(k kind, resourceVersion string) {
	if rv := parseVersion(resourceVersion); rv > v.seen[k] {
		v.seen[k] = rv
	}
	close(v.changed)
	v.changed = make(chan struct{})
}

// wait returns when done says so, looking again after each change. The caller of done holds no lock.
func (v *View) wait(ctx context.Context, done func() bool) error {
	for {
		v.mu.RLock()
		ok, changed := done(), v.changed
		v.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait until the write is visible: %w", ctx.Err())
		}
	}
}

// waitVersion returns when the view has come as far as resourceVersion. Resource versions of one kind are ordered
// (Kubernetes 1.35 and later promise it; etcd has always made it so).
func (v *View) waitVersion(ctx context.Context, k kind, resourceVersion string) error {
	want := parseVersion(resourceVersion)
	return v.wait(ctx, func() bool { return v.seen[k] >= want })
}

func parseVersion(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0 // not a number: treat as "long seen" rather than wait for ever
	}
	return n
}

func (v *View) setCluster(obj any) {
	r, ok := obj.(*v1alpha1.MagnumCluster)
	if !ok {
		return
	}
	e := v.clusters[r.Name]
	if e == nil {
		e = &clusterEntry{groups: v.orphans[r.Name]}
		if e.groups == nil {
			e.groups = nodeGroups{}
		}
		delete(v.orphans, r.Name)
		v.clusters[r.Name] = e
	}
	e.record = r
	v.refresh(e)
}

func (v *View) dropCluster(uuid string) {
	e := v.clusters[uuid]
	if e == nil {
		return
	}
	delete(v.clusters, uuid)
	if len(e.groups) > 0 {
		v.orphans[uuid] = e.groups
	}
	v.forgetLists(e.record.Spec.ProjectID)
}

func (v *View) setNodeGroup(obj any) {
	r, ok := obj.(*v1alpha1.MagnumNodeGroup)
	if !ok {
		return
	}
	g := NodeGroupOf(r)
	if e := v.clusters[g.ClusterID]; e != nil {
		e.groups[g.UUID] = g
		v.refresh(e)
		return
	}
	if v.orphans[g.ClusterID] == nil {
		v.orphans[g.ClusterID] = nodeGroups{}
	}
	v.orphans[g.ClusterID][g.UUID] = g
}

func (v *View) dropNodeGroup(uuid string) {
	for id, groups := range v.orphans {
		if delete(groups, uuid); len(groups) == 0 {
			delete(v.orphans, id)
		}
	}
	for _, e := range v.clusters {
		if _, ok := e.groups[uuid]; ok {
			delete(e.groups, uuid)
			v.refresh(e)
			return
		}
	}
}

func (v *View) setTemplate(obj any) {
	if r, ok := obj.(*v1alpha1.MagnumClusterTemplate); ok {
		v.templates[r.Name] = ClusterTemplateOf(r)
	}
}

func (v *View) setQuota(obj any) {
	if r, ok := obj.(*v1alpha1.MagnumQuota); ok {
		v.quotas[r.Name] = quotaOf(r)
	}
}

// refresh makes the snapshot of a cluster anew. The caller holds mu.
func (v *View) refresh(e *clusterEntry) {
	groups := make([]*magnum.NodeGroup, 0, len(e.groups)+2)
	names := map[string]bool{}
	for _, g := range e.groups {
		groups = append(groups, g)
		names[g.Name] = true
	}
	if magnum.Status(e.record.Status.Status) == "" || magnum.Status(e.record.Status.Status) == magnum.CreateInProgress {
		for _, r := range DefaultNodeGroups(e.record) {
			if !names[r.Spec.Name] {
				groups = append(groups, NodeGroupOf(r))
			}
		}
	}
	SortNodeGroups(groups)
	e.ordered = groups
	e.snapshot = ClusterOf(e.record, groups)
	v.forgetLists(e.record.Spec.ProjectID)
}

func (v *View) forgetLists(project string) {
	delete(v.lists, project)
	delete(v.lists, "")
}

// list returns the clusters of a project, or all for "", oldest first.
func (v *View) list(project string) []*magnum.Cluster {
	v.mu.RLock()
	l := v.lists[project]
	v.mu.RUnlock()
	if l != nil {
		return *l
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.lists[project]; l != nil {
		return *l
	}
	out := []*magnum.Cluster{}
	for _, e := range v.clusters {
		if project == "" || e.snapshot.ProjectID == project {
			out = append(out, e.snapshot)
		}
	}
	slices.SortFunc(out, func(a, b *magnum.Cluster) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.UUID, b.UUID))
	})
	v.lists[project] = &out
	return out
}

func (v *View) entry(uuid string) (*magnum.Cluster, []*magnum.NodeGroup) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e := v.clusters[uuid]
	if e == nil {
		return nil, nil
	}
	return e.snapshot, e.ordered
}
