package realcloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// KubernetesVersion is the property of an image that says which Kubernetes is in it.
const KubernetesVersion = "kube_version"

// NewestNodeImage is the newest image that says which Kubernetes is in it.
func (e *Entry) NewestNodeImage(ctx context.Context, provider *gophercloud.ProviderClient) (*images.Image, error) {
	glance, err := openstack.NewImageV2(provider, e.endpoint)
	if err != nil {
		return nil, err
	}
	page, err := images.List(glance, images.ListOpts{Status: images.ImageStatusActive, Sort: "created_at:desc"}).AllPages(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	all, err := images.ExtractImages(page)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	for i := range all {
		if v, ok := all[i].Properties[KubernetesVersion].(string); ok && v != "" {
			return &all[i], nil
		}
	}
	return nil, errors.New("no image of this cloud has the property " + KubernetesVersion + ": name one with --image, or make no first cluster (--no-first-cluster)")
}

// HasLoadBalancers tells whether the catalog has Octavia.
func (e *Entry) HasLoadBalancers(provider *gophercloud.ProviderClient) bool {
	_, err := openstack.NewLoadBalancerV2(provider, e.endpoint)
	return err == nil
}
