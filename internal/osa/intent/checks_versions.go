package intent

import (
	"fmt"
	"slices"
	"strings"
)

// pair is what a release of Cluster API works with: Kubernetes minors of the management cluster (Cluster API book,
// "Version support"). Patch is the first patch release that knows the newest minor.
type pair struct {
	capi, from, to int // minors of 1.x
	patch          int
}

func matrix() []pair {
	return []pair{
		{8, 27, 31, 0}, {9, 28, 32, 0}, {10, 29, 33, 1}, {11, 30, 34, 0}, {12, 31, 35, 0}, {13, 32, 36, 1}, {14, 33, 36, 0},
	}
}

// newest36 is a patch release that brought one minor more: 1.12.8 knows 1.36.
const newest36 = 8

// checkVersions finds versions that are none.
func (r *reader) checkVersions() {
	v := r.in.Versions
	k, err := parseVersion(v.Kubernetes)
	if (err != nil || k.patch < 0) && !r.lost("versions.kubernetes") {
		const fix = "write all three numbers, such as 1.28.13, 1.33.5 or 1.36.1; in quotes, because YAML takes 1.30 for 1.3"
		r.fail("kubernetes-version", r.at("versions.kubernetes"), fix, "kubernetes_version is %q: the playbooks stop at a version without a patch number", r.show("versions.kubernetes", v.Kubernetes))
	}
	if _, ok := r.first().written("kubernetes_version"); !ok {
		r.note("kubernetes-default", r.at("versions.kubernetes"), "set kubernetes_version, so that an update of a collection does not change it",
			"kubernetes_version is not set: the collection of this generation uses %s (%s)", v.Kubernetes, r.in.Generation)
	}
	for path, text := range map[string]string{
		"clusterAPI": v.ClusterAPI, "clusterctl": v.Clusterctl, "clusterAPIProviderOpenStack": v.ClusterAPIProviderOpenStack,
		"containerd": v.Containerd, "runc": v.Runc, "cilium": v.Cilium, "certManager": v.CertManager, "helm": v.Helm,
	} {
		if _, err := parseVersion(text); err != nil && !r.lost("versions."+path) {
			r.fail("version-invalid", r.at("versions."+path), "write a version such as 1.8.4", "versions.%s is %q, which is not a version", path, r.show("versions."+path, text))
		}
	}
	if c, err := parseVersion(v.Containerd); err == nil && c.major == 1 {
		r.note("containerd-1", r.at("versions.containerd"), "move to containerd 2 when it suits", "containerd %s gets a configuration of its own format here; the collection writes that of 2.x for it", c)
	}
}

// checkMatrix compares versions that must fit together.
func (r *reader) checkMatrix() {
	in := r.in.ClusterAPI
	k, kErr := parseVersion(r.in.Versions.Kubernetes)
	core, coreErr := parseVersion(in.CoreVersion)
	if kErr == nil && coreErr == nil {
		r.checkManagement(k, core)
	}
	for _, p := range []struct{ path, name, text string }{
		{"clusterAPI.bootstrapVersion", "bootstrap", in.BootstrapVersion}, {"clusterAPI.controlPlaneVersion", "control plane", in.ControlPlaneVersion},
	} {
		if v, err := parseVersion(p.text); err == nil && coreErr == nil && v != core {
			r.warn("capi-skew", r.at(p.path), "give the three the same version: set only cluster_api_version", "the %s provider has version %s, the core %s", p.name, v, core)
		}
	}
	ctl, err := parseVersion(r.in.Versions.Clusterctl)
	if err == nil && coreErr == nil && (ctl.major != core.major || ctl.minor != core.minor) {
		r.warn("clusterctl-version", r.at("versions.clusterctl"), "set clusterctl_version to cluster_api_version", "clusterctl %s is not of the release of Cluster API, %s", ctl, core)
	}
	if in.InfrastructureProvider != "openstack" {
		r.fail("infrastructure", r.at("clusterAPI.infrastructureProvider"), "write openstack", "the infrastructure provider is %q: Magnum's driver works with openstack only", r.show("clusterAPI.infrastructureProvider", in.InfrastructureProvider))
		return
	}
	capo, err := parseVersion(in.InfrastructureVersion)
	if err != nil || coreErr != nil {
		return
	}
	for _, need := range []struct{ capo, capi int }{{12, 9}, {13, 11}, {14, 12}} { // Cluster API Provider OpenStack's README
		if capo.major == 0 && capo.minor == need.capo && core.before(1, need.capi) {
			r.fail("version-matrix", r.at("versions.clusterAPIProviderOpenStack"), fmt.Sprintf("take Cluster API 1.%d or newer, or an older provider", need.capi),
				"Cluster API Provider OpenStack %s needs Cluster API 1.%d or newer, and %s is asked for", capo, need.capi, core)
		}
	}
	r.checkORC(capo)
}

