package capi

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Infrastructure is what machines are made of: the part of a class that knows the provider's objects.
type Infrastructure struct {
	name       string // in the class's name
	apiVersion string
	cluster    string // kind of the cluster template
	machine    string // kind of the machine templates

	clusterSpec map[string]any // spec.template of the cluster template
	machineSpec map[string]any // spec.template of the machine templates
	patches     []clusterv1.ClusterClassPatch
}

// OpenStack is Cluster API's provider for OpenStack, as of its release 0.13 (infrastructure API v1beta1).
func OpenStack() Infrastructure {
	i := Infrastructure{
		name: "openstack", apiVersion: infrastructureGroup + "/v1beta1", cluster: "OpenStackClusterTemplate", machine: "OpenStackMachineTemplate",
		clusterSpec: map[string]any{"spec": map[string]any{
			"identityRef":           map[string]any{"cloudName": cloudName, "name": placeholder},
			"managedSecurityGroups": map[string]any{"allowAllInClusterTraffic": true},
		}},
		machineSpec: map[string]any{"spec": map[string]any{
			"flavor": placeholder,
			"image":  map[string]any{"id": "00000000-0000-0000-0000-000000000000"},
		}},
	}
	i.patches = openStackPatches(i)
	return i
}

// placeholder stands where a patch always writes.
const placeholder = "PLACEHOLDER"

// cloudName is the entry of clouds.yaml in a cluster's credential Secret.
const cloudName = "default"

// world is everybody.
const world = "0.0.0.0/0"

// CAPO 0.13 opens the ports of Services on workers to the IPv4 subnets of the cluster itself (getSGWorkerNodePortCIDR),
// and Neutron takes no rule twice: CAPO would stop at its 409 for ever. So of a subnet that CAPO makes, only the
// control plane gets a rule of ours. Which addresses a subnet has that is there already is not known here: by having
// CAPO's description, a rule for them is CAPO's own to CAPO.
const (
	nodePortsElsewhere = `and .nodePorts.cidrs (or .fixedNetworkId (without .nodePorts.cidrs .nodeCidr))`
	nodePortsHere      = `and (not .fixedNetworkId) (has .nodeCidr .nodePorts.cidrs)`
	capoDescription    = "Node Port Services"
)

// nodePorts opens the ports of services of type NodePort, which load balancers of services use too, to the CIDRs for
// which a template's condition holds. The names are those of magnum-cluster-api for what it opens to the world.
func nodePorts(when string) string {
	rule := func(title, protocol string) string {
		return `
- name: "Node Port (` + title + `, {{ if eq $cidr "` + world + `" }}anywhere{{ else }}{{ $cidr }}{{ end }})"
  {{- if ne $cidr "` + world + `" }}
  description: ` + capoDescription + `
  {{- end }}
  direction: ingress
  etherType: IPv4
  protocol: ` + protocol + `
  portRangeMin: 30000
  portRangeMax: 32767
  remoteIPPrefix: {{ toJson $cidr }}`
	}
	return `{{- range $cidr := .nodePorts.cidrs }}{{ if ` + when + ` }}` + rule("UDP", "udp") + rule("TCP", "tcp") + "{{ end }}\n{{- end }}\n"
}

// InMemory is Cluster API's own infrastructure without machines, for trials and tests. Each of its machines takes
// startup to come up.
func InMemory(startup time.Duration) Infrastructure {
	slow := map[string]any{"provisioning": map[string]any{"startupDuration": startup.String()}}
	soon := map[string]any{"provisioning": map[string]any{"startupDuration": "0s"}}
	i := Infrastructure{
		name: "inmemory", apiVersion: infrastructureGroup + "/v1beta2", cluster: "DevClusterTemplate", machine: "DevMachineTemplate",
		clusterSpec: map[string]any{"spec": map[string]any{"backend": map[string]any{"inMemory": map[string]any{}}}},
		machineSpec: map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{FlavorAnnotation: placeholder, ImageAnnotation: placeholder}},
			"spec": map[string]any{"backend": map[string]any{"inMemory": map[string]any{
				"vm": slow, "node": soon, "apiServer": soon, "etcd": soon,
			}}},
		},
	}
	i.patches = inMemoryPatches(i)
	return i
}

