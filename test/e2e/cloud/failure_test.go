package cloud

import (
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCauses makes clusters that cannot come up, and wants the true cause in their status_reason within a minute of the
// cloud having said it, in words that somebody can act on.
func TestCauses(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "causes", network(), "--labels", labels)
	w.template(t, "balanced", network(), "--labels", labels, "--master-lb-enabled")
	w.bareTemplate(t)
	admin := func(args ...string) string { return w.say(t, "admin", args...) }
	for _, cause := range []struct {
		name   string
		breaks func(t *testing.T) (mend func())
		of     string   // the template; "causes" if it is empty
		more   []string // arguments of "cluster create"
		later  func(t *testing.T, c shown)
		said   []string // each has to be in the reason
		// knowable tells that the cloud has said it; nil: from the request on.
		knowable func(t *testing.T) bool
	}{
		{
			name: "a flavor that no host has room for",
			breaks: func(t *testing.T) func() {
				t.Helper()
				_, _ = w.openstack(t, "admin", "flavor", "create", "e2e-huge", "--vcpus", "90", "--ram", "190000", "--disk", "10") // it may be there
				return func() { w.restore(t, "admin", "flavor", "delete", "e2e-huge") }
			},
			more: []string{"--master-flavor", "e2e-huge"},
			said: []string{"No valid host"},
		},
		{
			name: "a network quota that is used up",
			breaks: func(t *testing.T) func() {
				t.Helper()
				admin("quota", "set", "--networks", "0", w.tenant)
				return func() { w.restore(t, "admin", "quota", "set", "--networks", "100", w.tenant) }
			},
			said: []string{"uota", "network"},
		},
		{
			name: "Octavia is down",
			breaks: func(t *testing.T) func() {
				t.Helper()
				w.inside(t, "systemctl", "stop", "octavia-api")
				return func() { w.inside(t, "systemctl", "start", "octavia-api") }
			},
			of:   "balanced",
			said: []string{"oad balancer"},
		},
		{
			name: "an image that boots no kubelet",
			of:   "bare",
			said: []string{"its image has no kubeadm", "console log show"},
			knowable: func(t *testing.T) bool {
				t.Helper()
				for _, id := range w.servers(t, "cause") {
					console, err := w.openstack(t, w.tenant, "console", "log", "show", id)
					return err == nil && strings.Contains(console, "kubeadm: not found")
				}
				return false
			},
		},
		{
			name: "the cluster's application credential is deleted",
			later: func(t *testing.T, c shown) {
				t.Helper()
				out := w.say(t, w.tenant, "application", "credential", "list", "-f", "value", "-c", "ID", "-c", "Name")
				for line := range strings.Lines(out) {
					if id, name, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(name, c.UUID) || strings.Contains(name, c.Stack) {
						w.say(t, w.tenant, "application", "credential", "delete", id)
						return
					}
				}
				t.Fatalf("no credential of %s: %s", c.UUID, out)
			},
			said: []string{"redential"},
		},
	} {
		t.Run(cause.name, func(t *testing.T) {
			if cause.breaks != nil {
				mend := sync.OnceFunc(cause.breaks(t))
				t.Cleanup(mend)
				defer func() { t.Cleanup(mend) }() // before the cluster is deleted, which needs a sound cloud
			}
			w.create(t, "cause", cmp.Or(cause.of, "causes"), 1, 0, cause.more...)
			c := w.mustCluster(t, "cause")
			if cause.later != nil {
				cause.later(t, c)
			}
			began := time.Now()
			since := began
			if cause.knowable != nil {
				since = time.Time{}
			}
			var reason string
			w.await(t, 5*time.Minute, "the cause in the reason", func() error {
				if since.IsZero() && cause.knowable(t) {
					since = time.Now()
				}
				s, err := w.cluster(t, "cause")
				reason = s.StatusReason
				if err == nil && slices.ContainsFunc(cause.said, func(word string) bool { return !strings.Contains(reason, word) }) {
					err = fmt.Errorf("%w: %s: %s", errNotYet, s.Status, reason)
				}
				return err
			})
			if since.IsZero() { // it was told between two looks
				since = time.Now()
			}
			late := time.Since(since)
			t.Logf("%.0f s after the request, %.0f s after it could be known: %s", time.Since(began).Seconds(), late.Seconds(), reason)
			if late > time.Minute {
				t.Errorf("it was told %s after it could be known", late)
			}
		})
	}
	if !t.Failed() {
		w.nothingLeft(t, before, shown{Stack: "nothing", UUID: "nothing"})
	}
}

// bareTemplate is of an image that boots, runs its user data, and has nothing of Kubernetes: the cloud's own small one.
func (w *world) bareTemplate(t *testing.T) {
	t.Helper()
	file, err := exec.CommandContext(t.Context(), w.program, "image", "--dir", w.dir).Output()
	if err != nil {
		t.Fatalf("make the small image: %v", err)
	}
	const name = "e2e-no-kubelet"
	w.mustExec(t, 3*time.Minute, "admin", "sh", "-c", "openstack image show "+name+" >/dev/null 2>&1 || openstack image create "+name+
		" --public --disk-format raw --container-format bare --property os_distro=debian --file "+strings.TrimSpace(string(file)))
	t.Cleanup(func() { w.restore(t, "admin", "image", "delete", name) })
	of := *w
	of.image = name
	of.template(t, "bare", network(), "--labels", labels)
}

// restore undoes what a test did to the cloud, when the test's own context has ended.
func (w *world) restore(t *testing.T, user string, args ...string) {
	t.Helper()
	if out, err := w.lately(user, args...); err != nil {
		t.Errorf("openstack %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// inside runs something in the cloud's own container.
func (w *world) inside(t *testing.T, args ...string) {
	t.Helper()
	if out, err := w.insideLately(args...); err != nil {
		t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}
