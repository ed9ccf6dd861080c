package verify

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"golang.org/x/crypto/ssh"

	"github.com/jeroboam-cloud/jeroboam/internal/image"
)

// description is of what can have one, for somebody who wonders.
const description = "made by jeroboam verify; jeroboam verify --cleanup removes it"

// whole lets a request that makes something come to its end although the user interrupts: half asked is worse than
// asked.
func whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// obtain is a step that uses what was found, or makes it.
func (r *run) obtain(c *Choice, create func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		switch {
		case !c.Make && c.ID == "":
			return "", skipped("the cluster or the template that was named decides it")
		case !c.Make:
			return strings.TrimSuffix(fmt.Sprintf("%s is used (%s)", c.Name, c.Why), " ()"), nil
		}
		id, err := create(ctx)
		c.ID = id
		return strings.TrimSuffix(fmt.Sprintf("%s was made (%s)", c.Name, c.Why), " ()"), err
	}
}

// flatExternal asks for an external network that is a physical one as it is.
type flatExternal struct {
	networks.CreateOpts

	physical string
}

// ToNetworkCreateMap implements networks.CreateOptsBuilder.
func (f flatExternal) ToNetworkCreateMap() (map[string]any, error) {
	body, err := f.CreateOpts.ToNetworkCreateMap()
	if inner, ok := body["network"].(map[string]any); ok {
		inner["router:external"], inner["provider:network_type"], inner["provider:physical_network"] = true, "flat", f.physical
	}
	return body, err
}

func (r *run) makeNetwork(ctx context.Context) (string, error) {
	ctx, done := whole(ctx)
	defer done()
	no := false
	made, err := networks.Create(ctx, r.Neutron, flatExternal{networks.CreateOpts{Name: r.plan.Name, Description: description}, r.Public.Physical}).Extract()
	if err != nil {
		return "", fmt.Errorf("make the network: %w", err)
	}
	cidr, err := netip.ParsePrefix(r.Public.CIDR)
	if err != nil {
		return "", err
	}
	gateway := r.Public.Gateway
	if gateway == "" {
		gateway = cidr.Masked().Addr().Next().String()
	}
	opts := subnets.CreateOpts{
		NetworkID: made.ID, Name: r.plan.Name, Description: description, CIDR: r.Public.CIDR, GatewayIP: &gateway, EnableDHCP: &no, IPVersion: gophercloud.IPv4,
	}
	if cidr.Addr().Is6() {
		opts.IPVersion = gophercloud.IPv6
	}
	if first, last, ok := strings.Cut(r.Public.Pool, "-"); ok {
		opts.AllocationPools = []subnets.AllocationPool{{Start: strings.TrimSpace(first), End: strings.TrimSpace(last)}}
	}
	if _, err := subnets.Create(ctx, r.Neutron, opts).Extract(); err != nil {
		return made.ID, fmt.Errorf("make the network's subnet: %w", err)
	}
	return made.ID, nil
}

func (r *run) makeImage(ctx context.Context) (string, error) {
	told := int64(0)
	id, _, err := image.Upload(ctx, image.UploadOptions{Glance: r.Glance, File: r.Image, Name: r.plan.Name, Progress: func(sent, total int64) {
		if now := sent * 10 / max(total, 1); now > told {
			told = now
			r.say("%d%% of %d MB", now*10, total>>20)
		}
	}})
	return id, err
}

// makeFlavor makes one that only this project sees.
func (r *run) makeFlavor(ctx context.Context) (string, error) {
	ctx, done := whole(ctx)
	defer done()
	disk, public := makeDisk, false
	made, err := flavors.Create(ctx, r.Nova, flavors.CreateOpts{Name: r.plan.Name, VCPUs: makeVCPUs, RAM: makeRAM, Disk: &disk, IsPublic: &public}).Extract()
	if err != nil {
		return "", fmt.Errorf("make the flavor (--flavor NAME uses one that is there): %w", err)
	}
	if _, err := flavors.AddAccess(ctx, r.Nova, made.ID, flavors.AddAccessOpts{Tenant: r.found.Project}).Extract(); err != nil {
		return made.ID, fmt.Errorf("let the project use the flavor: %w", err)
	}
	return made.ID, nil
}

// makeKeypair brings the public half of a key that nobody has: some Magnums make no cluster without one.
func (r *run) makeKeypair(ctx context.Context) (string, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	ctx, done := whole(ctx)
	defer done()
	made, err := keypairs.Create(ctx, r.Nova, keypairs.CreateOpts{Name: r.plan.Name, PublicKey: string(ssh.MarshalAuthorizedKey(key))}).Extract()
	if err != nil {
		return "", fmt.Errorf("make the key pair: %w", err)
	}
	return made.Name, nil
}

func (r *run) makeTemplate(ctx context.Context) (string, error) {
	ctx, done := whole(ctx)
	defer done()
	made, err := clustertemplates.Create(ctx, r.Magnum, clustertemplates.CreateOpts{
		Name: r.plan.Name, COE: "kubernetes", ImageID: r.plan.Image.ID, ExternalNetworkID: r.plan.Network.ID, FlavorID: r.plan.Flavor.ID,
		MasterFlavorID: r.plan.Flavor.ID, KeyPairID: r.plan.Keypair.ID, NetworkDriver: r.NetworkDriver, DNSNameServer: r.DNS,
		MasterLBEnabled: &r.MasterLB, Labels: r.Labels,
	}).Extract()
	if err != nil {
		return "", fmt.Errorf("make the cluster template: %w", err)
	}
	return made.UUID, nil
}

// makeCluster asks for the cluster and waits for it.
func (r *run) makeCluster(ctx context.Context) (string, error) {
	opts := clusters.CreateOpts{
		Name: r.plan.Name, ClusterTemplateID: r.plan.Template.ID, Keypair: r.plan.Keypair.ID, MasterCount: &r.Masters, NodeCount: &r.Nodes,
	}
	if !r.plan.Template.Make && len(r.Labels) > 0 {
		merge := true
		opts.Labels, opts.MergeLabels = r.Labels, &merge
	}
	asking, done := whole(ctx)
	defer done()
	id, err := clusters.Create(asking, r.Magnum, opts).Extract()
	if err != nil {
		return "", fmt.Errorf("make the cluster: %w", err)
	}
	_, err = r.reaches(ctx, id, "CREATE_COMPLETE", nil)
	return id, err
}
