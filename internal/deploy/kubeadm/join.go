package kubeadm

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

// Init makes the cluster on its first node, or goes on where an earlier run was stopped: kubeadm takes the certificates
// and files it finds, and etcd's data. restored says that it finds what a backup had.
func (r *Run) Init(ctx context.Context, restored bool) error {
	const step = "make the cluster"
	inits := plan.Of[Init](r.Plan)
	if len(inits) == 0 {
		return nil
	}
	at := slices.IndexFunc(r.Wanted.Living(), func(n intent.Node) bool { return n.Name == inits[0].Node })
	if at < 0 {
		return nil
	}
	n := r.Wanted.Living()[at]
	t := traitsOf(r.Wanted.Facts[n.PhysicalHost])
	t.again = r.World.Nodes[n.Name].Touched() || restored
	text, err := initDocuments(r.Wanted.Intent, r.Wanted.Bundle, n, t)
	if err != nil {
		return err
	}
	r.Say(step, n.Name, "kubeadm init")
	stop := r.Nudge(ctx, n)
	args := []string{"kubeadm", "init", "--config", initSecret}
	if r.Wanted.Intent.Kubernetes.RemoveKubeProxy {
		args = append(args, "--skip-phases=addon/kube-proxy")
	}
	err = r.CommandWith(ctx, r.place(n), 10*time.Minute, initSecret, text, args...)
	stop()
	if err != nil {
		return err
	}
	if err := r.Gate(ctx, step, n); err != nil {
		return err
	}
	r.becomes(n)
	return nil
}

// Gate waits until API server and etcd on a node serve and its member votes.
func (r *Run) Gate(ctx context.Context, step string, n intent.Node) error {
	return r.Wait(ctx, step, n.Name, 5*time.Minute, func() (bool, string) { return r.serves(ctx, n) })
}

