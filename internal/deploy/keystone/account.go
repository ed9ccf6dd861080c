package keystone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Directory is Keystone, as far as a deployment needs it.
type Directory interface {
	Look(ctx context.Context) (State, error)
	Register(ctx context.Context, say func(plan.Change)) error
}

// Account is Magnum's account in Keystone, as a deployment looks at it and makes it.
type Account struct {
	Want intent.MagnumService
	// Through is the way to Keystone.
	Through http.RoundTripper
	// Login connects to it; nil is the real one.
	Login func(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (Directory, error)
}

// login connects as the administrator.
func (a Account) login(ctx context.Context) (Directory, error) {
	if a.Login != nil {
		return a.Login(ctx, a.Want, a.Through)
	}
	there, err := Login(ctx, a.Want, a.Through)
	if err != nil {
		return nil, err // there in an interface would not be nil
	}
	return there, nil
}

// Inspect says what has to change. A Keystone that does not answer is told of, and tried again by Apply.
func (a Account) Inspect(ctx context.Context) []plan.Change {
	var state State
	k, err := a.login(ctx)
	if err == nil {
		state, err = k.Look(ctx)
	}
	if err != nil {
		return []plan.Change{{Place: place, Group: place, Kind: "account", Name: a.Want.User, Action: plan.Check, Summary: site.FirstLine(err.Error())}}
	}
	return Changes(a.Want, state)
}

// Apply makes account and endpoints: Magnum's servers log in with it.
func (a Account) Apply(ctx context.Context, r site.Run) error {
	k, err := a.login(ctx)
	if err != nil {
		return err
	}
	return k.Register(ctx, func(c plan.Change) { r.Say(Step, place, "%s %s %s", c.Action, c.Kind, c.Name) })
}

// Stays is what the plan of a removal says of it.
func Stays(service intent.MagnumService) plan.Finding {
	return plan.Finding{
		Judge: "magnum", Where: place,
		Text: "the account, the service and the endpoints of Magnum stay in Keystone: whether others need them is unknown (openstack endpoint list --service " + service.Type + ")",
	}
}

// Through connects from a host of the cloud: the deployer needs no way to Keystone.
func Through(o site.Outside, in intent.Intent) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // that is what it is
	t.Proxy = nil
	t.TLSClientConfig = Trust(in.Magnum.Service)
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, h := range in.Magnum.Hosts {
			if a, ok := o.Hosts[h.PhysicalHost]; ok && o.Lost[h.PhysicalHost] == nil {
				return a.Dial(ctx, network, address)
			}
		}
		return nil, errors.New("none of Magnum's hosts is reached")
	}
	return t
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
