package deploy

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// initialise makes the cluster on its first node, or goes on where an earlier run was stopped: kubeadm takes the certificates
// and files it finds, and etcd's data.
func (d *Deployment) initialise(ctx context.Context) error {
	const step = "make the cluster"
	inits := plan.Of[KubeadmInit](d.Plan)
	if len(inits) == 0 {
		return nil
	}
	at := slices.IndexFunc(d.living(), func(n intent.Node) bool { return n.Name == inits[0].Node })
	if at < 0 {
		return nil
	}
	n := d.living()[at]
	t := traitsOf(d.Wanted.Facts[n.PhysicalHost])
	t.again = d.World.Nodes[n.Name].Touched() || d.Restore != nil
	text, err := initDocuments(d.Wanted.Intent, d.Wanted.Bundle, n, t)
	if err != nil {
		return err
	}
	d.Say(step, n.Name, "kubeadm init")
	stop := d.balancers().Nudge(ctx, n)
	args := []string{"kubeadm", "init", "--config", initSecret}
	if d.Wanted.Intent.Kubernetes.RemoveKubeProxy {
		args = append(args, "--skip-phases=addon/kube-proxy")
	}
	err = d.CommandWith(ctx, d.place(n), 10*time.Minute, initSecret, text, args...)
	stop()
	if err != nil {
		return err
	}
	if err := d.gate(ctx, step, n); err != nil {
		return err
	}
	d.join(n)
	return nil
}

func (d *Deployment) join(n intent.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.joined[n.Name] = true
}

// gate waits until API server and etcd on a node serve and its member votes.
func (d *Deployment) gate(ctx context.Context, step string, n intent.Node) error {
	return d.Wait(ctx, step, n.Name, 5*time.Minute, func() (bool, string) { return d.serves(ctx, n) })
}

func (d *Deployment) serves(ctx context.Context, n intent.Node) (bool, string) {
	state, err := site.Ask[host.Node](ctx, d.Hosts, d.place(n), host.OpNode, host.NodeQuery{EtcdMember: n.NodeName})
	if err != nil {
		return false, err.Error()
	}
	m, ok := state.Member(n.NodeName)
	switch {
	case state.Ready != "ok":
		return false, "the API server: " + state.Ready
	case state.Etcd != "ok":
		return false, "etcd: " + state.Etcd
	case !ok:
		return false, "etcd does not know this node"
	case m.Learner:
		return false, "etcd's member is still a learner"
	}
	return true, ""
}

// quorum refuses to go on unless every member but one serves: that one is taken away for a while by what comes next.
func (d *Deployment) quorum(ctx context.Context, step, but string) error {
	for _, n := range d.members() {
		if n.Name == but {
			continue
		}
		err := d.Wait(ctx, step, n.Name, 45*time.Second, func() (bool, string) { return d.serves(ctx, n) })
		if err != nil {
			return fmt.Errorf("not going on, because taking the next node away could cost the quorum: %w: bring this node back, or declare it gone with --replace", err)
		}
	}
	return nil
}

