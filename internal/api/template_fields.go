package api

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// template reads a cluster template's attributes; those that are absent get the defaults of Magnum 1.14. New templates and patched
// ones are both read here, so that a patch can make nothing that could not have been created.
func (f *fields) template() magnum.ClusterTemplate {
	var t magnum.ClusterTemplate
	t.Name, _ = f.name("name")
	t.Driver, _ = f.name("driver")
	t.ClusterDistro, _ = f.name("cluster_distro")
	t.FlavorID, _ = f.name("flavor_id")
	t.MasterFlavorID, _ = f.name("master_flavor_id")
	t.KeypairID, _ = f.name("keypair_id")
	t.DNSNameserver = f.addresses("dns_nameserver")
	t.ExternalNetworkID, _ = f.name("external_network_id")
	t.FixedNetwork, _ = f.name("fixed_network")
	t.FixedSubnet, _ = f.name("fixed_subnet")
	t.NetworkDriver, _ = f.name("network_driver")
	t.VolumeDriver, _ = f.name("volume_driver")
	t.APIServerPort, _ = f.integer("apiserver_port", 1024, 65535)
	t.DockerVolumeSize, _ = f.integer("docker_volume_size", 1, maxGiB)
	t.DockerStorageDriver, _ = f.name("docker_storage_driver")
	t.HTTPProxy, _ = f.name("http_proxy")
	t.HTTPSProxy, _ = f.name("https_proxy")
	t.NoProxy, _ = f.name("no_proxy")
	t.InsecureRegistry, _ = f.name("insecure_registry")
	t.RegistryEnabled, _ = f.boolean("registry_enabled")
	t.TLSDisabled, _ = f.boolean("tls_disabled")
	t.Public, _ = f.boolean("public")
	t.Hidden, _ = f.boolean("hidden")
	t.MasterLBEnabled, _ = f.boolean("master_lb_enabled")
	t.FloatingIPEnabled = true
	if v, given := f.boolean("floating_ip_enabled"); given {
		t.FloatingIPEnabled = v
	}
	t.ServerType = "vm"
	if v, given := f.enum("server_type", "vm", "bm"); given {
		t.ServerType = v
	}
	if t.Labels, _ = f.labels("labels"); t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Tags, _ = f.text("tags", 0, 255)
	if v, given := f.name("image_id"); given {
		t.ImageID = v
	} else if _, wrong := f.take("image_id"); !wrong {
		f.mandatory("image_id")
	}
	t.COE, _ = f.text("coe", 0, 255)
	return t
}

// addresses reads a comma list of IPv4 addresses.
func (f *fields) addresses(name string) string {
	list, given := f.name(name)
	if !given {
		return ""
	}
	for item := range strings.SplitSeq(list, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(item)); err != nil || !a.Is4() {
			f.wrong(name, list, "A comma-separated list of IPv4 addresses is expected.")
			return ""
		}
	}
	return list
}

// checkTemplate holds a template to what clusters can be made from, in Magnum's order (A7).
func (s *server) checkTemplate(t *magnum.ClusterTemplate) error {
	if t.COE != "kubernetes" {
		if t.COE == "" {
			t.COE = "Unset" // Magnum's own odd sentence
		}
		return magnum.Invalid("Requested COE type %s is not supported.", short(t.COE, 100))
	}
	if t.NetworkDriver == "" {
		t.NetworkDriver = s.Config.DefaultNetworkDriver
	}
	if !slices.Contains(s.Config.AllowedNetworkDrivers, t.NetworkDriver) {
		return magnum.Invalid("Network driver type %s is not supported, expecting a %s network driver.",
			short(t.NetworkDriver, 100), strings.Join(s.Config.AllowedNetworkDrivers, " or "))
	}
	if t.VolumeDriver != "" && t.VolumeDriver != "cinder" {
		return magnum.Invalid("Volume driver type %s is not supported, expecting a cinder volume driver.", short(t.VolumeDriver, 100))
	}
	return checkVolumeSize(t.DockerVolumeSize, t.DockerStorageDriver)
}

// templateDocument is a template as patches see it: what is not set is null.
func templateDocument(t *magnum.ClusterTemplate) document {
	return document{
		"name": orNull(t.Name), "coe": orNull(t.COE), "driver": orNull(t.Driver), "cluster_distro": orNull(t.ClusterDistro),
		"image_id": orNull(t.ImageID), "flavor_id": orNull(t.FlavorID), "master_flavor_id": orNull(t.MasterFlavorID),
		"keypair_id": orNull(t.KeypairID), "dns_nameserver": orNull(t.DNSNameserver),
		"external_network_id": orNull(t.ExternalNetworkID), "fixed_network": orNull(t.FixedNetwork),
		"fixed_subnet": orNull(t.FixedSubnet), "network_driver": orNull(t.NetworkDriver), "volume_driver": orNull(t.VolumeDriver),
		"apiserver_port": numberOrNull(t.APIServerPort), "docker_volume_size": numberOrNull(t.DockerVolumeSize),
		"docker_storage_driver": orNull(t.DockerStorageDriver), "http_proxy": orNull(t.HTTPProxy),
		"https_proxy": orNull(t.HTTPSProxy), "no_proxy": orNull(t.NoProxy), "insecure_registry": orNull(t.InsecureRegistry),
		"registry_enabled": t.RegistryEnabled, "tls_disabled": t.TLSDisabled, "public": t.Public, "hidden": t.Hidden,
		"master_lb_enabled": t.MasterLBEnabled, "floating_ip_enabled": t.FloatingIPEnabled, "server_type": orNull(t.ServerType),
		"labels": dictionary(t.Labels), "tags": orNull(t.Tags),
	}
}

// template writes a cluster template.
func (o *object) template(c *call, t *magnum.ClusterTemplate) {
	o.str("uuid", t.UUID)
	o.str("name", t.Name)
	o.str("coe", t.COE)
	o.text("driver", t.Driver)
	o.text("cluster_distro", t.ClusterDistro)
	o.text("image_id", t.ImageID)
	o.text("flavor_id", t.FlavorID)
	o.text("master_flavor_id", t.MasterFlavorID)
	o.text("keypair_id", t.KeypairID)
	o.text("dns_nameserver", t.DNSNameserver)
	o.text("external_network_id", t.ExternalNetworkID)
	o.text("fixed_network", t.FixedNetwork)
	o.text("fixed_subnet", t.FixedSubnet)
	o.text("network_driver", t.NetworkDriver)
	o.text("volume_driver", t.VolumeDriver)
	o.size("apiserver_port", t.APIServerPort)
	o.size("docker_volume_size", t.DockerVolumeSize)
	o.text("docker_storage_driver", t.DockerStorageDriver)
	o.text("http_proxy", t.HTTPProxy)
	o.text("https_proxy", t.HTTPSProxy)
	o.text("no_proxy", t.NoProxy)
	o.text("insecure_registry", t.InsecureRegistry)
	o.boolean("registry_enabled", t.RegistryEnabled)
	o.boolean("tls_disabled", t.TLSDisabled)
	o.boolean("public", t.Public)
	o.boolean("hidden", t.Hidden)
	o.boolean("master_lb_enabled", t.MasterLBEnabled)
	o.boolean("floating_ip_enabled", t.FloatingIPEnabled)
	o.text("server_type", t.ServerType)
	o.dict("labels", t.Labels)
	o.text("tags", t.Tags)
	o.str("project_id", t.ProjectID)
	o.str("user_id", t.UserID)
	o.links(c.base, "clustertemplates", t.UUID)
	o.date("created_at", t.CreatedAt)
	o.date("updated_at", t.UpdatedAt)
}
