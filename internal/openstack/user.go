package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// User asks the cloud in the name of whoever sent a request: with their token, so that they find what they may use and
// nothing else (Magnum A11: service calls are made with the user's token). It lives as long as the request.
type User struct {
	cloud    *Cloud
	identity Identity
	token    string
}

// ForUser makes a client from a token that was validated. It does not talk to anybody yet.
func (c *Cloud) ForUser(token string, identity Identity) *User {
	return &User{cloud: c, identity: identity, token: token}
}

// String names the user and not the token.
func (u *User) String() string { return "openstack user " + u.identity.UserID }

// GoString is String: %#v must not show the token either.
func (u *User) GoString() string { return u.String() }

// Image is what decides whether nodes can be made from an image, and how.
type Image struct {
	ID         string
	Name       string
	Status     string
	OSDistro   string
	HWDiskBus  string
	MinDisk    int // GB
	MinRAM     int // MB
	Properties map[string]string
}

// Flavor is a size of machines.
type Flavor struct {
	ID    string
	Name  string
	Disk  int // GB; 0 means the machine boots from a volume
	RAM   int // MB
	VCPUs int
}

// Network is a Neutron network.
type Network struct {
	ID       string
	Name     string
	External bool
	Subnets  []string // their ids
}

// Subnet is a Neutron subnet.
type Subnet struct {
	ID        string
	Name      string
	NetworkID string
	CIDR      string
	IPVersion int // 4 or 6
}

// Keypair is a Nova key pair; its name is its id.
type Keypair struct {
	Name        string
	Fingerprint string
}

// Image finds an image by id or name.
func (u *User) Image(ctx context.Context, nameOrID string) (Image, error) {
	doing := fmt.Sprintf("find image %q", nameOrID)
	client, err := u.client(ctx, Images)
	if err != nil {
		return Image{}, u.explain(doing, err)
	}
	if _, err := uuid.Parse(nameOrID); err == nil {
		found, err := images.Get(ctx, client, nameOrID).Extract()
		if err == nil {
			return imageOf(found), nil
		}
		if !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return Image{}, u.explain(doing, err)
		}
	}
	pages, err := images.List(client, images.ListOpts{Name: nameOrID}).AllPages(ctx)
	if err != nil {
		return Image{}, u.explain(doing, err)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		return Image{}, u.explain(doing, err)
	}
	// Glance reads operators in the filter ("in:a,b"), so the name is compared again here.
	found, err := pick(list, nameOrID, func(i images.Image) (id, name string) { return i.ID, i.Name })
	if err != nil {
		return Image{}, u.explain(doing, err)
	}
	return imageOf(&found), nil
}

func imageOf(i *images.Image) Image {
	image := Image{
		ID: i.ID, Name: i.Name, Status: string(i.Status), MinDisk: i.MinDiskGigabytes, MinRAM: i.MinRAMMegabytes,
		Properties: make(map[string]string, len(i.Properties)),
	}
	for key, value := range i.Properties {
		if text, ok := value.(string); ok {
			image.Properties[key] = text
		}
	}
	image.OSDistro, image.HWDiskBus = image.Properties["os_distro"], image.Properties["hw_disk_bus"]
	return image
}

// ServerName returns the name of a server. Machines of clusters are servers of the same name.
func (u *User) ServerName(ctx context.Context, id string) (string, error) {
	doing := fmt.Sprintf("find server %q", id)
	client, err := u.client(ctx, "compute")
	if err != nil {
		return "", u.explain(doing, err)
	}
	found, err := servers.Get(ctx, client, url.PathEscape(id)).Extract()
	if err != nil {
		return "", u.explain(doing, err)
	}
	return found.Name, nil
}