// joinNodes lets nodes join, one at a time: etcd takes one new member at a time.
func (d *Deployment) joinNodes(ctx context.Context) error {
	const step = "join nodes"
	var joining []intent.Node
	for _, n := range d.strangers() {
		d.mu.Lock()
		done := d.joined[n.Name]
		d.mu.Unlock()
		if !done {
			joining = append(joining, n)
		}
	}
	if len(joining) == 0 {
		return nil
	}
	first := d.firstServing(ctx)
	secrets, err := d.joinSecrets(ctx, first)
	if err != nil {
		return err
	}
	defer d.forgetSecrets(ctx, first, secrets)
	for _, n := range joining {
		if err := d.quorum(ctx, step, ""); err != nil {
			return err
		}
		if d.World.Nodes[n.Name].Touched() {
			d.Say(step, n.Name, "clearing what an unfinished join has left")
			if err := d.clear(ctx, first, n); err != nil {
				return err
			}
		}
		if err := d.joinOne(ctx, n, secrets); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployment) firstServing(ctx context.Context) intent.Node {
	for _, n := range d.members() {
		if ok, _ := d.serves(ctx, n); ok {
			return n
		}
	}
	return d.World.bootstrap(d.living())
}

func (d *Deployment) joinOne(ctx context.Context, n intent.Node, s joinSecrets) error {
	const step = "join nodes"
	text, err := joinConfig(d.Wanted.Intent, n, traitsOf(d.Wanted.Facts[n.PhysicalHost]), s)
	if err != nil {
		return err
	}
	began := d.Now()
	d.Say(step, n.Name, "kubeadm join")
	stop := d.balancers().Nudge(ctx, n)
	defer stop()
	err = d.CommandWith(ctx, d.place(n), 10*time.Minute, joinSecret, text, "kubeadm", "join", "--config", joinSecret)
	if err != nil {
		return err
	}
	if err := d.gate(ctx, step, n); err != nil {
		return err
	}
	d.Ended(step, n.Name, "joined", began)
	d.join(n)
	return nil
}

// Files with secrets, in memory.
const (
	initSecret   = "/run/jeroboam/init.yaml"
	joinSecret   = "/run/jeroboam/join.yaml"
	uploadSecret = "/run/jeroboam/upload.yaml"
	liveSecret   = "/run/jeroboam/live.yaml"
)

// joinSecrets makes a token, and uploads the certificates encrypted with a key that is only here.
func (d *Deployment) joinSecrets(ctx context.Context, first intent.Node) (joinSecrets, error) {
	var s joinSecrets
	key := make([]byte, 32)
	if _, err := io.ReadFull(d.Random, key); err != nil {
		return s, fmt.Errorf("make a key: %w", err)
	}
	s.certificateKey = hex.EncodeToString(key)
	t := traitsOf(d.Wanted.Facts[first.PhysicalHost])
	text, err := uploadConfig(d.Wanted.Intent, d.Wanted.Bundle, first, t, s.certificateKey)
	if err != nil {
		return s, err
	}
	err = d.CommandWith(ctx, d.place(first), 2*time.Minute, uploadSecret, text, "kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--config", uploadSecret)
	if err != nil {
		return s, err
	}
	token, err := d.Command(ctx, d.place(first), time.Minute, "kubeadm", "token", "create", "--ttl", "1h", "--kubeconfig", host.AdminConf)
	if err != nil {
		return s, err
	}
	s.token = strings.TrimSpace(token)
	state, err := site.Ask[host.Node](ctx, d.Hosts, d.place(first), host.OpNode, host.NodeQuery{})
	s.caHash = state.CA
	return s, err
}

// forgetSecrets ends what joining needed. It would end by itself within two hours.
func (d *Deployment) forgetSecrets(ctx context.Context, first intent.Node, s joinSecrets) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	c, err := d.api(ctx, first)
	if err != nil {
		return
	}
	id, _, _ := strings.Cut(s.token, ".")
	for _, name := range []string{"kubeadm-certs", "bootstrap-token-" + id} {
		_ = c.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}) // see above
	}
}

// api connects to a node's own API server.
func (d *Deployment) api(ctx context.Context, n intent.Node) (client.Client, error) {
	server := net.JoinHostPort(n.NodeIP, fmt.Sprint(d.Wanted.Intent.Kubernetes.BackendPort))
	return d.Dial(ctx, d.Hosts, d.place(n), server)
}

// clear takes away what kubeadm left on a node that never became a member: its learner in etcd, its Node, its files.
func (d *Deployment) clear(ctx context.Context, first, n intent.Node) error {
	if err := d.forgetNode(ctx, first, n); err != nil {
		return err
	}
	_, err := d.Command(ctx, d.place(n), 5*time.Minute, "kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member",
		"--cri-socket", d.Wanted.Intent.Kubernetes.CRISocket)
	return err
}

// forgetNode takes a node's etcd member and Node object away.
func (d *Deployment) forgetNode(ctx context.Context, first, n intent.Node) error {
	state, err := site.Ask[host.Node](ctx, d.Hosts, d.place(first), host.OpNode, host.NodeQuery{})
	if err != nil {
		return err
	}
	peer := "https://" + net.JoinHostPort(n.NodeIP, "2380")
	for _, m := range state.Members {
		if m.Name != n.NodeName && !slices.Contains(m.PeerURLs, peer) {
			continue
		}
		body, _ := json.Marshal(map[string]string{"ID": m.ID}) // two strings
		if _, err := site.Ask[json.RawMessage](ctx, d.Hosts, d.place(first), host.OpEtcd, host.EtcdCall{Path: "/v3/cluster/member/remove", Body: body}); err != nil {
			return fmt.Errorf("remove etcd's member %s: %w", n.NodeName, err)
		}
	}
	c, err := d.api(ctx, first)
	if err != nil {
		return err
	}
	err = c.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.NodeName}})
	return client.IgnoreNotFound(err)
}
