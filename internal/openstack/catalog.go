package openstack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// catalog is Keystone's list of where the services are, as one token sees it.
type catalog []tokens.CatalogEntry

// The services we talk to. A service has one official type and the older ones clouds still register it under.
var serviceTypes = map[string][]string{
	"compute":       {"compute"},
	"image":         {"image"},
	"network":       {"network", "networking"},
	"load-balancer": {"load-balancer"},
	"identity":      {"identity"},
	"block-storage": {"block-storage", "volumev3", "volume"},
	"share":         {"sharev2", "shared-file-system"},
}

// availability reads an endpoint type the way OpenStack's configuration files write it: publicURL, public, internalURL,
// ...
func availability(endpointType string) (gophercloud.Availability, error) {
	switch name := strings.TrimSuffix(endpointType, "URL"); name {
	case "":
		return gophercloud.AvailabilityPublic, nil
	case "public", "internal", "admin":
		return gophercloud.Availability(name), nil
	default:
		return "", fmt.Errorf("endpoint type %q is none of publicURL, internalURL, adminURL", endpointType)
	}
}

// endpoint finds a service; ErrNotFound when the cloud does not have it.
func (c catalog) endpoint(service, endpointType, region string) (string, error) {
	want, err := availability(endpointType)
	if err != nil {
		return "", err
	}
	for _, kind := range serviceTypes[service] {
		for _, entry := range c {
			if entry.Type != kind {
				continue
			}
			for _, e := range entry.Endpoints {
				if e.Interface == string(want) && inRegion(e, region) {
					return e.URL, nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s endpoint of %s in region %q: %w", want, service, region, ErrNotFound)
}

// has tells whether a region has a service, for whomever its endpoints are.
func (c catalog) has(service, region string) bool {
	return slices.ContainsFunc(c, func(entry tokens.CatalogEntry) bool {
		return slices.Contains(serviceTypes[service], entry.Type) &&
			slices.ContainsFunc(entry.Endpoints, func(e tokens.Endpoint) bool { return inRegion(e, region) })
	})
}

func inRegion(e tokens.Endpoint, region string) bool {
	return region == "" || e.Region == region || e.RegionID == region
}

// client makes a client for a service. Catalogs list some services with and some without their version; gophercloud
// would ask the service which versions it has, one more round trip for every token, so we put the one version we speak.
func (c catalog) client(
	provider *gophercloud.ProviderClient, service, endpointType, region string,
) (*gophercloud.ServiceClient, error) {
	address, err := c.endpoint(service, endpointType, region)
	if err != nil {
		return nil, err
	}
	address = gophercloud.NormalizeURL(address)
	client := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: address, Type: service}
	switch service {
	case "image":
		client.ResourceBase = versioned(address, "v2")
	case "network", "load-balancer":
		client.ResourceBase = versioned(address, "v2.0")
	case "identity":
		client.ResourceBase = versioned(address, "v3")
	case "block-storage":
		// Cinder's endpoint ends with the project, unless the catalog is of Yoga or later; then Cinder needs none.
		if !strings.Contains(address, "/v3/") {
			client.ResourceBase = versioned(address, "v3")
		}
	}
	return client, nil
}

// versioned ends address with the version, whatever version it ended with before.
func versioned(address, version string) string {
	base := strings.TrimRight(address, "/")
	if cut := strings.LastIndex(base, "/"); isVersion(base[cut+1:]) {
		base = base[:cut]
	}
	return base + "/" + version + "/"
}

func isVersion(segment string) bool {
	digits, found := strings.CutPrefix(segment, "v")
	return found && digits != "" && strings.Trim(digits, "0123456789.") == ""
}