// Flavor finds a flavor by id or name (Magnum A7: flavors are matched by name or id over the whole list).
func (u *User) Flavor(ctx context.Context, nameOrID string) (Flavor, error) {
	doing := fmt.Sprintf("find flavor %q", nameOrID)
	client, err := u.client(ctx, Compute)
	if err != nil {
		return Flavor{}, u.explain(doing, err)
	}
	pages, err := flavors.ListDetail(client, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return Flavor{}, u.explain(doing, err)
	}
	list, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return Flavor{}, u.explain(doing, err)
	}
	f, err := pick(list, nameOrID, func(f flavors.Flavor) (id, name string) { return f.ID, f.Name })
	if err != nil {
		return Flavor{}, u.explain(doing, err)
	}
	return Flavor{ID: f.ID, Name: f.Name, Disk: f.Disk, RAM: f.RAM, VCPUs: f.VCPUs}, nil
}

type externalNetwork struct {
	networks.Network
	external.NetworkExternalExt
}

// Network finds a network by id or name, among the external ones or among the others.
func (u *User) Network(ctx context.Context, nameOrID string, isExternal bool) (Network, error) {
	doing := fmt.Sprintf("find network %q", nameOrID)
	client, err := u.client(ctx, Networks)
	if err != nil {
		return Network{}, u.explain(doing, err)
	}
	var list []externalNetwork
	for _, filter := range idThenName(nameOrID, networks.ListOpts{ID: nameOrID}, networks.ListOpts{Name: nameOrID}) {
		pages, err := networks.List(client, external.ListOptsExt{ListOptsBuilder: filter, External: &isExternal}).AllPages(ctx)
		if err != nil {
			return Network{}, u.explain(doing, err)
		}
		if err := networks.ExtractNetworksInto(pages, &list); err != nil {
			return Network{}, u.explain(doing, err)
		}
		if len(list) > 0 {
			break
		}
	}
	n, err := pick(list, nameOrID, func(n externalNetwork) (id, name string) { return n.ID, n.Name })
	if err != nil {
		return Network{}, u.explain(doing, err)
	}
	return Network{ID: n.ID, Name: n.Name, External: n.External, Subnets: n.Subnets}, nil
}

// Subnet finds a subnet by id or name.
func (u *User) Subnet(ctx context.Context, nameOrID string) (Subnet, error) {
	doing := fmt.Sprintf("find subnet %q", nameOrID)
	client, err := u.client(ctx, Networks)
	if err != nil {
		return Subnet{}, u.explain(doing, err)
	}
	var list []subnets.Subnet
	for _, filter := range idThenName(nameOrID, subnets.ListOpts{ID: nameOrID}, subnets.ListOpts{Name: nameOrID}) {
		pages, err := subnets.List(client, filter).AllPages(ctx)
		if err != nil {
			return Subnet{}, u.explain(doing, err)
		}
		if list, err = subnets.ExtractSubnets(pages); err != nil {
			return Subnet{}, u.explain(doing, err)
		}
		if len(list) > 0 {
			break
		}
	}
	s, err := pick(list, nameOrID, func(s subnets.Subnet) (id, name string) { return s.ID, s.Name })
	if err != nil {
		return Subnet{}, u.explain(doing, err)
	}
	return subnetOf(s), nil
}

// Keypair finds one of the user's key pairs.
func (u *User) Keypair(ctx context.Context, name string) (Keypair, error) {
	doing := fmt.Sprintf("find key pair %q", name)
	client, err := u.client(ctx, Compute)
	if err != nil {
		return Keypair{}, u.explain(doing, err)
	}
	// A user has few of them, and a name in a URL would be one more thing to escape.
	pages, err := keypairs.List(client, nil).AllPages(ctx)
	if err != nil {
		return Keypair{}, u.explain(doing, err)
	}
	list, err := keypairs.ExtractKeyPairs(pages)
	if err != nil {
		return Keypair{}, u.explain(doing, err)
	}
	k, err := pick(list, name, func(k keypairs.KeyPair) (id, name string) { return k.Name, k.Name })
	if err != nil {
		return Keypair{}, u.explain(doing, err)
	}
	return Keypair{Name: k.Name, Fingerprint: k.Fingerprint}, nil
}

