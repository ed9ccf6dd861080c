package api_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// world is everything around the API, in memory: stores that hold to grants, a Keystone with a few tokens, a cloud with
// a few things.
type world struct {
	mu        sync.Mutex
	now       time.Time
	clusters  []*magnum.Cluster
	groups    map[string][]*magnum.NodeGroup // by cluster UUID
	templates []*magnum.ClusterTemplate
	quotas    []*magnum.Quota
	services  []magnum.Service
	events    []magnum.Event
	cas       map[string][2][]byte // by cluster UUID
	clouds    map[string]string    // clouds.yaml by cluster UUID
	takenBack map[string]string    // whose credential, by cluster UUID
	lastID    int64

	limits      *openstack.Limits // Nova's quotas; nil: none
	nova        error             // what Nova answers about them
	keystone    error             // what Keystone answers to everything
	cloud       error             // what the cloud answers to everything
	zones       error             // what Nova answers about availability zones
	lacks       []string          // services that the cloud does not have
	cinder      error             // what Cinder answers to everything
	octavia     error             // what Octavia answers to everything
	floating    error             // what Neutron answers about floating IPs
	credential  error             // what making an application credential answers
	put         error             // what storing it answers
	storeFails  error             // what reading clusters answers
	storePanics bool
	requestIDs  []string // that writes came with
}

func (w *world) id() int64 { w.lastID++; return w.lastID }

func find[T any](all []*T, match func(*T) bool, kind, ident string) (*T, error) {
	var found *T
	for _, x := range all {
		if match(x) {
			if found != nil {
				return nil, magnum.Conflict("Multiple %ss exist with same name. Please use the %s uuid instead.", kind, kind)
			}
			found = x
		}
	}
	if found == nil {
		title := map[string]string{"cluster": "Cluster", "clustertemplate": "ClusterTemplate", "nodegroup": "Nodegroup"}[kind]
		return nil, magnum.NotFound("%s %s could not be found.", title, ident)
	}
	return found, nil
}

