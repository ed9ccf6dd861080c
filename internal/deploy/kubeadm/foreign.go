package kubeadm

import (
	"errors"
	"fmt"
)

// Foreign tells of clusters that are not the one the configuration means.
func Foreign(w Wanted, world World) error {
	var errs []error
	cas := map[string][]string{}
	for _, n := range w.Living() {
		state := world.Nodes[n.Name]
		want := "https://" + w.Intent.Endpoint()
		if state.Server != "" && state.Server != want {
			errs = append(errs, fmt.Errorf("%s: it belongs to a cluster at %s, and the configuration says %s (kubernetes_hostname): changing the address of a cluster is not supported", n.Name, state.Server, want))
		}
		if state.CA != "" && state.AdminConf {
			cas[state.CA] = append(cas[state.CA], n.Name)
		}
	}
	if len(cas) > 1 {
		errs = append(errs, fmt.Errorf("the nodes belong to %d different clusters: %v", len(cas), cas))
	}
	return errors.Join(errs...)
}
