package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gophercloud/gophercloud/v2"
	gopenstack "github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// login logs in as a user of OpenStack does: to a cloud of clouds.yaml, or where the variables OS_AUTH_URL and its like
// say.
func login(ctx context.Context, cloud string) (*gophercloud.ProviderClient, gophercloud.EndpointOpts, error) {
	if cloud == "" {
		return loginByEnvironment(ctx)
	}
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(cloud))
	if err != nil {
		return nil, endpoint, fmt.Errorf("clouds.yaml: %w", err)
	}
	auth.AllowReauth = true // what takes hours outlives a token
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return nil, endpoint, fmt.Errorf("log in to the cloud %s: %w", cloud, err)
	}
	return provider, endpoint, nil
}

func loginByEnvironment(ctx context.Context) (*gophercloud.ProviderClient, gophercloud.EndpointOpts, error) {
	endpoint := gophercloud.EndpointOpts{Region: os.Getenv("OS_REGION_NAME")}
	if os.Getenv("OS_AUTH_URL") == "" {
		return nil, endpoint, errors.New("which cloud? name one of clouds.yaml with --os-cloud or OS_CLOUD, or set OS_AUTH_URL and what belongs to it")
	}
	auth, err := gopenstack.AuthOptionsFromEnv()
	if err != nil {
		return nil, endpoint, fmt.Errorf("the environment's OS_ variables: %w", err)
	}
	auth.AllowReauth = true
	provider, err := gopenstack.AuthenticatedClient(ctx, auth)
	if err != nil {
		return nil, endpoint, fmt.Errorf("log in at %s: %w", auth.IdentityEndpoint, err)
	}
	return provider, endpoint, nil
}
