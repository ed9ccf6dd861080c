package balance

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Service is one with several servers behind the load balancers, in a run: the API, or Magnum.
type Service struct {
	site.Run
	balancers []intent.HAProxyHost
	// of are the services of a load balancer that are meant.
	of func(intent.HAProxyHost) []haproxy.Service
	// lasting: clients keep their connections, and would wait on one that looks well. Those to a server that is diverted
	// end; all of them come back at once then, and load balancers have to know by then which others are up.
	lasting bool
}

// Server is one of them: its name in haproxy's configuration, and where it says whether it serves.
type Server struct{ Name, URL string }

// API is the API of the management cluster.
func API(r site.Run, in intent.Intent) Service {
	return Service{Run: r, balancers: in.HAProxy.Hosts, of: func(h intent.HAProxyHost) []haproxy.Service { return h.Services }, lasting: true}
}

// Magnum is Magnum's API.
func Magnum(r site.Run, in intent.Intent) Service {
	return Service{Run: r, balancers: in.HAProxy.Hosts, of: func(h intent.HAProxyHost) []haproxy.Service { return h.Magnum }}
}

// APIServer is the one of a node.
func APIServer(in intent.Intent, n intent.Node) Server {
	return Server{n.Name, "https://" + net.JoinHostPort(n.NodeIP, fmt.Sprint(in.Kubernetes.BackendPort)) + "/healthz"}
}

// Reach waits until every load balancer reaches a server, and tells it so (see Nudge): the next one goes away only when
// clients find this one.
func (s Service) Reach(ctx context.Context, step string, to Server) error {
	for _, b := range s.balancers {
		if err := s.Wait(ctx, step, to.Name, time.Minute, func() (bool, string) { return s.introduce(ctx, b, to) }); err != nil {
			return err
		}
	}
	return nil
}

// Nudge tells load balancers that a server is up as soon as they can reach it. By themselves they would need rise x
// interval, 36 seconds with the role's defaults, in which every client of the virtual address waits.
func (s Service) Nudge(ctx context.Context, to Server) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		told := map[string]bool{}
		for ctx.Err() == nil && len(told) < len(s.balancers) {
			for _, b := range s.balancers {
				if told[b.Name] {
					continue
				}
				if ok, _ := s.introduce(ctx, b, to); ok {
					told[b.Name] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(s.Poll):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Divert keeps clients away from a server that is about to change, at load balancers that have another one for them,
// and returns what lets them back. A run that is killed in between leaves a load balancer diverted, which the next plan
// shows and its apply mends.
func (s Service) Divert(ctx context.Context, step string, from Server, all []Server) func() {
	away, reaches := []string{"set server %s state drain"}, s.reaches
	if s.lasting {
		away, reaches = append(away, "shutdown sessions server %s"), s.introduce
	}
	var diverted []intent.HAProxyHost
	for _, b := range s.balancers {
		other := slices.ContainsFunc(all, func(o Server) bool {
			if o.Name == from.Name {
				return false
			}
			ok, _ := reaches(ctx, b, o)
			return ok
		})
		if !other {
			continue // better this one now and then than none
		}
		s.Say(step, from.Name, "clients of %s are sent to other servers", b.Name)
		s.tell(ctx, b, from, away...)
		diverted = append(diverted, b)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, b := range diverted {
			_, _ = s.introduce(ctx, b, from) // sooner than haproxy's own checks; one that does not serve is let back as well
			s.tell(ctx, b, from, "set server %s state ready")
		}
	}
}

// reaches says whether a load balancer reaches a server, and why not.
func (s Service) reaches(ctx context.Context, b intent.HAProxyHost, to Server) (bool, string) {
	ok, why := site.Answers(ctx, s.Hosts, site.At(b.Where()), to.URL)
	return ok, "load balancer " + b.Name + " does not reach it: " + why
}

// introduce tells a load balancer that a server is up, if it reaches it; otherwise it says why not.
func (s Service) introduce(ctx context.Context, b intent.HAProxyHost, to Server) (bool, string) {
	ok, why := s.reaches(ctx, b, to)
	if ok {
		s.tell(ctx, b, to, "set server %s health up")
	}
	return ok, why
}

// tell gives commands for a server to a load balancer, in each service that it is in. They help; a load balancer that
// does not take them finds out by its checks, later.
func (s Service) tell(ctx context.Context, b intent.HAProxyHost, to Server, commands ...string) {
	for _, one := range s.of(b) {
		for _, c := range commands {
			_, _ = site.Ask[string](ctx, s.Hosts, site.At(b.Where()), host.OpStats, fmt.Sprintf(c, backendOf(one.Name)+"/"+to.Name)) // see above
		}
	}
}

// backendOf is the backend of a service in haproxy's configuration.
func backendOf(service string) string { return service + "-back" }
