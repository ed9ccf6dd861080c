package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
)

const firstClusterName = "first"

// firstCluster makes a cluster as the tenant "demo" would, unless an earlier run made it, and waits until it is complete.
func (a *allinone) firstCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.FirstClusterTimeout)
	defer cancel()
	magnum, err := a.tenant(ctx)
	if err != nil {
		return fmt.Errorf("first cluster: log in as demo: %w", err)
	}
	uuid, err := findOrMake(ctx, magnum)
	if err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	if err := a.await(ctx, magnum, uuid); err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	return nil
}

func (a *allinone) tenant(ctx context.Context) (*gophercloud.ServiceClient, error) {
	provider, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: a.keystone() + "/v3", Username: "demo", Password: "demo", DomainID: "default",
		Scope: &gophercloud.AuthScope{ProjectName: "demo", DomainID: "default"},
	})
	if err != nil {
		return nil, err
	}
	magnum, err := openstack.NewContainerInfraV1(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		return nil, err
	}
	magnum.Microversion = "1.10"
	return magnum, nil
}

func findOrMake(ctx context.Context, magnum *gophercloud.ServiceClient) (string, error) {
	have, err := clusters.Get(ctx, magnum, firstClusterName).Extract()
	if err == nil {
		return have.UUID, nil
	}
	if !gophercloud.ResponseCodeIs(err, 404) {
		return "", err
	}
	template, err := clustertemplates.Get(ctx, magnum, "kubernetes").Extract()
	if gophercloud.ResponseCodeIs(err, 404) {
		template, err = clustertemplates.Create(ctx, magnum, clustertemplates.CreateOpts{
			Name: "kubernetes", COE: "kubernetes", ImageID: "ubuntu-2204-kube-v1.34.2", ExternalNetworkID: "public",
			FlavorID: "m1.small", MasterFlavorID: "m1.small", KeyPairID: "default", NetworkDriver: "calico",
			MasterLBEnabled: new(true), FloatingIPEnabled: new(true), DNSNameServer: "8.8.8.8",
			Labels: map[string]string{"kube_tag": "v1.34.2"},
		}).Extract()
	}
	if err != nil {
		return "", fmt.Errorf("make the cluster template: %w", err)
	}
	return clusters.Create(ctx, magnum, clusters.CreateOpts{
		Name: firstClusterName, ClusterTemplateID: template.UUID, MasterCount: new(1), NodeCount: new(1),
	}).Extract()
}

// await shows each change of the cluster until it is complete.
func (a *allinone) await(ctx context.Context, magnum *gophercloud.ServiceClient, uuid string) error {
	last := ""
	for {
		c, err := clusters.Get(ctx, magnum, uuid).Extract()
		if err != nil {
			return err
		}
		if now := c.Status + " " + c.StatusReason; now != last {
			a.progress.say("cluster "+c.Name, "status", c.Status, "reason", c.StatusReason)
			last = now
		}
		switch c.Status {
		case "CREATE_COMPLETE", "UPDATE_COMPLETE":
			return nil
		case "CREATE_FAILED", "UPDATE_FAILED":
			return errors.New(c.StatusReason)
		}
		select {
		case <-time.After(200 * time.Millisecond): // a client of the API has nothing to watch
		case <-ctx.Done():
			return fmt.Errorf("%w while %s: %s", ctx.Err(), c.Status, c.StatusReason)
		}
	}
}
