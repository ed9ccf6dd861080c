package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// logins are how a command logs in to hosts, and the program that it brings there: its own, which is read and hashed
// once, however often hosts are logged in to.
type logins struct {
	auth    remote.Auth
	program remote.Program
}

// logins are those that the flags say.
func (o *deployOptions) logins() (logins, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return logins{}, fmt.Errorf("find SSH keys: %w", err)
	}
	auth := remote.DefaultAuth(home, os.Getenv("SSH_AUTH_SOCK"))
	var wrong []error // told once, and not for each host
	if len(o.SSHKey) > 0 {
		auth.Keys = o.SSHKey
		if err := remote.CheckKeys(o.SSHKey); err != nil {
			wrong = append(wrong, fmt.Errorf("--ssh-key: %w", err))
		}
	}
	if len(o.KnownHosts) > 0 {
		auth.KnownHosts = o.KnownHosts
		for _, file := range o.KnownHosts {
			switch info, err := os.Stat(file); {
			case err != nil:
				wrong = append(wrong, fmt.Errorf("--known-hosts: %w", err))
			case info.IsDir():
				wrong = append(wrong, fmt.Errorf("--known-hosts: %s is a directory", file))
			}
		}
	}
	program, err := remote.This()
	return logins{auth, program}, errors.Join(append(wrong, err)...)
}

// connect logs in to all hosts of the deployment but for those of nodes that are gone, and says of all that fail why.
func (l logins) connect(ctx context.Context, in intent.Intent, gone []string) (site.Hosts, error) {
	hosts, errs := l.dial(ctx, deploy.HostsOf(in, gone), bringAgent)
	return hosts, site.Lost(errs)
}

// reach logs in to hosts that are no part of the cluster, and says of each that fails why.
func (l logins) reach(ctx context.Context, in intent.Intent, have site.Hosts) (site.Hosts, map[string]error) {
	return l.beside(ctx, in, have, nil)
}

// beside is reach without hosts that are known not to answer.
func (l logins) beside(ctx context.Context, in intent.Intent, have site.Hosts, lost map[string]error) (site.Hosts, map[string]error) {
	known := func(h intent.Host) bool { return lost[h.Name] != nil }
	full, light := deploy.HostsBeside(in, have)
	hosts, errs := l.dial(ctx, slices.DeleteFunc(full, known), bringAgent)
	more, others := l.dial(ctx, slices.DeleteFunc(light, known), logIn)
	maps.Copy(hosts, more)
	maps.Copy(errs, others)
	return hosts, errs
}

// way is one to log in to a host.
type way func(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error)

// bringAgent logs in and brings the agent there.
func bringAgent(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error) {
	agent, err := remote.Dial(ctx, t, a, p)
	if err != nil {
		return nil, err // agent in an interface would not be nil
	}
	return agent, nil
}

// logIn only logs in: the agent is brought when something is to be changed there.
func logIn(ctx context.Context, t remote.Target, a remote.Auth, p remote.Program) (site.Agent, error) {
	agent, err := remote.Reach(ctx, t, a, p)
	if err != nil {
		return nil, err // as above
	}
	return agent, nil
}

// dial logs in to hosts at once.
func (l logins) dial(ctx context.Context, to []intent.Host, in way) (site.Hosts, map[string]error) {
	targets := make([]remote.Target, len(to))
	for i, h := range to {
		targets[i] = remote.Target{Name: h.Name, Address: h.SSHAddress, Port: h.SSHPort, User: h.SSHUser}
	}
	return site.LogIn(ctx, targets, func(ctx context.Context, t remote.Target) (site.Agent, error) { return in(ctx, t, l.auth, l.program) })
}