func (w *world) Clusters(_ context.Context, g policy.Grant) ([]*magnum.Cluster, error) {
	if w.storePanics {
		panic("secret of the store")
	}
	if w.storeFails != nil {
		return nil, w.storeFails
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.AllProjects() {
		return w.clusters, nil
	}
	return slices.DeleteFunc(slices.Clone(w.clusters), func(c *magnum.Cluster) bool { return !g.Allows(c.ProjectID) }), nil
}

func (w *world) Cluster(ctx context.Context, g policy.Grant, ident string) (*magnum.Cluster, error) {
	all, err := w.Clusters(ctx, g)
	if err != nil {
		return nil, err
	}
	return find(all, func(c *magnum.Cluster) bool { return c.UUID == ident || c.Name == ident }, "cluster", ident)
}

func (w *world) CreateCluster(ctx context.Context, g policy.Grant, c magnum.Cluster, limit int) (*magnum.Cluster, error) {
	own, _ := w.Clusters(ctx, g)
	if !g.Allows(c.ProjectID) || len(own) >= limit {
		return nil, magnum.Forbidden("Resource limit exceeded: late.")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.ID, c.UUID, c.StackID, c.CreatedAt, c.Status = w.id(), uuid.NewString(), "kube-abcde", w.now, magnum.CreateInProgress
	w.requestIDs = append(w.requestIDs, c.OperationRequestID)
	w.clusters = append(slices.Clone(w.clusters), &c)
	w.groups[c.UUID] = []*magnum.NodeGroup{
		{
			ID: w.id(), UUID: uuid.NewString(), Name: magnum.DefaultMaster, Role: magnum.RoleMaster, IsDefault: true, NodeCount: c.MasterCount,
			ClusterID: c.UUID, ProjectID: c.ProjectID, Labels: c.Labels, FlavorID: c.MasterFlavorID, ImageID: c.Template.ImageID,
			Status: magnum.CreateInProgress, CreatedAt: w.now,
		},
		{
			ID: w.id(), UUID: uuid.NewString(), Name: magnum.DefaultWorker, Role: magnum.RoleWorker, IsDefault: true, NodeCount: c.NodeCount,
			ClusterID: c.UUID, ProjectID: c.ProjectID, Labels: c.Labels, FlavorID: c.FlavorID, ImageID: c.Template.ImageID,
			Status: magnum.CreateInProgress, CreatedAt: w.now,
		},
	}
	return &c, nil
}

// become sets what a controller would.
func (w *world) become(uuid string, change func(*magnum.Cluster)) *magnum.Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters = slices.Clone(w.clusters)
	for i, c := range w.clusters {
		if c.UUID == uuid {
			next := *c
			change(&next)
			w.clusters[i] = &next
			return &next
		}
	}
	panic("no such cluster: " + uuid)
}

func (w *world) UpdateCluster(ctx context.Context, g policy.Grant, id string, change func(*magnum.Cluster) error) (*magnum.Cluster, error) {
	c, err := w.Cluster(ctx, g, id)
	if err != nil {
		return nil, err
	}
	next := *c
	if err := change(&next); err != nil {
		return nil, err
	}
	return w.become(id, func(c *magnum.Cluster) {
		*c = next
		c.UpdatedAt = w.now
		w.requestIDs = append(w.requestIDs, c.OperationRequestID)
	}), nil
}

func (w *world) DeleteCluster(ctx context.Context, g policy.Grant, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := w.Cluster(ctx, g, id); err != nil {
		return err
	}
	w.become(id, func(c *magnum.Cluster) { c.Status, c.DeletionRequested = magnum.DeleteInProgress, true })
	return nil
}

func (w *world) NodeGroups(ctx context.Context, g policy.Grant, clusterUUID string) ([]*magnum.NodeGroup, error) {
	if _, err := w.Cluster(ctx, g, clusterUUID); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.groups[clusterUUID], nil
}

func (w *world) NodeGroup(ctx context.Context, g policy.Grant, clusterUUID, ident string) (*magnum.NodeGroup, error) {
	all, err := w.NodeGroups(ctx, g, clusterUUID)
	if err != nil {
		return nil, err
	}
	return find(all, func(n *magnum.NodeGroup) bool { return n.UUID == ident || n.Name == ident }, "nodegroup", ident)
}

func (w *world) CreateNodeGroup(ctx context.Context, g policy.Grant, ng magnum.NodeGroup) (*magnum.NodeGroup, error) {
	if _, err := w.NodeGroups(ctx, g, ng.ClusterID); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requestIDs = append(w.requestIDs, magnum.RequestID(ctx))
	ng.ID, ng.CreatedAt, ng.Status = w.id(), w.now, magnum.CreateInProgress
	w.groups[ng.ClusterID] = append(slices.Clone(w.groups[ng.ClusterID]), &ng)
	return &ng, nil
}

// FindNodes knows every name that begins with "node-"; "server-of-node-1" is another name of node-1.
func (w *world) FindNodes(_ context.Context, _ policy.Grant, _, _ string, nodes []string) (machines, unknown []string, err error) {
	for _, n := range nodes {
		switch n = strings.TrimPrefix(n, "server-of-"); {
		case !strings.HasPrefix(n, "node-"):
			unknown = append(unknown, n)
		case !slices.Contains(machines, n):
			machines = append(machines, n)
		}
	}
	return machines, unknown, nil
}

func (w *world) UpdateNodeGroup(
	ctx context.Context, g policy.Grant, clusterUUID, id string, change func(*magnum.NodeGroup) error,
) (*magnum.NodeGroup, error) {
	ng, err := w.NodeGroup(ctx, g, clusterUUID, id)
	if err != nil {
		return nil, err
	}
	next := *ng
	next.Labels = maps.Clone(ng.Labels)
	if err := change(&next); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.requestIDs = append(w.requestIDs, magnum.RequestID(ctx))
	w.groups[clusterUUID] = slices.Clone(w.groups[clusterUUID])
	workers := 0
	for i, old := range w.groups[clusterUUID] {
		if old.UUID == id {
			w.groups[clusterUUID][i] = &next
		}
		if n := w.groups[clusterUUID][i]; n.Role != magnum.RoleMaster {
			workers += n.NodeCount
		}
	}
	w.mu.Unlock()
	w.become(clusterUUID, func(c *magnum.Cluster) { c.NodeCount = workers })
	return &next, nil
}

func (w *world) DeleteNodeGroup(ctx context.Context, g policy.Grant, clusterUUID, id string) error {
	if _, err := w.NodeGroup(ctx, g, clusterUUID, id); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[clusterUUID] = slices.DeleteFunc(slices.Clone(w.groups[clusterUUID]), func(n *magnum.NodeGroup) bool { return n.UUID == id })
	return nil
}

func (w *world) Templates(_ context.Context, g policy.Grant) ([]*magnum.ClusterTemplate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.templates), func(t *magnum.ClusterTemplate) bool {
		return !g.Allows(t.ProjectID) && (!t.Public || t.Hidden)
	}), nil
}

func (w *world) Template(ctx context.Context, g policy.Grant, ident string) (*magnum.ClusterTemplate, error) {
	all, _ := w.Templates(ctx, g)
	return find(all, func(t *magnum.ClusterTemplate) bool { return t.UUID == ident || t.Name == ident }, "clustertemplate", ident)
}

