package intent

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// spaces are how names of variables begin that only the collection's roles could read, and no other role of
// OpenStack-Ansible.
func spaces() []string {
	return []string{"kubernetes_", "kubeadm_", "kubelet_", "kubectl_", "containerd_", "cilium_", "cluster_api_", "clusterctl_", "mcapi_", "magnum_cluster_api_", "magnum_capi_"}
}

var identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// checkUnknown finds variables of the operator's that nothing reads and no template needs. Ansible is silent about
// them; a misspelt one would have no effect, and nobody would hear of it.
func (r *reader) checkUnknown() {
	known := r.knownVariables()
	names := slices.Sorted(maps.Keys(known))
	needed := map[string]bool{}
	for _, s := range r.scopes {
		for _, name := range s.vars.Names() {
			if d, ok := s.vars.Defined(name); ok {
				words(d.Value, needed)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(r.scopes)) {
		vars := r.scopes[host].vars
		for _, name := range vars.Names() {
			d, ok := vars.Defined(name)
			if !ok || known[name] || needed[name] || !strings.HasPrefix(d.Pos.File, r.opts.Config+"/") {
				continue
			}
			if slices.ContainsFunc(vars.Definitions(name), func(d osa.Definition) bool { return !strings.HasPrefix(d.Pos.File, r.opts.Config+"/") }) {
				continue // OpenStack-Ansible has it, for a role of its own
			}
			if i := slices.IndexFunc(names, func(k string) bool { return oneSlip(name, k) }); i >= 0 {
				r.warn("unknown-variable", d.Pos, "write "+names[i]+" if that is meant", "nothing reads %s", name)
			} else if slices.ContainsFunc(spaces(), func(space string) bool { return strings.HasPrefix(name, space) }) {
				r.warn("unknown-variable", d.Pos, "correct its name, or take it away", "nothing reads %s: it has no effect", name)
			}
		}
	}
}

// knownVariables are those that were asked for, that a role has a default of, and that the original reads.
func (r *reader) knownVariables() map[string]bool {
	out := maps.Clone(r.asked)
	for _, s := range r.scopes {
		maps.Copy(out, s.read)
		for _, name := range s.vars.Names() {
			if strings.HasPrefix(s.vars.Definitions(name)[0].Level, roleDefault) {
				out[name] = true
			}
		}
	}
	return out
}

// words adds the identifiers in the texts of a value: what a template may need.
func words(v osa.Value, into map[string]bool) {
	switch v := v.(type) {
	case string:
		for _, w := range identifier.FindAllString(v, -1) {
			into[w] = true
		}
	case *osa.Map:
		for _, e := range v.Entries() {
			words(e.Value, into)
		}
	case *osa.List:
		for _, item := range v.Items() {
			words(item, into)
		}
	case *osa.Tagged:
		words(v.Value, into)
	}
}

// oneSlip says that b becomes a by one slip of the fingers: a letter too much, too few, another one, or two of them
// swapped.
func oneSlip(a, b string) bool {
	if a == b || len(a) > len(b)+1 || len(b) > len(a)+1 {
		return false
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) > len(y):
		return x[1:] == y
	case len(x) < len(y):
		return x == y[1:]
	case x[1:] == y[1:]:
		return true
	}
	return len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
}
