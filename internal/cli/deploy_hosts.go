package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// connect logs in to all hosts of the deployment, and says of all that fail why.
func (o *deployOptions) connect(ctx context.Context, in intent.Intent) (site.Hosts, error) {
	hosts, errs, err := o.dial(ctx, o.targets(in), bringAgent)
	return hosts, errors.Join(err, errors.Join(slices.Collect(maps.Values(errs))...))
}

// copyHosts logs in to hosts that only have copies of kubeconfigs, and says of each that fails why.
func (o *deployOptions) copyHosts(ctx context.Context, in intent.Intent, have site.Hosts) (site.Hosts, map[string]error, error) {
	var full, light []remote.Target
	for _, name := range deploy.CopyHosts(in) {
		h, ok := in.Host(name)
		if !ok || have[name] != nil {
			continue
		}
		t := remote.Target{Name: h.Name, Address: h.SSHAddress, Port: h.SSHPort, User: h.SSHUser}
		if proxy.Alone(in, name) {
			light = append(light, t)
		} else {
			full = append(full, t)
		}
	}
	hosts, errs, err := o.dial(ctx, full, bringAgent)
	if err != nil {
		return hosts, errs, err
	}
	more, lost, err := o.dial(ctx, light, logIn)
	maps.Copy(hosts, more)
	maps.Copy(errs, lost)
	return hosts, errs, err
}

// atOnce bounds how many hosts are logged in to at the same time: those that are down are waited for together.
const atOnce = 64

// reach is a way to log in to a host.
type reach func(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error)

// bringAgent logs in and brings the agent there.
func bringAgent(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error) {
	return remote.Dial(ctx, t, a, p)
}

// logIn only logs in: the agent is brought when something is to be changed there.
func logIn(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error) {
	return remote.Reach(ctx, t, a, p)
}

// dial logs in to hosts at once.
func (o *deployOptions) dial(ctx context.Context, targets []remote.Target, in reach) (site.Hosts, map[string]error, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, nil, fmt.Errorf("find SSH keys: %w", err)
	}
	auth := remote.DefaultAuth(home, os.Getenv("SSH_AUTH_SOCK"))
	if len(o.SSHKey) > 0 {
		auth.Keys = o.SSHKey
	}
	if len(o.KnownHosts) > 0 {
		auth.KnownHosts = o.KnownHosts
	}
	program, err := remote.This()
	if err != nil {
		return nil, nil, err
	}
	hosts, errs := site.Hosts{}, map[string]error{}
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, t := range targets {
		all.Go(func() error {
			c, err := in(ctx, t, auth, program)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[t.Name] = err
				return nil
			}
			hosts[t.Name] = c
			return nil
		})
	}
	return hosts, errs, all.Wait()
}

// targets are the physical hosts of nodes and load balancers, without those of nodes that are gone.
func (o *deployOptions) targets(in intent.Intent) []remote.Target {
	needed := map[string]bool{}
	for _, n := range in.Nodes {
		needed[n.PhysicalHost] = needed[n.PhysicalHost] || !slices.Contains(o.Replace, n.Name)
	}
	for _, h := range in.HAProxy.Hosts {
		needed[h.PhysicalHost] = true
	}
	var out []remote.Target
	for _, h := range in.Hosts {
		if needed[h.Name] {
			out = append(out, remote.Target{Name: h.Name, Address: h.SSHAddress, Port: h.SSHPort, User: h.SSHUser})
		}
	}
	return out
}
