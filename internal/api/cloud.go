package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// resources are names that must mean something in the caller's cloud. Empty ones are not asked for.
type resources struct {
	image, flavor, masterFlavor                string
	externalNetwork, fixedNetwork, fixedSubnet string
	keypair                                    string
	nodes                                      int                 // that the subnet must have addresses for
	balanced                                   bool                // the API server has a load balancer, with one more address
	containerVolume                            int                 // in GiB; 0: machines have none for containers
	needsDisk                                  bool                // flavors must have a disk, because no volume is booted from
	networkDriver                              string              // says which label has the addresses of pods
	labels                                     map[string]string   // may name things of the cloud
	scope                                      label.Scope         // whose labels they are
	floatingIP                                 string              // the address that the API server is to have
	kubeTag                                    string              // the version of Kubernetes that the image must hold
	groups                                     []*magnum.NodeGroup // that are there and get the image: their machines, and no others
	fleet                                      *fleet              // that Nova's quotas must have room for
	doubtful                                   bool                // some labels were wrong and are left out: what they say is not known
}

// resolve asks the caller's cloud for everything at once, and tells all problems in the order in which Magnum would
// have met them (A7): flavors, image, networks, subnet, key pair. What labels name comes before the key pair.
func (s *server) resolve(ctx context.Context, c *call, want resources) (magnum.Resolved, error) {
	cloud := s.CloudFor(c.token, c.identity)
	want.needsDisk = want.needsDisk && !want.doubtful
	var out magnum.Resolved
	var questions []func() error // each writes fields of out that no other one writes
	ask := func(name string, question func() error) {
		if name != "" {
			questions = append(questions, question)
		}
	}
	var workers, masters openstack.Flavor
	var image openstack.Image
	flavor := func(name string, into *string, found *openstack.Flavor) func() error {
		return func() error {
			f, err := cloud.Flavor(ctx, name)
			*found = f
			if err == nil && want.needsDisk && f.Disk == 0 {
				err = magnum.Invalid("Flavor with zero root volume size is not supported when boot_volume_size is zero.")
			}
			*into = f.Name
			return missing(err, "flavor", name, http.StatusBadRequest)
		}
	}
	limits, answered := openstack.Limits{}, false
	if want.fleet != nil {
		ask("limits", func() error {
			l, err := cloud.Limits(ctx)
			limits, answered = l, err == nil
			return nil // where Nova does not answer, nothing is refused
		})
	}
	ask(want.flavor, flavor(want.flavor, &out.FlavorName, &workers))
	if want.masterFlavor != want.flavor {
		ask(want.masterFlavor, flavor(want.masterFlavor, &out.MasterFlavorName, &masters))
	}
	ask(want.image, func() (err error) {
		if image, err = cloud.Image(ctx, want.image); err != nil {
			return missing(err, "image", want.image, http.StatusBadRequest)
		}
		out.ImageID, out.ImageOSDistro, out.HardwareDiskBus = image.ID, image.OSDistro, image.HWDiskBus
		if err := checkDistro(image, want.image); err != nil {
			return err
		}
		return checkImageTag(image, want.image, want.kubeTag)
	})
	ask(want.externalNetwork, func() error {
		n, err := cloud.Network(ctx, want.externalNetwork, true)
		out.ExternalNetworkID = n.ID
		return missing(err, "external network", want.externalNetwork, http.StatusBadRequest)
	})
	ask(want.fixedNetwork+want.fixedSubnet, func() (err error) {
		out.FixedNetworkID, out.FixedSubnetID, err = fixedNetwork(ctx, cloud, want)
		return err
	})
	if want.balanced {
		ask(openstack.LoadBalancer, has(ctx, cloud, openstack.LoadBalancer, "This cloud has no load balancers (Octavia), and master_lb_enabled "+
			"is True. Set it to False, with one master."))
	}
	etcd := want.scope == label.Cluster && label.Of(want.labels).Int(label.EtcdVolumeSize) > 0
	if machines := want.scope == label.Cluster || want.scope == label.NodeGroup; machines && (etcd || want.containerVolume > 0 || s.bootsFromVolume(want.labels)) {
		ask(openstack.Volumes, has(ctx, cloud, openstack.Volumes, "This cloud has no volumes (Cinder), and nodes are to have some. Leave "+
			"docker_volume_size and the labels "+label.BootVolumeSize+" and "+label.EtcdVolumeSize+" out."))
	}
	for _, p := range places(cloud, want.labels, want.scope) {
		ask(p.what, func() error { return p.check(ctx, want.labels) })
	}
	var floating openstack.FloatingIP
	ask(want.floatingIP, func() (err error) { floating, err = freeAddress(ctx, cloud, want.floatingIP); return err })
	ask(want.keypair, func() error {
		_, err := cloud.Keypair(ctx, want.keypair)
		return missing(err, "keypair", want.keypair, http.StatusNotFound)
	})
	problems := answers(questions)
	out.FlavorMemoryMiB, out.FlavorVCPUs, out.FlavorDiskGiB = workers.RAM, workers.VCPUs, workers.Disk
	if floating.NetworkID != "" && out.ExternalNetworkID != "" && floating.NetworkID != out.ExternalNetworkID {
		problems = append(problems, magnum.Invalid("Label %s is %s, which is no address of external network %s.", label.APIServerFloatingIP, want.floatingIP,
			want.externalNetwork))
	}
	problems = append(problems, s.checkRoom(ctx, cloud, image, want, workers, masters))
	if want.masterFlavor == want.flavor { // not before: what does not fit is told once
		out.MasterFlavorName, masters = out.FlavorName, workers
	}
	problems = append(problems, checkMasters(masters))
	if answered {
		want.fleet.flavors[want.flavor], want.fleet.flavors[want.masterFlavor] = workers, masters
		problems = append(problems, want.fleet.check(ctx, cloud, limits))
	}
	if err := allAtOnce(problems...); err != nil {
		return magnum.Resolved{}, err
	}
	return out, nil
}