// object makes one of the infrastructure's templates.
func (i Infrastructure) object(kind, name string, template map[string]any) *unstructured.Unstructured {
	return toUnstructured(map[string]any{
		"apiVersion": i.apiVersion, "kind": kind, "metadata": classMeta(name), "spec": map[string]any{"template": template},
	})
}

func (i Infrastructure) onCluster(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return i.on(i.cluster, clusterv1.PatchSelectorMatch{InfrastructureCluster: new(true)}, ops)
}

func (i Infrastructure) onControlPlaneMachines(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return i.on(i.machine, clusterv1.PatchSelectorMatch{ControlPlane: new(true)}, ops)
}

func (i Infrastructure) onWorkerMachines(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return i.on(i.machine, workers(), ops)
}

func (i Infrastructure) onMachines(ops ...clusterv1.JSONPatch) clusterv1.PatchDefinition {
	match := workers()
	match.ControlPlane = new(true)
	return i.on(i.machine, match, ops)
}

func (i Infrastructure) on(kind string, match clusterv1.PatchSelectorMatch, ops []clusterv1.JSONPatch) clusterv1.PatchDefinition {
	return clusterv1.PatchDefinition{
		Selector:    clusterv1.PatchSelector{APIVersion: i.apiVersion, Kind: kind, MatchResources: match},
		JSONPatches: ops,
	}
}

func openStackPatches(i Infrastructure) []clusterv1.ClusterClassPatch {
	return append([]clusterv1.ClusterClassPatch{
		patch("identity", "The cluster's own OpenStack credential.", "", i.onCluster(
			add(specPath+"/identityRef/name", "{{ .builtin.cluster.name }}"+cloudConfigSuffix))),
		patch("apiServerLoadBalancer", "Load balancer in front of the API server.", "", i.onCluster(
			fromVariable(specPath+"/apiServerLoadBalancer", varAPIServerLoadBalancer))),
		patch("apiServerAllowedCIDRs", "Who may reach the API server's load balancer.", "and .apiServerLoadBalancer.enabled .apiServerAllowedCIDRs", i.onCluster(
			fromVariable(specPath+"/apiServerLoadBalancer/allowedCIDRs", varAPIServerAllowedCIDRs))),
		patch("nodePorts", "Who may reach the ports of Services on nodes.", nodePortsElsewhere, i.onCluster(
			add(specPath+"/managedSecurityGroups/allNodesSecurityGroupRules", nodePorts(`or $.fixedNetworkId (ne $cidr $.nodeCidr)`)))),
		patch("nodePortsOfControlPlane", "The nodes' own network may reach them on the control plane, too.", nodePortsHere, i.onCluster(
			add(specPath+"/managedSecurityGroups/controlPlaneNodesSecurityGroupRules", nodePorts(`eq $cidr $.nodeCidr`)))),
		patch("apiServerFloatingIP", "Given floating IP of the API server.", ".apiServerFloatingIP", i.onCluster(
			fromVariable(specPath+"/apiServerFloatingIP", varAPIServerFloatingIP))),
		patch("disableAPIServerFloatingIP", "Whether the API server has a floating IP, where that is said.", `hasKey . "disableAPIServerFloatingIP"`, i.onCluster(
			fromVariable(specPath+"/disableAPIServerFloatingIP", varDisableFloatingIP))),
		patch("controlPlaneAvailabilityZones", "Availability zones of the control plane.", ".controlPlaneAvailabilityZones", i.onCluster(
			fromVariable(specPath+"/controlPlaneAvailabilityZones", varControlPlaneZones))),
		patch("externalNetwork", "External network.", ".externalNetworkId", i.onCluster(
			add(specPath+"/externalNetwork", `{id: {{ toJson .externalNetworkId }}}`))),
		patch("newNetwork", "A network made for the cluster.", "not .fixedNetworkId", i.onCluster(
			add(specPath+"/managedSubnets", `- {cidr: {{ toJson .nodeCidr }}, dnsNameservers: {{ toJson .dnsNameservers }}}`))),
		patch("existingNetwork", "An existing network.", ".fixedNetworkId", i.onCluster(
			add(specPath+"/network", `{id: {{ toJson .fixedNetworkId }}}`))),
		patch("existingSubnet", "An existing subnet.", "and .fixedNetworkId .fixedSubnetId", i.onCluster(
			add(specPath+"/subnets", `- {id: {{ toJson .fixedSubnetId }}}`))),
	}, openStackMachinePatches(i)...)
}

