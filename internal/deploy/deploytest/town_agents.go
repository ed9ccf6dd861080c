package deploytest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// townHost is one host's agent.
type townHost struct {
	Agent
	town *Town
	name string
}

func (h *townHost) Upload(context.Context, string, io.Reader) error { return nil }

func (h *townHost) Call(_ context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	w := h.town
	w.mu.Lock()
	defer w.mu.Unlock()
	place := container
	if place == "" {
		place = h.name
	}
	if left, ok := w.Hangs[container]; ok && container != "" {
		if left == 0 {
			return fmt.Errorf("host %s: %w (keepalive)", h.name, remote.ErrGone)
		}
		w.Hangs[container]--
	}
	switch op {
	case host.OpFacts:
		*out.(*host.Facts) = h.facts()
	case host.OpObserve:
		var seen host.Observed
		for _, i := range in.([]host.Item) {
			seen = append(seen, w.Have[place][i.Key()])
		}
		*out.(*host.Observed) = seen
	case host.OpMissing:
		*out.(*[]string) = nil
	case host.OpRemove:
		w.note("%s removes container %s", place, in)
	case host.OpLend:
	case host.OpEnsure:
		w.take(place)
		if place == w.Broken {
			return ErrBroken
		}
		return w.ensure(place, in.([]host.Item))
	case host.OpAnswers:
		if !w.answers(in.(string)) {
			return errors.New("connection refused")
		}
		*out.(*int) = 200
	case host.OpStats:
		w.note("%s: %s", place, in)
	default:
		return fmt.Errorf("%s was asked for %s", place, op)
	}
	return nil
}

// facts are those of the host, with the containers that are there.
func (h *townHost) facts() host.Facts {
	w := h.town
	f := Facts(w.In)[h.name]
	for _, m := range w.In.Magnum.Hosts {
		if m.PhysicalHost == h.name && !w.Absent[m.Name] {
			f.Containers[m.Name] = true
		}
	}
	for _, n := range w.In.Nodes {
		if n.PhysicalHost == h.name && w.Nodes {
			f.Containers[n.Name] = true
		}
	}
	return f
}

// answers tells whether a server of Magnum answers at an address: ours, or theirs.
func (w *Town) answers(url string) bool {
	for _, m := range w.In.Magnum.Hosts {
		if strings.Contains(url, "//"+m.ManagementAddress+":") && !w.Sick[m.Name] {
			has := w.Have[m.Name]
			return has["unit jeroboam.service"] != nil || has["unit magnum-api.service"] != nil
		}
	}
	return false
}

// take is the time that work takes, in which others come to the door.
func (w *Town) take(place string) {
	w.busy++
	w.Most = max(w.Most, w.busy)
	for strings.HasPrefix(place, "net") && w.Most < w.Meet && time.Now().Before(w.Until) {
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
		w.mu.Lock()
	}
	if w.Slow > 0 {
		w.mu.Unlock()
		time.Sleep(w.Slow)
		w.mu.Lock()
	}
	w.busy--
}

// ensure is the agent's: items in order, those that are there are passed over.
func (w *Town) ensure(place string, items []host.Item) error {
	if w.Have[place] == nil {
		w.Have[place] = map[string]plan.Facts{}
	}
	for _, i := range items {
		change := i.Diff(w.Have[place][i.Key()])
		clusters := i.HAProxy != nil && !slices.Contains(i.HAProxy.Services, "magnum") // its load balancing is there already
		if change == nil || i.Returned != nil || clusters {
			continue
		}
		if w.Left == 0 {
			return ErrKilled
		}
		w.Left--
		if i.Container != nil {
			delete(w.Absent, i.Container.Name)
		}
		if c := i.Credential; c != nil {
			if !strings.Contains(c.Content, "client-certificate-data") && boundTo(c.Content) == "" {
				return errors.New("a credential without content")
			}
		}
		facts := plan.Facts{}
		maps.Copy(facts, i.Thing(nil).Want)
		if facts["bound"] != "" {
			facts["bound"] = boundTo(i.Credential.Content)
		}
		if facts["content"] != "" {
			facts["content"] = i.File.Content
		}
		w.Have[place][i.Key()] = facts
		if i.Thing(nil).Want == nil {
			delete(w.Have[place], i.Key())
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

// Hosts are the agents, and why there is none of others.
func (w *Town) Hosts() (site.Hosts, map[string]error) {
	out, lost := site.Hosts{}, map[string]error{}
	for _, h := range w.In.Hosts {
		if w.Down[h.Name] {
			lost[h.Name] = errors.New("host " + h.Name + ": no route")
			continue
		}
		out[h.Name] = &townHost{town: w, name: h.Name}
	}
	return out, lost
}

// Dial is an API server whose controller manager signs what is approved, and which gives tokens.
func (w *Town) Dial(context.Context, site.Hosts, site.Place, string) (client.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.API != nil {
		return w.API, nil
	}
	scheme, err := site.Scheme()
	if err != nil {
		return nil, err
	}
	var made atomic.Int64
	w.API = fake.NewClientBuilder().WithScheme(scheme).WithObjects(w.cluster()...).WithInterceptorFuncs(interceptor.Funcs{
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
			cert, err := pki.Sign(w.CA, csr.Spec.Request, pki.Options{Random: rand.Reader, Now: Now()})
			csr.Status.Certificate = cert
			return errors.Join(err, c.Status().Update(ctx, csr))
		},
	}).Build()
	return w.API, nil
}

// cluster is what the API server has: its authority, nodes that are ready, workloads that are complete.
func (w *Town) cluster() []client.Object {
	out := []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(w.CA.CertPEM)}},
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(1))},
			Status: appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1},
		},
	}
	for _, name := range []string{"kube-proxy", "net"} {
		out = append(out, &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name},
			Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1},
		})
	}
	for _, n := range w.In.Nodes {
		out = append(out, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.NodeName},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		})
	}
	return out
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

func (w *Town) note(format string, args ...any) { w.Log = append(w.Log, fmt.Sprintf(format, args...)) }
