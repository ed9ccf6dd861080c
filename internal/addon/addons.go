package addon

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// The names of addons, in catalogues, conditions and the label addons_excluded.
const (
	CloudConfig  = "cloud-config" // the credential and cloud.conf, in no catalogue
	CloudManager = "openstack-cloud-controller-manager"
	CinderCSI    = "cinder-csi"
	ManilaCSI    = "manila-csi"
	NFSCSI       = "csi-driver-nfs"
	KeystoneAuth = "k8s-keystone-auth"
	Autoscaler   = "cluster-autoscaler"
	Metrics      = "metrics-server"
)

// Names are all addons that a catalogue may have.
func Names() []string {
	return []string{Calico, Cilium, CloudManager, CinderCSI, ManilaCSI, NFSCSI, KeystoneAuth, Autoscaler, Metrics}
}

// Release is one addon of one cluster.
type Release struct {
	Name    string
	Version string // of the catalogue's entry; "" for what is in no catalogue
	Objects []*unstructured.Unstructured
	// Skipped says why the addon is not installed; Objects are empty then.
	Skipped string
	// Problem says why the addon cannot be installed although it should be; Objects are empty then.
	Problem string
	// Waits says what the addon waits for before it takes the version that is for the Kubernetes that was asked for.
	Waits string
	// Home says that the objects are for the management cluster.
	Home bool
	// First says that masters do not change before the addon is available.
	First bool
}

type m = map[string]any

// definition is one addon: all that this code knows of it.
type definition struct {
	name    string
	release string                                      // of the chart, as magnum-cluster-api names it: it is part of objects' names and selectors
	tag     string                                      // label that names the version; "" if there is none
	skip    func(Cluster) string                        // why the cluster does not have it; "" if it does
	values  func(Cluster) m                             // of the chart; nil if there is nothing to say
	more    func(Cluster) []m                           // objects besides the chart's
	fit     func(Cluster, []*unstructured.Unstructured) // changes that no value of the chart makes
	turn    turn                                        // when it changes in an upgrade of Kubernetes
	home    bool                                        // its objects are for the management cluster
	lenient bool                                        // by default; without it in the catalogue the cluster is usable all the same
}

// definitions are in the order in which they are applied. What nodes wait for comes first.
func definitions() []definition {
	return []definition{
		{name: Cilium, release: "cilium", tag: "cilium_tag", turn: first, skip: otherNetwork(Cilium), values: ciliumValues},
		{name: Calico, tag: label.CalicoTag, turn: first, skip: otherNetwork(Calico), fit: calicoPool},
		{
			name: CloudManager, release: "openstack-ccm", tag: "cloud_provider_tag", turn: withMasters, values: cloudManagerValues,
			fit: restartWithCredential,
		},
		{
			name: CinderCSI, release: "cinder-csi", skip: noCinder, values: cinderValues, more: storageClasses, fit: restartWithCredential,
			turn: last, lenient: true,
		},
		{name: NFSCSI, turn: last, skip: noManila, values: nfsValues, lenient: true}, // before who mounts through it
		{
			name: ManilaCSI, release: "manila-csi", turn: last, skip: noManila, values: manilaValues, more: shareObjects, fit: restartWithCredential,
			lenient: true,
		},
		{name: KeystoneAuth, release: "k8s-keystone-auth", turn: withMasters, skip: noKeystone, values: keystoneValues, lenient: true},
		{name: Metrics, release: "metrics-server", values: metricsValues, turn: last, lenient: true},
		{
			name: Autoscaler, home: true, skip: noAutoscaler, values: autoscalerValues, more: autoscalerAccount, turn: withMasters,
			lenient: true,
		},
	}
}

// metricsValues: kubelets of kubeadm have certificates of their own making, and a cluster may have no workers.
func metricsValues(Cluster) m {
	return m{"args": []any{"--kubelet-insecure-tls"}, "tolerations": anywhere()}
}

func otherNetwork(driver string) func(Cluster) string {
	return func(c Cluster) string {
		if c.NetworkDriver != driver {
			return fmt.Sprintf("the cluster's network driver is %s", c.NetworkDriver)
		}
		return ""
	}
}

