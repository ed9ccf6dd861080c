package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// HostsOf are the physical hosts of nodes and load balancers, without those of nodes that are gone.
func HostsOf(in intent.Intent, gone []string) []intent.Host {
	needed := map[string]bool{}
	for _, n := range in.Nodes {
		needed[n.PhysicalHost] = needed[n.PhysicalHost] || !slices.Contains(gone, n.Name)
	}
	for _, h := range in.HAProxy.Hosts {
		needed[h.PhysicalHost] = true
	}
	return slices.DeleteFunc(slices.Clone(in.Hosts), func(h intent.Host) bool { return !needed[h.Name] })
}

// CheckGone refuses names of nodes to replace that are none: replacing them would have no effect.
func CheckGone(in intent.Intent, gone []string) error {
	var names, last []string
	for _, n := range in.Nodes {
		names = append(names, n.Name)
		if !slices.Contains(in.Drawn, n.Name) { // the others have this name in this run only
			last = append(last, n.Name)
		}
	}
	are := ""
	if len(last) > 0 {
		are = "; its nodes are " + strings.Join(last, ", ")
	}
	var errs []error
	for _, name := range gone {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("--replace %s: the configuration has no such node%s", name, are))
		}
	}
	return errors.Join(errs...)
}

// HostsBeside are the physical hosts of Magnum and the proxies that are not connected yet: those that get an agent, and
// those that have nothing but a proxy, which are only logged in to. Not all of them need to be reached.
func HostsBeside(in intent.Intent, have site.Hosts) (full, light []intent.Host) {
	for _, name := range kubeconfigs.Hosts(copiesOf(in, "", "")) {
		h, ok := in.Host(name)
		switch {
		case !ok || have[name] != nil:
		case proxy.Alone(in, name):
			light = append(light, h)
		default:
			full = append(full, h)
		}
	}
	return full, light
}
