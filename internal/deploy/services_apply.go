package deploy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const magnumStep = "change Magnum's servers"

// serviceRun is the run as far as services go: the same plan, with the services' own items and hosts.
type serviceRun struct {
	site.Work
	Intent intent.Intent
}

func (d *Deployment) services() serviceRun {
	w := d.work()
	w.Hosts, w.List, w.Seen = d.Outside, d.Services.List, d.Services.Seen
	return serviceRun{w, d.Services.Intent}
}

func (d *Deployment) bringServiceFiles(ctx context.Context) error {
	return d.services().BringFiles(ctx)
}

// register makes Magnum's account and endpoints: the servers log in with it.
func (d *Deployment) register(ctx context.Context) error {
	if len(d.Services.Keystone) == 0 || d.Services.Register == nil {
		return nil
	}
	return d.Services.Register(ctx, func(c plan.Change) {
		d.Say("register Magnum in Keystone", magnum.Place, "%s %s %s", c.Action, c.Kind, c.Name)
	})
}

// makeServiceContainers makes the containers of Magnum that nobody has made.
func (d *Deployment) makeServiceContainers(ctx context.Context) error {
	s := d.services()
	return s.Each(slices.Sorted(maps.Keys(s.List.Places)), []string{node.GroupContainer}, func(place string) error {
		return s.Bring(ctx, "make Magnum's containers", place, node.GroupContainer)
	})
}

// changeMagnum changes Magnum's servers, one after the other: load balancers send clients to the others meanwhile, and
// the next one's turn comes when this one serves.
func (d *Deployment) changeMagnum(ctx context.Context) error {
	s := d.services()
	for _, h := range s.Intent.Magnum.Hosts {
		name := site.At(h.Where()).Name()
		if _, ours := s.List.Places[name]; !ours || !s.Changes(name, groupMagnum) {
			continue
		}
		items, err := d.withCredentials(ctx, name, groupMagnum)
		if err != nil {
			return err
		}
		began := d.Now()
		back := s.divertMagnum(ctx, h)
		if !h.IsMetal {
			items = append(items, host.Item{Returned: &host.Returned{}})
		}
		err = s.BringItems(ctx, magnumStep, name, items)
		if err == nil && d.Services.Magnum.Serves == intent.ImplementationJeroboam {
			err = s.magnumServes(ctx, h)
		}
		back()
		if err != nil {
			return err
		}
		d.Ended(magnumStep, name, "changed", began)
	}
	return nil
}

// withCredentials are a place's items, with the credentials that the plan has made now. They stay in memory.
func (d *Deployment) withCredentials(ctx context.Context, place, group string) ([]host.Item, error) {
	items := d.Services.List.At(place, group)
	for n, i := range items {
		if i.Certificate != nil && d.Plan.Touches(place, host.KindServerCertificate, i.Certificate.Path) {
			made, err := magnum.Sign(d.Wanted.Intent, *i.Certificate, d.Random, d.Now())
			if err != nil {
				return nil, fmt.Errorf("make a certificate for %s: %w", place, err)
			}
			items[n].Certificate = &made
		}
		if i.Credential == nil || !d.Plan.Touches(place, "credential", i.Credential.Path) {
			continue
		}
		c, err := d.control().ServingAPI(ctx)
		if err != nil {
			return nil, err
		}
		ca, err := rootCA(ctx, c)
		if err != nil {
			return nil, err
		}
		made := *i.Credential
		if group == groupMagnum {
			made.Content, err = magnum.Kubeconfig509(ctx, c, magnum.Request{Random: d.Random, Place: place, Server: made.Server, CA: ca, Poll: d.Poll})
		} else {
			made.Content, err = proxy.Grant(ctx, c, proxy.Request{Account: proxy.AccountOf(made.Path), Host: place, Server: made.Server, CA: ca})
		}
		if err != nil {
			return nil, fmt.Errorf("make a credential for %s: %w", place, err)
		}
		items[n].Credential = &made
	}
	return items, nil
}