func (w *world) CreateTemplate(_ context.Context, g policy.Grant, t magnum.ClusterTemplate) (*magnum.ClusterTemplate, error) {
	if !g.Allows(t.ProjectID) {
		return nil, magnum.Forbidden("not yours")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.ID, t.UUID, t.CreatedAt = w.id(), uuid.NewString(), w.now
	w.templates = append(slices.Clone(w.templates), &t)
	return &t, nil
}

func (w *world) used(id string) bool {
	return slices.ContainsFunc(w.clusters, func(c *magnum.Cluster) bool { return c.ClusterTemplateID == id })
}

func (w *world) UpdateTemplate(
	ctx context.Context, g policy.Grant, id string, change func(t *magnum.ClusterTemplate, referenced bool) error,
) (*magnum.ClusterTemplate, error) {
	t, err := w.Template(ctx, g, id)
	if err != nil {
		return nil, err
	}
	next := *t
	if err := change(&next, w.used(id)); err != nil {
		return nil, err
	}
	next.UpdatedAt = w.now
	w.mu.Lock()
	defer w.mu.Unlock()
	w.templates = slices.Clone(w.templates)
	w.templates[slices.Index(w.templates, t)] = &next
	return &next, nil
}

func (w *world) DeleteTemplate(ctx context.Context, g policy.Grant, id string) error {
	t, err := w.Template(ctx, g, id)
	if err != nil {
		return err
	}
	if w.used(id) {
		return magnum.Invalid("ClusterTemplate %s is referenced by one or multiple clusters.", id)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.templates = slices.DeleteFunc(slices.Clone(w.templates), func(x *magnum.ClusterTemplate) bool { return x == t })
	return nil
}

func (w *world) Quotas(_ context.Context, g policy.Grant) ([]*magnum.Quota, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.quotas), func(q *magnum.Quota) bool { return !g.Allows(q.ProjectID) }), nil
}

func (w *world) Quota(ctx context.Context, g policy.Grant, project, resource string) (*magnum.Quota, error) {
	all, _ := w.Quotas(ctx, g)
	for _, q := range all {
		if q.ProjectID == project && q.Resource == resource {
			return q, nil
		}
	}
	return nil, magnum.NotFound("Quota could not be found for project %s.", project)
}

func (w *world) CreateQuota(ctx context.Context, g policy.Grant, q magnum.Quota) (*magnum.Quota, error) {
	if _, err := w.Quota(ctx, g, q.ProjectID, q.Resource); err == nil {
		return nil, magnum.Conflict("Quota for project %s already exists for resource %s.", q.ProjectID, q.Resource)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	q.ID, q.CreatedAt = w.id(), w.now
	w.quotas = append(slices.Clone(w.quotas), &q)
	return &q, nil
}

func (w *world) UpdateQuota(ctx context.Context, g policy.Grant, project, resource string, limit int) (*magnum.Quota, error) {
	q, err := w.Quota(ctx, g, project, resource)
	if err != nil {
		return nil, err
	}
	next := *q
	next.HardLimit, next.UpdatedAt = limit, w.now
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quotas = slices.Clone(w.quotas)
	w.quotas[slices.Index(w.quotas, q)] = &next
	return &next, nil
}

func (w *world) DeleteQuota(ctx context.Context, g policy.Grant, project, resource string) error {
	q, err := w.Quota(ctx, g, project, resource)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quotas = slices.DeleteFunc(slices.Clone(w.quotas), func(x *magnum.Quota) bool { return x == q })
	return nil
}

func (w *world) Events(ctx context.Context, g policy.Grant, id string) ([]magnum.Event, error) {
	if _, err := w.Cluster(ctx, g, id); err != nil {
		return nil, err
	}
	return w.events, nil
}

func (w *world) Services(context.Context, policy.Grant) ([]magnum.Service, error) {
	return w.services, nil
}

func (w *world) CertificateAuthority(_ context.Context, g policy.Grant, id, _ string) (certPEM, keyPEM []byte, err error) {
	if g.Project() == "" {
		return nil, nil, magnum.NotFound("no grant")
	}
	ca, ok := w.cas[id]
	if !ok {
		return nil, nil, magnum.NotFound("The certificate authority of cluster %s has not been made yet.", id)
	}
	return ca[0], ca[1], nil
}

func (w *world) PutCloudConfig(_ context.Context, g policy.Grant, id string, cloudsYAML, _ []byte) error {
	if g.Project() == "" {
		return magnum.NotFound("no grant")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clouds[id] = string(cloudsYAML)
	return w.put
}

func (w *world) CloudConfig(_ context.Context, token string, _ openstack.Identity, id string) (cloudsYAML, cacert []byte, err error) {
	return []byte("clouds of " + id + " by " + token), nil, w.credential
}

func (w *world) TakeBack(_ context.Context, who openstack.Identity, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takenBack[id] = who.UserID
	return nil
}

func (w *world) ProjectExists(_ context.Context, id string) (bool, error) {
	return slices.Contains([]string{"demo", "other", "admin"}, id), w.keystone
}
