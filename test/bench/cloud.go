package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
)

const (
	startBound   = 3 * time.Minute
	clusterBound = 10 * time.Minute
)

// cloud is a running all-in-one.
type cloud struct {
	*process

	dataDir          string
	magnum, keystone string
}

func (b *bench) up(ctx context.Context, args ...string) (*cloud, error) {
	p, err := freePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	if b.debug != "" {
		args = append(args, "--debug", b.debug)
	}
	dir := b.place()
	c := &cloud{dataDir: filepath.Join(dir, "data"), magnum: "http://" + local(p[0]), keystone: "http://" + local(p[1])}
	c.process, err = start(b.allinone, append([]string{
		"up", "--output", "json", "--state-dir", filepath.Join(dir, "state"), "--data-dir", c.dataDir,
		"--magnum-port", strconv.Itoa(p[0]), "--keystone-port", strconv.Itoa(p[1]),
		"--management-port", strconv.Itoa(p[2]), "--admin-port", strconv.Itoa(p[3]), "--workload-ports", "19000-19499",
	}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := c.saw(ctx, startBound, func(l string) bool { return isEvent(l, "serving") }); err != nil {
		c.stop()
		return nil, fmt.Errorf("start: %w", err)
	}
	return c, nil
}

// tenant is the project "demo" at a Magnum API.
func (c *cloud) tenant(ctx context.Context, api string) (*gophercloud.ServiceClient, error) {
	provider, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: c.keystone + "/v3", Username: "demo", Password: "demo", DomainID: "default",
		Scope: &gophercloud.AuthScope{ProjectName: "demo", DomainID: "default"},
	})
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: api + "/v1/", Type: "container-infra", Microversion: "1.10"}, nil
}

// template finds or makes the template that all clusters are made from.
func template(ctx context.Context, magnum *gophercloud.ServiceClient) (string, error) {
	have, err := clustertemplates.Get(ctx, magnum, "kubernetes").Extract()
	if gophercloud.ResponseCodeIs(err, 404) {
		have, err = clustertemplates.Create(ctx, magnum, clustertemplates.CreateOpts{
			Name: "kubernetes", COE: "kubernetes", ImageID: "ubuntu-2204-kube-v1.34.2", ExternalNetworkID: "public",
			FlavorID: "m1.small", MasterFlavorID: "m1.small", KeyPairID: "default", NetworkDriver: "calico",
			MasterLBEnabled: new(true), FloatingIPEnabled: new(true), DNSNameServer: "8.8.8.8",
			Labels: map[string]string{"kube_tag": "v1.34.2"},
		}).Extract()
	}
	if err != nil {
		return "", fmt.Errorf("cluster template: %w", err)
	}
	return have.UUID, nil
}

// made is one cluster on its way.
type made struct {
	uuid     string
	answered time.Time // when POST was
	complete time.Time
}

// create makes n clusters of one master and one worker, several requests at once.
func create(ctx context.Context, magnum *gophercloud.ServiceClient, name string, n int) ([]*made, error) {
	uuid, err := template(ctx, magnum)
	if err != nil {
		return nil, err
	}
	out := make([]*made, n)
	return out, parallel(ctx, 8, n, func(ctx context.Context, i int) error {
		id, err := clusters.Create(ctx, magnum, clusters.CreateOpts{
			Name: fmt.Sprintf("%s-%d", name, i), ClusterTemplateID: uuid, MasterCount: new(1), NodeCount: new(1),
		}).Extract()
		out[i] = &made{uuid: id, answered: time.Now()}
		return err
	})
}

// await notes when each cluster is complete; what fails ends it.
func await(ctx context.Context, magnum *gophercloud.ServiceClient, all []*made, say func(done int)) error {
	ctx, cancel := context.WithTimeout(ctx, clusterBound)
	defer cancel()
	byID := map[string]*made{}
	for _, m := range all {
		byID[m.uuid] = m
	}
	for done := 0; done < len(all); {
		pages, err := clusters.List(magnum, clusters.ListOpts{Limit: 1000}).AllPages(ctx)
		if err != nil {
			return err
		}
		list, err := clusters.ExtractClusters(pages)
		if err != nil {
			return err
		}
		before := done
		for _, c := range list {
			m := byID[c.UUID]
			if m == nil || !m.complete.IsZero() {
				continue
			}
			switch c.Status {
			case "CREATE_COMPLETE":
				m.complete = time.Now()
				done++
			case "CREATE_FAILED":
				return fmt.Errorf("cluster %s failed: %s", c.Name, c.StatusReason)
			}
		}
		if done != before {
			say(done)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d clusters are complete: %w", done, len(all), ctx.Err())
		case <-time.After(200 * time.Millisecond): // the API has nothing to watch
		}
	}
	return nil
}