func (r *reader) checkManagement(k, core version) {
	i := slices.IndexFunc(matrix(), func(p pair) bool { return core.major == 1 && p.capi == core.minor })
	if i < 0 {
		r.warn("version-unknown", r.at("versions.clusterAPI"), "check Cluster API's own table of versions", "which versions of Kubernetes Cluster API %s supports is unknown", core)
		return
	}
	p := matrix()[i]
	if core.minor == 12 && core.patch >= newest36 {
		p.to = 36
	}
	if k.major == 1 && k.minor >= p.from && k.minor <= p.to {
		if p.patch > 0 && k.minor == p.to && core.patch >= 0 && core.patch < p.patch {
			r.fail("version-matrix", r.at("versions.clusterAPI"), fmt.Sprintf("take Cluster API 1.%d.%d or newer", p.capi, p.patch),
				"Cluster API %s does not know Kubernetes %s yet: 1.%d.%d was the first", core, k, p.capi, p.patch)
		}
		return
	}
	r.fail("version-matrix", r.at("versions.kubernetes"), fmt.Sprintf("take Kubernetes 1.%d to 1.%d, or another Cluster API", p.from, p.to),
		"Cluster API %s runs on Kubernetes 1.%d to 1.%d, and %s is asked for", core, p.from, p.to, k)
}

// checkORC compares the controller's image with its manifests.
func (r *reader) checkORC(capo version) {
	s := r.first()
	tag := bare(s.quiet("openstack_resource_controller_image_tag"))
	if d, ok := s.written("openstack_resource_controller_image_tag"); ok && !capo.before(0, 12) && tag != r.in.Versions.OpenStackResourceController {
		r.warn("orc-skew", d.Pos, "set openstack_resource_controller_version and leave the tag to follow", "the image of OpenStack Resource Controller is %s, its manifests are of %s",
			tag, r.in.Versions.OpenStackResourceController)
	}
}

// checkWorkloads tells which workload clusters the versions will not manage.
func (r *reader) checkWorkloads() {
	core, err := parseVersion(r.in.ClusterAPI.CoreVersion)
	if err != nil {
		return
	}
	// kubernetes#138957: from these patch releases on kubeadm join fails with an older Cluster API.
	fixed := map[int]int{11: 11, 12: 8, 13: 2}
	if patch, ok := fixed[core.minor]; core.before(1, 11) || ok && core.patch >= 0 && core.patch < patch {
		r.note("workload-join", r.at("versions.clusterAPI"), "take Cluster API 1.11.11, 1.12.8, 1.13.2 or newer before such workload clusters are made",
			"with Cluster API %s, nodes of workload clusters of Kubernetes 1.33.12, 1.34.8, 1.35.5, 1.36.1 and later do not join", core)
	}
	driver := r.in.Versions.MagnumClusterAPI
	v, err := parseVersion(driver)
	switch {
	case driver == "":
	case err != nil:
		r.note("driver-branch", r.at("versions.magnumClusterAPI"), "name a tag, such as v0.24.2", "magnum-cluster-api is taken from the branch %q: two installations may get two versions", r.show("versions.magnumClusterAPI", driver))
	case !v.before(0, 25):
		r.note("driver-rust", r.at("versions.magnumClusterAPI"), "install cargo and rustc on repo hosts before Magnum's wheels are built", "magnum-cluster-api %s is partly Rust: its wheel needs a compiler where it is built", strings.TrimPrefix(driver, "v"))
	}
}
