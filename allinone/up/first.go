package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"

	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
)

const (
	firstClusterName = "first"
	templateName     = "kubernetes"
)

// firstFlags say what the first cluster is made of. What is empty depends on the cloud.
type firstFlags struct {
	Image           string `placeholder:"NAME" help:"Image of its machines. With --cloud: the newest image with the property kube_version."`
	Flavor          string `placeholder:"NAME" help:"Flavor of its machines: m1.small, with --cloud m1.medium."`
	ExternalNetwork string `default:"public" placeholder:"NAME" help:"Network of its floating addresses: public."`
	Keypair         string `placeholder:"NAME" help:"Key pair on its machines: default, with --cloud none."`
	NetworkDriver   string `enum:",calico,cilium" default:"" help:"Network of its pods: calico, with --cloud cilium."`
	DNSNameserver   string `name:"dns-nameserver" default:"8.8.8.8" placeholder:"ADDRESS" help:"Name server of its machines: 8.8.8.8."`
	KubeTag         string `placeholder:"VERSION" help:"Its Kubernetes: with --cloud what the image says."`
	LoadBalancer    *bool  `negatable:"" help:"A load balancer in front of its API. With --cloud: where the cloud has Octavia."`
}

// template is the request for the first cluster's template.
func (f firstFlags) template() clustertemplates.CreateOpts {
	o := clustertemplates.CreateOpts{
		Name: templateName, COE: "kubernetes", ImageID: f.Image, ExternalNetworkID: f.ExternalNetwork,
		FlavorID: f.Flavor, MasterFlavorID: f.Flavor, KeyPairID: f.Keypair, NetworkDriver: f.NetworkDriver,
		MasterLBEnabled: f.LoadBalancer, FloatingIPEnabled: new(true), DNSNameServer: f.DNSNameserver,
	}
	if f.KubeTag != "" {
		o.Labels = map[string]string{"kube_tag": f.KubeTag}
	}
	return o
}

// firstCluster makes a cluster as a tenant would, unless an earlier run made it, and waits until it is complete.
func (a *allinone) firstCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.FirstClusterTimeout, a.ground.patience))
	defer cancel()
	entry, err := realcloud.Read(a.ground.clouds, a.ground.tenant)
	if err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	provider, magnum, err := a.tenant(ctx, entry)
	if err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	uuid, err := findOrMake(ctx, magnum, func(ctx context.Context) (firstFlags, error) {
		f := a.First
		err := a.ground.complete(ctx, &f, entry, provider)
		return f, err
	})
	if err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	if err := a.await(ctx, magnum, uuid); err != nil {
		return fmt.Errorf("first cluster: %w", err)
	}
	return nil
}

// tenant logs in and gives this process's own Magnum API: the catalog of a real cloud may know another one, or none.
func (a *allinone) tenant(ctx context.Context, e *realcloud.Entry) (*gophercloud.ProviderClient, *gophercloud.ServiceClient, error) {
	provider, err := e.Login(ctx)
	if err != nil {
		return nil, nil, err
	}
	return provider, &gophercloud.ServiceClient{
		ProviderClient: provider, Endpoint: a.magnum() + "/v1/", Type: "container-infra", Microversion: "1.10",
	}, nil
}

// findOrMake makes the first cluster, and before it its template, unless an earlier run made them. The template is made
// of what the flags say, and otherwise of what the cloud offers.
func findOrMake(ctx context.Context, magnum *gophercloud.ServiceClient, flags func(context.Context) (firstFlags, error)) (string, error) {
	have, err := clusters.Get(ctx, magnum, firstClusterName).Extract()
	if err == nil {
		return have.UUID, nil
	}
	if !gophercloud.ResponseCodeIs(err, 404) {
		return "", err
	}
	template, err := clustertemplates.Get(ctx, magnum, templateName).Extract()
	if gophercloud.ResponseCodeIs(err, 404) {
		var f firstFlags
		if f, err = flags(ctx); err != nil {
			return "", err
		}
		template, err = clustertemplates.Create(ctx, magnum, f.template()).Extract()
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
