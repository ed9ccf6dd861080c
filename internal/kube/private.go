package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// oneProxy is how long one of several proxies may take to accept a connection before the next is tried.
const oneProxy = 2 * time.Second

// ErrNoProxy tells that a private cluster cannot be reached, because no host proxies it.
var ErrNoProxy = errors.New("no proxy serves it")

// Private tells whether a host is the name of a private cluster's API server, and of which stack's.
func Private(host string) (stack string, private bool) {
	return strings.CutSuffix(host, "."+v1alpha1.Namespace)
}

// ThroughProxies opens connections to workload clusters. A private cluster's API server has the name
// STACK.magnum-system in its kubeconfig, a name of the management cluster's own DNS that means one of its proxies
// (docs/proxy.md). It is looked up where the DNS has it from, in the EndpointSlices of the Service, so that it does not
// matter whether this process runs in the management cluster or beside it. The server name of TLS stays the cluster's,
// by which the proxy knows where to go. All other addresses are given to next.
//
// EndpointSlices are read anew each time a connection is made: there is one for each cluster, and it lasts.
func ThroughProxies(r client.Reader, next func(ctx context.Context, network, address string) (net.Conn, error),
) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		stack, private := Private(host)
		if err != nil || !private {
			return next(ctx, network, address)
		}
		proxies, err := proxiesOf(ctx, r, stack)
		if err != nil {
			return nil, err
		}
		if len(proxies) == 0 {
			return nil, unreachable(host, fmt.Errorf("%w: \"jeroboam proxy status\" on a host with a namespace of its network says why", ErrNoProxy))
		}
		var problems []error
		for _, p := range proxies {
			c, err := dialOne(ctx, network, p, next)
			if err == nil {
				return c, nil
			}
			problems = append(problems, fmt.Errorf("proxy %s: %w", p, err))
			if ctx.Err() != nil {
				break
			}
		}
		return nil, unreachable(host, errors.Join(problems...))
	}
}

// unreachable makes an error of the network of one, so that who asks knows that it is no answer of the API server.
func unreachable(host string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: name(host), Err: err}
}

// name is an address that is a name.
type name string

func (name) Network() string  { return "tcp" }
func (n name) String() string { return string(n) }

func dialOne(ctx context.Context, network, address string, next func(ctx context.Context, network, address string) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, oneProxy)
	defer cancel()
	return next(ctx, network, address)
}

// proxiesOf are the addresses at which proxies serve a stack, in a random order: each host gets its share.
func proxiesOf(ctx context.Context, r client.Reader, stack string) ([]string, error) {
	list := &discoveryv1.EndpointSliceList{}
	err := r.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: stack})
	if err != nil {
		return nil, fmt.Errorf("look up the proxies of %s: %w", stack, err)
	}
	var out []string
	for i := range list.Items {
		for _, port := range list.Items[i].Ports {
			if port.Port == nil {
				continue
			}
			for _, e := range list.Items[i].Endpoints {
				if e.Conditions.Ready != nil && !*e.Conditions.Ready {
					continue
				}
				for _, a := range e.Addresses {
					out = append(out, net.JoinHostPort(a, strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}