// has refuses what needs a service that the cloud does not have.
func has(ctx context.Context, cloud Cloud, service, refusal string) func() error {
	return func() error {
		there, err := cloud.Has(ctx, service)
		if err == nil && !there {
			err = magnum.Invalid("%s", refusal)
		}
		return err
	}
}

// answers asks all questions at once, and returns their errors in the same order.
func answers(questions []func() error) []error {
	problems := make([]error, len(questions))
	var g errgroup.Group // not cancelled by the first error: the others are told as well
	for i, question := range questions {
		g.Go(func() error { problems[i] = question(); return nil })
	}
	_ = g.Wait() // the questions keep their own errors
	return problems
}

func checkDistro(image openstack.Image, name string) error {
	if image.OSDistro == "" {
		return magnum.Invalid("Image %s doesn't contain os_distro field.", name)
	}
	return nil
}

// missing turns what the cloud says about a name into what Magnum says: of things a cluster is made from "not found" is
// bad input (400), of key pairs it is 404.
func missing(err error, kind, name string, notFound int) error {
	var told *magnum.Error
	switch {
	case err == nil, errors.As(err, &told):
		return err
	case errors.Is(err, openstack.ErrNotFound) && kind == "image":
		return magnum.Refuse(notFound, "Image %s could not be found.", name)
	case errors.Is(err, openstack.ErrNotFound):
		return magnum.Refuse(notFound, "Unable to find %s %s.", kind, name)
	case errors.Is(err, openstack.ErrAmbiguous):
		return magnum.Conflict("Multiple %ss exist with same name %s. Please use the %s id instead.", kind, name, kind)
	case errors.Is(err, openstack.ErrForbidden):
		return magnum.Forbidden("Not authorized for %s %s.", kind, name)
	case errors.Is(err, openstack.ErrRejected):
		return magnum.Invalid("The cloud does not accept %s %s.", kind, name)
	}
	return fmt.Errorf("look up %s %q: %w", kind, name, err)
}

// chooseDriver decides who makes the clusters of a template, in Magnum's order: the template's own word, the image's
// property, the operator's default, and else the first that knows the image's distribution.
func (s *server) chooseDriver(asked string, image openstack.Image, serverType, coe string) (string, error) {
	name := asked
	for _, other := range []string{image.Properties["magnum_driver"], s.Config.DefaultDriver} {
		if name == "" {
			name = other
		}
	}
	if name != "" {
		if !slices.ContainsFunc(magnum.Drivers(), func(d magnum.Driver) bool { return d.Name == name }) {
			return "", magnum.Invalid("Cluster driver (%s) not supported.", magnum.Shorten(name, 100))
		}
	}
	found, err := driverFor(serverType, image.OSDistro, coe)
	if name == "" {
		name = found
	}
	return name, err
}

// driverFor finds who makes clusters of this kind.
func driverFor(serverType, distro, coe string) (string, error) {
	for _, d := range magnum.Drivers() {
		if serverType == "vm" && coe == "kubernetes" && d.OSDistro == distro {
			return d.Name, nil
		}
	}
	return "", magnum.Invalid("Cluster type (%s, %s, %s) not supported.", serverType, distro, coe)
}