// rootCA is the authority's certificate as the cluster publishes it in every namespace.
func rootCA(ctx context.Context, c client.Client) ([]byte, error) {
	var cm corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-root-ca.crt"}, &cm); err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	if cm.Data["ca.crt"] == "" {
		return nil, errors.New("the cluster has not published its authority yet")
	}
	return []byte(cm.Data["ca.crt"]), nil
}

// answering asks a server of Magnum from a place.
func (d serviceRun) answering(ctx context.Context, from site.Place, h intent.MagnumHost) (bool, string) {
	url := magnum.Health(d.Intent, h)
	code, err := site.Ask[int](ctx, d.Hosts, from, host.OpAnswers, url)
	if err != nil {
		return false, site.FirstLine(err.Error())
	}
	return code == 200, fmt.Sprintf("%s answers %d", url, code)
}

// magnumServes waits until a server answers where it runs.
func (d serviceRun) magnumServes(ctx context.Context, h intent.MagnumHost) error {
	p := site.At(h.Where())
	err := d.Wait(ctx, magnumStep, p.Name(), 2*time.Minute, func() (bool, string) { return d.answering(ctx, p, h) })
	if err != nil {
		return fmt.Errorf("%w\nits log: journalctl -u %s on %s", err, magnum.Unit, p.Name())
	}
	return nil
}

// divertMagnum keeps clients away from a server that is about to change, where there is another one for them, and
// returns what lets them back. A run that is killed in between leaves it drained, which the next plan shows and its
// apply mends.
func (d serviceRun) divertMagnum(ctx context.Context, h intent.MagnumHost) func() {
	var diverted []intent.HAProxyHost
	for _, b := range d.Intent.HAProxy.Hosts {
		other := slices.ContainsFunc(d.Intent.Magnum.Hosts, func(o intent.MagnumHost) bool {
			ok := false
			if o.Name != h.Name {
				ok, _ = d.answering(ctx, site.At(b.Where()), o)
			}
			return ok
		})
		if other {
			d.Say(magnumStep, h.Name, "clients of %s are sent to other servers", b.Name)
			d.tellBalancer(ctx, b, h, "set server %s state drain")
			diverted = append(diverted, b)
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, b := range diverted {
			if ok, _ := d.answering(ctx, site.At(b.Where()), h); ok { // sooner than haproxy's own checks
				d.tellBalancer(ctx, b, h, "set server %s health up")
			}
			d.tellBalancer(ctx, b, h, "set server %s state ready")
		}
	}
}

// tellBalancer gives a command for a server of Magnum. It helps; a load balancer that does not take it finds out by its
// checks.
func (d serviceRun) tellBalancer(ctx context.Context, b intent.HAProxyHost, h intent.MagnumHost, command string) {
	for _, s := range b.Magnum {
		_, _ = site.Ask[string](ctx, d.Hosts, site.At(b.Where()), host.OpStats, fmt.Sprintf(command, balance.BackendOf(s.Name)+"/"+h.Name)) // see above
	}
}

func (d *Deployment) balanceMagnum(ctx context.Context) error {
	s := d.services()
	for _, b := range s.Intent.HAProxy.Hosts {
		name := site.At(b.Where()).Name()
		if _, ours := s.List.Places[name]; !ours || !s.Changes(name, balance.Group) || s.Seen.Unseen[name] {
			continue
		}
		if err := s.Bring(ctx, "balance Magnum", name, balance.Group); err != nil {
			return err
		}
	}
	return nil
}

// Trust is how OpenStack's endpoints are verified: by the system's authorities and by OpenStack-Ansible's own.
func Trust(s intent.MagnumService) *tls.Config {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, text := range s.Authorities {
		pool.AppendCertsFromPEM([]byte(text))
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure} //nolint:gosec // the operator's word: keystone_service_internaluri_insecure
}
