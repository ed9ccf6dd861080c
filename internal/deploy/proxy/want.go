// Package proxy puts Jeroboam's proxy on the hosts of mcapi_vexxhost_proxy_hosts, beside Neutron's namespaces, in place
// of magnum-cluster-api-proxy, and "jeroboam proxy access" beside the management cluster.
//
// Inspect finds out what is on the hosts, and which of the two proxies they are to have. A Wish adds to a list what
// hosts should have, or the way back to the old proxy, and what nodes should have for the fleet's rights; that is pure.
// A Run changes hosts. Each has a token of its own, bound to a Secret of the host's name: whoever deletes the Secret
// ends it, for that host alone, and a run ends those of who is Left.
package proxy

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/manifests"
)

// Where things are on a host of the proxy, as docs/proxy.md has them.
const (
	template   = "jeroboam-proxy@"
	Kubeconfig = host.Etc + "/proxy.kubeconfig"
	// accessKubeconfig is that of "jeroboam proxy access", on a node.
	accessKubeconfig = host.Etc + "/proxy-access.kubeconfig"
	// Old is the unit of the collection's proxy (vexxhost.kubernetes: mcapi_proxy).
	Old = "magnum-cluster-api-proxy.service"
	// User is the system's user that our proxy runs as.
	User = "jeroboam-proxy"

	unitFile    = "/etc/systemd/system/" + template + ".service"
	environment = "/etc/default/jeroboam-proxy"
	oldHosts    = "--old-hosts"

	accessUnit     = "jeroboam-proxy-access.service"
	accessUnitFile = "/etc/systemd/system/" + accessUnit
	accessDefaults = "/etc/default/jeroboam-proxy-access"
)

// Group and GroupAccess are those of items in a list, and of their changes in a plan: of the proxy's hosts, and of
// nodes with "jeroboam proxy access".
const (
	Group       = "proxy"
	GroupAccess = "proxy access"
)

// defaultPort is taken where the operator has named none: only with a fixed one does a new process take over without a
// refused connection.
const defaultPort = "8443"

// Wish is what all hosts have in common.
type Wish struct {
	// Program is the digest of the program that the hosts' agents are.
	Program string
	// Server is the API server's URL, Authority the hash of its authority's public key, "" before there is one.
	Server    string
	Authority string
	// Renew is how long before its end a token is renewed.
	Renew time.Duration
}

// Found is what is on a host before anything is done there.
type Found struct {
	// Ours: Jeroboam's proxy is installed there. Theirs: the old proxy's unit runs or starts at boot.
	Ours, Theirs bool
	// OldHosts: ours has been told that there are hosts with the old one.
	OldHosts bool
}

// witnesses are what Found is told by.
func witnesses() []host.Item {
	return []host.Item{{File: &host.File{Path: unitFile, Once: true}}, {Unit: &host.Unit{Name: Old, Gone: true}}, {File: &host.File{Path: environment}}}
}

// foundBy reads what was seen of the witnesses.
func foundBy(seen []plan.Facts) Found {
	return Found{Ours: seen[0] != nil, Theirs: seen[1] != nil, OldHosts: strings.Contains(seen[2]["content"], oldHosts)}
}

// runs decides which proxy the hosts have: the operator's word; without one, the old proxy stays as long as OpenStack's
// own Magnum serves and somebody has it. The finding says so; it is empty otherwise.
func runs(in intent.Intent, serves string, found map[string]Found) (which string, why plan.Finding) {
	var theirs []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name].Theirs {
			theirs = append(theirs, name)
		}
	}
	say := func(text string) plan.Finding {
		return plan.Finding{Judge: "proxy", Where: in.Proxy.Pattern, Text: text}
	}
	switch which = in.Proxy.Implementation; {
	case len(in.Proxy.Hosts) == 0:
		return "", plan.Finding{}
	case which == "" && serves == intent.ImplementationMagnum && len(theirs) > 0:
		return intent.ImplementationOldProxy, say("magnum-cluster-api-proxy is installed and stays, as OpenStack's own Magnum does; " +
			"magnum_proxy_implementation: jeroboam puts Jeroboam's proxy in its place, host by host")
	case which == "":
		which = intent.ImplementationJeroboam
	}
	if which == intent.ImplementationJeroboam && len(theirs) > 0 {
		return which, say("magnum-cluster-api-proxy stops, host by host, on " + strings.Join(theirs, ", ") + ". Its files stay as they are")
	}
	return which, plan.Finding{}
}

