package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
)

// Unlimited is a quota that holds nobody back (Nova's own number).
const Unlimited = -1

// Limits are Nova's quotas of a project: how much it may ever have, whatever it uses now.
type Limits struct {
	Instances          int
	Cores              int
	RAM                int // MB
	ServerGroups       int
	ServerGroupMembers int // servers in one group
}

// Limits asks for the quotas of the token's project. What Nova does not name is unlimited.
func (u *User) Limits(ctx context.Context) (Limits, error) {
	const doing = "ask for the quotas of servers"
	client, err := u.client(ctx, Compute)
	if err != nil {
		return Limits{}, u.explain(doing, err)
	}
	var answer struct {
		Limits struct {
			Absolute map[string]any `json:"absolute"`
		} `json:"limits"`
	}
	if err := limits.Get(ctx, client, nil).ExtractInto(&answer); err != nil {
		return Limits{}, u.explain(doing, err)
	}
	quota := func(name string) int {
		n, is := answer.Limits.Absolute[name].(float64)
		if !is || n < 0 {
			return Unlimited
		}
		return int(n)
	}
	return Limits{
		Instances: quota("maxTotalInstances"), Cores: quota("maxTotalCores"), RAM: quota("maxTotalRAMSize"),
		ServerGroups: quota("maxServerGroups"), ServerGroupMembers: quota("maxServerGroupMembers"),
	}, nil
}
