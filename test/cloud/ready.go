package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	blockservices "github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/services"
	computeservices "github.com/gophercloud/gophercloud/v2/openstack/compute/v2/services"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/providers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/agents"
	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// A service answers when it has done something for a user who came with a token, and its agents have reported: an open
// port is not enough.

type check struct {
	name string
	ask  func(context.Context, *gophercloud.ProviderClient) (string, error)
}

func checks() []check {
	where := gophercloud.EndpointOpts{Region: region}
	return []check{
		{"glance", func(ctx context.Context, p *gophercloud.ProviderClient) (string, error) {
			client, err := openstack.NewImageV2(p, where)
			if err != nil {
				return "", err
			}
			_, err = images.List(client, images.ListOpts{Limit: 1}).AllPages(ctx)
			return "", err
		}},
		{"nova", askNova},
		{"neutron", askNeutron},
		{"cinder", askCinder},
		{"octavia", func(ctx context.Context, p *gophercloud.ProviderClient) (string, error) {
			client, err := openstack.NewLoadBalancerV2(p, where)
			if err != nil {
				return "", err
			}
			_, err = providers.List(client, providers.ListOpts{}).AllPages(ctx)
			return "", err
		}},
		{"metadata", func(ctx context.Context, _ *gophercloud.ProviderClient) (string, error) {
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address+":8775")
			if err != nil {
				return "", err
			}
			return "", conn.Close()
		}},
	}
}

func askNova(ctx context.Context, p *gophercloud.ProviderClient) (string, error) {
	client, err := openstack.NewComputeV2(p, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return "", err
	}
	var up []string
	err = eachPage(ctx, computeservices.List(client, nil), computeservices.ExtractServices, func(s computeservices.Service) {
		if s.State == "up" {
			up = append(up, strings.TrimPrefix(s.Binary, "nova-"))
		}
	})
	return reported(up, err, "compute", "conductor", "scheduler")
}

func askNeutron(ctx context.Context, p *gophercloud.ProviderClient) (string, error) {
	client, err := openstack.NewNetworkV2(p, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return "", err
	}
	var up []string
	err = eachPage(ctx, agents.List(client, nil), agents.ExtractAgents, func(a agents.Agent) {
		if a.Alive {
			up = append(up, strings.TrimSuffix(strings.TrimPrefix(a.Binary, "neutron-"), "-agent"))
		}
	})
	return reported(up, err, "dhcp", "l3", "linuxbridge", "metadata")
}

func askCinder(ctx context.Context, p *gophercloud.ProviderClient) (string, error) {
	client, err := openstack.NewBlockStorageV3(p, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return "", err
	}
	var up []string
	err = eachPage(ctx, blockservices.List(client, nil), blockservices.ExtractServices, func(s blockservices.Service) {
		if s.State == "up" {
			up = append(up, strings.TrimPrefix(s.Binary, "cinder-"))
		}
	})
	return reported(up, err, "scheduler", "volume")
}

func reported(up []string, err error, want ...string) (string, error) {
	if err != nil {
		return "", err
	}
	var missing []string
	for _, w := range want {
		if !slices.Contains(up, w) {
			missing = append(missing, w)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("not reported yet: %s", strings.Join(missing, ", "))
	}
	return strings.Join(want, ", "), nil
}

// waitServices tells of each service when it answers, and at the end of those that do not.
func waitServices(ctx context.Context, limit time.Duration, out io.Writer) error {
	began := time.Now()
	tell := func(name string) {
		_, _ = fmt.Fprintf(out, "      %5.1fs %s\n", time.Since(began).Seconds(), name) // progress only
	}
	var session *gophercloud.ProviderClient
	err := machine.WaitFor(ctx, limit, func() (err error) { session, err = login(ctx, administrator()); return err })
	if err != nil {
		return fmt.Errorf("keystone: %w", err)
	}
	tell("keystone")
	var group errgroup.Group
	all := checks()
	failed := make([]error, len(all))
	for n, c := range all {
		group.Go(func() error {
			err := machine.WaitFor(ctx, limit-time.Since(began), func() error { _, err := c.ask(ctx, session); return err })
			if err != nil {
				failed[n] = fmt.Errorf("%s: %w", c.name, err)
				return nil
			}
			tell(c.name)
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(failed...))
}

// tellServices is a table of what answers now.
func tellServices(ctx context.Context, out io.Writer) error {
	session, err := login(ctx, administrator())
	if err != nil {
		return fmt.Errorf("keystone: %w", err)
	}
	lines := []string{fmt.Sprintf("%-10s %s", "keystone", "answers")}
	silent := 0
	for _, c := range checks() {
		what, err := c.ask(ctx, session)
		state := "answers"
		if what != "" {
			state += " (" + what + ")"
		}
		if err != nil {
			state, silent = err.Error(), silent+1
		}
		lines = append(lines, fmt.Sprintf("%-10s %s", c.name, state))
	}
	if _, err := fmt.Fprintln(out, strings.Join(lines, "\n")); err != nil {
		return err
	}
	if silent > 0 {
		return fmt.Errorf("%d services do not answer", silent)
	}
	return nil
}

func (c *Cloud) waitReady(ctx context.Context) error { return c.self(ctx, "ready") }

// Status says which services answer.
func (c *Cloud) Status(ctx context.Context) error { return c.self(ctx, "check") }