func noCinder(c Cluster) string {
	switch {
	case !c.Labels.Bool(label.CinderCSIEnabled):
		return "the label cinder_csi_enabled is false"
	case !c.Cloud.Volumes:
		return "the cloud has no Cinder"
	}
	return ""
}

// Releases are the addons of a cluster, in the order in which they are applied. A release that cannot be made says so
// itself and does not keep the others away.
func (c *Catalogue) Releases(cluster Cluster) []Release {
	out := []Release{{Name: CloudConfig, Objects: cloudConfigObjects(cluster)}}
	excluded := cluster.Labels.CSV(label.AddonsExcluded)
	for _, d := range definitions() {
		r := Release{Name: d.name, First: d.turn == first, Home: d.home}
		switch {
		case d.skip != nil && d.skip(cluster) != "":
			r.Skipped = d.skip(cluster)
		case slices.Contains(excluded, d.name):
			r.Skipped = "the label " + label.AddonsExcluded + " names it"
		default:
			c.fill(&r, d, cluster)
		}
		out = append(out, r)
	}
	return out
}

// Missing tells what the catalogue lacks for clusters with a network driver and labels: what such a cluster is not
// usable without, and what its labels ask for by version. from is the Kubernetes that an upgrade begins at; "" if there
// is none. It is cheap: nothing is rendered.
func (c *Catalogue) Missing(networkDriver string, labels map[string]string, from string) error {
	values := label.Of(labels)
	if networkDriver == "" {
		networkDriver = Calico // Magnum's default
	}
	cluster := Cluster{
		Labels: values, NetworkDriver: networkDriver, Kubernetes: values.KubeTag(), Cloud: Cloud{Volumes: true}, Running: Running{from, from},
	}
	excluded := values.CSV(label.AddonsExcluded)
	var problems []error
	for _, d := range definitions() {
		if d.skip != nil && d.skip(cluster) != "" || slices.Contains(excluded, d.name) {
			continue
		}
		if _, err := c.pick(d, cluster); err != nil && (!d.lenient || d.version(values) != "") {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// version is what the cluster's labels ask for; "" leaves the choice to the catalogue.
func (d definition) version(labels label.Values) string {
	if d.tag == "" || !labels.Has(d.tag) {
		return ""
	}
	return labels.String(d.tag)
}

func (c *Catalogue) fill(r *Release, d definition, cluster Cluster) {
	now, err := c.pick(d, cluster)
	if err != nil {
		if d.lenient && d.version(cluster.Labels) == "" {
			r.Skipped = err.Error()
		} else {
			r.Problem = err.Error()
		}
		return
	}
	r.Version, r.Waits = now.entry.Version, now.waits
	cluster.Kubernetes = now.kubernetes
	if r.Objects, err = build(now.entry, d, cluster); err != nil {
		r.Objects, r.Problem = nil, err.Error()
	}
}

func build(e *entry, d definition, cluster Cluster) ([]*unstructured.Unstructured, error) {
	var values m
	if d.values != nil {
		values = d.values(cluster)
	}
	objects, err := e.render(d.release, cluster.Kubernetes, values)
	if err != nil {
		return nil, err
	}
	if d.more != nil {
		for _, o := range d.more(cluster) {
			objects = append(objects, &unstructured.Unstructured{Object: o})
		}
	}
	if d.fit != nil {
		d.fit(cluster, objects)
	}
	if d.home {
		finish(d.name, cluster.Home.Namespace, objects)
		return objects, errors.Join(listed(e, objects), fromOperator(objects, cluster.Home.Repository))
	}
	finish(d.name, Namespace, objects)
	return objects, errors.Join(listed(e, objects), mirrorImages(objects, cluster.mirror()))
}

// listed checks that an entry names every image that it uses: a mirror, a node image and a bundle are made from the
// list. A tag that a label chooses is the tenant's own.
func listed(e *entry, objects []*unstructured.Unstructured) error {
	var problems []error
	for _, image := range Images(objects) {
		repository := func(known string) bool { return repositoryOf(known) == repositoryOf(image) }
		if !slices.ContainsFunc(e.Images, repository) {
			problems = append(problems, fmt.Errorf("the catalogue's %s %s does not name the image %s, which its objects use", e.Name, e.Version, image))
		}
	}
	return errors.Join(problems...)
}