// CreateApplicationCredential makes a credential with all roles of the user in the token's project, without an end
// (Magnum driver 1.2 step 4.1). ErrConflict when the user has one of this name: its secret is lost, [Admin] can remove
// it.
func (u *User) CreateApplicationCredential(ctx context.Context, name, description string) (Credential, error) {
	doing := fmt.Sprintf("create application credential %q", name)
	client, err := u.client(ctx, identity)
	if err != nil {
		return Credential{}, u.explain(doing, err)
	}
	made, err := applicationcredentials.Create(ctx, client, url.PathEscape(u.identity.UserID), applicationcredentials.CreateOpts{
		Name: name, Description: description,
	}).Extract()
	if err != nil {
		return Credential{}, u.explain(doing, err)
	}
	return Credential{ID: made.ID, Secret: made.Secret}, nil
}

// IdentityEndpoint is Keystone's address in the catalog, of the given endpoint type and region: what a cluster's
// clouds.yaml needs.
func (u *User) IdentityEndpoint(ctx context.Context, endpointType, region string) (string, error) {
	const doing = "find Keystone in the catalog"
	entries, err := u.catalog(ctx)
	if err != nil {
		return "", u.explain(doing, err)
	}
	address, err := entries.endpoint("identity", endpointType, region)
	return address, u.explain(doing, err)
}

func (u *User) explain(doing string, err error) error { return explain(doing, err, u.token) }

func (u *User) provider() (*gophercloud.ProviderClient, error) {
	provider, err := u.cloud.provider()
	if err != nil {
		return nil, err
	}
	provider.SetToken(u.token)
	return provider, nil
}

func (u *User) client(ctx context.Context, service string) (*gophercloud.ServiceClient, error) {
	provider, err := u.provider()
	if err != nil {
		return nil, err
	}
	if service == identity { // where we speak to Keystone ourselves, whatever the catalog tells others
		return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: u.cloud.keystone(), Type: identity}, nil
	}
	entries, err := u.catalog(ctx)
	if err != nil {
		return nil, err
	}
	return u.cloud.serviceClient(entries, provider, service)
}

// catalog is fetched once for a token, however many ask at once: it does not change while the token lives.
func (u *User) catalog(ctx context.Context) (catalog, error) {
	key := keyOf(u.token)
	if known, ok := u.cloud.catalogs.get(key, u.cloud.now()); ok {
		return known, nil
	}
	return await[catalog](ctx, u.cloud.flights.DoChan("catalog"+string(key[:]), func() (any, error) {
		// Another flight may have ended since this one was looked for.
		if known, ok := u.cloud.catalogs.get(key, u.cloud.now()); ok {
			return known, nil
		}
		ctx, cancel := detached(ctx, u.cloud.settings.Timeout)
		defer cancel()
		return u.fetchCatalog(ctx, key)
	}))
}

func (u *User) fetchCatalog(ctx context.Context, key cacheKey) (catalog, error) {
	provider, err := u.provider()
	if err != nil {
		return nil, err
	}
	var answer struct {
		Catalog catalog `json:"catalog"`
	}
	//nolint:bodyclose // gophercloud has read and closed it
	_, err = provider.Request(ctx, http.MethodGet, u.cloud.keystone()+"auth/catalog", &gophercloud.RequestOpts{JSONResponse: &answer})
	if err != nil {
		return nil, fmt.Errorf("fetch the catalog: %w", err)
	}
	u.cloud.catalogs.put(key, answer.Catalog, u.identity.ExpiresAt, u.cloud.now())
	return answer.Catalog, nil
}

// idThenName are the lists to ask for: a thing that looks like an id is first looked up as one.
func idThenName[T any](nameOrID string, byID, byName T) []T {
	if _, err := uuid.Parse(nameOrID); err == nil {
		return []T{byID, byName}
	}
	return []T{byName}
}

// pick chooses by id, then by name; a name must fit only one.
func pick[T any](list []T, nameOrID string, keys func(T) (id, name string)) (T, error) {
	var found []T
	for _, item := range list {
		id, name := keys(item)
		if id == nameOrID {
			return item, nil
		}
		if name == nameOrID {
			found = append(found, item)
		}
	}
	var none T
	switch len(found) {
	case 0:
		return none, ErrNotFound
	case 1:
		return found[0], nil
	default:
		return none, ErrAmbiguous
	}
}
