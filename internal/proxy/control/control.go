package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Options are a Control's parts.
type Options struct {
	Config   *rest.Config // of the management cluster
	Identity Identity
	Always   bool // proxy clusters with a floating IP too
	OldHosts bool // refresh timestamps for hosts with the old proxy
	Now      func() time.Time
	Log      *slog.Logger
	Changed  func() // clusters have changed
}

// Control speaks with the management cluster for one host.
type Control struct {
	Options

	*connection

	clusters *feed[Cluster]
	beat     *beat
	election *election

	stopped chan struct{} // closed when Publish has returned

	mu         sync.Mutex
	publisher  *publisher // once it is known what to advertise
	owner      *owner     // while this host is the owner
	superseded bool
}

// connection is what speaks with the management cluster.
type connection struct {
	client   client.WithWatch
	versions *anyVersion    // of OpenStackClusters
	core     rest.Interface // of Secrets, to watch them at little cost
}

// connect makes clients on one connection pool.
func connect(config *rest.Config) (*connection, error) {
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the management cluster: %w", err)
	}
	c := &connection{}
	if c.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme, HTTPClient: httpClient, Mapper: mapper(scheme)}); err != nil {
		return nil, fmt.Errorf("connect to the management cluster: %w", err)
	}
	if c.core, err = restClient(config, httpClient, scheme, "/api", corev1.SchemeGroupVersion); err != nil {
		return nil, err
	}
	c.versions, err = newAnyVersion(config, httpClient)
	return c, err
}

func restClient(config *rest.Config, http *http.Client, scheme *runtime.Scheme, path string, gv schema.GroupVersion) (rest.Interface, error) {
	c := rest.CopyConfig(config)
	c.APIPath, c.GroupVersion, c.ContentType = path, &gv, runtime.ContentTypeJSON
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	out, err := rest.RESTClientForConfigAndClient(c, http)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", gv, err)
	}
	return out, nil
}

// mapper knows the few resources there are, so that none of it is asked of the API server, which a credential with few
// rights may reach late.
func mapper(s *runtime.Scheme) meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(s.PreferredVersionAllGroups())
	for _, gv := range s.PreferredVersionAllGroups() {
		for kind := range s.KnownTypes(gv) {
			m.Add(gv.WithKind(kind), meta.RESTScopeNamespace) // all that is used here is in namespaces
		}
	}
	return m
}

// New makes a Control; nothing happens before Run.
func New(o Options) (*Control, error) {
	c := &Control{Options: o, stopped: make(chan struct{})}
	var err error
	if c.connection, err = connect(o.Config); err != nil {
		return nil, err
	}
	c.clusters = newFeed(convert, c.moved)
	c.beat = &beat{client: c.client, id: o.Identity, every: beatEvery, dead: deadAfter, now: o.Now, log: o.Log}
	c.election = &election{client: c.client, id: o.Identity, leases: newSightings(o.Now), now: o.Now, log: o.Log, lead: c.lead}
	return c, nil
}

func convert(o runtime.Object) (string, Cluster, error) {
	osc, ok := o.(*OpenStackCluster)
	if !ok {
		return "", Cluster{}, fmt.Errorf("a watch brought a %T", o)
	}
	cluster := read(osc)
	if cluster.Stack == "" {
		return unnamed + osc.Name, cluster, nil
	}
	return cluster.Stack, cluster, nil
}

// unnamed begins the key of an OpenStackCluster that does not say which cluster it belongs to.
const unnamed = "?"

// moved is called for each change of a cluster.
func (c *Control) moved(stack string) {
	c.Changed()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner != nil && !strings.HasPrefix(stack, unnamed) {
		c.owner.queue.Add(stack)
	}
}

// Follow reads OpenStackClusters until ctx ends.
func (c *Control) Follow(ctx context.Context) {
	c.clusters.run(ctx, "openstackclusters", c.versions, &OpenStackCluster{})
}

// Synced waits until all clusters are known.
func (c *Control) Synced(ctx context.Context) error { return c.clusters.wait(ctx) }

