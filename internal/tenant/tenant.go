// Package tenant is the Magnum API as somebody who owns clusters sees it: logged in with their clouds.yaml, one cluster
// at a time, with its node groups and events. It is for people at a terminal; what programs need, any OpenStack client
// has.
//
// OpenStack sends its clients no events, so that waiting is asking again.
package tenant

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// microversion is the newest one this package needs: names of versions in node groups.
const microversion = "1.10"

// ErrNotFound says that there is no such cluster, or that it is not the caller's.
var ErrNotFound = errors.New("not found")

// errForAMoment: nobody could be asked; the same question may be answered later.
var errForAMoment = errors.New("no answer for the moment")

// Client asks a Magnum API.
type Client struct {
	magnum *gophercloud.ServiceClient
	pause  time.Duration // between two questions of Wait
}

// New asks the Magnum of the catalog that somebody has got by logging in.
func New(provider *gophercloud.ProviderClient, endpoint gophercloud.EndpointOpts) (*Client, error) {
	magnum, err := openstack.NewContainerInfraV1(provider, endpoint)
	if err != nil {
		return nil, fmt.Errorf("find Magnum in the cloud's catalog: %w", err)
	}
	magnum.Microversion = microversion
	return &Client{magnum: magnum, pause: 2 * time.Second}, nil
}

// Cluster is a cluster as the API shows it, as far as people ask for it.
type Cluster struct {
	UUID          string            `json:"uuid"`
	Name          string            `json:"name"`
	Status        string            `json:"status"`
	StatusReason  string            `json:"status_reason"`
	Health        string            `json:"health_status"`
	HealthReason  map[string]string `json:"health_status_reason"`
	Version       string            `json:"coe_version"`
	APIAddress    string            `json:"api_address"`
	Masters       int               `json:"master_count"`
	Nodes         int               `json:"node_count"`
	Template      string            `json:"cluster_template_id"`
	Keypair       string            `json:"keypair"`
	Labels        map[string]string `json:"labels"`
	CreatedAt     string            `json:"created_at"`
	UpdatedAt     string            `json:"updated_at"`
	CreateTimeout int               `json:"create_timeout"`
}

// NodeGroup is one of its node groups.
type NodeGroup struct {
	UUID         string   `json:"uuid"`
	Name         string   `json:"name"`
	Role         string   `json:"role"`
	Nodes        int      `json:"node_count"`
	Least        int      `json:"min_node_count"`
	Most         *int     `json:"max_node_count"`
	Flavor       string   `json:"flavor_id"`
	Image        string   `json:"image_id"`
	Status       string   `json:"status"`
	StatusReason string   `json:"status_reason"`
	Version      string   `json:"version"`
	Addresses    []string `json:"node_addresses"`
}

// Event is something that happened to a cluster.
type Event struct {
	Type      string `json:"type"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	NodeGroup string `json:"nodegroup"`
	Count     int    `json:"count"`
	FirstSeen string `json:"first_seen"`
	LastSeen  string `json:"last_seen"`
}

// Cluster finds one by name or UUID.
func (c *Client) Cluster(ctx context.Context, ident string) (*Cluster, error) {
	var out Cluster
	return &out, c.get(ctx, "cluster "+ident, &out, "clusters", url.PathEscape(ident))
}

// NodeGroups lists those of a cluster, each with all that is known of it.
func (c *Client) NodeGroups(ctx context.Context, uuid string) ([]NodeGroup, error) {
	var list struct {
		NodeGroups []NodeGroup `json:"nodegroups"`
	}
	if err := c.get(ctx, "node groups of "+uuid, &list, "clusters", uuid, "nodegroups"); err != nil {
		return nil, err
	}
	for i := range list.NodeGroups {
		g := &list.NodeGroups[i]
		err := c.get(ctx, "node group "+g.Name, g, "clusters", uuid, "nodegroups", g.UUID)
		if err != nil && !errors.Is(err, ErrNotFound) { // it went meanwhile
			return nil, err
		}
	}
	return list.NodeGroups, nil
}

// Events are what happened to a cluster and its node groups, oldest first: the newest limit of them.
func (c *Client) Events(ctx context.Context, uuid string, limit int) ([]Event, error) {
	var list struct {
		Events []Event `json:"events"`
	}
	err := c.get(ctx, "events of "+uuid, &list, "clusters", uuid, fmt.Sprintf("events?limit=%d", limit))
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: this Magnum has no events: they are Jeroboam's own", err)
	}
	return list.Events, err
}

func (c *Client) get(ctx context.Context, what string, into any, path ...string) error {
	_, err := c.magnum.Get(ctx, c.magnum.ServiceURL(path...), into, nil) //nolint:bodyclose // gophercloud has read and closed it
	if err != nil {
		return fmt.Errorf("%s: %w", what, explain(err))
	}
	return nil
}

// explain turns gophercloud's errors, which print URLs and whole bodies, into what the service said.
func explain(err error) error {
	var code gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &code) {
		var local *url.Error
		if errors.As(err, &local) {
			return fmt.Errorf("%w: %w", errForAMoment, local.Err)
		}
		return err
	}
	said := cmp.Or(message(code.Body), http.StatusText(code.Actual))
	switch {
	case code.Actual == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, said)
	case code.Actual >= http.StatusInternalServerError, code.Actual == http.StatusTooManyRequests:
		return fmt.Errorf("%w: HTTP %d: %s", errForAMoment, code.Actual, said)
	}
	return fmt.Errorf("HTTP %d: %s", code.Actual, said)
}

// message finds the sentence in an error body: Magnum's {"errors": [{"detail"}]}, or {"error": {"message"}} of Keystone
// and of Magnum's 401.
func message(body []byte) string {
	var said struct {
		Errors []struct {
			Detail string `json:"detail"`
		} `json:"errors"`
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && len(said.Errors) > 0 {
		return said.Errors[0].Detail
	}
	return said.Error.Message
}
