package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// A deletion insists on what is ours. What the cloud's owner refuses is told, tried for a while, and then let go with
// its name.
func TestADeletionHangsOnNothingThatIsNotOurs(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	forbidden := errors.New("delete application credential: forbidden")
	for name, is := range map[string]struct {
		reason   string
		after    time.Duration
		progress time.Duration // when something last went
		left     []string
		err      error
		done     bool
		status   magnum.Status
		says     string
	}{
		"done":                     {"", time.Second, 0, nil, nil, true, magnum.DeleteInProgress, ""},
		"it is on its way":         {"", time.Minute, 0, []string{"web 1 (PENDING_DELETE)"}, nil, false, magnum.DeleteInProgress, "web 1 (PENDING_DELETE)"},
		"refused a moment ago":     {"it may be a moment's", time.Minute, 0, nil, forbidden, false, magnum.DeleteInProgress, "forbidden"},
		"refused for a while":      {"the owner should know", 3 * time.Minute, 0, nil, forbidden, false, magnum.DeleteFailed, "application credential: "},
		"something went meanwhile": {"its time counts from there", 11 * time.Minute, 10 * time.Minute, nil, forbidden, false, magnum.DeleteInProgress, "forbidden"},
		"refused for good":         {"403 of Keystone's owner", 10 * time.Minute, 0, nil, forbidden, true, magnum.DeleteInProgress, ""},
		"pending for ever":         {"a load balancer that Octavia has lost", 10 * time.Minute, 0, []string{"web 1 (PENDING_UPDATE)"}, nil, true, magnum.DeleteInProgress, ""},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &Reconciler{Now: func() time.Time { return start.Add(is.after) }, Recorder: recorder}
			record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f", DeletionTimestamp: &metav1.Time{Time: start}}}
			record.Status.Status = string(magnum.DeleteInProgress)
			record.Status.Progress = &v1alpha1.Progress{Left: 0, At: metav1.NewTime(start.Add(is.progress))}
			s := &scope{record: record, stack: &kube.Stack{}, log: slog.New(slog.DiscardHandler)}
			out, err := r.bounded(t.Context(), s, "application credential", func() ([]string, error) { return is.left, is.err })
			if err != nil || out.Done() != is.done {
				t.Fatalf("%+v, %v (%s)", out, err, is.reason)
			}
			if !is.done && out.After == 0 {
				t.Error("nobody would look again: OpenStack sends no events")
			}
			r.judge(s, out, nil)
			if got := record.Status; got.Status != string(is.status) || !strings.Contains(got.StatusReason, is.says) {
				t.Errorf("%s %q, want %s %q (%s)", got.Status, got.StatusReason, is.status, is.says, is.reason)
			}
			if letGo := is.done && name != "done"; letGo {
				if said := <-recorder.Events; !strings.Contains(said, "continues without application credential") {
					t.Errorf("the event says %q", said)
				}
				if again, _ := r.bounded(t.Context(), s, "application credential", func() ([]string, error) { panic("it was let go") }); !again.Done() {
					t.Error("it is asked for again")
				}
			}
		})
	}
}

// A name is no proof: the Python driver, or another replica, may have made a cluster of the same name.
func TestOnlyOurOwnIsTakenAway(t *testing.T) {
	ours := map[string]string{v1alpha1.LabelClusterUUID: "7a8f"}
	theirs := map[string]string{v1alpha1.LabelClusterUUID: "other"}
	silent := map[string]string{clusterv1.ClusterNameLabel: "kube-abcde"}
	for name, is := range map[string]struct {
		reason  string
		labels  map[string]string
		foreign bool
		address string
		want    bool
	}{
		"ours":                      {"", ours, false, "", true},
		"another cluster's":         {"", theirs, false, "https://a:6443", false},
		"Cluster API's, of ours":    {"the kubeconfig", silent, false, "https://a:6443", true},
		"the Python driver's":       {"our cluster never came to have a Cluster", silent, false, "", false},
		"of a Cluster of that name": {"", silent, true, "https://a:6443", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scope{record: &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f"}}, stack: &kube.Stack{Foreign: is.foreign}}
			s.record.Status.APIAddress = is.address
			if got := s.owns(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: is.labels}}); got != is.want {
				t.Errorf("taken away is %v: %s", got, is.reason)
			}
		})
	}
}

// A machine set whose machine deployment is gone would keep the Cluster for ever.
func TestADeletedClusterLetsItsMachineSetsGo(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	set := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.Namespace, Name: "kube-abcde-more-x", Finalizers: []string{clusterv1.MachineSetFinalizer}, DeletionTimestamp: &metav1.Time{Time: now},
		Labels: map[string]string{clusterv1.ClusterNameLabel: "kube-abcde", clusterv1.MachineDeploymentNameLabel: "kube-abcde-more"},
	}}
	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.Namespace, Name: "kube-abcde", Finalizers: []string{clusterv1.ClusterFinalizer}, DeletionTimestamp: &metav1.Time{Time: now},
	}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(set, c).Build()
	r := &Reconciler{Client: api, Reader: api, Now: func() time.Time { return now }}
	s := &scope{record: &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f"}}, stack: &kube.Stack{Cluster: c}}
	out, err := r.dropCluster(t.Context(), s)
	if err != nil || out.Done() || out.After == 0 {
		t.Errorf("the Cluster is there, and nobody watches machine sets: %+v, %v", out, err)
	}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
		t.Fatal(err)
	}
	if name, named := set.Labels[clusterv1.MachineDeploymentNameLabel]; named {
		t.Errorf("it still names machine deployment %s, which is gone", name)
	}
}

