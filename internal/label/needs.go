package label

import (
	"cmp"
	"fmt"
)

// Setting is what labels meet in a cluster besides each other.
type Setting struct {
	NetworkDriver   string // calico or cilium
	Balanced        bool   // the API server has a load balancer
	ExistingNetwork bool   // nodes are in a network that was there before
	BootVolume      bool   // nodes boot from a volume
	ContainerVolume bool   // nodes have a volume for containers
}

// A need is what some labels cannot act without.
type need struct {
	labels  []string
	met     func(v Values, in Setting) bool
	without string // what is missing
	instead string // what brings it
	final   bool   // by the cluster template: no cluster made of it can change that
}

// needs are all that labels need. Wrong values are none of its business: Validate reports them.
func needs() []need {
	enabled := func(name string) func(Values, Setting) bool {
		return func(v Values, _ Setting) bool { return v.Bool(name) }
	}
	driver := func(name string) func(Values, Setting) bool {
		return func(_ Values, in Setting) bool { return cmp.Or(in.NetworkDriver, "calico") == name } // Magnum's default
	}
	return []need{
		{
			[]string{CalicoPool, CalicoTag},
			driver("calico"), "the network driver calico", "set network_driver calico in the cluster template", true,
		},
		{
			[]string{CiliumPool, "cilium_tag", "cilium_hubble_ui_enabled"},
			driver("cilium"), "the network driver cilium", "set network_driver cilium in the cluster template", true,
		},
		{
			[]string{FixedSubnetCIDR},
			func(_ Values, in Setting) bool { return !in.ExistingNetwork },
			"a network that is made for the cluster", "leave fixed_network and fixed_subnet out", true,
		},
		{
			[]string{APIServerLBFlavor, APIServerLBZone},
			func(_ Values, in Setting) bool { return in.Balanced },
			"a load balancer of the API server", "set master_lb_enabled to true", false,
		},
		{
			[]string{BootVolumeType, BootVolumeZone},
			func(_ Values, in Setting) bool { return in.BootVolume },
			"a volume to boot from", "set label " + BootVolumeSize, false,
		},
		{
			[]string{EtcdVolumeType},
			func(v Values, _ Setting) bool { return v.Int(EtcdVolumeSize) > 0 },
			"a volume for etcd", "set label " + EtcdVolumeSize, false,
		},
		{
			[]string{DockerVolumeType},
			func(_ Values, in Setting) bool { return in.ContainerVolume },
			"a volume for containers", "set docker_volume_size", false,
		},
		{
			[]string{AuditLogMaxAge, AuditLogMaxBackup, AuditLogMaxSize},
			enabled(AuditLogEnabled), "an audit log", "set label " + AuditLogEnabled + " to true", false,
		},
		{
			[]string{OIDCClientID, OIDCUsernameClaim, OIDCUsernamePrefix, OIDCGroupsClaim, OIDCGroupsPrefix},
			func(v Values, _ Setting) bool { return v.String(OIDCIssuerURL) != "" },
			"an issuer of tokens", "set label " + OIDCIssuerURL, false,
		},
		{
			[]string{
				"cinder_csi_plugin_tag", "csi_attacher_tag", "csi_liveness_probe_tag", "csi_node_driver_registrar_tag",
				"csi_provisioner_tag", "csi_resizer_tag", "csi_snapshotter_tag",
			},
			enabled(CinderCSIEnabled), "the Cinder CSI driver", "set label " + CinderCSIEnabled + " to true", false,
		},
		{
			[]string{"manila_csi_plugin_tag", "manila_csi_share_network_id"},
			enabled("manila_csi_enabled"), "the Manila CSI driver", "set label manila_csi_enabled to true", false,
		},
	}
}

// Idle reports the labels that are good by themselves and can have no effect in this setting: of a template, in no
// cluster that is made of it. A label with its default asks for nothing, and one with the value that it has among had
// was asked for by somebody else.
func Idle(scope Scope, in Setting, labels, had map[string]string) []error {
	v := Of(labels)
	var errs []error
	for _, n := range needs() {
		if scope == Template && !n.final || n.met(v, in) {
			continue
		}
		for _, name := range n.labels {
			was, inherited := had[name]
			if l := byName[name]; l.In(scope) && v.asks(l) && (!inherited || was != labels[name]) {
				errs = append(errs, fmt.Errorf("label %s is %q and has no effect without %s. Leave it out, or %s", name, shown(labels[name]),
					n.without, n.instead))
			}
		}
	}
	return errs
}

// asks tells whether a label says something else than its absence.
func (v Values) asks(l Label) bool {
	if !v.Has(l.Name) {
		return false
	}
	if l.Type == Bool {
		return v.Bool(l.Name) != Of(nil).Bool(l.Name)
	}
	return v.String(l.Name) != l.Default
}
