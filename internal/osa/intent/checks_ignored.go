package intent

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ignored are fields that an operator may set and that change nothing in a deployment by Jeroboam, with the reason.
// What is set and stands here is told; a field that nothing reads and that stands neither here nor in informative fails
// a test.
func ignored() map[string]string {
	const (
		bundle   = "it comes from the bundle, of the version that is in it"
		provider = "Cluster API's providers come from the bundle; the plan says which versions"
		download = "hosts download nothing: all they get comes from the bundle"
		python   = "Magnum's server here is one static program without a Python environment"
		certs    = "cert-manager comes from the bundle, with its own settings"
	)
	return map[string]string{
		"cilium.chartRef":                      bundle,
		"cilium.namespace":                     "Cilium is in kube-system",
		"cilium.releaseName":                   "objects are applied, not installed by Helm",
		"cilium.nodeImage":                     bundle,
		"cilium.operatorImage":                 bundle,
		"clusterAPI.bootstrapProvider":         provider,
		"clusterAPI.controlPlaneProvider":      provider,
		"clusterAPI.coreProvider":              provider,
		"clusterAPI.infrastructureProvider":    provider,
		"clusterAPI.clusterctlConfig":          "clusterctl is not used",
		"clusterAPI.githubToken":               download,
		"clusterAPI.providerPath":              "clusterctl is not used",
		"environment":                          download,
		"helm.certManagerNamespace":            certs,
		"helm.certManagerRelease":              certs,
		"helm.certManagerRepository":           certs,
		"helm.certManagerSelector":             certs,
		"helm.certManagerValues":               certs,
		"kubernetes.serial":                    "one node after another, always",
		"magnum.driverRepository":              python,
		"magnum.pipPackages":                   python,
		"magnum.venvTag":                       python,
		"nodes[].lxc.backingStore":             "a container that Jeroboam creates is a directory on its host; an existing one is kept as it is",
		"nodes[].lxc.fsSize":                   "a container that Jeroboam creates is a directory on its host; an existing one is kept as it is",
		"nodes[].lxc.imageServer":              download,
		"nodes[].lxc.journalLink":              "the journal of a container stays in it",
		"nodes[].lxc.template":                 "containers are made of the bundle's root file system",
		"nodes[].lxc.templateOptions":          "containers are made of the bundle's root file system",
		"proxy.hosts[].home":                   "the proxy is one program, and its user has no home",
		"proxy.hosts[].repository":             "the proxy comes with this program",
		"proxy.hosts[].driver":                 "the proxy comes with this program",
		"sources.charts":                       "charts are rendered into the bundle",
		"sources.githubBase":                   download,
		"sources.httpProxy":                    download,
		"sources.httpsProxy":                   download,
		"sources.noProxy":                      download,
		"sources.username":                     download,
		"sources.password":                     download,
		"sources.validateCerts":                download,
		"sources.urls":                         download,
		"versions.cniPlugins":                  bundle,
		"versions.criTools":                    bundle,
		"versions.certManager":                 bundle,
		"versions.clusterctl":                  "clusterctl is not used",
		"versions.containerd":                  bundle,
		"versions.helm":                        "Helm is not used on hosts",
		"versions.helmDiff":                    "Helm is not used on hosts",
		"versions.magnumClusterAPI":            python,
		"versions.openstackResourceController": bundle,
		"versions.pause":                       bundle,
		"versions.runc":                        bundle,
	}
}

// informative are fields that a deployment need not read: findings stand on them, or other fields were made of them.
func informative() map[string]string {
	const (
		shown    = "shown, and findings stand on it"
		derives  = "other fields are made of it"
		adoption = "told by a finding when a container has another one"
	)
	return map[string]string{
		"backups.group": "told by backup-ignored", "backups.gid": "told by backup-ignored", "backups.initOverrides": "told by backup-ignored",
		"backups.copies[].url": "shown; the target has it", "backups.copies[].keep": "shown; the target has it",
		"directory": shown, "release": shown, "generation": shown,
		"hosts[].architecture": shown, "hosts[].hostname": derives, "hosts[].osFamily": shown, "hosts[].managementAddress": derives, "hosts[].roles": "asked for by Has",
		"kubernetes.controlPlaneGroup": shown,
		"magnum.certManagerType":       "part of magnum.conf, and findings stand on it", "magnum.endpointType": "part of magnum.conf", "magnum.wantedEndpointType": shown,
		"magnum.networkDriver": "part of magnum.conf", "magnum.networkDrivers": "part of magnum.conf",
		"needFacts":       "ReadAssuming reads again for them",
		"network.lxcCIDR": shown, "network.managementCIDR": shown,
		"nodes[].tech": "told by container-tech", "nodes[].networks[].key": "its place among the container's networks",
		"nodes[].networks[].bridgeType": "told by bridge-type", "nodes[].networks[].hardwareAddressFile": shown,
		"nodes[].lxc.directory": adoption, "nodes[].lxc.dropped": shown, "nodes[].lxc.resolved": shown,
		"proxy.hosts[].advertise": "part of its environment", "proxy.hosts[].bind": "part of its environment", "proxy.hosts[].port": "part of its environment",
		"sources.images": "a mirror is judged before hosts are changed",
		"vips.external":  "part of haproxy's services", "vips.internal.interface": shown,
	}
}

var indexes = regexp.MustCompile(`\[[^\]]*\]`)

// checkIgnored tells once for each variable that the operator set and that has no effect here.
func (r *reader) checkIgnored() {
	without, told := ignored(), map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(r.in.Origins)) {
		origin := r.in.Origins[path]
		why, ok := without[fieldOf(path, without)]
		if r.in.Magnum.Service.Implementation == ImplementationMagnum && strings.HasPrefix(path, "magnum.") {
			continue // OpenStack's own roles read it
		}
		if !ok || told[origin.Variable] || origin.Variable == "" || r.lost(path) || !r.operators(origin.Pos.File) {
			continue
		}
		told[origin.Variable] = true
		r.note("ignored", origin.Pos, "leave it, or take it away", "%s has no effect: %s", origin.Variable, why)
	}
}

// fieldOf is a path without indexes and keys, or the field above it that stands in a table.
func fieldOf(path string, table map[string]string) string {
	for field := indexes.ReplaceAllString(path, "[]"); ; {
		if _, ok := table[field]; ok {
			return field
		}
		i := strings.LastIndexAny(field, ".[")
		if i < 0 {
			return ""
		}
		field = field[:i]
	}
}
