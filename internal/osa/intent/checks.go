package intent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// checks look at a finished Intent. Each tells everything it finds; none stops another.
func checks() []func(*reader) {
	return []func(*reader){
		// names and addresses
		(*reader).checkDrawn, (*reader).checkVIPs, (*reader).checkHostAddresses, (*reader).checkRanges, (*reader).checkOverlaps, (*reader).checkPodRoom, (*reader).checkFamily,
		// what fits together
		(*reader).checkVersions, (*reader).checkRegistries, (*reader).checkMatrix, (*reader).checkWorkloads,
		// nodes
		(*reader).checkNodes, (*reader).checkNodeNames, (*reader).checkControlPlane, (*reader).checkConntrack, (*reader).checkLXC, (*reader).checkAgreement,
		// load balancers
		(*reader).checkServices, (*reader).checkExposure, (*reader).checkReach, (*reader).checkBackends,
		// certificates and where things come from
		(*reader).checkCustomCA, (*reader).checkSources, (*reader).checkNoProxy,
		// Magnum, proxy, backups
		(*reader).checkMagnum, (*reader).checkService, (*reader).checkEndpoint, (*reader).checkCAFiles, (*reader).checkReplaced,
		(*reader).checkProxyHosts, (*reader).checkProxies, (*reader).checkBackups,
		// what else works on these hosts
		(*reader).checkOwnPlay,
		// what would be written down and not be understood
		(*reader).checkValues,
		// what is set and has no effect
		(*reader).checkIgnored, (*reader).checkUnknown, (*reader).checkEntities,
	}
}

func (r *reader) check() error {
	for _, f := range append(r.vars.Findings, r.roles.Findings...) { // both read the same files
		r.add(f.Severity, f.Code, f.Pos, f.Fix, "%s", f.Text)
	}
	for _, look := range checks() {
		look(r)
	}
	return nil
}

// at is where a field was written, or the file it belongs into.
func (r *reader) at(path string) osa.Pos {
	if pos := r.in.Origin(path).Pos; pos.File != "" {
		return pos
	}
	group := groupNodes
	if strings.HasPrefix(path, "magnum.") || strings.HasPrefix(path, "versions.magnum") {
		group = groupMagnum
	}
	if strings.HasPrefix(path, "proxy.") {
		return osa.Pos{File: filepath.Join(r.opts.Config, "user_variables.yml")}
	}
	file := filepath.Join(r.opts.Config, "group_vars", group)
	for _, name := range []string{"/main.yml", "/defaults.yml", ".yml"} {
		if _, err := os.Stat(file + name); err == nil {
			return osa.Pos{File: file + name}
		}
	}
	return osa.Pos{File: file}
}

// operators says whether a file is in the operator's directory, however that was named.
func (r *reader) operators(file string) bool {
	below, err := filepath.Rel(r.opts.Config, file)
	return err == nil && file != "" && filepath.IsLocal(below)
}

// lost says that a field is empty because its variable cannot be evaluated, which was told.
func (r *reader) lost(path string) bool { return r.broken[r.in.Origin(path).Variable] }

// show is a value for a message, unless it is secret.
func (r *reader) show(path string, value any) string {
	if r.in.Origin(path).Secret {
		return mask
	}
	return fmt.Sprint(value)
}

// checkDrawn finds containers whose names and addresses the next run would draw anew.
func (r *reader) checkDrawn() {
	if n := len(r.in.Drawn); n > 0 {
		r.warn("not-in-inventory", osa.Pos{File: filepath.Join(r.src.Dir, osa.InventoryFile)}, "keep them with jeroboam inventory --write before anything is deployed",
			"%d containers are not in the inventory yet, %s first: their names and addresses are random and hold for this run only", n, r.in.Drawn[0])
	}
}

// checkAgreement finds what is meant for the cluster as a whole and differs between its nodes: the first node's value
// counts.
func (r *reader) checkAgreement() {
	first := r.first()
	for name := range first.read {
		if strings.HasPrefix(name, "lxc_") || name == "kubelet_hostname" || name == "kubelet_node_ip" || name == "container_networks" || name == "openstack_host_nf_conntrack_max" {
			continue // each node has its own
		}
		v, ok := first.vars.Variable(name)
		if !ok || v.Err != nil {
			continue
		}
		for _, n := range r.in.Nodes[1:] {
			other, ok := r.scopes[n.Name].vars.Variable(name)
			if ok && other.Err == nil && !osa.Equal(osa.Reveal(v.Value), osa.Reveal(other.Value)) {
				r.warn("nodes-differ", other.Origin.Pos, "set it for the group k8s_all", "%s of %s differs from that of %s, which is used for the whole cluster", name, n.Name, first.host)
			}
		}
	}
}
