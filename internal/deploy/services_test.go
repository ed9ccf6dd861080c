package deploy_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// town is all hosts with everything on them, as agents see it: what was ensured is there, what is gone is not.
type town struct {
	in  intent.Intent
	ca  pki.Authority
	dir *directory

	mu     sync.Mutex
	have   map[string]map[string]plan.Facts // by place and key of item
	absent map[string]bool                  // containers that are not there
	down   map[string]bool                  // hosts that do not answer
	log    []string                         // what happened, in order
	left   int                              // items until the deployer is killed; negative: never
	sick   map[string]bool                  // places whose server never answers
	clock  func() time.Time
	api    client.Client // the management cluster's
	most   int           // hosts that were changed at the same time, at most
	busy   int
	slow   time.Duration
	meet   int            // so many proxies' hosts are waited for before the first is changed,
	until  time.Time      // but no longer than this
	hangs  map[string]int // containers that do not answer any more after so many questions
	broken string         // a place where nothing can be changed
	nodes  bool           // the cluster is there
}

// directory is Keystone: an account that is there or not.
type directory struct {
	there bool
	fail  error
}

func (d *directory) Look(context.Context) (magnum.State, error) { return magnum.State{}, d.fail }

func (d *directory) Register(_ context.Context, say func(plan.Change)) error {
	if d.fail != nil {
		return d.fail
	}
	if !d.there {
		say(plan.Change{Action: plan.Create, Kind: "user", Name: "magnum"})
	}
	d.there = true
	return nil
}

