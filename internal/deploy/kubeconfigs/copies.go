package kubeconfigs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// group is that of copies in a plan, Step what a run says that it is doing with them.
const (
	group = "kubeconfig"
	Step  = "copy kubeconfigs"
)

// account is the fleet's (docs/proxy.md), by whose token that never ends a proxy works which somebody has set up by
// hand.
const account = "jeroboam-proxy"

// Copy is a kubeconfig of the management cluster at a place that is no part of it. OpenStack-Ansible makes the place
// and the user; where one is missing there is no copy.
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

// Source is where kubeconfigs come from: the management cluster.
type Source struct {
	// Want are all copies that there can be.
	Want []Copy
	// Hosts are the agents of nodes, Admins the places of those that have an admin.conf.
	Hosts  site.Hosts
	Admins map[string]site.Place
	// Server is the address that clients know.
	Server string
	// API connects to the API server, nil if none answers.
	API func(ctx context.Context) (client.Client, error)
}

// Proxy is the kubeconfig of the proxy's account: the cluster's address and authority as an administrator knows them,
// and the account's own token.
func (s Source) Proxy(ctx context.Context) (string, error) {
	c, err := s.API(ctx)
	if err != nil {
		return "", err
	}
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: account, Name: account}, &secret); err != nil {
		return "", fmt.Errorf("read the proxy's credential: %w", err)
	}
	ca, token := secret.Data[corev1.ServiceAccountRootCAKey], string(secret.Data[corev1.ServiceAccountTokenKey])
	if len(ca) == 0 || token == "" {
		return "", errors.New("the proxy's account has no token yet")
	}
	return kube.Config(s.Server, ca, account, clientcmdapi.AuthInfo{Token: token})
}

// Hosts are the physical hosts of copies. Not all of them need to be reached.
func Hosts(all []Copy) []string {
	var out []string
	for _, c := range all {
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
	// Sums are the digests of nodes' admin.conf by node; Proxy is that of the proxy's kubeconfig, "" if the cluster has no
	// such account.
	Sums  map[string]string
	Proxy string
}

// Look looks at all copies. What cannot be looked at is noted: a deployment does not depend on Magnum's hosts.
func Look(ctx context.Context, h site.Hosts, unreached map[string]error, from Source) Copies {
	c := Copies{Hosts: h, Sums: map[string]string{}}
	for node, at := range from.Admins {
		if text, err := site.Ask[string](ctx, from.Hosts, at, host.OpRead, host.AdminConf); err == nil {
			c.Sums[node] = sum(text)
		}
	}
	if slices.ContainsFunc(from.Want, func(c Copy) bool { return !c.Admin }) && from.API != nil {
		if text, err := from.Proxy(ctx); err == nil {
			c.Proxy = sum(text)
		}
	}
	facts, errs := site.LookAtAll(ctx, h, Hosts(from.Want))
	users := passwords{}
	absent := map[site.Place]map[string][]string{} // users by reason
	for _, one := range from.Want {
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
	c.note(from.Want, absent)
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
				c.Notes = append(c.Notes, plan.Finding{Judge: group, Where: p.Name(), Text: "no kubeconfig for " + strings.Join(absent[p][why], " or ") + ": " + why})
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
// Fresh are nodes that get another admin.conf.
func (c Copies) Plan(p plan.Plan, fresh map[string]bool) plan.Plan {
	for i, one := range c.Here {
		change := plan.Compare(c.thing(one, c.Have[i]), c.Have[i])
		if at := c.nodeOf(c.Have[i]["sha256"]); change == nil && one.Admin && (at == "" || fresh[at]) {
			change = &plan.Change{Place: one.Place.Name(), Group: group, Kind: "file", Name: one.Path, Action: plan.Update, Summary: "the administrator's credential is renewed"}
		}
		if change != nil {
			p.Changes = append(p.Changes, *change)
			if one.Unit != "" && c.Have[i] != nil {
				p.Changes = append(p.Changes, plan.Change{Place: one.Place.Name(), Group: group, Kind: "unit", Name: one.Unit, Action: plan.Restart, Summary: "if it runs: it reads " + one.Path + " when it starts"})
			}
		}
	}
	p.Findings = append(p.Findings, c.Notes...)
	return p
}

// thing is a copy as it should be. Any member's admin.conf will do.
func (c Copies) thing(one Copy, have plan.Facts) plan.Thing {
	t := plan.Thing{Place: one.Place.Name(), Group: group, Kind: "file", Name: one.Path, Secret: true, Want: plan.Facts{"mode": "0600", "owner": one.User + ":" + one.Group}}
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

// Apply writes the copies that the plan has. Originals are read when everything else is done, and stay in memory: of a
// node's admin.conf, or of the proxy's own.
func (c Copies) Apply(ctx context.Context, r site.Run, p plan.Plan, original func(ctx context.Context, admin bool) (string, error)) error {
	texts := map[bool]string{}
	for _, one := range c.Here {
		name := one.Place.Name()
		if !p.Touches(name, "file", one.Path) {
			continue
		}
		if texts[one.Admin] == "" {
			text, err := original(ctx, one.Admin)
			if err != nil {
				return err
			}
			texts[one.Admin] = text
		}
		dir := &host.File{Path: path.Dir(one.Path), Dir: true, Once: true, Mode: one.Mode, Owner: one.User + ":" + one.Group}
		r.Say(Step, name, "%s", one.Path)
		if _, err := site.Ask[struct{}](ctx, c.Hosts, one.Place, host.OpEnsure, []host.Item{{File: dir}, {File: one.file(texts[one.Admin])}}); err != nil {
			return err
		}
		if one.Unit == "" || !p.Touches(name, "unit", one.Unit) {
			continue
		}
		restart := host.Command{Args: []string{"sh", "-c", "! systemctl -q is-active " + one.Unit + " || systemctl restart " + one.Unit}}
		if _, err := site.Ask[host.Output](ctx, c.Hosts, one.Place, host.OpRun, restart); err != nil {
			return err
		}
	}
	return nil
}
