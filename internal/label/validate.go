package label

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
)

// Error is one thing wrong with one label.
type Error struct {
	Label string // the name
	Value string // as given; empty when it is missing
	Want  string // what is allowed
}

func (e *Error) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("label %s must be %s", e.Label, e.Want)
	}
	return fmt.Sprintf("label %s is %q, must be %s", e.Label, shown(e.Value), e.Want)
}

// shown is a value in a sentence.
func shown(value string) string {
	if len(value) > 64 {
		return value[:64] + "..."
	}
	return value
}

// Validate reports everything that is wrong with a set of labels, in the registry's order and then across labels.
// Labels that are not in the registry are not its business: Magnum takes any, and Unknown lists them.
func Validate(scope Scope, labels map[string]string) []error {
	var errs []error
	for _, l := range registry {
		v, given := labels[l.Name]
		switch {
		case !given && (!l.Required || scope != Cluster):
		case !given:
			errs = append(errs, &Error{Label: l.Name, Want: l.wanted() + ", and is missing: labels in a request take the place of the " +
				"template's, unless merge_labels is true"})
		case !l.ok(v):
			errs = append(errs, &Error{Label: l.Name, Value: v, Want: l.wanted()})
		}
	}
	return append(errs, across(labels)...)
}

// Sound are the labels but those whose values are wrong by themselves.
func Sound(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(name, value string) bool { l, known := byName[name]; return known && !l.ok(value) })
	return out
}

// Unknown lists the labels that have no effect here, sorted.
func Unknown(labels map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if _, known := byName[name]; !known {
			names = append(names, name)
		}
	}
	return names
}

// across checks what labels say together. A value that is wrong by itself has been reported and counts as absent.
func across(labels map[string]string) []error {
	v := Of(labels)
	var errs []error
	errs = append(errs, unusable(v)...)
	errs = append(errs, octavia(v)...)
	if policies := v.CSV(ServerGroupPolicies); len(policies) > 1 { // Nova takes one (server groups, microversion 2.64: "policy")
		errs = append(errs, &Error{ServerGroupPolicies, v.String(ServerGroupPolicies), "one of them, for a server group has one policy"})
	}
	if lo, hi := v.Int(MinNodeCount), v.Int(MaxNodeCount); v.Has(MinNodeCount) && v.Has(MaxNodeCount) && lo > hi {
		errs = append(errs, &Error{MinNodeCount, v.String(MinNodeCount), "at most " + MaxNodeCount + ", which is " + strconv.Itoa(hi)})
	}
	if v.Has(APIServerFloatingIP) && v.Has(FloatingIPEnabled) && !v.Bool(FloatingIPEnabled) {
		errs = append(errs, &Error{APIServerFloatingIP, v.String(APIServerFloatingIP), "left out, because " + FloatingIPEnabled + " is false"})
	}
	if v.Has(APIServerAllowedCIDRs) && v.String(OctaviaProvider) == "ovn" { // cloud-provider-openstack, CAPO 0.13: no VIP ACL
		errs = append(errs, &Error{APIServerAllowedCIDRs, v.String(APIServerAllowedCIDRs), "left out, because load balancers of the provider ovn let everybody in"})
	}
	if v.String(OIDCIssuerURL) != "" && v.String(OIDCClientID) == "" {
		errs = append(errs, &Error{OIDCClientID, "", "given together with " + OIDCIssuerURL})
	}
	return errs
}

// unusable reports networks of a cluster whose addresses no machine, pod or service can have (RFC 6890: this host,
// loopback, link-local, multicast and reserved).
func unusable(v Values) []error {
	var errs []error
	for _, name := range []string{CalicoPool, CiliumPool, ServiceRange, FixedSubnetCIDR} {
		cidr, given := v.given(name)
		p, err := netip.ParsePrefix(cidr)
		if !given || err != nil {
			continue
		}
		for _, special := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"} {
			if p.Overlaps(netip.MustParsePrefix(special)) {
				errs = append(errs, &Error{name, cidr, "apart from " + special + ", whose addresses nothing on a network can have"})
			}
		}
	}
	return errs
}

// Pool is the label that says where a cluster's pods live with a network driver.
func Pool(networkDriver string) string {
	if networkDriver == "cilium" {
		return CiliumPool
	}
	return CalicoPool
}

// CheckNetworks reports which of the networks of pods, services and nodes overlap, defaults included: the one decision
// about them. The addresses of an existing network are not in labels. Clusters made of a template may be put into one,
// so there nodes count only where the template says where they live.
func CheckNetworks(scope Scope, in Setting, labels map[string]string) []error {
	v := Of(labels)
	all := []string{Pool(in.NetworkDriver), ServiceRange}
	if !in.ExistingNetwork && (scope == Cluster || v.Has(FixedSubnetCIDR)) {
		all = append(all, FixedSubnetCIDR)
	}
	var errs []error
	for i, a := range all {
		for _, b := range all[i+1:] {
			pa, err1 := netip.ParsePrefix(v.String(a))
			pb, err2 := netip.ParsePrefix(v.String(b))
			if err1 == nil && err2 == nil && pa.Overlaps(pb) {
				errs = append(errs, &Error{a, v.String(a), "apart from " + b + ", which is " + v.String(b)})
			}
		}
	}
	return errs
}

// octavia checks that the provider can do what the algorithm says (magnum-cluster-api, utils.py: anything but
// SOURCE_IP_PORT with ovn is refused; Octavia's amphora driver refuses SOURCE_IP_PORT).
func octavia(v Values) []error {
	provider, algorithm := v.String(OctaviaProvider), v.String(OctaviaAlgorithm)
	const ovnOnly = "SOURCE_IP_PORT"
	switch {
	case algorithm == "":
	case provider == "ovn" && algorithm != ovnOnly:
		return []error{&Error{OctaviaAlgorithm, algorithm, ovnOnly + " with " + OctaviaProvider + " ovn"}}
	case algorithm == ovnOnly && (provider == "" || provider == "amphora" || provider == "amphorav2"):
		return []error{&Error{OctaviaAlgorithm, algorithm, "ROUND_ROBIN, LEAST_CONNECTIONS or SOURCE_IP with " + OctaviaProvider + " amphora, the default, or amphorav2"}}
	}
	return nil
}
