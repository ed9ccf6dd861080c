// Package magnum puts Magnum's service on the hosts of magnum_all: Jeroboam's server in place of magnum-api and
// magnum-conductor, with the configuration and the credentials that OpenStack-Ansible's role os_magnum would give them.
//
// Inspect finds out who serves there, and who is to: by the operator's word and by what is there. What a place should
// have is At: Want, or the way back to OpenStack's own Magnum. All of it is pure. A Run changes servers, one at a time.
// The account in Keystone is another room's.
package magnum

import (
	_ "embed"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Where things are on a host of Magnum. The configuration is where the role os_magnum has it: what it wrote is kept
// beside.
const (
	unit       = "jeroboam.service"
	kubeconfig = host.Etc + "/server.kubeconfig"

	configFile   = "/etc/magnum/magnum.conf"
	policyFile   = "/etc/magnum/policy.yaml"
	authorities  = "/etc/magnum/openstack-ca.pem"
	kept         = ".openstack-ansible" // what follows the name of a file that os_magnum wrote
	catalogueDir = "/usr/local/share/jeroboam/addons"
	unitFile     = "/etc/systemd/system/" + unit
	argsFile     = "/etc/default/jeroboam"
	account      = "magnum" // the system's user, as the role makes it
)

// Group is that of its items in a list, and of their changes in a plan.
const Group = "magnum"

// commonName is whom the management cluster's role is for (internal/crd/manifests/rbac.yaml).
const commonName = "jeroboam"

//go:embed jeroboam.service
var unitText string

// Wish is what all places have in common.
type Wish struct {
	Intent intent.Intent
	// Program is the digest of the program that the hosts' agents are.
	Program string
	// Catalogue is what is installed into workload clusters: digests by path; empty if the bundle has none.
	Catalogue map[string]string
	// Server is the API server's URL, Authority the hash of its authority's public key, "" before there is one.
	Server    string
	Authority string
	// Renew is how long before its end the certificate is renewed.
	Renew time.Duration
}

// theirs are the units of OpenStack's own Magnum, in the order in which they stop; they start in the other one. The
// roles uwsgi and systemd_service name them so.
func theirs() []string { return []string{"magnum-api.service", "magnum-conductor.service"} }

// At is what a place should have, by what was found: Jeroboam's server, or the way back to OpenStack's own. Where
// neither is to be and ours has never been, that is nothing.
func At(w Wish, found World, h intent.MagnumHost) []host.Item {
	here := found.Places[site.At(h.Where()).Name()]
	switch {
	case found.Serves == intent.ImplementationJeroboam:
		return Want(w, h)
	case here.Ours:
		return leave(here)
	}
	return nil
}

// Want is what a place of Jeroboam's server should have, in the order of the work: OpenStack's own Magnum stops when
// everything is there that serves in its stead.
func Want(w Wish, h intent.MagnumHost) []host.Item {
	out := []host.Item{
		{User: &host.User{Name: account, Home: "/var/lib/magnum", Comment: "Magnum System User"}},
		{File: &host.File{Path: path.Dir(configFile), Dir: true, Once: true, Mode: 0o750, Owner: "root:" + account}},
		{File: &host.File{Path: path.Dir(kubeconfig), Dir: true, Once: true}},
		{File: &host.File{Path: host.Program, Self: true, Blob: w.Program, Mode: 0o755}},
		{Aside: &host.Aside{Path: configFile, To: configFile + kept, Mark: host.Mark}},
		{File: &host.File{Path: configFile, Content: Config(w.Intent, h), Mode: 0o640, Owner: "root:" + account, Secret: true}},
		{Aside: &host.Aside{Path: policyFile, To: policyFile + kept, Mark: host.Mark}},
		{File: &host.File{Path: policyFile, Content: policy(w.Intent.Magnum.Service.Policy), Mode: 0o640, Owner: "root:" + account}},
	}
	uses := []string{host.Program, configFile, policyFile, unitFile, argsFile, kubeconfig}
	for _, f := range trusted(w.Intent) {
		out = append(out, host.Item{File: &f})
		uses = append(uses, f.Path)
	}
	for _, i := range backendTLS(w, h) {
		out = append(out, i)
		uses = append(uses, tlsPaths(i)...)
	}
	args := ""
	for _, name := range slices.Sorted(maps.Keys(w.Catalogue)) {
		out = append(out, host.Item{File: &host.File{Path: path.Join(catalogueDir, name), Blob: w.Catalogue[name]}})
		uses = append(uses, path.Join(catalogueDir, name))
		args = "ARGS=--addon-catalogue=" + catalogueDir + "\n"
	}
	out = append(
		out,
		host.Item{Credential: &host.Credential{
			Path: kubeconfig, Mode: 0o640, Owner: "root:" + account, Server: w.Server, Authority: w.Authority, User: commonName, Before: w.Renew,
		}},
		host.Item{File: &host.File{Path: argsFile, Content: host.Mark + args}},
		host.Item{File: &host.File{Path: unitFile, Content: strings.Replace(unitText, "[Service]\n", "[Service]\nEnvironmentFile="+argsFile+"\n", 1)}},
	)
	for _, name := range theirs() {
		out = append(out, host.Item{Unit: &host.Unit{Name: name, Gone: true}})
	}
	return append(out, host.Item{Unit: &host.Unit{Name: unit, Enabled: true, Active: true, Uses: uses}})
}

// leave is the way back: our server stops, what os_magnum wrote is in its place again, its services run. The unit's
// file goes last: as long as it is there, a run that was killed is known to have more to do.
func leave(f Found) []host.Item {
	out := []host.Item{
		{Unit: &host.Unit{Name: unit, Gone: true}},
		{Aside: &host.Aside{Path: configFile, To: configFile + kept, Mark: host.Mark, Back: true}},
		{Aside: &host.Aside{Path: policyFile, To: policyFile + kept, Mark: host.Mark, Back: true}},
	}
	for _, p := range []string{kubeconfig, argsFile, authorities} {
		out = append(out, host.Item{File: &host.File{Path: p, Gone: true}})
	}
	names := theirs()
	slices.Reverse(names) // an API without a conductor would answer and do nothing
	for _, name := range names {
		if f.Theirs {
			out = append(out, host.Item{Unit: &host.Unit{Name: name, Enabled: true, Active: true}})
		}
	}
	return append(out, host.Item{File: &host.File{Path: unitFile, Gone: true}})
}

// AddGone adds to a list what a deployment that is removed has put at places of magnum_all. Containers that it made,
// and into which nobody else has moved, go as a whole instead: they are returned.
func AddGone(l *site.List, o site.Outside, in intent.Intent, found World, programToo bool) (boxes []site.Place) {
	for _, h := range in.Magnum.Hosts {
		p := site.At(h.Where())
		here := found.Places[p.Name()]
		switch {
		case p.Container != "" && o.Facts[p.Host].Made[p.Container] && !here.Theirs:
			boxes = append(boxes, p)
		case here.Ours:
			l.Place(p)
			l.AddOnce(p.Name(), Group, append(noTLS(in, h, here), gone(programToo)...)...)
		}
	}
	return boxes
}

// gone is a place that nobody is to serve from: what a deployment that is removed had there. Without the program, if
// that is somebody else's as well. The unit's file goes last here too.
func gone(program bool) []host.Item {
	out := leave(Found{Ours: true})
	last := out[len(out)-1]
	out = append(out[:len(out)-1], host.Item{File: &host.File{Path: catalogueDir, Gone: true}})
	if program {
		out = append(out, host.Item{File: &host.File{Path: host.Program, Gone: true}})
	}
	return append(out, last)
}

// trusted are the files with authorities that the configuration names, those that we have the content of. Others have
// to be on the host; the server says so if they are not.
func trusted(in intent.Intent) []host.File {
	var out []host.File
	if own := bundleOf(in); own != "" {
		out = append(out, host.File{Path: authorities, Content: own})
	}
	for _, p := range []string{in.Magnum.DriversCAFile, in.Magnum.CAPIClientCAFile} {
		text, ok := in.Magnum.Service.Authorities[strings.TrimSuffix(path.Base(p), ".crt")]
		known := slices.ContainsFunc(out, func(f host.File) bool { return f.Path == p })
		if ok && path.IsAbs(p) && !known {
			out = append(out, host.File{Path: p, Content: text})
		}
	}
	return out
}

// bundleOf are OpenStack-Ansible's own authorities, which the internal endpoints' certificates come from.
func bundleOf(in intent.Intent) string {
	text := ""
	all := in.Magnum.Service.Authorities
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += strings.TrimSpace(all[name]) + "\n"
	}
	return text
}