// AddTo adds to a list what the proxies' hosts and the nodes of the cluster should have, by what was found. lost are
// hosts that nobody reaches.
func (w Wish) AddTo(l *site.List, in intent.Intent, nodes []intent.Node, found World, g Grants, lost map[string]error) {
	old := stillOld(in, lost, found)
	for _, h := range in.Proxy.Hosts {
		p := site.At(h.Where())
		switch {
		case found.Runs == intent.ImplementationJeroboam:
			l.Place(p)
			l.AddOnce(p.Name(), Group, want(w, h, g.Fleet[h.Name], old)...)
		case found.Hosts[h.Name].Ours:
			l.Place(p)
			l.Add(p.Name(), Group, leave()...)
		}
	}
	for _, n := range nodes {
		p := site.Place{Host: n.PhysicalHost, Container: n.Name}
		switch {
		case found.Runs == intent.ImplementationJeroboam:
			l.Place(p)
			l.Add(n.Name, GroupAccess, accessItems(w, g.Nodes[n.Name], always(in.Proxy.Hosts))...)
		case g.Nodes[n.Name] != "": // for a fleet that is none any more
			l.Place(p)
			l.Add(n.Name, GroupAccess, accessGone()...)
		}
	}
}

// stillOld says whether there may be hosts with the old proxy when a run has ended: those that nobody reaches, as long
// as anything is known of old ones.
func stillOld(in intent.Intent, lost map[string]error, found World) bool {
	known := slices.ContainsFunc(slices.Collect(maps.Values(found.Hosts)), func(f Found) bool { return f.Theirs || f.OldHosts })
	return known && slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return lost[h.PhysicalHost] != nil })
}

// want is what a host should have, in the order of the work: the old proxy has stopped before ours starts, which takes
// the same port and the same name in the fleet. Its token is bound to a Secret, whose UID is "" before it is made; old
// says that there are hosts with the old proxy.
func want(w Wish, h intent.ProxyHost, bound string, old bool) []host.Item {
	return []host.Item{
		{User: &host.User{Name: User, Home: "/nonexistent", Comment: "Jeroboam proxy"}},
		{File: &host.File{Path: host.Etc, Dir: true, Once: true}},
		{File: &host.File{Path: host.Program, Self: true, Blob: w.Program, Mode: 0o755}},
		{File: &host.File{Path: environment, Content: environmentOf(h, old)}},
		w.token(Kubeconfig, User, bound),
		{File: &host.File{Path: unitFile, Content: manifests.Unit}},
		{Unit: &host.Unit{Name: Old, Gone: true}},
		{Relay: &host.Relay{Template: template, Uses: []string{host.Program, environment, Kubeconfig, unitFile}}},
	}
}

// token is a kubeconfig with a token of its account, which is bound to the Secret of a host or node.
func (w Wish) token(path, owner, bound string) host.Item {
	return host.Item{Credential: &host.Credential{
		Path: path, Mode: 0o600, Owner: owner + ":" + owner, Server: w.Server, Authority: w.Authority,
		User: accountOf(path).subject(), Bound: cmp.Or(bound, "a Secret that is to be made"), Before: w.Renew,
	}}
}

// leave is the way back: our proxy stops, the old one runs again. The unit's file goes last: as long as it is there, a
// run that was killed is known to have more to do.
func leave() []host.Item {
	return []host.Item{
		{Relay: &host.Relay{Template: template, Gone: true}},
		{File: &host.File{Path: Kubeconfig, Gone: true}},
		{File: &host.File{Path: environment, Gone: true}},
		{Unit: &host.Unit{Name: Old, Enabled: true, Active: true}},
		{File: &host.File{Path: unitFile, Gone: true}},
	}
}

// AddGone adds to a list what a deployment that is removed has put on hosts of the proxy and on nodes. A container that
// it made goes with all that is in it.
func AddGone(l *site.List, o site.Outside, in intent.Intent, nodes []intent.Node, found World, programToo bool) {
	for _, h := range in.Proxy.Hosts {
		if p := site.At(h.Where()); found.Hosts[h.Name].Ours {
			l.Place(p)
			l.AddOnce(p.Name(), Group, gone(programToo)...)
		}
	}
	for _, n := range nodes {
		f := o.Facts[n.PhysicalHost]
		if f.Containers[n.Name] && !f.Made[n.Name] {
			l.Place(site.Place{Host: n.PhysicalHost, Container: n.Name})
			l.Add(n.Name, GroupAccess, accessGone()...)
		}
	}
}

