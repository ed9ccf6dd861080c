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

// rolesOwn are variables of the collection's roles (vexxhost.kubernetes, vexxhost.containers) and of os_magnum that say
// where things are downloaded from, where they are put and how they are checked.
func rolesOwn() []string {
	out := []string{
		"kubernetes_repository_apt", "kubernetes_non_init_namespace", "kubernetes_bootstrap_node", "kubernetes_cri_socket", "kubernetes_node_ip",
		"kubelet_package_dependencies", "kubelet_cri_socket", "kubelet_sysctls", "cilium_helm_chart_path",
		"clusterctl_checksums", "clusterctl_download_url", "clusterctl_download_dest", "clusterctl_binary_checksum", "clusterctl_config_file", "clusterctl_providers",
		"containerd_archive_checksums", "containerd_download_url", "containerd_download_dest", "containerd_cfg_dir", "containerd_cfg_file",
		"containerd_oom_score", "containerd_max_container_log_line_size", "containerd_limit_proc_num", "containerd_limit_core",
		"containerd_limit_open_file_num", "containerd_limit_mem_lock", "containerd_snapshotter_platform",
		"magnum_capi_ca_file", "magnum_capi_pip_packages", "magnum_capi_build_requirements", "magnum_capi_control_cluster_group",
		"magnum_capi_network_drivers", "magnum_capi_network_driver_default", "magnum_capi_vexxhost_rust_cargo_config", "magnum_capi_vexxhost_rust_cargo_config_path",
	}
	for _, program := range []string{"kubeadm", "kubectl", "kubelet"} {
		for _, what := range []string{"checksums", "download_url", "download_dest", "binary_checksum", "package_name"} {
			out = append(out, program+"_"+what)
		}
	}
	return out
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
			if strings.HasPrefix(name, "magnum_capi_") && r.in.Magnum.Service.Implementation == ImplementationMagnum {
				continue // OpenStack's own roles read it
			}
			if slices.ContainsFunc(vars.Definitions(name), func(d osa.Definition) bool { return !r.operators(d.Pos.File) }) {
				continue // OpenStack-Ansible has it, for a role of its own
			}
			if slices.Contains(rolesOwn(), name) {
				r.note("ignored", d.Pos, "leave it, or take it away", "%s has no effect: it steers how OpenStack-Ansible's own roles install", name)
			} else if i := slices.IndexFunc(names, func(k string) bool { return oneSlip(name, k) }); i >= 0 {
				r.warn("unknown-variable", d.Pos, "write "+names[i]+" if that is meant", "nothing here reads %s", name)
			} else if slices.ContainsFunc(spaces(), func(space string) bool { return strings.HasPrefix(name, space) }) {
				r.warn("unknown-variable", d.Pos, "correct its name, or take it away if no playbook of your own has it", "nothing here reads %s", name)
			}
		}
	}
}

// checkEntities finds variables of groups and hosts that are not there: nobody reads their files.
func (r *reader) checkEntities() {
	var groups, hosts []string
	for _, g := range r.inv.Groups() {
		groups = append(groups, g.Name)
	}
	for _, h := range r.inv.Hosts() {
		hosts = append(hosts, h.Name)
	}
	for _, e := range osa.Entities(r.opts.Config) {
		pos, kind, names := osa.Pos{File: e.Path}, "group", groups
		if e.Kind == osa.HostVarsDir {
			kind, names = "host", hosts
		}
		switch {
		case e.Stray:
			continue // a README, a copy that an editor or a package has left
		case e.Shadowed:
			r.warn("unknown-group", pos, "have one of them", "nothing reads this: Ansible takes another file or directory for the %s %s", kind, e.Name)
			continue
		case r.inv.Has(e):
			continue
		}
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

// isOther says whether two names differ as an endpoint's URI and its URL do.
func isOther(a, b string) bool {
	return strings.HasSuffix(a, "uri") && strings.HasSuffix(b, "url") || strings.HasSuffix(a, "url") && strings.HasSuffix(b, "uri")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

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
	if x != "" && y != "" && (isDigit(x[0]) && isDigit(y[0]) || isOther(a, b)) {
		return false // another number is meant, and OpenStack-Ansible has both _uri and _url
	}
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
