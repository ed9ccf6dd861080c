package balance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Servers are Magnum's behind the load balancers, in a run.
type Servers struct {
	site.Run
	Balancers []intent.HAProxyHost
	Servers   []Server
}

// Server is one of them: its name in haproxy's configuration, and where it says whether it serves.
type Server struct{ Name, URL string }

// Divert keeps clients away from a server that is about to change, where there is another one for them, and returns
// what lets them back. A run that is killed in between leaves it drained, which the next plan shows and its apply
// mends.
func (s Servers) Divert(ctx context.Context, step, name string) func() {
	var diverted []intent.HAProxyHost
	for _, b := range s.Balancers {
		other := slices.ContainsFunc(s.Servers, func(o Server) bool { return o.Name != name && s.reached(ctx, b, o.Name) })
		if other {
			s.Say(step, name, "clients of %s are sent to other servers", b.Name)
			s.tell(ctx, b, name, "set server %s state drain")
			diverted = append(diverted, b)
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, b := range diverted {
			if s.reached(ctx, b, name) { // sooner than haproxy's own checks
				s.tell(ctx, b, name, "set server %s health up")
			}
			s.tell(ctx, b, name, "set server %s state ready")
		}
	}
}

// reached says whether a load balancer reaches a server.
func (s Servers) reached(ctx context.Context, b intent.HAProxyHost, name string) bool {
	i := slices.IndexFunc(s.Servers, func(o Server) bool { return o.Name == name })
	if i < 0 {
		return false
	}
	ok, _ := site.Answers(ctx, s.Hosts, site.At(b.Where()), s.Servers[i].URL)
	return ok
}

// tell gives a command for a server. It helps; a load balancer that does not take it finds out by its checks.
func (s Servers) tell(ctx context.Context, b intent.HAProxyHost, name, command string) {
	for _, svc := range b.Magnum {
		_, _ = site.Ask[string](ctx, s.Hosts, site.At(b.Where()), host.OpStats, fmt.Sprintf(command, BackendOf(svc.Name)+"/"+name)) // see above
	}
}
