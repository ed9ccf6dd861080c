package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const (
	groupCopies = "kubeconfig"
	copyStep    = "copy kubeconfigs"
	// proxyAccount is the fleet's (docs/proxy.md), by whose token that never ends a proxy works which somebody has set up by hand.
	proxyAccount = "jeroboam-proxy"
)

// Copy is a kubeconfig of the management cluster at a place that is no part of it. OpenStack-Ansible makes the place and the user;
// where one is missing there is no copy.
type Copy struct {
	Place site.Place
	Path  string
	// Mode is the directory's; the file's is 0600. Both are User's and Group's.
	Mode        fs.FileMode
	User, Group string
	// Admin: it is a node's admin.conf. Otherwise it is the proxy's own credential, which may little.
	Admin bool
	// Unit reads it only when it starts; "" if nothing does.
	Unit string
}

// copiesOf are all that there can be: Magnum's driver and the collection's proxy work with the administrator's kubeconfig, as
// that collection does it; ours has an account of its own.
//
// Jeroboam's server has an account of its own as well, which its own room makes.
func copiesOf(in intent.Intent, serves, proxies string) []Copy {
	var out []Copy
	for _, c := range in.Magnum.Hosts {
		if serves == intent.ImplementationJeroboam {
			break
		}
		out = append(out, Copy{Place: site.At(c.Where()), Path: in.Magnum.KubeconfigPath, Mode: 0o755, User: "magnum", Group: "magnum", Admin: true})
	}
	for _, h := range in.Proxy.Hosts {
		if proxies == intent.ImplementationJeroboam {
			break
		}
		out = append(
			out,
			Copy{Place: site.At(h.Where()), Path: h.Kubeconfig, Mode: 0o750, User: h.User, Group: h.Group, Admin: true, Unit: proxy.Old},
			Copy{Place: site.At(h.Where()), Path: proxy.Kubeconfig, Mode: 0o755, User: proxy.User, Group: proxy.User},
		)
	}
	return out
}

// CopyHosts are the physical hosts of copies. Not all of them need to be reached.
func CopyHosts(in intent.Intent) []string {
	var out []string
	for _, c := range copiesOf(in, "", "") {
		if !slices.Contains(out, c.Place.Host) {
			out = append(out, c.Place.Host)
		}
	}
	return out
}

// Copies are the copies as they are.
type Copies struct {
	// Hosts are agents of all hosts that were reached.
	Hosts site.Hosts
	// Here are copies whose place and user are there, Have what is there of each. Notes say of the others why not.
	Here  []Copy
	Have  []plan.Facts
	Notes []plan.Finding
	// Sums are the digests of nodes' admin.conf by node; Proxy is that of the proxy's kubeconfig, "" if the cluster has no such account.
	Sums  map[string]string
	Proxy string
}

// LookAtCopies looks at all copies. What cannot be looked at is noted: a deployment does not depend on Magnum's hosts.
func LookAtCopies(ctx context.Context, h site.Hosts, unreached map[string]error, w Wanted, world World, dial site.Dialer) Copies {
	c := Copies{Hosts: h, Sums: map[string]string{}}
	for _, n := range w.Living() {
		if !world.Nodes[n.Name].AdminConf {
			continue
		}
		if text, err := site.Ask[string](ctx, h, w.Places[n.Name], host.OpRead, host.AdminConf); err == nil {
			c.Sums[n.Name] = sum(text)
		}
	}
	all := copiesOf(w.Intent, w.Serves, w.Proxies)
	if slices.ContainsFunc(all, func(c Copy) bool { return !c.Admin }) && world.Cluster.Reachable {
		if text, err := proxyKubeconfig(ctx, h, w, world, dial); err == nil {
			c.Proxy = sum(text)
		}
	}
	facts, errs := site.LookAtAll(ctx, h, CopyHosts(w.Intent))
	users := passwords{}
	absent := map[site.Place]map[string][]string{} // users by reason
	for _, one := range all {
		p := one.Place
		running, there := facts[p.Host].Containers[p.Container]
		why := ""
		switch {
		case unreached[p.Host] != nil:
			why = unreached[p.Host].Error()
		case errs[p.Host] != nil:
			why = errs[p.Host].Error()
		case p.Container != "" && !there:
			why = "the container is not there"
		case p.Container != "" && !running:
			why = "the container does not run"
		default:
			why = c.lookAtOne(ctx, users, one)
		}
		if why != "" {
			if absent[p] == nil {
				absent[p] = map[string][]string{}
			}
			absent[p][why] = append(absent[p][why], one.User)
		}
	}
	c.note(all, absent)
	return c
}

const noUser = "there is no such user"