func openStackMachinePatches(i Infrastructure) []clusterv1.ClusterClassPatch {
	const zone = `{{ if .availabilityZone }}, availabilityZone: {name: {{ toJson .availabilityZone }}}{{ end }}`
	device := func(name, v string) string {
		return `- {name: ` + name + `, sizeGiB: {{ .` + v + `.size }}, storage: {type: Volume, volume: {type: {{ toJson .` + v + `.type }}` + zone + `}}}
`
	}
	const devices = specPath + "/additionalBlockDevices"
	etcd, docker := device("etcd", varEtcdVolume), device("docker", varDockerVolume)
	return []clusterv1.ClusterClassPatch{
		patch("flavors", "Flavors of machines.", "",
			i.onControlPlaneMachines(fromVariable(specPath+"/flavor", varControlPlaneFlavor)),
			i.onWorkerMachines(fromVariable(specPath+"/flavor", varFlavor))),
		patch("images", "Image of machines.", "", i.onMachines(fromVariable(specPath+"/image/id", varImage))),
		patch("sshKeyName", "Key pair put on machines.", ".sshKeyName", i.onMachines(fromVariable(specPath+"/sshKeyName", varSSHKey))),
		patch("serverGroup", "Server group of machines.", ".serverGroupId", i.onMachines(
			add(specPath+"/serverGroup", `{id: {{ toJson .serverGroupId }}}`))),
		patch("extraNetworks", "Ports in more networks, after the one in the cluster's own (CAPO 0.13: a port without a network is in it).",
			".extraNetworks", i.onMachines(add(specPath+"/ports", `- description: network of the cluster
{{- range .extraNetworks }}
- network: {id: {{ toJson . }}}
{{- end }}
`))),
		patch("extraSecurityGroups", "More security groups of machines.", ".extraSecurityGroups", i.onMachines(add(specPath+"/securityGroups", `
{{- range .extraSecurityGroups }}
- id: {{ toJson . }}
{{- end }}
`))),
		patch("differentFailureDomain", "Hint to the scheduler.", ".isServerGroupDiffFailureDomain", i.onMachines(
			addValue(specPath+"/schedulerHintAdditionalProperties", []any{map[string]any{
				"name": "different_failure_domain", "value": map[string]any{"type": "Bool", "bool": true},
			}}))),
		patch("bootVolume", "Volume that machines boot from.", ".bootVolume.size", i.onMachines(
			add(specPath+"/rootVolume", `sizeGiB: {{ .bootVolume.size }}
type: {{ toJson .bootVolume.type }}
{{- if .bootVolumeAvailabilityZone }}
availabilityZone: {name: {{ toJson .bootVolumeAvailabilityZone }}}
{{- end }}
`))),
		patch("controlPlaneVolumes", "Volumes of control plane machines.", "or .etcdVolume.size .dockerVolume.size", i.onControlPlaneMachines(
			add(devices, "{{ if .etcdVolume.size }}"+etcd+"{{ end }}{{ if .dockerVolume.size }}"+docker+"{{ end }}"))),
		patch("workerVolume", "Volume of worker machines.", ".dockerVolume.size", i.onWorkerMachines(add(devices, docker))),
	}
}

// inMemoryPatches write on each simulated machine what a real one would be made of.
func inMemoryPatches(i Infrastructure) []clusterv1.ClusterClassPatch {
	const annotations = "/spec/template/metadata/annotations/"
	const flavor, image = annotations + "jeroboam.cloud~1flavor", annotations + "jeroboam.cloud~1image"
	return []clusterv1.ClusterClassPatch{
		patch("flavors", "Flavors of machines.", "",
			i.onControlPlaneMachines(fromVariable(flavor, varControlPlaneFlavor)),
			i.onWorkerMachines(fromVariable(flavor, varFlavor))),
		patch("images", "Image of machines.", "", i.onMachines(fromVariable(image, varImage))),
	}
}
