package deploy_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/sitetest"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

var update = golden.Flag()

var now = sitetest.Now()

func seed(t *testing.T) intent.Intent {
	t.Helper()
	return sitetest.Seed(t, "../osa")
}

func blob(s string) string { return sitetest.Blob(s) }

func bundle() site.Bundle { return sitetest.Bundle() }

func facts(in intent.Intent) map[string]host.Facts { return sitetest.Facts(in) }

func want(t *testing.T, in intent.Intent, f map[string]host.Facts, gone ...string) deploy.Wanted {
	t.Helper()
	w, err := deploy.Want(in, bundle(), f, gone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// converged is the world as Wanted has it.
func converged(w deploy.Wanted) deploy.World {
	world := deploy.World{Seen: site.NotLooked(0), Nodes: map[string]host.Node{}, Alive: deploy.Alive{Asked: []string{"infra1"}}}
	for _, i := range w.Items {
		if i.Thing(nil).Want == nil { // it is not to be there
			world.Items = append(world.Items, nil)
			continue
		}
		have := plan.Facts{}
		for k, v := range i.Thing(nil).Want {
			have[k] = v
		}
		for k, v := range i.Thing(have).Want {
			have[k] = v
		}
		if len(have) == 0 {
			have = nil // there is nothing, and there should be nothing
		}
		world.Items = append(world.Items, have)
	}
	var members []host.EtcdMember
	for n, node := range w.Intent.Nodes {
		members = append(members, host.EtcdMember{ID: fmt.Sprint(n), Name: node.NodeName, PeerURLs: []string{"https://" + node.NodeIP + ":2380"}})
	}
	world.Cluster = deploy.Cluster{Reachable: true, Initialised: true, Version: w.Intent.Versions.Kubernetes, Nodes: map[string]corev1.Node{}}
	for _, node := range w.Intent.Nodes {
		v := "v" + w.Intent.Versions.Kubernetes
		world.Nodes[node.Name] = host.Node{
			AdminConf: true, KubeletConf: true, EtcdData: true, Ready: "ok", Etcd: "ok", Members: members, CA: "sha256:x",
			Server:       "https://" + w.Intent.Kubernetes.ControlPlaneHost + ":6443",
			StaticPods:   map[string]string{"etcd": "3.6.16-0", "kube-apiserver": v, "kube-controller-manager": v, "kube-scheduler": v},
			Certificates: []host.Certificate{{Path: "/etc/kubernetes/pki/apiserver.crt", Until: now.Add(300 * 24 * time.Hour)}},
		}
		labels := map[string]string{"node-role.kubernetes.io/control-plane": ""}
		for k, v := range node.Labels {
			labels[k] = v
		}
		world.Cluster.Nodes[node.NodeName] = corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.NodeName, Labels: labels}}
	}
	return world
}

// empty is a world with nothing in it.
func empty(w deploy.Wanted) deploy.World {
	world := deploy.World{Seen: site.NotLooked(len(w.Items)), Nodes: map[string]host.Node{}, Alive: deploy.Alive{Asked: []string{"infra1"}}}
	for _, n := range w.Intent.Nodes {
		world.Closed[n.Name] = true
	}
	return world
}

func quiet(h site.Hosts) site.Run { return sitetest.Quiet(h) }

func only(p plan.Plan) []string { return sitetest.Only(p) }

// remove takes a member out of everybody's list.
func remove(world *deploy.World, name string) {
	for at, n := range world.Nodes {
		var left []host.EtcdMember
		for _, m := range n.Members {
			if m.Name != name {
				left = append(left, m)
			}
		}
		n.Members = left
		world.Nodes[at] = n
	}
	delete(world.Cluster.Nodes, name)
}
