package balance_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// balancerHost is a host with a load balancer that reaches the addresses in up.
type balancerHost struct {
	deploytest.Agent
	up   []string
	mu   sync.Mutex
	told []string
}

func (b *balancerHost) Call(_ context.Context, _, op string, in, out any, _ func(json.RawMessage)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch op {
	case host.OpAnswers:
		*out.(*int) = 503
		for _, address := range b.up {
			if strings.Contains(in.(string), "//"+address+":") {
				*out.(*int) = 200
			}
		}
		return nil
	case host.OpStats:
		b.told = append(b.told, in.(string))
		return nil
	}
	return errors.New("asked for " + op)
}

func TestClientsAreSentToOtherNodes(t *testing.T) {
	in := deploytest.Seed(t)
	first, second := in.Nodes[0], in.Nodes[1]
	backend := in.HAProxy.Hosts[0].Services[0].Name + "-back/"
	for _, test := range []struct {
		reason string
		up     []string
		told   []string
	}{
		{"another node serves: it is made known, and takes the clients", []string{first.NodeIP, second.NodeIP}, []string{
			"set server " + backend + second.Name + " health up",
			"set server " + backend + first.Name + " state drain",
			"shutdown sessions server " + backend + first.Name,
			"set server " + backend + first.Name + " health up",
			"set server " + backend + first.Name + " state ready",
		}},
		{"no other node is reached: there is nowhere to go", []string{first.NodeIP}, nil},
	} {
		t.Run(test.reason, func(t *testing.T) {
			hosts := site.Hosts{}
			lb := &balancerHost{up: test.up}
			for _, h := range in.Hosts {
				hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(string, string, json.RawMessage) (any, error) { return nil, errors.New("not asked") }}
			}
			hosts[in.HAProxy.Hosts[0].PhysicalHost] = lb
			var all []balance.Server
			for _, n := range in.Nodes {
				all = append(all, balance.APIServer(in, n))
			}
			ctx, cancel := context.WithCancel(t.Context())
			back := balance.API(deploytest.Quiet(hosts), in).Divert(ctx, "roll", all[0], all)
			cancel() // an interrupted run gives the node back as well
			back()
			if diff := cmp.Diff(test.told, lb.told); diff != "" {
				t.Error(diff)
			}
		})
	}
}
