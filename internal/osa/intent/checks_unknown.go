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

// checkUnknown finds variables of the operator's that nothing reads and no other variable mentions. Ansible is silent
// about them; a misspelt one would have no effect, and nobody would hear of it.
func (r *reader) checkUnknown() {
	known := r.knownVariables()
	names := slices.Sorted(maps.Keys(known))
	mentioned := r.mentions()
	for _, host := range slices.Sorted(maps.Keys(r.scopes)) {
		vars := r.scopes[host].vars
		for _, name := range vars.Names() {
			d, ok := vars.Defined(name)
			if !ok || known[name] || mentioned.has(name) || !r.operators(d.Pos.File) {
				continue
			}
			if slices.ContainsFunc(vars.Definitions(name), func(d osa.Definition) bool { return !r.operators(d.Pos.File) }) {
				continue // OpenStack-Ansible has it, for a role of its own
			}
			if i := slices.IndexFunc(names, func(k string) bool { return oneSlip(name, k) }); i >= 0 {
				r.warn("unknown-variable", d.Pos, "write "+names[i]+" if that is meant", "nothing here reads %s", name)
			} else if slices.ContainsFunc(spaces(), func(space string) bool { return strings.HasPrefix(name, space) }) {
				r.warn("unknown-variable", d.Pos, "correct its name, or take it away if no playbook of your own has it", "nothing here reads %s", name)
			}
		}
	}
}

// checkEntities finds variables of groups and hosts that are not there: nobody reads their files.
func (r *reader) checkEntities() {
	for _, e := range osa.Entities(r.opts.Config) {
		if r.inv.Has(e.Name) {
			continue
		}
		kind, names := "group", []string{}
		for _, g := range r.inv.Groups() {
			names = append(names, g.Name)
		}
		if e.Kind == "host_vars" {
			kind, names = "host", nil
			for _, h := range r.inv.Hosts() {
				names = append(names, h.Name)
			}
		}
		pos := osa.Pos{File: e.Path}
		if i := slices.IndexFunc(names, func(n string) bool { return oneSlip(e.Name, n) }); i >= 0 {
			r.warn("unknown-group", pos, "write "+names[i]+" if that is meant", "there is no %s %s, so nothing reads this", kind, e.Name)
		} else {
			r.note("unknown-group", pos, "take it away if it is no longer meant", "there is no %s %s, so nothing reads this", kind, e.Name)
		}
	}
}

// mentions are identifiers in the texts of variables, with the variables that mention each.
type mentions map[string]map[string]bool

// has says whether another variable mentions one, or the beginning of its name up to an underscore, of which a template
// may put the name together.
func (m mentions) has(name string) bool {
	if by := m[name]; len(by) > 1 || len(by) == 1 && !by[name] {
		return true
	}
	for i, c := range name {
		if c == '_' && m[name[:i+1]] != nil {
			return true
		}
	}
	return false
}

func (r *reader) mentions() mentions {
	out := mentions{}
	for _, s := range r.scopes {
		for _, name := range s.vars.Names() {
			if d, ok := s.vars.Defined(name); ok {
				out.add(d.Value, name)
			}
		}
	}
	return out
}

func (m mentions) add(v osa.Value, by string) {
	switch v := v.(type) {
	case string:
		for _, word := range identifier.FindAllString(v, -1) {
			if m[word] == nil {
				m[word] = map[string]bool{}
			}
			m[word][by] = true
		}
	case *osa.Map:
		for _, e := range v.Entries() {
			m.add(e.Value, by)
		}
	case *osa.List:
		for _, one := range v.Items() {
			m.add(one, by)
		}
	case *osa.Tagged:
		m.add(v.Value, by)
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