// gone is a host that a deployment that is removed had our proxy on. Without the program, if that is somebody else's as
// well. The kubeconfig is removed with all others of the cluster.
func gone(programToo bool) []host.Item {
	out := []host.Item{{Relay: &host.Relay{Template: template, Gone: true}}, {File: &host.File{Path: environment, Gone: true}}}
	if programToo {
		out = append(out, host.Item{File: &host.File{Path: host.Program, Gone: true}})
	}
	return append(out, host.Item{File: &host.File{Path: unitFile, Gone: true}})
}

// environmentOf is /etc/default/jeroboam-proxy: mcapi_vexxhost_proxy_environment as it is, with a fixed port where it
// names none. Where it names no address either, clients reach the proxy on the management network, where they are: the
// host may have no default route, and one that leads elsewhere.
func environmentOf(h intent.ProxyHost, old bool) string {
	all := map[string]string{"PROXY_PORT": defaultPort}
	if h.Advertise == "" && h.ManagementAddress != "" {
		all["POD_IP"] = h.ManagementAddress
	}
	for name, value := range h.Environment {
		if name != "PROXY_PORT" || value != "" && value != "0" {
			all[name] = value
		}
	}
	if old {
		all["ARGS"] = strings.TrimSpace(all["ARGS"] + " " + oldHosts)
	}
	text := host.Mark
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += fmt.Sprintf("%s=%s\n", name, quoted(all[name]))
	}
	return text
}

// Addresses are where clients reach the proxies of a deployment, as environmentOf has them told.
func Addresses(in intent.Intent) []string {
	var out []string
	for _, h := range in.Proxy.Hosts {
		port := defaultPort
		if h.Port != 0 {
			port = strconv.Itoa(h.Port)
		}
		if at := cmp.Or(h.Advertise, h.ManagementAddress); at != "" {
			out = append(out, net.JoinHostPort(at, port))
		}
	}
	return out
}

// quoted is a value as systemd.exec(5) reads it from an environment file.
func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "\n", " ").Replace(value) + `"`
}

// accessItems is what a node of the management cluster should have, for "jeroboam proxy access": it keeps the names of
// proxied clusters' kubeconfigs in the fleet's role, and may do what no host of the proxy may. Its token is bound as a
// host's.
func accessItems(w Wish, bound string, always bool) []host.Item {
	defaults := host.Mark
	if always {
		defaults += "PROXY_ALWAYS=1\n"
	}
	unit := strings.Replace(manifests.AccessUnit, "[Service]\n", "[Service]\nEnvironmentFile="+accessDefaults+"\n", 1)
	return []host.Item{
		{File: &host.File{Path: host.Etc, Dir: true, Once: true}},
		{File: &host.File{Path: host.Program, Self: true, Blob: w.Program, Mode: 0o755}},
		{File: &host.File{Path: accessDefaults, Content: defaults}},
		w.token(accessKubeconfig, "root", bound),
		{File: &host.File{Path: accessUnitFile, Content: unit}},
		{Unit: &host.Unit{Name: accessUnit, Enabled: true, Active: true, Uses: []string{host.Program, accessDefaults, accessKubeconfig, accessUnitFile}}},
	}
}

// accessGone is a node that stays, of a deployment that is removed.
func accessGone() []host.Item {
	out := []host.Item{{Unit: &host.Unit{Name: accessUnit, Gone: true}}}
	for _, path := range []string{accessKubeconfig, accessDefaults, host.Program, accessUnitFile} {
		out = append(out, host.Item{File: &host.File{Path: path, Gone: true}})
	}
	return out
}

// always says whether any host proxies clusters with a floating address too, which is the same for all.
func always(hosts []intent.ProxyHost) bool {
	return slices.ContainsFunc(hosts, func(h intent.ProxyHost) bool { return h.Always })
}

// amongOldHosts is want for as long as other hosts have the old proxy.
func amongOldHosts(items []host.Item, h intent.ProxyHost) []host.Item {
	out := slices.Clone(items)
	for n, i := range out {
		if i.File != nil && i.File.Path == environment {
			file := *i.File
			file.Content = environmentOf(h, true)
			out[n].File = &file
		}
	}
	return out
}
