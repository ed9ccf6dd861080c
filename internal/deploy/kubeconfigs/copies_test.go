package kubeconfigs_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// places are hosts and containers as copies see them.
type places struct {
	in    intent.Intent
	users map[string]string // of a place, by its name
	have  map[string]plan.Facts
	gone  map[string]bool
	token string
}

func (p *places) hosts() site.Hosts {
	out := site.Hosts{}
	for _, h := range p.in.Hosts {
		out[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(container, op string, raw json.RawMessage) (any, error) {
			name := container
			if name == "" {
				name = h.Name
			}
			switch op {
			case host.OpFacts:
				f := host.Facts{Containers: map[string]bool{}}
				for _, m := range p.in.Magnum.Hosts {
					if m.PhysicalHost == h.Name && !p.gone[m.Name] {
						f.Containers[m.Name] = true
					}
				}
				return f, nil
			case host.OpRead:
				if strings.Contains(string(raw), "admin.conf") {
					return "admin.conf of " + name, nil
				}
				return "root:x:0:0::/root:/bin/sh\n" + p.users[name], nil
			case host.OpObserve:
				var items []host.Item
				_ = json.Unmarshal(raw, &items)
				return host.Observed{p.have[name+" "+items[0].File.Path]}, nil
			}
			return nil, fmt.Errorf("%s was asked for %s", name, op)
		}}
	}
	return out
}

func (p *places) dial(context.Context, site.Hosts, site.Place, string) (client.Client, error) {
	b := fake.NewClientBuilder()
	if p.token != "" {
		b = b.WithObjects(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "jeroboam-proxy", Name: "jeroboam-proxy"},
			Data:       map[string][]byte{"token": []byte(p.token), "ca.crt": []byte("authority")},
		})
	}
	return b.Build(), nil
}

func file(owner, content string) plan.Facts {
	return plan.Facts{"mode": "0600", "owner": owner, "sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
}

func TestCopiesOfKubeconfigs(t *testing.T) {
	in := deploytest.Seed(t)
	h := in.Nodes[1].PhysicalHost
	in.Magnum.Hosts = []intent.MagnumHost{{Container: intent.Container{Name: "infra1-magnum-container-1", PhysicalHost: in.Nodes[0].PhysicalHost, Tech: "lxc"}}}
	in.Proxy.Hosts = []intent.ProxyHost{{
		Container: intent.Container{Name: h, PhysicalHost: h, IsMetal: true}, User: "capi_proxy", Group: "capi_proxy", Kubeconfig: "/var/lib/capi_proxy/.kube/config",
	}}
	m, x, first := in.Magnum.Hosts[0].Name, in.Proxy.Hosts[0].PhysicalHost, in.Nodes[0].Name
	const magnum, capi, ours = "/var/lib/magnum/.kube/config", "/var/lib/capi_proxy/.kube/config", "/etc/jeroboam/proxy.kubeconfig"
	good := func(p *places) {
		p.users = map[string]string{m: "magnum:x:1:1::/:/bin/sh\n", x: "capi_proxy:x:2:2::/:/bin/sh\n"}
		p.have = map[string]plan.Facts{
			m + " " + magnum: file("magnum:magnum", "admin.conf of "+first), x + " " + capi: file("capi_proxy:capi_proxy", "admin.conf of "+in.Nodes[2].Name),
		}
	}
	for _, tt := range []struct {
		reason    string
		spoil     func(p *places, world *deploy.World)
		unreached map[string]error
		want      []string
		notes     []string
	}{
		{reason: "any node's admin.conf will do", spoil: func(*places, *deploy.World) {}},
		{
			reason: "no copy yet", spoil: func(p *places, _ *deploy.World) { p.have = nil },
			want: []string{m + ": create file " + magnum, x + ": create file " + capi},
		},
		{
			reason: "a copy that is none any more",
			spoil: func(p *places, _ *deploy.World) {
				p.have[m+" "+magnum]["sha256"] = "old"
				p.have[x+" "+capi]["mode"] = "0644"
			},
			want: []string{m + ": update file " + magnum, x + ": update file " + capi, x + ": restart unit magnum-cluster-api-proxy.service"},
		},
		{
			reason: "the certificate in one is about to be renewed",
			spoil: func(_ *places, world *deploy.World) {
				n := world.Nodes[first]
				n.Certificates = []host.Certificate{{Path: "/etc/kubernetes/admin.conf", Until: deploytest.Now()}}
				world.Nodes[first] = n
			},
			want: []string{first + ": run kubeadm certs renew", m + ": update file " + magnum},
		},
		{
			reason: "OpenStack-Ansible has not been there yet",
			spoil:  func(p *places, _ *deploy.World) { p.users, p.gone = nil, map[string]bool{m: true} },
			notes:  []string{m + ": no kubeconfig for magnum: the container is not there", x + ": no kubeconfig for capi_proxy or jeroboam-proxy: there is no such user"},
		},
		{
			reason: "a container without Magnum", spoil: func(p *places, _ *deploy.World) { delete(p.users, m) },
			notes: []string{m + ": no kubeconfig for magnum: there is no such user"},
		},
		{
			reason: "a host that is not reached", spoil: func(*places, *deploy.World) {}, unreached: map[string]error{x: errors.New("host is down")},
			notes: []string{x + ": no kubeconfig for capi_proxy or jeroboam-proxy: host is down"},
		},
		{
			reason: "our proxy has a credential of its own",
			spoil: func(p *places, _ *deploy.World) {
				p.token = "hunter2"
				p.users[x] = "jeroboam-proxy:x:3:3::/:/bin/sh\n"
			},
			want: []string{x + ": create file " + ours},
		},
		{
			reason: "and none without an account",
			spoil:  func(p *places, _ *deploy.World) { p.users[x] = "jeroboam-proxy:x:3:3::/:/bin/sh\n" },
			notes:  []string{x + ": no kubeconfig for capi_proxy: there is no such user", x + ": no kubeconfig for jeroboam-proxy: the cluster has no account for it (jeroboam proxy manifests)"},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := deploytest.Want(t, in, deploytest.Facts(in))
			world := deploytest.Converged(w)
			p := &places{in: in}
			good(p)
			tt.spoil(p, &world)
			c := kubeconfigs.Look(t.Context(), p.hosts(), tt.unreached, deploy.CopiesFrom(p.hosts(), w, world, p.dial))
			plain := deploy.Diff(w, world, deploytest.Now())
			got := c.Plan(plain, kubeadm.Fresh(plain))
			if diff := cmp.Diff(tt.want, deploytest.Only(got)); diff != "" {
				t.Error(diff)
			}
			var notes []string
			for _, f := range got.Findings {
				if f.Blocks {
					t.Errorf("it blocks: %+v", f)
				}
				notes = append(notes, f.Where+": "+f.Text)
			}
			slices.Sort(notes)
			slices.Sort(tt.notes)
			if diff := cmp.Diff(tt.notes, notes); diff != "" {
				t.Error(diff)
			}
			if text, _ := json.Marshal(got); strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "admin.conf of") {
				t.Error("a secret is in the plan")
			}
		})
	}
}
