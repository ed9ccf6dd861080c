package addon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// facts are what was learned of the owner's cloud. They are asked for when the record or the credential changes, never by the
// clock: a cluster in which nothing happens asks OpenStack nothing.
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
	in.APIHost, in.APIPort = s.endpoint.Host, s.endpoint.Port
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
		NetworkDriver: driver, Kubernetes: labels.KubeTag(), Masters: record.Spec.MasterCount, Cloud: cloud,
		KeystonePolicy: r.KeystonePolicy,
	}
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
		LoadBalancers: cloud.HasLoadBalancers(), Volumes: cloud.HasVolumes(),
	}
	if len(learned.CA) == 0 {
		learned.CA = s.secret.Data["cacert"]
	}
	if learned.Volumes && label.Of(s.record.Spec.Labels).Bool("cinder_csi_enabled") {
		types, err := cloud.VolumeTypes(ctx)
		if err != nil {
			return err
		}
		for _, t := range types {
			learned.VolumeTypes = append(learned.VolumeTypes, catalogue.VolumeType(t))
		}
	}
	s.session.facts = &facts{generation: s.record.Generation, credential: s.secret.ResourceVersion, cloud: learned}
	return nil
}