// A dead credential stays dead for a whole round, whatever came with its error, and a deletion goes on to what keeps
// it, which says what to do.
func TestADeletionWithADeadCredential(t *testing.T) {
	for name, is := range map[string]struct {
		reason   string
		machines int
		cluster  bool
		says     string // "" is nothing about the credential
	}{
		"machines are left":    {"nobody else can delete them", 2, true, "so its 2 machines cannot be deleted. Give the cluster a new one with PATCH /v1/credentials/7a8f"},
		"its network is left":  {"Cluster API's provider cannot log in either", 0, true, "so its network cannot be deleted. Give the cluster a new one with PATCH /v1/credentials/7a8f"},
		"Cluster API has none": {"nothing waits for it", 0, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := sick(t, &ailing{credential: openstack.ErrUnauthorized})
			logins := 0
			r.CloudFor = func(context.Context, []byte) (Cloud, error) {
				logins++
				return (*ailing)(nil), fmt.Errorf("log in: %w", openstack.ErrUnauthorized)
			}
			s.record.DeletionTimestamp = new(metav1.NewTime(r.Now().Add(-time.Minute)))
			s.record.Status.Status = string(magnum.DeleteInProgress)
			s.stack.Machines = make([]*clusterv1.Machine, is.machines)
			for i := range s.stack.Machines {
				s.stack.Machines[i] = nodeless(time.Time{})
			}
			if !is.cluster {
				s.stack.Cluster, s.observed.Cluster = nil, nil
			}
			for _, p := range []func(context.Context, *scope) (phase.Outcome, error){r.dropLoadBalancers, r.dropServerGroups, r.dropAPIAddress} {
				if out, err := p(t.Context(), s); err != nil || !out.Done() {
					t.Errorf("it hangs: %+v, %v", out, err)
				}
			}
			r.troubles(t.Context(), s)
			r.judge(s, phase.Wait("waiting for the end of 2 node groups"), nil)
			if got := s.record.Status.StatusReason; is.says != "" && !strings.Contains(got, is.says) {
				t.Errorf("it says %q, want %q: %s", got, is.says, is.reason)
			}
			if logins != 1 {
				t.Errorf("Keystone was asked %d times in one round", logins)
			}
		})
	}
}

// octavia is a cloud whose Services' load balancers are gone and whose addresses may not be.
type octavia struct {
	ailing

	left []string
	err  error
}

func (o *octavia) DeleteLoadBalancers(context.Context, string) ([]string, error) { return nil, nil }

func (o *octavia) ServiceAddresses(context.Context, string) ([]string, error) { return o.left, o.err }

// An address without its load balancer may be kept on purpose. It stays, and is told of, once.
func TestAddressesThatStayAreTold(t *testing.T) {
	cloud := &octavia{err: openstack.ErrUnavailable, left: []string{"203.0.113.7 (default/web)"}}
	r, s := sick(t, &cloud.ailing)
	r.CloudFor = func(context.Context, []byte) (Cloud, error) { return cloud, nil }
	s.record.DeletionTimestamp = new(metav1.NewTime(r.Now()))
	said := func() (list []string) {
		t.Helper()
		if out, err := r.dropLoadBalancers(t.Context(), s); err != nil || !out.Done() {
			t.Fatalf("the deletion does not go on: %+v, %v", out, err)
		}
		for events := r.Recorder.(*events.FakeRecorder).Events; len(events) > 0; {
			list = append(list, <-events)
		}
		return list
	}
	if got := said(); len(got) > 0 {
		t.Errorf("Neutron does not answer, and %q", got)
	}
	cloud.err = nil
	if got := said(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning AddressesLeft") || !strings.Contains(got[0], "203.0.113.7 (default/web)") {
		t.Errorf("told is %q", got)
	}
	if got := said(); len(got) > 0 {
		t.Errorf("told again: %q", got)
	}
}

// A credential that dies is told of when it does, and not in each round of a deletion that waits.
func TestADeathIsToldOnce(t *testing.T) {
	cloud := &octavia{}
	r, s := sick(t, &cloud.ailing)
	dead := false
	r.CloudFor = func(context.Context, []byte) (Cloud, error) {
		if dead {
			return nil, openstack.ErrUnauthorized
		}
		return cloud, nil
	}
	for _, is := range []struct {
		reason string
		dead   bool
		told   int
	}{
		{"it works", false, 0}, {"it dies", true, 1}, {"it is as dead as before", true, 0}, {"another one works", false, 0}, {"which dies as well", true, 1},
	} {
		s.cloud, s.closed, dead = nil, nil, is.dead
		if out, err := r.dropLoadBalancers(t.Context(), s); err != nil || !out.Done() {
			t.Fatalf("%s: %+v, %v", is.reason, out, err)
		}
		told := 0
		for events := r.Recorder.(*events.FakeRecorder).Events; len(events) > 0; told++ {
			if e := <-events; !strings.HasPrefix(e, "Warning CredentialDead") || !strings.Contains(e, "PATCH /v1/credentials/7a8f") {
				t.Errorf("%s: %q", is.reason, e)
			}
		}
		if told != is.told {
			t.Errorf("%s: told %d times, want %d", is.reason, told, is.told)
		}
	}
}
