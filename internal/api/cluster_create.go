package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// A creation is a cluster on its way from a request into the store.
type creation struct {
	*server
	call     *call
	template *magnum.ClusterTemplate
	cluster  magnum.Cluster
	labels   map[string]string // as given
	merge    bool
	grant    policy.Grant
	quota    int
	early    error // what was wrong before anybody was asked, to be told with all else
}

// createCluster checks in the order of Magnum 1.14 (A7), which decides the status, and what a client is told first,
// when several things are wrong.
func (s *server) createCluster(ctx context.Context, c *call) (answer, error) {
	k := &creation{server: s, call: c}
	for _, step := range []func(context.Context) error{
		k.decode,      // 1 types: 400
		k.checkShape,  // 3-5 distribution, docker volume, even number of masters: 400, but not told alone
		k.authorize,   // 6 policy: 403
		k.checkQuota,  // 7 quota: 403
		k.checkHidden, // 8 hidden template: 403
		k.judge,       // 9-13 what is asked for: 400, key pair 404
		k.sound,       // what is told by now keeps the cluster from being made
		k.store,       // 202
		k.giveCredential,
	} {
		if err := step(ctx); err != nil {
			return answer{}, allAtOnce(k.early, err)
		}
	}
	return c.accepted(k.cluster.UUID), nil
}

const (
	maxCount   = 10_000
	maxMinutes = math.MaxInt32
	maxGiB     = 1 << 20
)

var clusterNamePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]*$`)

// decode reads the request and, as soon as it names one, the template, from which most defaults come (step 2).
func (k *creation) decode(ctx context.Context) error {
	f, err := k.fields(k.call, "cluster")
	if err != nil {
		return err
	}
	ident, _ := f.name("cluster_template_id")
	if _, there := f.take("cluster_template_id"); !there {
		f.mandatory("cluster_template_id")
	}
	c := &k.cluster
	f.readOnly("api_address", "coe_version", "container_version", "project_id", "user_id", "node_addresses", "master_addresses",
		"links", "stack_id", "cluster_id", "labels_overridden", "labels_added", "labels_skipped", "created_at", "updated_at")
	// Not marked read-only in Magnum: silently accepted, and never used.
	f.ignore("uuid", "status", "status_reason", "health_status", "health_status_reason", "faults")
	var named bool
	if c.Name, named = f.matching("name", 1, 242, clusterNamePattern); !named {
		c.Name = magnum.RandomName(k.rand, "cluster")
	}
	atLeast := 0
	if k.call.version < 10 {
		atLeast = 1 // Magnum 1.10: clusters without workers
	}
	c.NodeCount = numberOr(1)(f.integer("node_count", atLeast, maxCount))
	c.MasterCount = numberOr(1)(f.integer("master_count", 1, maxCount))
	c.CreateTimeout = numberOr(k.Config.CreateTimeout)(f.integer("create_timeout", 0, maxMinutes))
	c.DiscoveryURL, _ = f.text("discovery_url", 0, 255)
	k.labels, _ = f.labels("labels")
	k.merge, _ = f.boolean("merge_labels")

	given := *c
	given.Keypair, _ = f.name("keypair")
	given.DockerVolumeSize, _ = f.integer("docker_volume_size", 1, maxGiB)
	given.MasterFlavorID, _ = f.name("master_flavor_id")
	given.FlavorID, _ = f.name("flavor_id")
	given.FixedNetwork, _ = f.name("fixed_network")
	given.FixedSubnet, _ = f.name("fixed_subnet")
	floating, hasFloating := f.boolean("floating_ip_enabled")
	balanced, hasBalanced := f.boolean("master_lb_enabled")
	if err := f.done(); err != nil {
		return err
	}
	if k.template, err = k.findTemplate(ctx, ident); err != nil {
		return err
	}
	t := k.template
	given.Keypair = textOr(given.Keypair, t.KeypairID)
	given.DockerVolumeSize = max(given.DockerVolumeSize, 0)
	if given.DockerVolumeSize == 0 {
		given.DockerVolumeSize = t.DockerVolumeSize
	}
	given.MasterFlavorID = textOr(given.MasterFlavorID, t.MasterFlavorID)
	given.FlavorID = textOr(given.FlavorID, t.FlavorID)
	given.FixedNetwork = textOr(given.FixedNetwork, t.FixedNetwork)
	given.FixedSubnet = textOr(given.FixedSubnet, t.FixedSubnet)
	given.FloatingIPEnabled, given.MasterLBEnabled = t.FloatingIPEnabled, t.MasterLBEnabled
	if hasFloating {
		given.FloatingIPEnabled = floating
	}
	if hasBalanced {
		given.MasterLBEnabled = balanced
	}
	given.ClusterTemplateID, given.Template = t.UUID, *t
	*c = given
	return nil
}

func textOr(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

// numberOr turns "a number, if given" into a number.
func numberOr(otherwise int) func(int, bool) int {
	return func(v int, given bool) int {
		if !given {
			return otherwise
		}
		return v
	}
}

// findTemplate finds the template a new cluster is made from, among the caller's own and the public ones.
func (k *creation) findTemplate(ctx context.Context, ident string) (*magnum.ClusterTemplate, error) {
	t, err := k.Templates.Template(ctx, k.Policy.Scope(k.call.caller, ""), ident)
	var told *magnum.Error
	if errors.As(err, &told) && told.Status == http.StatusNotFound && k.call.version < 10 {
		return nil, magnum.Refuse(http.StatusBadRequest, "%s", told.Detail) // Magnum 1.10 made a 404 of it
	}
	return t, err
}

func (k *creation) checkShape(context.Context) error {
	_, unknown := driverFor(k.template.ServerType, k.template.ClusterDistro, k.template.COE)
	k.early = allAtOnce(unknown, checkMachines(k.template), checkVolumeSize(k.cluster.DockerVolumeSize, k.template.DockerStorageDriver),
		checkMasterCount(k.cluster.MasterCount))
	return nil
}

func (k *creation) sound(context.Context) error { return k.early }

// checkVolumeSize holds to what devicemapper needs (Magnum 1.14).
func checkVolumeSize(gib int, driver string) error {
	if driver == "devicemapper" && gib != 0 && gib < 3 {
		return magnum.Invalid("docker volume size %d GB is not valid, expecting minimum value 3GB for %s storage driver.", gib, driver)
	}
	return nil
}

// mostMasters is how many members of etcd still make sense: each write waits for more than half of them (etcd's own
// advice: at most 7).
const mostMasters = 9

// checkMasterCount keeps etcd able to decide.
func checkMasterCount(n int) error {
	switch {
	case n%2 == 0:
		return magnum.Invalid("master nodegroup size of %d is invalid, size cannot be an even number.", n)
	case n > mostMasters:
		return magnum.Invalid("master nodegroup size of %d is invalid, size cannot be more than %d. Each master is a member of etcd, "+
			"and etcd becomes slower with each.", n, mostMasters)
	}
	return nil
}

func (k *creation) authorize(context.Context) (err error) {
	k.cluster.ProjectID, k.cluster.UserID = k.call.caller.ProjectID, k.call.caller.UserID
	k.grant, err = k.Policy.Authorize(k.call.caller, "cluster:create", k.call.self())
	return err
}

// checkQuota looks early, because Magnum does so before it asks the cloud; the store decides again when it writes.
func (k *creation) checkQuota(ctx context.Context) error {
	k.quota = max(k.Config.MaxClustersPerProject, 0)
	q, err := k.Quotas.Quota(ctx, k.grant, k.cluster.ProjectID, magnum.QuotaCluster)
	var told *magnum.Error
	switch {
	case err == nil:
		k.quota = q.HardLimit
	case !errors.As(err, &told) || told.Status != http.StatusNotFound:
		return err
	}
	own, err := k.Clusters.Clusters(ctx, k.grant)
	if err == nil && len(own) >= k.quota {
		err = overQuota(k.quota)
	}
	return err
}

func overQuota(limit int) error {
	return magnum.Forbidden("Resource limit exceeded: You have reached the maximum clusters per project, %d. "+
		"You may delete a cluster to make room for a new one.", limit)
}

func (k *creation) checkHidden(context.Context) error {
	if k.template.Hidden {
		return magnum.Forbidden("ClusterTemplate %s is hidden. Clusters are not made from it any more.", k.template.UUID)
	}
	return nil
}

// judge tells everything that is wrong with what is asked for.
func (k *creation) judge(ctx context.Context) error {
	k.cluster.Labels = chooseLabels(k.template.Labels, k.labels, k.merge)
	scope, image := label.Cluster, k.template.ImageID
	noTag := k.tagFromImage(ctx, k.call, k.cluster.Labels, k.template.ImageID)
	if noTag != nil {
		// The image is told already; its version is not known, and not to be asked for in its stead.
		scope, image = label.Template, ""
	}
	problems := []error{noTag, k.checkLabels(scope, k.cluster.Labels)} // 9 label merge, label values: 400
	doubtful := allAtOnce(problems...) != nil
	if doubtful {
		k.cluster.Labels = label.Sound(k.cluster.Labels)
	} else {
		problems = append(problems, checkAge(k.cluster.Labels), k.checkEffect(), k.settleSize(), k.checkAddresses(),
			k.checkAddons()) // what makes the cluster usable exists: 400
	}
	return allAtOnce(append(problems,
		k.checkFloatingIP(ctx),           // the API server's address is nobody else's: 400
		k.askCloud(ctx, image, doubtful), // 10-12 flavors, image, networks 400, key pair 404
		k.checkLoadBalancer(),            // 13 more masters need a load balancer: 400
	)...)
}

func (k *creation) checkAddresses() error {
	return checkAddresses(&k.cluster, k.cluster.MasterCount+k.cluster.NodeCount)
}

// settleSize holds the workers' count to the bounds that labels give. With the autoscaler the group begins within them.
func (k *creation) settleSize() error {
	workers := magnum.NodeGroup{NodeCount: k.cluster.NodeCount}
	fewest, most := label.Bounds(k.cluster.Labels)
	workers.GiveBounds(fewest, most, autoscaled(&k.cluster))
	for _, f := range magnum.CheckNodeCount(&workers) {
		return magnum.Invalid("The labels %s and %s do not fit: %s.", label.MinNodeCount, label.MaxNodeCount, f.Why)
	}
	k.cluster.NodeCount = workers.NodeCount
	return nil
}

// checkAddons refuses a cluster that could never become usable: Magnum finds out an hour later.
func (k *creation) checkAddons() error {
	return k.addonsFor(k.template.NetworkDriver, k.cluster.Labels, "")
}

// addonsFor tells what is missing for clusters with these labels, and for their way from an older Kubernetes to this
// one, if the server knows what it installs.
func (s *server) addonsFor(networkDriver string, labels map[string]string, from string) error {
	if s.Addons == nil {
		return nil
	}
	if err := s.Addons(networkDriver, labels, from); err != nil {
		return magnum.Invalid("This cluster could not become usable: %s.", magnum.OneLine(err))
	}
	return nil
}

func (k *creation) askCloud(ctx context.Context, image string, doubtful bool) (err error) {
	c := &k.cluster
	var lacking error
	if c.FlavorID == "" || c.MasterFlavorID == "" {
		// Magnum accepts this and the cluster fails later.
		lacking = magnum.Invalid("A flavor is missing. Give flavor_id and master_flavor_id, here or in the cluster template.")
	}
	c.Resolved, err = k.resolve(ctx, k.call, resources{
		image: image, flavor: c.FlavorID, masterFlavor: c.MasterFlavorID,
		externalNetwork: k.template.ExternalNetworkID, fixedNetwork: c.FixedNetwork, fixedSubnet: c.FixedSubnet, keypair: c.Keypair,
		needsDisk: !k.bootsFromVolume(c.Labels), networkDriver: k.template.NetworkDriver, labels: c.Labels,
		kubeTag: c.Labels[label.KubeTag], scope: label.Cluster, floatingIP: c.Labels[label.APIServerFloatingIP],
		nodes: c.MasterCount + c.NodeCount, balanced: c.MasterLBEnabled,
		containerVolume: c.DockerVolumeSize, doubtful: doubtful, fleet: newFleet(c),
	})
	return allAtOnce(lacking, err)
}

// bootsFromVolume tells whether machines get a root volume, so that a flavor needs no disk.
func (s *server) bootsFromVolume(labels map[string]string) bool { return s.bootVolume(labels) > 0 }

// bootVolume is the size in GiB of machines' root volume; 0: they have none.
func (s *server) bootVolume(labels map[string]string) int {
	return label.Of(labels).BootVolume(s.Config.DefaultBootVolumeSize)
}

func (k *creation) checkLoadBalancer() error {
	var nobody error
	if !k.cluster.MasterLBEnabled && !label.Of(k.cluster.Labels).Bool(label.FloatingIPEnabled) {
		nobody = magnum.Invalid("Nothing would hold the API server's address, because master_lb_enabled is False and label %s too. "+
			"Set one of them to true.", label.FloatingIPEnabled)
	}
	return allAtOnce(nobody, k.checkAllowed(k.cluster.Labels, k.cluster.MasterLBEnabled),
		checkLoadBalancer(k.cluster.MasterCount, k.cluster.MasterLBEnabled))
}

// checkAllowed refuses a list of who may reach the API server where nothing could hold to it, or where it would lock us
// out.
func (s *server) checkAllowed(labels map[string]string, balanced bool) error {
	switch v := label.Of(labels); {
	case !v.Has(label.APIServerAllowedCIDRs):
	case !balanced:
		return magnum.Invalid("The label %s needs a load balancer, and master_lb_enabled is false.", label.APIServerAllowedCIDRs)
	case len(s.Config.ManagementCIDRs) == 0:
		return magnum.Invalid("The label %s is not available in this cloud: its operator has not said where the management cluster comes from "+
			"([kubernetes] management_cidrs in magnum.conf), and the cluster would lock it out.", label.APIServerAllowedCIDRs)
	}
	return nil
}

func checkLoadBalancer(masters int, balanced bool) error {
	if masters > 1 && !balanced {
		return magnum.Invalid("master_count must be 1 when master_lb_enabled is False")
	}
	return nil
}

func (k *creation) store(ctx context.Context) error {
	k.cluster.OperationRequestID = k.call.requestID
	stored, err := k.Clusters.CreateCluster(ctx, k.grant, k.cluster, k.quota)
	if err == nil {
		k.cluster = *stored
	}
	return err
}

// credentialWithin bounds giveCredential, whose end does not depend on the client's patience.
const credentialWithin = 50 * time.Second

// giveCredential makes the credential that the cluster acts with, while the owner's token is at hand: nobody has it
// later. The record is stored by now, so a client that hangs up does not stop this. A cluster without a credential
// could never come up, so when that fails both go again and the client learns why.
func (k *creation) giveCredential(ctx context.Context) error {
	id := k.cluster.UUID
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), credentialWithin)
	defer cancel()
	clouds, bundle, err := k.Credentials.CloudConfig(work, k.call.token, k.call.identity, id)
	if err == nil {
		err = k.Secrets.PutCloudConfig(work, k.grant, id, clouds, bundle)
	}
	if err == nil {
		return nil
	}
	k.takeBack(ctx)
	if errors.Is(err, openstack.ErrForbidden) {
		return fmt.Errorf("%w (%w)", magnum.Forbidden("Keystone does not let you make the application credential that the cluster needs. "+
			"Use a token that was not itself made from a restricted application credential."), err)
	}
	return fmt.Errorf("give cluster %s its credential: %w", id, err)
}

// takeBack ends a cluster that has no credential. The credential goes here too: the cluster's own end may be over by
// now, when somebody else deleted it in the meantime.
func (k *creation) takeBack(ctx context.Context) {
	// The client may be gone or time may be up: taking the cluster back must not depend on it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var told *magnum.Error
	undo := k.Clusters.DeleteCluster(ctx, k.grant, k.cluster.UUID)
	if errors.As(undo, &told) && told.Status == http.StatusNotFound {
		undo = nil
	}
	if undo = errors.Join(undo, k.Credentials.TakeBack(ctx, k.call.identity, k.cluster.UUID)); undo != nil {
		k.Logger.LogAttrs(ctx, slog.LevelWarn, "cluster without a credential could not be taken back as a whole",
			slog.String("cluster", k.cluster.UUID), slog.String("request_id", k.call.requestID), slog.String("problem", undo.Error()))
	}
}
