package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// carried are the releases of Kubernetes in a bundle, from the oldest to its own.
func (l lab) carried(t *testing.T) []string {
	t.Helper()
	b, err := bundle.Open(l.bundle, sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range b.Index.Files {
		if f.Release != "" && strings.HasPrefix(f.Name, "kubeadm-") {
			out = append(out, version.Trim(f.Release))
		}
	}
	return append(out, l.kubernetes(t))
}

// TestChain brings a cluster of the oldest Kubernetes up to the bundle's own, through every minor version between them:
// a run that stops on the way, one that is killed, and one that ends it. It needs a bundle that carries at least two
// older releases (jeroboam bundle bump kubernetes VERSION --add), and in BUNDLE_CHAIN_BEFORE one of the minor version
// that the way begins with.
func TestChain(t *testing.T) {
	l := open(t)
	before := l.other(t, "BUNDLE_CHAIN_BEFORE")
	oldest, carried := before.kubernetes(t), l.carried(t)
	if len(carried) < 2 || version.Minor(carried[0]) > version.Minor(oldest)+1 {
		t.Skipf("%s carries %v, which is no way up from %s: see docs/lab.md", l.bundle, carried, oldest)
	}
	for version.Minor(carried[0]) <= version.Minor(oldest) {
		carried = carried[1:]
	}
	way := oldest + " -> " + strings.Join(carried, " -> ")
	t.Logf("the way is %s", way)
	t.Run("the oldest is deployed", func(t *testing.T) {
		before.configure(t)
		t.Logf("deployed %s in %.0f s", oldest, before.applied(t).Seconds())
		before.running(t, oldest)
	})
	l.configure(t)
	t.Run("the plan names the way", func(t *testing.T) {
		p, code := l.plan(t)
		if code != 2 {
			t.Errorf("plan has status %d", code)
		}
		var said []string
		for _, f := range p.Findings {
			said = append(said, f.Judge+": "+f.Text)
		}
		if !strings.Contains(strings.Join(said, "\n"), way) {
			t.Errorf("no finding names %s:\n%s", way, strings.Join(said, "\n"))
		}
	})
	marked := l.nodes(t)[0]
	l.kubectl(t, marked, "create configmap the-way --from-literal=began="+oldest)
	t.Run("one step", func(t *testing.T) {
		began := time.Now()
		l.apply(t, "--allow", "restart", "--until", version.MinorOf(carried[0]))
		t.Logf("%s -> %s in %.0f s", oldest, carried[0], time.Since(began).Seconds())
		l.running(t, carried[0])
	})
	t.Run("the rest, killed in between", func(t *testing.T) {
		began := time.Now()
		l.start(t, "apply", "--allow", "restart").killAfter("kubeadm upgrade", 5*time.Second)
		l.applied(t, "--allow", "restart")
		t.Logf("%s in %.0f s", strings.Join(carried, " -> "), time.Since(began).Seconds())
		l.running(t, l.kubernetes(t))
	})
	if got := l.kubectl(t, marked, "get configmap the-way -o jsonpath={.data.began}"); strings.TrimSpace(got) != oldest {
		t.Errorf("what was in the cluster before is %q, should be %q", got, oldest)
	}
}
