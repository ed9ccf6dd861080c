package capi

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// The variables of the class. Those whose values an OpenStackCluster never changes again keep the names and shapes they
// have in magnum-cluster-api's classes, so that an upgrade can carry them over as they are (see Merge).
const (
	varAPIServerLoadBalancer        = "apiServerLoadBalancer"
	varAPIServerAllowedCIDRs        = "apiServerAllowedCIDRs"
	varNodePorts                    = "nodePorts"
	varControlPlaneRotation         = "controlPlaneRotation"
	varWorkerRotation               = "workerRotation"
	varExtraNetworks                = "extraNetworks"
	varExtraSecurityGroups          = "extraSecurityGroups"
	varAPIServerFloatingIP          = "apiServerFloatingIP"
	varDisableFloatingIP            = "disableAPIServerFloatingIP"
	varExternalNetwork              = "externalNetworkId"
	varFixedNetwork                 = "fixedNetworkId"
	varFixedSubnet                  = "fixedSubnetId"
	varNodeCIDR                     = "nodeCidr"
	varDNSNameservers               = "dnsNameservers"
	varControlPlaneZones            = "controlPlaneAvailabilityZones"
	varControlPlaneFlavor           = "controlPlaneFlavor"
	varFlavor                       = "flavor"
	varImage                        = "imageUUID"
	varHardwareDiskBus              = "hardwareDiskBus"
	varSSHKey                       = "sshKeyName"
	varServerGroup                  = "serverGroupId"
	varDifferentFailureDomain       = "isServerGroupDiffFailureDomain"
	varBootVolume                   = "bootVolume"
	varBootVolumeZone               = "bootVolumeAvailabilityZone"
	varEtcdVolume                   = "etcdVolume"
	varDockerVolume                 = "dockerVolume"
	varZone                         = "availabilityZone"
	varOperatingSystem              = "operatingSystem"
	varImageRepository              = "imageRepository"
	varProxy                        = "proxy"
	varAPIServerSANs                = "apiServerSANs"
	varAPIServerCipherSuites        = "apiServerTLSCipherSuites"
	varKubeletCipherSuites          = "kubeletTLSCipherSuites"
	varAdmissionControlList         = "admissionControlList"
	varAuditLog                     = "auditLog"
	varOpenIDConnect                = "openidConnect"
	varKeystoneAuth                 = "enableKeystoneAuth"
	varNodeLabels                   = "nodeLabels"
	varNodeTaints                   = "nodeTaints"
	patternUUID                     = `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
	patternUUIDOrNone               = `^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?$`
	patternPlain                    = `^[^\x00-\x1f\x7f]*$`
	patternWord                     = `^[A-Za-z0-9._-]*$`
	patternClaim                    = `^[A-Za-z0-9:/._@-]*$`
	patternProxy                    = `^[A-Za-z0-9:/._@%~,*\[\]-]*$`
	patternAddress                  = `^[0-9A-Fa-f.:]*$`
	patternPEM                      = `^[A-Za-z0-9+/=\n -]*$`
	patternCIDR                     = `^[0-9./]+$`
	patternList                     = `^[A-Za-z0-9_,]*$`
	patternNodeLabels               = `^[A-Za-z0-9./_=,-]*$`
	maxName                   int64 = 255
	maxText                   int64 = 4096
)

type schema = clusterv1.JSONSchemaProps

// variables is the class's interface, the same for every infrastructure. Only what no cluster can do without is
// required; everything else has its default here.
func variables() []clusterv1.ClusterClassVariable {
	return append(infrastructureVariables(), nodeVariables()...)
}

func infrastructureVariables() []clusterv1.ClusterClassVariable {
	return []clusterv1.ClusterClassVariable{
		optional(varAPIServerLoadBalancer, withDefault(object("Load balancer in front of the API server.", map[string]schema{
			"enabled":          boolean("Whether there is one.", true),
			"provider":         text("Octavia provider; absent: Octavia's default.", patternWord, nil),
			"flavor":           text("Octavia flavor.", patternPlain, nil),
			"availabilityZone": text("Octavia availability zone.", patternPlain, nil),
		}), map[string]any{"enabled": true})),
		optional(varAPIServerAllowedCIDRs, manyOf(list("Who may reach the load balancer; empty: everybody.", schema{Type: "string", Pattern: patternCIDR}))),
		optional(varNodePorts, withDefault(object("Who may reach the ports of Services on nodes.", map[string]schema{
			"cidrs": list("Their networks.", schema{Type: "string", Pattern: patternCIDR}),
			"asked": boolean("Whether the owner said so; else an upgrade leaves it as it is.", false),
		}), map[string]any{"cidrs": []any{world}, "asked": false})),
		optional(varExtraNetworks, list("More networks that machines have a port in.", schema{Type: "string", Pattern: patternUUID})),
		optional(varExtraSecurityGroups, list("More security groups of machines.", schema{Type: "string", Pattern: patternUUID})),
		optional(varAPIServerFloatingIP, text("Floating IP of the API server; empty: a new one.", patternAddress, "")),
		optional(varDisableFloatingIP, schema{Type: "boolean", Description: "Whether the API server has no floating IP; absent: left to the provider."}),
		optional(varExternalNetwork, text("External network; empty: the only one there is.", patternUUIDOrNone, "")),
		optional(varFixedNetwork, text("Existing network of the machines; empty: one is made.", patternUUIDOrNone, "")),
		optional(varFixedSubnet, text("Existing subnet of the machines, in the existing network.", patternUUIDOrNone, "")),
		optional(varNodeCIDR, text("Addresses of machines in a network that is made.", `^[0-9./]+$`, defaultOf(label.FixedSubnetCIDR))),
		optional(varDNSNameservers, list("Name servers of a subnet that is made.", schema{Type: "string", Pattern: `^[0-9A-Fa-f.:]+$`})),
		optional(varControlPlaneZones, list("Availability zones of control plane machines; empty: all.", schema{Type: "string", Pattern: patternPlain})),
		required(varControlPlaneFlavor, name("Flavor of control plane machines.")),
		required(varFlavor, name("Flavor of worker machines.")),
		required(varImage, schema{Type: "string", Description: "Image that machines boot.", Pattern: patternUUID}),
		optional(varSSHKey, text("Key pair put on machines.", patternPlain, "")),
		optional(varServerGroup, text("Server group of the machines.", patternUUIDOrNone, "")),
		optional(varDifferentFailureDomain, boolean("Whether the scheduler is asked for different failure domains.", false)),
		optional(varBootVolume, volume("Volume that machines boot from; size 0: none.")),
		optional(varBootVolumeZone, text("Availability zone of boot volumes.", patternPlain, "")),
		optional(varEtcdVolume, volume("Volume for etcd on control plane machines; size 0: none.")),
		optional(varDockerVolume, volume("Volume for containers; size 0: none.")),
		optional(varZone, text("Availability zone of volumes for etcd and containers.", patternPlain, "")),
	}
}

func nodeVariables() []clusterv1.ClusterClassVariable {
	return []clusterv1.ClusterClassVariable{
		optional(varHardwareDiskBus, text("Disk bus that the image asks for; it decides what disks are called.", patternWord, "")),
		optional(varOperatingSystem, withDefault(schema{
			Type: "string", Description: "Operating system of the image.",
			Enum: []apiextensionsv1.JSON{raw("ubuntu"), raw("debian"), raw("flatcar"), raw("rockylinux")},
		}, "ubuntu")),
		optional(varImageRepository, text("Registry path that Kubernetes' own images come from; empty: registry.k8s.io.", `^[A-Za-z0-9._:/-]*$`, "")),
		optional(varProxy, withDefault(object("HTTP proxy of machines.", map[string]schema{
			"http": text("For http.", patternProxy, ""), "https": text("For https.", patternProxy, ""),
			"noProxy": text("Hosts reached without it, separated by commas.", patternProxy, ""),
		}), map[string]any{"http": "", "https": "", "noProxy": ""})),
		optional(varAPIServerSANs, list("More names in the API server's certificate.", schema{Type: "string", Pattern: `^[A-Za-z0-9.:*-]+$`})),
		optional(varAPIServerCipherSuites, text("TLS cipher suites of the API server.", patternList, defaultOf(label.APIServerTLSCipherSuites))),
		optional(varKubeletCipherSuites, text("TLS cipher suites of kubelets.", patternList, defaultOf(label.KubeletTLSCipherSuites))),
		optional(varAdmissionControlList, text("Admission plugins that are enabled.", patternList, admissionAlways)),
		optional(varAuditLog, withDefault(object("Audit log of the API server.", map[string]schema{
			"enabled": boolean("Whether it is written.", false), "maxAge": integer("Days kept.", 30),
			"maxBackup": integer("Old logs kept.", 10), "maxSize": integer("MB at which it is rotated.", 100),
		}), map[string]any{"enabled": false, "maxAge": 30, "maxBackup": 10, "maxSize": 100})),
		optional(varOpenIDConnect, withDefault(object("OpenID Connect tokens that the API server accepts; an empty issuer: none.", map[string]schema{
			"issuerUrl": text("Issuer.", `^[A-Za-z0-9:/._~%+@-]*$`, ""), "clientId": text("Client.", patternClaim, ""),
			"usernameClaim": text("Claim with the user's name.", patternClaim, "sub"), "usernamePrefix": text("Prefix of user names.", patternClaim, "-"),
			"groupsClaim": text("Claim with the groups.", patternClaim, ""), "groupsPrefix": text("Prefix of group names.", patternClaim, ""),
		}), map[string]any{"issuerUrl": ""})),
		optional(varKeystoneAuth, boolean("Whether the API server asks the Keystone webhook on its own host.", false)),
		optional(varNodeLabels, text("Labels that kubelets register nodes with, as key=value separated by commas.", patternNodeLabels, "")),
		optional(varNodeTaints, list("Taints that kubelets register nodes with.", object("A taint.", map[string]schema{
			"key":    {Type: "string", Pattern: `^[A-Za-z0-9./_-]+$`, MaxLength: new(maxName)},
			"value":  {Type: "string", Pattern: patternWord, MaxLength: new(maxName)},
			"effect": {Type: "string", Enum: []apiextensionsv1.JSON{raw("NoSchedule"), raw("PreferNoSchedule"), raw("NoExecute")}},
		}, "key", "effect"))),
		optional(varControlPlaneRotation, withDefault(object("How far a rotation of an authority is with the control plane.", map[string]schema{
			"step": text("Its step; another one replaces the machines.", patternWord, ""),
			"signer": withDefault(schema{
				Type: "string", Description: "The one certificate that requests are signed with, while two are trusted.", Pattern: patternPEM, MaxLength: new(int64(16384)),
			}, ""),
		}), map[string]any{"step": "", "signer": ""})),
		optional(varWorkerRotation, text("How far it is with workers; another step replaces them.", patternWord, "")),
	}
}

func optional(name string, s schema) clusterv1.ClusterClassVariable { return variable(name, s, false) }

func required(name string, s schema) clusterv1.ClusterClassVariable { return variable(name, s, true) }

func variable(name string, s schema, must bool) clusterv1.ClusterClassVariable {
	return clusterv1.ClusterClassVariable{Name: name, Required: &must, Schema: clusterv1.VariableSchema{OpenAPIV3Schema: s}}
}

func withDefault(s schema, v any) schema {
	s.Default = rawp(v)
	return s
}

// text is a string of a character set that cannot leave the place it is written to; a nil default is none.
func text(doc, pattern string, def any) schema {
	s := schema{Type: "string", Description: doc, Pattern: pattern, MaxLength: new(maxText)}
	if def != nil {
		s = withDefault(s, def)
	}
	return s
}

func name(doc string) schema {
	return schema{Type: "string", Description: doc, Pattern: patternPlain, MinLength: new(int64(1)), MaxLength: new(maxName)}
}

func boolean(doc string, def bool) schema {
	return withDefault(schema{Type: "boolean", Description: doc}, def)
}

func integer(doc string, def int) schema {
	return withDefault(schema{Type: "integer", Description: doc, Minimum: new(int64(0)), Maximum: new(int64(1 << 20))}, def)
}

func object(doc string, properties map[string]schema, must ...string) schema {
	return schema{Type: "object", Description: doc, Properties: properties, Required: must}
}

func list(doc string, items schema) schema {
	if items.MaxLength == nil && items.Type == "string" {
		items.MaxLength = new(maxName)
	}
	return withDefault(schema{Type: "array", Description: doc, Items: &items, MaxItems: new(int64(64))}, []any{})
}

// manyOf lets a list hold what an owner may list and what the operator adds to it.
func manyOf(s schema) schema {
	s.MaxItems = new(int64(256))
	return s
}

func volume(doc string) schema {
	return withDefault(object(doc, map[string]schema{
		"size": integer("GiB.", 0), "type": text("Volume type; empty: Cinder's default.", patternPlain, ""),
	}), map[string]any{"size": 0, "type": ""})
}

func defaultOf(name string) string {
	l, _ := label.Lookup(name)
	return l.Default
}
