package addon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// facts are what was learned of the owner's cloud. They are asked for when the record or the credential changes, never
// by the clock: a cluster in which nothing happens asks OpenStack nothing.
type facts struct {
	generation int64
	credential string // resourceVersion of the Secret
	cloud      catalogue.Cloud
}

// decide makes the cluster's releases, unless what they are made from is what it was.
func (r *Reconciler) decide(ctx context.Context, s *scope) (phase.Outcome, error) {
	if err := r.cloudConfig(ctx, s); err != nil {
		return phase.Done(), err
	}
	if err := r.learn(ctx, s); err != nil {
		return phase.Done(), err
	}
	in := r.cluster(s.record, s.session.facts.cloud)
	in.APIHost, in.APIPort, in.Running = s.endpoint.Host, s.endpoint.Port, s.running
	in.Kubernetes, in.Installed, in.Home = s.kubernetes, installed(s.record), r.home(s)
	s.cluster = in
	inputs, err := json.Marshal(struct {
		Cluster   catalogue.Cluster
		Labels    map[string]string
		Catalogue string
	}{in, s.record.Spec.Labels, r.Catalogue.Digest})
	if err != nil {
		return phase.Done(), err
	}
	if digest := sha256.Sum256(inputs); digest != s.session.inputs || s.session.releases == nil {
		s.session.releases, s.session.inputs = r.Catalogue.Releases(in), digest
	}
	s.releases = s.session.releases
	for _, release := range s.releases {
		if release.Problem != "" {
			s.failed[release.Name] = release.Problem
		}
	}
	return phase.Done(), nil
}

func (r *Reconciler) cluster(record *v1alpha1.MagnumCluster, cloud catalogue.Cloud) catalogue.Cluster {
	driver := record.Spec.Template.NetworkDriver
	if driver == "" {
		driver = catalogue.Calico // Magnum's default
	}
	labels := label.Of(record.Spec.Labels)
	return catalogue.Cluster{
		UUID: record.Name, Stack: record.Spec.StackID, ProjectID: record.Spec.ProjectID, Labels: labels,
		NetworkDriver: driver, Masters: record.Spec.MasterCount, Cloud: cloud,
		KeystonePolicy: r.KeystonePolicy,
	}
}

// installed are the versions that addons have been seen in.
func installed(record *v1alpha1.MagnumCluster) map[string]string {
	out := map[string]string{}
	for _, a := range record.Status.Addons {
		if v := cmp.Or(a.Reached, a.Version); v != "" {
			out[a.Name] = v
		}
	}
	return out
}

// kubernetes is the version that a cluster is to have. Without an upgrade that Cluster API does not know of yet, that
// is what Cluster API was told: addons must not wait for a version that nobody brings.
func kubernetes(record *v1alpha1.MagnumCluster, stack *kube.Stack) string {
	tag, told := label.Of(record.Spec.Labels).KubeTag(), stack.Cluster.Spec.Topology.Version
	if record.Spec.Upgrade.Generation > capi.AskedOf(stack.Cluster).Upgrade {
		return tag
	}
	return cmp.Or(told, tag)
}

// running is which Kubernetes a cluster's nodes run. Node groups that do not go along with their cluster's upgrade are
// not counted: they stay as they are until they are asked for by name.
func running(stack *kube.Stack) catalogue.Running {
	masters, workers := []string{stack.ControlPlane.Spec.Version}, []string{}
	stays := map[string]bool{}
	for _, md := range stack.Deployments {
		name := md.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel]
		if _, stays[name] = topologyOf(stack.Cluster, name).Metadata.Annotations[clusterv1.ClusterTopologyDeferUpgradeAnnotation]; !stays[name] {
			workers = append(workers, md.Spec.Template.Spec.Version)
		}
	}
	for _, m := range stack.Machines {
		if _, master := m.Labels[clusterv1.MachineControlPlaneLabel]; master {
			masters = append(masters, m.Spec.Version)
		} else if !stays[m.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel]] {
			workers = append(workers, m.Spec.Version)
		}
	}
	return catalogue.Running{Masters: catalogue.Oldest(masters...), Workers: catalogue.Oldest(workers...)}
}

func topologyOf(c *clusterv1.Cluster, name string) clusterv1.MachineDeploymentTopology {
	for _, t := range c.Spec.Topology.Workers.MachineDeployments {
		if t.Name == name {
			return t
		}
	}
	return clusterv1.MachineDeploymentTopology{}
}

// learn asks the owner's cloud what it has.
func (r *Reconciler) learn(ctx context.Context, s *scope) error {
	known := s.session.facts
	if known != nil && known.generation == s.record.Generation && known.credential == s.secret.ResourceVersion {
		return nil
	}
	config, err := openstack.CloudConfigOf(s.secret.Data["clouds.yaml"])
	if err != nil {
		return err
	}
	cloud, err := r.CloudFor(ctx, s.secret.Data["clouds.yaml"])
	if err != nil {
		return fmt.Errorf("open the owner's cloud: %w", err)
	}
	learned := catalogue.Cloud{
		AuthURL: config.AuthURL, Region: config.Region, ID: config.Credential.ID, Secret: config.Credential.Secret,
		CA: r.NodeCA, Insecure: r.Insecure || config.Insecure, ExternalNetworkID: s.record.Spec.Resolved.ExternalNetworkID,
		LoadBalancers: cloud.HasLoadBalancers(), Volumes: cloud.HasVolumes(), Shares: cloud.HasShares(),
	}
	if len(learned.CA) == 0 {
		learned.CA = s.secret.Data["cacert"]
	}
	if learned.Volumes && label.Of(s.record.Spec.Labels).Bool(label.CinderCSIEnabled) {
		types, err := cloud.VolumeTypes(ctx)
		if err != nil {
			return err
		}
		for _, t := range types {
			learned.VolumeTypes = append(learned.VolumeTypes, catalogue.VolumeType(t))
		}
	}
	if labels := label.Of(s.record.Spec.Labels); learned.Shares && labels.Bool("manila_csi_enabled") && labels.Has("manila_csi_share_network_id") {
		if learned.ShareTypes, err = cloud.ShareTypes(ctx); err != nil {
			return err
		}
	}
	s.session.facts = &facts{generation: s.record.Generation, credential: s.secret.ResourceVersion, cloud: learned}
	return nil
}