func (r *Run) serves(ctx context.Context, n intent.Node) (bool, string) {
	state, err := site.Ask[host.Node](ctx, r.Hosts, r.place(n), host.OpNode, host.NodeQuery{EtcdMember: n.NodeName})
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

// Quorum refuses to go on unless every member but one serves: that one is taken away for a while by what comes next.
func (r *Run) Quorum(ctx context.Context, step, but string) error {
	for _, n := range r.Members() {
		if n.Name == but {
			continue
		}
		err := r.Wait(ctx, step, n.Name, 45*time.Second, func() (bool, string) { return r.serves(ctx, n) })
		if err != nil {
			return fmt.Errorf("not going on, because taking the next node away could cost the quorum: %w: bring this node back, or declare it gone with --replace", err)
		}
	}
	return nil
}

// Join lets nodes join, one at a time: etcd takes one new member at a time.
func (r *Run) Join(ctx context.Context) error {
	const step = "join nodes"
	var joining []intent.Node
	for _, n := range r.Wanted.Strangers(r.World) {
		r.mu.Lock()
		done := r.joined[n.Name]
		r.mu.Unlock()
		if !done {
			joining = append(joining, n)
		}
	}
	if len(joining) == 0 {
		return nil
	}
	first := r.FirstServing(ctx)
	secrets, err := r.joinSecrets(ctx, first)
	if err != nil {
		return err
	}
	defer r.forgetSecrets(ctx, first, secrets)
	for _, n := range joining {
		if err := r.Quorum(ctx, step, ""); err != nil {
			return err
		}
		if r.World.Nodes[n.Name].Touched() {
			r.Say(step, n.Name, "clearing what an unfinished join has left")
			if err := r.clear(ctx, first, n); err != nil {
				return err
			}
		}
		if err := r.joinOne(ctx, n, secrets); err != nil {
			return err
		}
	}
	return nil
}

// FirstServing is the first member that serves, or the node that the cluster began with.
func (r *Run) FirstServing(ctx context.Context) intent.Node {
	for _, n := range r.Members() {
		if ok, _ := r.serves(ctx, n); ok {
			return n
		}
	}
	return r.World.Bootstrap(r.Wanted.Living())
}

func (r *Run) joinOne(ctx context.Context, n intent.Node, s joinSecrets) error {
	const step = "join nodes"
	text, err := joinConfig(r.Wanted.Intent, n, traitsOf(r.Wanted.Facts[n.PhysicalHost]), s)
	if err != nil {
		return err
	}
	began := r.Now()
	r.Say(step, n.Name, "kubeadm join")
	stop := r.Nudge(ctx, n)
	defer stop()
	err = r.CommandWith(ctx, r.place(n), 10*time.Minute, joinSecret, text, "kubeadm", "join", "--config", joinSecret)
	if err != nil {
		return err
	}
	if err := r.Gate(ctx, step, n); err != nil {
		return err
	}
	r.Ended(step, n.Name, "joined", began)
	r.becomes(n)
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
func (r *Run) joinSecrets(ctx context.Context, first intent.Node) (joinSecrets, error) {
	var s joinSecrets
	key := make([]byte, 32)
	if _, err := io.ReadFull(r.Random, key); err != nil {
		return s, fmt.Errorf("make a key: %w", err)
	}
	s.certificateKey = hex.EncodeToString(key)
	t := traitsOf(r.Wanted.Facts[first.PhysicalHost])
	text, err := uploadConfig(r.Wanted.Intent, r.Wanted.Bundle, first, t, s.certificateKey)
	if err != nil {
		return s, err
	}
	err = r.CommandWith(ctx, r.place(first), 2*time.Minute, uploadSecret, text, "kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--config", uploadSecret)
	if err != nil {
		return s, err
	}
	token, err := r.Command(ctx, r.place(first), time.Minute, "kubeadm", "token", "create", "--ttl", "1h", "--kubeconfig", host.AdminConf)
	if err != nil {
		return s, err
	}
	s.token = strings.TrimSpace(token)
	state, err := site.Ask[host.Node](ctx, r.Hosts, r.place(first), host.OpNode, host.NodeQuery{})
	s.caHash = state.CA
	return s, err
}

// forgetSecrets ends what joining needed. It would end by itself within two hours.
func (r *Run) forgetSecrets(ctx context.Context, first intent.Node, s joinSecrets) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	c, err := r.api(ctx, first)
	if err != nil {
		return
	}
	id, _, _ := strings.Cut(s.token, ".")
	for _, name := range []string{"kubeadm-certs", "bootstrap-token-" + id} {
		_ = c.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}) // see above
	}
}

// clear takes away what kubeadm left on a node that never became a member: its learner in etcd, its Node, its files.
func (r *Run) clear(ctx context.Context, first, n intent.Node) error {
	if err := r.forgetNode(ctx, first, n); err != nil {
		return err
	}
	_, err := r.Command(ctx, r.place(n), 5*time.Minute, "kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member",
		"--cri-socket", r.Wanted.Intent.Kubernetes.CRISocket)
	return err
}

// forgetNode takes a node's etcd member and Node object away.
func (r *Run) forgetNode(ctx context.Context, first, n intent.Node) error {
	state, err := site.Ask[host.Node](ctx, r.Hosts, r.place(first), host.OpNode, host.NodeQuery{})
	if err != nil {
		return err
	}
	peer := "https://" + net.JoinHostPort(n.NodeIP, "2380")
	for _, m := range state.Members {
		if m.Name != n.NodeName && !slices.Contains(m.PeerURLs, peer) {
			continue
		}
		body, _ := json.Marshal(map[string]string{"ID": m.ID}) // two strings
		if _, err := site.Ask[json.RawMessage](ctx, r.Hosts, r.place(first), host.OpEtcd, host.EtcdCall{Path: "/v3/cluster/member/remove", Body: body}); err != nil {
			return fmt.Errorf("remove etcd's member %s: %w", n.NodeName, err)
		}
	}
	c, err := r.api(ctx, first)
	if err != nil {
		return err
	}
	err = c.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.NodeName}})
	return client.IgnoreNotFound(err)
}