func newTown(t *testing.T) *town {
	t.Helper()
	ca, err := pki.NewCA(rand.Reader, now, "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	in := seed(t)
	in.Magnum.Service.Password = intent.NewSecret("hunter2-of-magnum")
	return &town{in: in, ca: ca, dir: &directory{}, have: map[string]map[string]plan.Facts{}, absent: map[string]bool{}, down: map[string]bool{}, left: -1, sick: map[string]bool{}, clock: time.Now}
}

func (w *town) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// townHost is one host's agent.
type townHost struct {
	deploytest.Agent
	town *town
	name string
}

func (h *townHost) Upload(context.Context, string, io.Reader) error { return nil }

var errKilled = errors.New("killed")

func (h *townHost) Call(_ context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	w := h.town
	w.mu.Lock()
	defer w.mu.Unlock()
	place := container
	if place == "" {
		place = h.name
	}
	if left, ok := w.hangs[container]; ok && container != "" {
		if left == 0 {
			return fmt.Errorf("host %s: %w (keepalive)", h.name, remote.ErrGone)
		}
		w.hangs[container]--
	}
	switch op {
	case host.OpFacts:
		f := facts(w.in)[h.name]
		for _, m := range w.in.Magnum.Hosts {
			if m.PhysicalHost == h.name && !w.absent[m.Name] {
				f.Containers[m.Name] = true
			}
		}
		for _, n := range w.in.Nodes {
			if n.PhysicalHost == h.name && w.nodes {
				f.Containers[n.Name] = true
			}
		}
		*out.(*host.Facts) = f
	case host.OpObserve:
		var seen host.Observed
		for _, i := range in.([]host.Item) {
			seen = append(seen, w.have[place][i.Key()])
		}
		*out.(*host.Observed) = seen
	case host.OpMissing:
		*out.(*[]string) = nil
	case host.OpRemove:
		w.note("%s removes container %s", place, in)
	case host.OpLend:
	case host.OpEnsure:
		w.busy++
		w.most = max(w.most, w.busy)
		for strings.HasPrefix(place, "net") && w.most < w.meet && time.Now().Before(w.until) {
			w.mu.Unlock()
			time.Sleep(time.Millisecond)
			w.mu.Lock()
		}
		if w.slow > 0 { // others come to the door meanwhile
			w.mu.Unlock()
			time.Sleep(w.slow)
			w.mu.Lock()
		}
		w.busy--
		if place == w.broken {
			return errBroken
		}
		return w.ensure(place, in.([]host.Item))
	case host.OpAnswers:
		code := 0
		for _, m := range w.in.Magnum.Hosts {
			if strings.Contains(in.(string), "//"+m.ManagementAddress+":") && !w.sick[m.Name] {
				for _, unit := range []string{"unit jeroboam.service", "unit magnum-api.service"} {
					if w.have[m.Name][unit] != nil {
						code = 200
					}
				}
			}
		}
		*out.(*int) = code
		if code == 0 {
			return errors.New("connection refused")
		}
	case host.OpStats:
		w.note("%s: %s", place, in)
	default:
		return fmt.Errorf("%s was asked for %s", place, op)
	}
	return nil
}

// ensure is the agent's: items in order, those that are there are passed over.
func (w *town) ensure(place string, items []host.Item) error {
	if w.have[place] == nil {
		w.have[place] = map[string]plan.Facts{}
	}
	for _, i := range items {
		change := i.Diff(w.have[place][i.Key()])
		if change == nil || i.Returned != nil {
			continue
		}
		if w.left == 0 {
			return errKilled
		}
		w.left--
		if i.Container != nil {
			delete(w.absent, i.Container.Name)
		}
		if c := i.Credential; c != nil {
			if !strings.Contains(c.Content, "client-certificate-data") && boundTo(c.Content) == "" {
				return errors.New("a credential without content")
			}
		}
		facts := plan.Facts{}
		for k, v := range i.Thing(nil).Want {
			facts[k] = v
		}
		if facts["bound"] != "" {
			facts["bound"] = boundTo(i.Credential.Content)
		}
		if facts["content"] != "" && len(facts["content"]) > 0 {
			facts["content"] = i.File.Content
		}
		w.have[place][i.Key()] = facts
		if i.Thing(nil).Want == nil {
			delete(w.have[place], i.Key())
		}
		if i.Unit != nil || i.HAProxy != nil || i.Relay != nil { // containers are made at once, in any order
			verb := "has"
			if i.Thing(nil).Want == nil {
				verb = "stops"
			}
			w.note("%s %s %s", place, verb, i.Key())
		}
	}
	return nil
}

func (w *town) hosts() (site.Hosts, map[string]error) {
	out, lost := site.Hosts{}, map[string]error{}
	for _, h := range w.in.Hosts {
		if w.down[h.Name] {
			lost[h.Name] = errors.New("host " + h.Name + ": no route")
			continue
		}
		out[h.Name] = &townHost{town: w, name: h.Name}
	}
	return out, lost
}

// dial is an API server whose controller manager signs what is approved, and which gives tokens.
func (w *town) dial(context.Context, site.Hosts, site.Place, string) (client.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.api != nil {
		return w.api, nil
	}
	scheme, err := site.Scheme()
	if err != nil {
		return nil, err
	}
	root := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(w.ca.CertPEM)}}
	var made atomic.Int64
	w.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(root).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if o.GetName() == "" {
				o.SetName(o.GetGenerateName() + "x")
			}
			o.SetUID(types.UID(fmt.Sprintf("uid-%d", made.Add(1))))
			return c.Create(ctx, o, opts...)
		},
		SubResourceCreate: func(_ context.Context, _ client.Client, sub string, o client.Object, body client.Object, _ ...client.SubResourceCreateOption) error {
			request, ok := body.(*authenticationv1.TokenRequest)
			if !ok || sub != "token" || request.Spec.BoundObjectRef == nil || *request.Spec.ExpirationSeconds > 365*24*3600 {
				return errors.New("a token that nobody can end, or that never ends")
			}
			claims := fmt.Sprintf(`{"sub":"system:serviceaccount:%s:%s","kubernetes.io":{"secret":{"uid":%q}}}`, o.GetNamespace(), o.GetName(), request.Spec.BoundObjectRef.UID)
			request.Status.Token = "hunter2." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
			return nil
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, _ ...client.SubResourceUpdateOption) error {
			csr := o.(*certificatesv1.CertificateSigningRequest)
			if sub != "approval" || len(csr.Status.Conditions) == 0 {
				return errors.New("not approved")
			}
			cert, err := pki.Sign(w.ca, csr.Spec.Request, pki.Options{Random: rand.Reader, Now: now})
			csr.Status.Certificate = cert
			return errors.Join(err, c.Status().Update(ctx, csr))
		},
	}).Build()
	return w.api, nil
}

// boundTo is the UID in a kubeconfig's token, "" if it has none.
func boundTo(kubeconfig string) string {
	_, token, _ := strings.Cut(kubeconfig, "token: hunter2.")
	claims, _, ok := strings.Cut(token, ".s")
	text, err := base64.RawURLEncoding.DecodeString(claims)
	_, uid, found := strings.Cut(string(text), `"uid":"`)
	if !ok || err != nil || !found {
		return ""
	}
	return strings.TrimRight(uid, `"}`)
}

// sight is what a look at everything gives.
type sight struct {
	hosts    site.Hosts
	outside  site.Outside
	wanted   deploy.Wanted
	world    deploy.World
	services deploy.Services
}

