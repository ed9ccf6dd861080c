package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

// kind is a kind of things that runs make.
type kind struct {
	name   string
	list   func(context.Context, Clients) ([]Thing, error)
	remove func(context.Context, string) error
}

// kinds are in the order of removal: nothing goes before what uses it.
func (r *run) kinds() []kind {
	return []kind{
		{"cluster", listClusters, r.removeCluster},
		{"cluster template", listTemplates, func(ctx context.Context, id string) error {
			return clustertemplates.Delete(ctx, r.Magnum, id).ExtractErr()
		}},
		{"key pair", listKeypairs, func(ctx context.Context, id string) error { return keypairs.Delete(ctx, r.Nova, id, nil).ExtractErr() }},
		{"flavor", listOwnFlavors, func(ctx context.Context, id string) error { return flavors.Delete(ctx, r.Nova, id).ExtractErr() }},
		{"image", listImages, func(ctx context.Context, id string) error { return images.Delete(ctx, r.Glance, id).ExtractErr() }},
		{"network", listExternals, func(ctx context.Context, id string) error { return networks.Delete(ctx, r.Neutron, id).ExtractErr() }},
	}
}

func listOwnFlavors(ctx context.Context, c Clients) ([]Thing, error) {
	list, err := listFlavors(ctx, c)
	out := make([]Thing, len(list))
	for i := range list {
		out[i] = list[i].Thing
	}
	return out, err
}

var ours = regexp.MustCompile(`^` + Prefix + `[0-9a-f]{8}$`)

// owned says whether a name is of what a run has made; of any run, if it is empty.
func owned(name, run string) bool {
	return ours.MatchString(name) && (run == "" || name == Prefix+run)
}

// Remove removes what runs have made, of one run or of all, and says what it was. Nothing else is touched. It finds
// things by their name, so it is the same for a run that ends, one that was interrupted, and one that was killed.
func Remove(ctx context.Context, o Options, c Clients) ([]string, error) {
	r := &run{Options: o, Clients: c, step: "remove"}
	var removed []string
	var problems []error
	for _, k := range r.kinds() {
		list, err := k.list(ctx, c)
		if err != nil {
			problems = append(problems, fmt.Errorf("list the %ss: %w", k.name, err))
			continue
		}
		for _, t := range list {
			if !owned(t.Name, o.RunID) {
				continue
			}
			r.say("removing the %s %s", k.name, t.Name)
			if err := k.remove(ctx, t.ID); err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
				problems = append(problems, fmt.Errorf("remove the %s %s: %w", k.name, t.Name, err))
				continue
			}
			removed = append(removed, k.name+" "+t.Name)
		}
	}
	if o.Cluster != "" { // somebody's own, in which only pods ran
		if err := r.emptyNamed(ctx, o.Cluster); err != nil {
			problems = append(problems, err)
		} else {
			removed = append(removed, "what ran in the cluster "+o.Cluster)
		}
	}
	return removed, errors.Join(problems...)
}

// remove is the last step of a run.
func (r *run) remove(ctx context.Context) (string, error) {
	if r.Keep {
		return "", skipped("--keep was given; jeroboam verify --cleanup --run " + r.RunID + " removes it")
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	removed, err := Remove(ctx, r.Options, r.Clients)
	return strings.Join(removed, ", "), err
}

// removeCluster takes volumes and load balancers of pods away as long as the cluster can do that itself, then the
// cluster, and waits for its end.
func (r *run) removeCluster(ctx context.Context, id string) error {
	if k, err := clusters.Get(ctx, r.Magnum, id).Extract(); err == nil && k.APIAddress != "" && k.Status != "CREATE_IN_PROGRESS" && k.Status != "DELETE_IN_PROGRESS" {
		if err := r.empty(ctx, k); err != nil {
			r.say("the cluster goes with what pods have made in it: %v", err)
		}
	}
	if err := clusters.Delete(ctx, r.Magnum, id).ExtractErr(); err != nil {
		return err
	}
	var failing time.Time // Magnum may need a moment to see that it is asked again
	return r.await(ctx, r.Timeout, func(ctx context.Context) (bool, string, error) {
		k, err := clusters.Get(ctx, r.Magnum, id).Extract()
		switch {
		case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
			return true, "", nil
		case err != nil:
			return false, "", err
		case k.Status != "DELETE_FAILED":
			failing = time.Time{}
		case failing.IsZero():
			failing = r.Now()
		case r.Now().Sub(failing) > 10*r.Poll:
			return false, "", fmt.Errorf("%w: %s", errNever, told(k))
		}
		return false, told(k), nil
	})
}

func (r *run) emptyNamed(ctx context.Context, name string) error {
	k, err := clusters.Get(ctx, r.Magnum, name).Extract()
	if err == nil {
		err = r.empty(ctx, k)
	}
	if err != nil {
		return fmt.Errorf("remove what ran in the cluster %s: %w", name, err)
	}
	return nil
}

// empty removes from a cluster what runs have made in it.
func (r *run) empty(ctx context.Context, k *clusters.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.Timeout, 5*time.Minute))
	defer cancel()
	config, err := r.connection(ctx, k)
	if err != nil {
		return err
	}
	config.Timeout = 10 * time.Second
	kube, err := newKubeClients(config)
	if err != nil {
		return err
	}
	return r.emptyOf(ctx, kube)
}