// note tells of places without a copy. One of the proxy's two users is enough.
func (c *Copies) note(all []Copy, absent map[site.Place]map[string][]string) {
	for _, one := range all {
		p := one.Place
		served := slices.ContainsFunc(c.Here, func(o Copy) bool { return o.Place == p })
		for _, why := range slices.Sorted(maps.Keys(absent[p])) {
			if !served || why != noUser {
				c.Notes = append(c.Notes, plan.Finding{Judge: groupCopies, Where: p.Name(), Text: "no kubeconfig for " + strings.Join(absent[p][why], " or ") + ": " + why})
			}
		}
		delete(absent, p) // a place is told of once
	}
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// passwords are the users of places, read once.
type passwords map[site.Place]string

// lookAtOne adds a copy if its user is there, or says why not.
func (c *Copies) lookAtOne(ctx context.Context, users passwords, one Copy) string {
	text, known := users[one.Place]
	if !known {
		var err error
		if text, err = site.Read(ctx, c.Hosts, one.Place, "/etc/passwd"); err != nil {
			return err.Error()
		}
		users[one.Place] = text
	}
	switch {
	case !strings.Contains("\n"+text, "\n"+one.User+":"):
		return noUser
	case !one.Admin && c.Proxy == "":
		return "the cluster has no account for it (jeroboam proxy manifests)"
	}
	have, err := site.Observe(ctx, c.Hosts, one.Place, []host.Item{{File: one.file("")}})
	if err != nil {
		return err.Error()
	}
	c.Here, c.Have = append(c.Here, one), append(c.Have, have[0])
	return ""
}

// file is the item; its content never gets into a plan.
func (c Copy) file(text string) *host.File {
	return &host.File{Path: c.Path, Content: text, Mode: 0o600, Owner: c.User + ":" + c.Group, Secret: true}
}

// Plan adds the copies to a plan: those that are not as they should be, and those whose original the plan changes.
func (c Copies) Plan(p plan.Plan) plan.Plan {
	fresh := map[string]bool{} // nodes that get another admin.conf
	for _, change := range p.Changes {
		if change.Kind == kubeadm.Kind {
			fresh[change.Place] = true
		}
	}
	for i, one := range c.Here {
		change := plan.Compare(c.thing(one, c.Have[i]), c.Have[i])
		if at := c.nodeOf(c.Have[i]["sha256"]); change == nil && one.Admin && (at == "" || fresh[at]) {
			change = &plan.Change{Place: one.Place.Name(), Group: groupCopies, Kind: "file", Name: one.Path, Action: plan.Update, Summary: "the administrator's credential is renewed"}
		}
		if change != nil {
			p.Changes = append(p.Changes, *change)
			if one.Unit != "" && c.Have[i] != nil {
				p.Changes = append(p.Changes, plan.Change{Place: one.Place.Name(), Group: groupCopies, Kind: "unit", Name: one.Unit, Action: plan.Restart, Summary: "if it runs: it reads " + one.Path + " when it starts"})
			}
		}
	}
	p.Findings = append(p.Findings, c.Notes...)
	return p
}

// thing is a copy as it should be. Any member's admin.conf will do.
func (c Copies) thing(one Copy, have plan.Facts) plan.Thing {
	t := plan.Thing{Place: one.Place.Name(), Group: groupCopies, Kind: "file", Name: one.Path, Secret: true, Want: plan.Facts{"mode": "0600", "owner": one.User + ":" + one.Group}}
	switch {
	case !one.Admin:
		t.Want["sha256"] = c.Proxy
	case c.nodeOf(have["sha256"]) == "" && len(c.Sums) > 0:
		t.Want["sha256"] = "that of a node's admin.conf"
	}
	return t
}

func (c Copies) nodeOf(sum string) string {
	for node, s := range c.Sums {
		if s == sum && sum != "" {
			return node
		}
	}
	return ""
}

// copyKubeconfigs writes the copies that the plan has. The original is read when everything else is done, and stays in memory.
func (d *Deployment) copyKubeconfigs(ctx context.Context) error {
	texts := map[bool]string{}
	for _, one := range d.Copies.Here {
		name := one.Place.Name()
		if !d.planned(name, "file", one.Path) {
			continue
		}
		if texts[one.Admin] == "" {
			text, err := d.original(ctx, one)
			if err != nil {
				return err
			}
			texts[one.Admin] = text
		}
		dir := &host.File{Path: path.Dir(one.Path), Dir: true, Once: true, Mode: one.Mode, Owner: one.User + ":" + one.Group}
		d.Say(copyStep, name, "%s", one.Path)
		if _, err := site.Ask[struct{}](ctx, d.Copies.Hosts, one.Place, host.OpEnsure, []host.Item{{File: dir}, {File: one.file(texts[one.Admin])}}); err != nil {
			return err
		}
		if one.Unit == "" || !d.planned(name, "unit", one.Unit) {
			continue
		}
		restart := host.Command{Args: []string{"sh", "-c", "! systemctl -q is-active " + one.Unit + " || systemctl restart " + one.Unit}}
		if _, err := site.Ask[host.Output](ctx, d.Copies.Hosts, one.Place, host.OpRun, restart); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployment) original(ctx context.Context, one Copy) (string, error) {
	if !one.Admin {
		return proxyKubeconfig(ctx, d.Hosts, d.Wanted, d.World, d.Dial)
	}
	text, err := site.Ask[string](ctx, d.Hosts, d.place(d.control().FirstServing(ctx)), host.OpRead, host.AdminConf)
	if err != nil {
		return "", fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	return text, nil
}

// proxyKubeconfig is the kubeconfig of the proxy's account: the cluster's address and authority as an administrator knows them, and
// the account's own token.
func proxyKubeconfig(ctx context.Context, h site.Hosts, w Wanted, world World, dial site.Dialer) (string, error) {
	n := world.Bootstrap(w.Living())
	c, err := dial(ctx, h, w.Places[n.Name], net.JoinHostPort(n.NodeIP, fmt.Sprint(w.Intent.Kubernetes.BackendPort)))
	if err != nil {
		return "", err
	}
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: proxyAccount, Name: proxyAccount}, &secret); err != nil {
		return "", fmt.Errorf("read the proxy's credential: %w", err)
	}
	ca, token := secret.Data[corev1.ServiceAccountRootCAKey], string(secret.Data[corev1.ServiceAccountTokenKey])
	if len(ca) == 0 || token == "" {
		return "", errors.New("the proxy's account has no token yet")
	}
	return kube.Config("https://"+w.Intent.Endpoint(), ca, proxyAccount, clientcmdapi.AuthInfo{Token: token})
}