func (w *town) look(t *testing.T, skip bool) sight {
	t.Helper()
	hosts, lost := w.hosts()
	o := site.LookOutside(t.Context(), hosts, lost)
	found, err := deploy.FindMagnum(t.Context(), o, w.in)
	if err != nil {
		t.Fatal(err)
	}
	proxies := deploy.FindProxies(t.Context(), o, w.in, found.Serves)
	wanted := want(t, w.in, facts(w.in))
	wanted.Bundle.Catalogue = map[string]string{"catalogue.yaml": blob("9")}
	world := converged(wanted)
	for name, n := range world.Nodes {
		n.CA = pki.PublicKeyHash(w.ca.CertPEM)
		world.Nodes[name] = n
	}
	s, err := deploy.LookAtServices(t.Context(), o, wanted, world, found, deploy.ServiceOptions{
		Program: blob("8"), Skip: skip, Proxies: proxies, Dial: w.dial,
		Login: func(context.Context, intent.MagnumService, http.RoundTripper) (deploy.Directory, error) {
			return w.dir, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sight{hosts, o, wanted, world, s}
}

// run is a plan and, if apply is set, its apply.
func (w *town) run(t *testing.T, skip, apply bool) (plan.Plan, error) {
	t.Helper()
	seen := w.look(t, skip)
	if w.dir.there {
		seen.services.Keystone = nil // what its own test shows
	}
	p := seen.services.Plan(deploy.Diff(seen.wanted, seen.world, now))
	if !apply {
		return p, nil
	}
	d := &deploy.Deployment{
		Wanted: seen.wanted, World: seen.world, Plan: p, Outside: seen.outside.Hosts, Services: seen.services, Dial: w.dial,
		Run: site.Run{Hosts: seen.hosts, Report: func(site.Progress) {}, Random: rand.Reader, Now: w.clock, Poll: time.Millisecond},
	}
	return p, deploy.ApplyServices(t.Context(), d)
}

// theirs puts OpenStack's own Magnum everywhere.
func (w *town) theirs() {
	for _, h := range w.in.Magnum.Hosts {
		w.have[h.Name] = map[string]plan.Facts{}
		for _, unit := range []string{"magnum-api.service", "magnum-conductor.service"} {
			w.have[h.Name]["file /etc/systemd/system/"+unit] = plan.Facts{"mode": "0644"}
			w.have[h.Name]["unit "+unit] = plan.Facts{"enabled": "yes", "active": "yes"}
		}
		w.have[h.Name]["original /etc/magnum/magnum.conf"] = plan.Facts{"kept": "no", "of": "others"}
	}
}

// settled is a plan without changes.
func (w *town) settled(t *testing.T) {
	t.Helper()
	if p, _ := w.run(t, false, false); !p.Empty() {
		t.Errorf("a second run would change:\n%s", strings.Join(only(p), "\n"))
	}
}

func TestMagnumOnNewCloud(t *testing.T) {
	w := newTown(t)
	for _, h := range w.in.Magnum.Hosts {
		w.absent[h.Name] = true
	}
	p, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "hunter2") {
		t.Error("the password is in the plan")
	}
	golden.Compare(t, *update, "magnum-new.txt", strings.Join(only(p), "\n")+"\n\nwhat happened:\n"+strings.Join(w.log, "\n")+"\n")
	if !w.dir.there {
		t.Error("Keystone does not know Magnum")
	}
	w.settled(t)
}

// One server at a time, and its clients are elsewhere meanwhile.
func TestMagnumIsRolled(t *testing.T) {
	w, now := newTown(t), time.Now()
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.in.Magnum.Service.Debug = true
	w.log = nil
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	first := w.in.HAProxy.Hosts[0].Name + ": set server magnum-back/"
	for _, line := range w.log {
		if rest, ok := strings.CutPrefix(line, first); ok {
			got = append(got, rest)
		}
	}
	var wanted []string
	for _, h := range w.in.Magnum.Hosts {
		wanted = append(wanted, h.Name+" state drain", h.Name+" health up", h.Name+" state ready")
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
	w.settled(t)

	w.in.Magnum.Service.Debug = false
	w.sick[w.in.Magnum.Hosts[0].Name], w.clock = true, func() time.Time { now = now.Add(time.Minute); return now }
	w.log = nil
	if _, err := w.run(t, false, true); err == nil || !strings.Contains(err.Error(), "journalctl -u jeroboam.service on "+w.in.Magnum.Hosts[0].Name) {
		t.Errorf("a server that does not come up: %v", err)
	}
	if slices.ContainsFunc(w.log, func(s string) bool { return strings.Contains(s, w.in.Magnum.Hosts[1].Name) }) {
		t.Errorf("the next one was touched all the same: %q", w.log)
	}
}

func TestMagnumGoesOverAndBack(t *testing.T) {
	w := newTown(t)
	w.theirs()
	p, _ := w.run(t, false, false)
	if !p.Empty() || len(p.Findings) != 1 || !strings.Contains(p.Findings[0].Text, "magnum_implementation: jeroboam") {
		t.Fatalf("nobody has asked to go over: %v, %+v", only(p), p.Findings)
	}
	w.in.Magnum.Service.Implementation = intent.ImplementationJeroboam
	over, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	w.settled(t)
	story := "over:\n" + strings.Join(w.log, "\n")
	w.log, w.in.Magnum.Service.Implementation = nil, intent.ImplementationMagnum
	back, err := w.run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	w.settled(t)
	golden.Compare(t, *update, "magnum-over.txt", story+"\n\nback:\n"+strings.Join(w.log, "\n")+"\n")
	for _, c := range append(over.Changes, back.Changes...) {
		if c.Kind == "unit" && (c.Action == plan.Delete || c.Summary == "") {
			t.Errorf("the plan does not say what happens to a service: %+v", c)
		}
	}
}

// Killed after some items, however many, the next run finishes it: over, and back.
func TestMagnumInterrupted(t *testing.T) {
	for n := 0; ; n += 5 {
		w := newTown(t)
		w.theirs()
		ended := true
		for _, who := range []string{intent.ImplementationJeroboam, intent.ImplementationMagnum} {
			w.in.Magnum.Service.Implementation = who
			w.left = n
			if _, err := w.run(t, false, true); err != nil {
				if !errors.Is(err, errKilled) && !strings.Contains(err.Error(), errKilled.Error()) {
					t.Fatalf("after %d items: %v", n, err)
				}
				ended = false
			}
			w.left = -1
			if _, err := w.run(t, false, true); err != nil {
				t.Fatalf("after %d items, again: %v", n, err)
			}
			w.settled(t)
			for _, h := range w.in.Magnum.Hosts {
				ours, api := w.have[h.Name]["unit jeroboam.service"] != nil, w.have[h.Name]["unit magnum-api.service"] != nil
				if ours != (who == intent.ImplementationJeroboam) || ours == api {
					t.Fatalf("killed after %d items on the way to %s: ours %v, theirs %v", n, who, ours, api)
				}
			}
		}
		if ended {
			return
		}
		if n > 200 {
			t.Fatal("it never ends")
		}
	}
}

// A host of Magnum that hangs between two looks is named, keeps the plan from nobody, and is passed over where the
// operator says so.
func TestAMagnumHostHangs(t *testing.T) {
	for reason, asked := range map[string]int{"when it is asked who serves": 0, "when it is asked what is there": 1} {
		w := newTown(t)
		hangs := w.in.Magnum.Hosts[1]
		w.hangs = map[string]int{hangs.Name: asked}
		p, _ := w.run(t, false, false)
		blocked := p.Blocked(nil)
		named := false
		for _, f := range blocked {
			named = named || f.Where == hangs.Name
			if f.Judge != "unreachable" || f.Where != hangs.Name && f.Where != hangs.PhysicalHost || !strings.Contains(f.Text, "--skip-unreachable") {
				t.Errorf("%s: %+v", reason, f)
			}
		}
		if !named {
			t.Errorf("%s: nobody was told: %+v", reason, p.Findings)
		}
		w.hangs[hangs.Name] = asked
		if _, err := w.run(t, true, true); err != nil {
			t.Errorf("%s: the others are not changed: %v", reason, err)
		}
		if w.have[hangs.Name]["unit jeroboam.service"] != nil || w.have[w.in.Magnum.Hosts[0].Name]["unit jeroboam.service"] == nil {
			t.Errorf("%s: the one that hangs, or not the others, were changed", reason)
		}
	}
}

func TestMagnumHostsThatAreLost(t *testing.T) {
	w := newTown(t)
	lost := w.in.Magnum.Hosts[1]
	w.down[lost.PhysicalHost] = true
	p, _ := w.run(t, false, false)
	blocked := p.Blocked(nil)
	if len(blocked) == 0 || blocked[0].Judge != "unreachable" || !strings.Contains(blocked[0].Text, "--skip-unreachable") {
		t.Fatalf("nobody was told: %+v", p.Findings)
	}
	if _, err := w.run(t, true, true); err != nil {
		t.Fatal(err)
	}
	if w.have[lost.Name] != nil {
		t.Error("something was done on a host that is down")
	}
	for _, h := range []intent.MagnumHost{w.in.Magnum.Hosts[0], w.in.Magnum.Hosts[2]} {
		if w.have[h.Name]["unit jeroboam.service"] == nil {
			t.Errorf("%s was left out as well", h.Name)
		}
	}
	w.down = map[string]bool{}
	if _, err := w.run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
}

func TestKeystoneThatIsNotThereYet(t *testing.T) {
	w := newTown(t)
	w.dir.fail = errors.New("connection refused")
	p, err := w.run(t, false, true)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("apply: %v", err)
	}
	i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Place == "keystone" })
	if i < 0 || p.Changes[i].Action != plan.Check || p.Changes[i].Summary != "connection refused" {
		t.Errorf("the plan does not say so: %v", only(p))
	}
}
