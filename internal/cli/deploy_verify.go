package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// deployVerify are the flags of apply that are about judging what it made.
type deployVerify struct {
	Verify          bool              `help:"Judge the cloud afterwards, as \"jeroboam verify\" does: with --verify-os-cloud, or else as the administrator of user_secrets.yml."`
	OSCloud         string            `name:"verify-os-cloud" placeholder:"NAME" help:"A cloud of clouds.yaml to do it with."`
	Image           string            `name:"verify-image" placeholder:"FILE" help:"An image of nodes to upload; FILE.json must be beside it."`
	ImageName       string            `name:"verify-image-name" placeholder:"NAME" help:"Or an image of nodes that is in Glance."`
	ExternalNetwork string            `name:"verify-external-network" placeholder:"NAME" help:"The only one of the cloud, if it is not given."`
	Label           map[string]string `name:"verify-label" placeholder:"NAME=VALUE" help:"Of the cluster template; may be repeated."`
	Private         bool              `name:"verify-private" help:"By a cluster without a floating IP, which is reached through the deployed hosts of the proxy."`
	Conformance     string            `name:"verify-conformance" enum:"none,quick,certified" default:"quick" help:"Kubernetes' conformance tests: none, quick, certified."`
}

// possible says, before anything is changed, why nobody could judge afterwards.
func (f *deployVerify) possible(in intent.Intent) error {
	if !f.Verify {
		return nil
	}
	var problems []error
	switch {
	case f.Image == "" && f.ImageName == "":
		problems = append(problems, errors.New("--verify needs an image of nodes: --verify-image FILE uploads one, --verify-image-name NAME uses one"))
	case f.Image != "" && f.ImageName != "":
		problems = append(problems, errors.New("--verify-image and --verify-image-name exclude each other"))
	case f.Image != "":
		for _, name := range []string{f.Image, f.Image + ".json"} {
			if _, err := os.Stat(name); err != nil {
				problems = append(problems, fmt.Errorf("--verify-image: %w", err))
			}
		}
	}
	if f.OSCloud == "" && !in.Magnum.Service.AdminPassword.Set() {
		problems = append(problems, errors.New("--verify needs credentials: keystone_auth_admin_password is not set in user_secrets.yml, and there is no --verify-os-cloud"))
	}
	if f.OSCloud == "" && in.Magnum.Service.AuthURL == "" {
		problems = append(problems, errors.New("--verify needs Keystone's address: keystone_service_internalurl is empty; or give --verify-os-cloud"))
	}
	if f.Private && len(proxy.Addresses(in)) == 0 {
		problems = append(problems, errors.New("--verify-private needs hosts of the proxy, and mcapi_vexxhost_proxy_hosts names none with an address"))
	}
	if value, given := f.Label[label.FloatingIPEnabled]; f.Private && given && label.Of(f.Label).Bool(label.FloatingIPEnabled) {
		problems = append(problems, fmt.Errorf("--verify-private and --verify-label %s=%s exclude each other", label.FloatingIPEnabled, value))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return nil
}

// judge makes a cluster through what was deployed, looks at it, removes it, and says whether the cloud passed.
func (f *deployVerify) judge(ctx context.Context, in intent.Intent, streams Streams, output string) error {
	if !f.Verify {
		return nil
	}
	v := f.command(in, output)
	if f.OSCloud != "" {
		return v.Run(ctx, streams)
	}
	provider, endpoint, err := administrator(ctx, in.Magnum.Service)
	if err != nil {
		return err
	}
	return v.judge(ctx, streams, provider, endpoint)
}

// command is "jeroboam verify" as these flags ask for it.
func (f *deployVerify) command(in intent.Intent, output string) verifyCommand {
	v := verifyCommand{
		Image: f.Image, ImageName: f.ImageName, ExternalNetwork: f.ExternalNetwork, Label: f.Label, Masters: 1, Nodes: 1, Conformance: f.Conformance,
		Timeout: 30 * time.Minute, Output: output, OSCloud: f.OSCloud,
	}
	if f.Private {
		v.MasterLB, v.Proxy, v.Label = true, proxy.Addresses(in), map[string]string{}
		maps.Copy(v.Label, f.Label)
		v.Label[label.FloatingIPEnabled] = "false"
	}
	return v
}

// administrator logs in as Keystone's administrator, whose password OpenStack-Ansible keeps, from where the deployer
// runs: it is to reach clusters as users do.
func administrator(ctx context.Context, s intent.MagnumService) (*gophercloud.ProviderClient, gophercloud.EndpointOpts, error) {
	endpoint := gophercloud.EndpointOpts{Region: s.Region, Availability: gophercloud.AvailabilityInternal}
	provider, err := config.NewProviderClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: s.AuthURL, Username: s.Admin, Password: s.AdminPassword.Reveal(), DomainName: "Default",
		Scope: &gophercloud.AuthScope{ProjectName: s.AdminProject, DomainName: "Default"}, AllowReauth: true,
	}, config.WithTLSConfig(keystone.Trust(s)))
	if err != nil {
		return nil, endpoint, fmt.Errorf("judge the cloud: log in to Keystone at %s as %s: %w", s.AuthURL, s.Admin, err)
	}
	return provider, endpoint, nil
}