// Ready says whether all clusters are known and this host has its lease.
func (c *Control) Ready() error {
	select {
	case <-c.clusters.synced:
	default:
		return errors.New("the clusters are not read yet")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.publisher == nil {
		return errors.New("this host's lease is not taken yet")
	}
	return nil
}

// Clusters are all that are known.
func (c *Control) Clusters() []Cluster {
	all := c.clusters.all()
	out := make([]Cluster, 0, len(all))
	for _, cl := range all {
		out = append(out, cl)
	}
	return out
}

// Publish keeps this host's slices, its lease, and its candidacy for owner, until ctx ends. When a newer process takes
// the host over it returns early.
func (c *Control) Publish(ctx context.Context, a Advertised) error {
	defer close(c.stopped)
	if err := c.beat.claim(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPublisher(publishing{client: c.client, host: c.Identity.Host, advertised: a, timestamps: c.OldHosts, now: c.Now, log: c.Log})
	c.mu.Lock()
	c.publisher = p
	c.mu.Unlock()
	c.Changed()
	var all sync.WaitGroup
	all.Go(func() {
		where := []client.ListOption{client.InNamespace(Namespace), client.MatchingLabels{LabelNode: c.Identity.Host}}
		p.slices.run(ctx, "own slices", selected{c.client, func() client.ObjectList { return &discoveryv1.EndpointSliceList{} }, where}, &discoveryv1.EndpointSlice{})
	})
	all.Go(func() { p.run(ctx, 8) })
	all.Go(func() {
		where := []client.ListOption{client.InNamespace(FleetNamespace), client.MatchingFields{"metadata.name": ownerName}}
		c.election.leases.feed.run(ctx, "owner", selected{c.client, func() client.ObjectList { return &coordinationv1.LeaseList{} }, where}, &coordinationv1.Lease{})
	})
	all.Go(func() { c.election.run(ctx) })
	err := c.beat.keep(ctx)
	if errors.Is(err, errSuperseded) {
		c.mu.Lock()
		c.superseded = true
		c.mu.Unlock()
		c.Log.InfoContext(ctx, "a newer process has taken over this host; this one stops publishing")
		err = nil
	}
	cancel()
	all.Wait()
	return err
}

// lead is this host's time as the owner.
func (c *Control) lead(ctx context.Context) {
	c.mu.Lock()
	port := c.publisher.advertised.Port
	o := &owner{
		client: c.client, clusters: c.clusters, always: c.Always, port: port, steady: c.beat.steadySince, now: c.Now, log: c.Log,
		secrets: newKubeconfigs(c.client, c.core, c.Log),
	}
	o.prepare()
	c.owner = o
	c.mu.Unlock()
	o.run(ctx)
	c.mu.Lock()
	c.owner = nil
	c.mu.Unlock()
}

// Wish says what should be published; it may be called at any time.
func (c *Control) Wish(wishes map[string]Wish) {
	c.mu.Lock()
	p := c.publisher
	c.mu.Unlock()
	if p != nil {
		p.set(wishes)
	}
}

// Withdraw takes this host out of the fleet: its slices first, then its lease; unless a newer process has it.
func (c *Control) Withdraw(ctx context.Context) (withdrawn bool, err error) {
	select {
	case <-c.stopped: // nothing is published any more
	case <-ctx.Done():
	}
	c.mu.Lock()
	p, gone := c.publisher, c.superseded
	c.mu.Unlock()
	if p == nil || gone || c.beat.superseded(ctx) {
		return false, nil
	}
	if err := p.withdrawAll(ctx); err != nil {
		return false, fmt.Errorf("withdraw this host's slices: %w", err)
	}
	return true, c.beat.release(ctx)
}

// Standing is what the control plane says of itself and of a cluster.
type Standing struct {
	Owner      bool
	Superseded bool
}

// Standing of this host.
func (c *Control) Standing() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Standing{Owner: c.election.owns(), Superseded: c.superseded}
}

// Published says whether a cluster's slice is in the management cluster, and what was wrong with it or, on the owner,
// its kubeconfig.
func (c *Control) Published(stack string) (bool, error) {
	c.mu.Lock()
	p, o := c.publisher, c.owner
	c.mu.Unlock()
	if p == nil {
		return false, nil
	}
	ok, err := p.published(stack)
	if o != nil {
		err = errors.Join(err, o.secrets.err(stack))
	}
	return ok, err
}
