package magnum

import "fmt"

// apiPort is where every API server listens.
const apiPort = 6443

// WithoutEffect says, a sentence or two for each attribute, what a template asks for that no cluster can have, and what
// to do instead. New templates are refused with it; of stored ones clusters are made all the same, with an event.
//
// What clients send without being asked is no wish. Heat's template resource, and Terraform's acceptance tests, say
// docker_storage_driver devicemapper; floating_ip_enabled comes from all of them, true or false.
func (t *TemplateFields) WithoutEffect(volumesFromCinder bool) []string {
	var out []string
	if t.RegistryEnabled {
		out = append(out, "A registry in the cluster (registry_enabled True) is not supported. Leave it out. To pull from a registry of your "+
			"own, name it in label container_infra_prefix.")
	}
	if t.InsecureRegistry != "" {
		out = append(out, fmt.Sprintf("An insecure registry (insecure_registry %s) is not supported. Leave it out, and use an image that trusts "+
			"the registry.", Shorten(t.InsecureRegistry, maxShown)))
	}
	if t.APIServerPort != 0 && t.APIServerPort != apiPort {
		out = append(out, fmt.Sprintf("An API server on port %d (apiserver_port) is not supported. It is always %d: leave apiserver_port out.",
			t.APIServerPort, apiPort))
	}
	switch t.DockerStorageDriver {
	case "", "overlay", "overlay2", "devicemapper":
	default:
		out = append(out, fmt.Sprintf("The docker_storage_driver %s is not supported. Nodes run containerd, which has overlayfs: leave it out, or "+
			"give overlay2.", Shorten(t.DockerStorageDriver, maxShown)))
	}
	if t.VolumeDriver == "cinder" && !volumesFromCinder {
		out = append(out, "The volume_driver cinder contradicts label cinder_csi_enabled, which is false. Leave one of them out.")
	}
	return out
}
