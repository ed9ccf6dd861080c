package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

var management *kubetest.Cluster

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, kubetest.Options{}, func(c *kubetest.Cluster) { management = c }))
}

// newStore is one server's store, following the records through a cache of its own.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(management.Config, cache.Options{
		Scheme: scheme, DefaultNamespaces: map[string]cache.Config{v1alpha1.Namespace: {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	view, err := store.NewView(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	go func() { defer close(ended); _ = c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		t.Fatal("cache did not sync")
	}
	for !view.Synced() {
		time.Sleep(time.Millisecond)
	}
	return store.New(management.Client, view, time.Now, rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))))
}

// grants of one caller in one project. Grants cannot be made up, so a test asks the enforcer like everybody else.
func member(t *testing.T, project string) policy.Grant {
	t.Helper()
	e, err := policy.New()
	if err != nil {
		t.Fatal(err)
	}
	who := policy.Credentials{UserID: "u-" + project, ProjectID: project, Roles: []string{"member", "reader"}}
	g, err := e.Authorize(who, "cluster:create", policy.Target{ProjectID: project, UserID: who.UserID})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func example(project, name string) magnum.Cluster {
	return magnum.Cluster{
		Name: name, ProjectID: project, UserID: "u-" + project, ClusterTemplateID: "t1",
		Template:    magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{Name: "t", ProjectID: project, COE: "kubernetes", ImageID: "img", ServerType: "vm"}},
		MasterCount: 1, NodeCount: 2, CreateTimeout: 60, Labels: map[string]string{"kube_tag": "v1.34.2"},
	}
}

func status(err error) int {
	var e *magnum.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func TestWhatWasWrittenIsReadAtOnce(t *testing.T) {
	s, ctx, g := newStore(t), t.Context(), member(t, "ryw")
	for i := range 20 {
		made, err := s.CreateCluster(ctx, g, example("ryw", fmt.Sprintf("c%d", i)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Cluster(ctx, g, made.UUID)
		if err != nil {
			t.Fatalf("read after create: %v", err)
		}
		if got.Status != magnum.CreateInProgress || got.MasterCount != 1 || got.NodeCount != 2 {
			t.Fatalf("new cluster shows %s with %d masters and %d nodes", got.Status, got.MasterCount, got.NodeCount)
		}
		if _, err := s.Cluster(ctx, g, got.Name); err != nil {
			t.Fatalf("read by name: %v", err)
		}
		if err := s.DeleteCluster(ctx, g, made.UUID); err != nil {
			t.Fatal(err)
		}
		if got, err = s.Cluster(ctx, g, made.UUID); err != nil || got.Status != magnum.DeleteInProgress {
			t.Fatalf("after delete: %v, %v", got, err)
		}
		if err := s.DeleteCluster(ctx, g, made.UUID); err != nil {
			t.Fatalf("a second delete is fine, got %v", err)
		}
	}
	list, err := s.Clusters(ctx, g)
	if err != nil || len(list) != 20 {
		t.Fatalf("%d clusters, %v", len(list), err)
	}
	if !slices.IsSortedFunc(list, func(a, b *magnum.Cluster) int { return cmp2(a.ID, b.ID) }) {
		t.Error("lists are in the order of creation")
	}
}

func cmp2(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestProjectsDoNotMeet(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	mine, theirs := member(t, "mine"), member(t, "theirs")
	made, err := s.CreateCluster(ctx, mine, example("mine", "secret"), 10)
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := s.CreateTemplate(ctx, mine, magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
		Name: "private", ProjectID: "mine", COE: "kubernetes", ImageID: "i", ServerType: "vm",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		do     func(g policy.Grant) error
	}{
		{"read by UUID", func(g policy.Grant) error { _, err := s.Cluster(ctx, g, made.UUID); return err }},
		{"read by name", func(g policy.Grant) error { _, err := s.Cluster(ctx, g, "secret"); return err }},
		{"groups", func(g policy.Grant) error { _, err := s.NodeGroups(ctx, g, made.UUID); return err }},
		{"one group", func(g policy.Grant) error { _, err := s.NodeGroup(ctx, g, made.UUID, "default-worker"); return err }},
		{"new group", func(g policy.Grant) error {
			_, err := s.CreateNodeGroup(ctx, g, magnum.NodeGroup{Name: "x", ClusterID: made.UUID, Role: "worker"})
			return err
		}},
		{"change", func(g policy.Grant) error {
			_, err := s.UpdateCluster(ctx, g, made.UUID, func(*magnum.Cluster) error { return nil })
			return err
		}},
		{"delete", func(g policy.Grant) error { return s.DeleteCluster(ctx, g, made.UUID) }},
		{"authority", func(g policy.Grant) error {
			_, _, err := s.CertificateAuthority(ctx, g, made.UUID, "kubernetes")
			return err
		}},
		{"credential", func(g policy.Grant) error { return s.PutCloudConfig(ctx, g, made.UUID, []byte("x"), nil) }},
		{"template", func(g policy.Grant) error { _, err := s.Template(ctx, g, tpl.UUID); return err }},
		{"delete template", func(g policy.Grant) error { return s.DeleteTemplate(ctx, g, tpl.UUID) }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			if got := status(tc.do(theirs)); got != http.StatusNotFound {
				t.Errorf("another project gets %d, want 404", got)
			}
			if got := status(tc.do(policy.Grant{})); got != http.StatusNotFound {
				t.Errorf("the empty grant gets %d, want 404", got)
			}
		})
	}
	if _, err := s.CreateCluster(ctx, theirs, example("mine", "planted"), 10); status(err) != http.StatusForbidden {
		t.Errorf("creating in another project: %v", err)
	}
	if c, err := s.Cluster(ctx, policy.System("test"), made.UUID); err != nil || c.DeletionRequested {
		t.Errorf("the owner's cluster was touched: %v %v", c, err)
	}
}

func TestQuotaHoldsUnderConcurrency(t *testing.T) {
	s, ctx, g := newStore(t), t.Context(), member(t, "crowd")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, refused := 0, 0
	for i := range 20 {
		wg.Go(func() {
			_, err := s.CreateCluster(ctx, g, example("crowd", fmt.Sprintf("c%d", i)), 7)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case status(err) == http.StatusForbidden:
				refused++
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	wg.Wait()
	if made != 7 || refused != 13 {
		t.Errorf("%d made, %d refused; want 7 and 13", made, refused)
	}
}

func TestConcurrentChangesAreAllKept(t *testing.T) {
	s, ctx, g := newStore(t), t.Context(), member(t, "race")
	c, err := s.CreateCluster(ctx, g, example("race", "c"), 10)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			_, err := s.UpdateCluster(ctx, g, c.UUID, func(c *magnum.Cluster) error {
				c.Labels[fmt.Sprintf("l%d", i)] = "x"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Cluster(ctx, g, c.UUID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"kube_tag": "v1.34.2", "l0": "x", "l1": "x", "l2": "x", "l3": "x"}
	if d := cmp.Diff(want, got.Labels); d != "" {
		t.Error(d)
	}
}

func TestNodeGroupsOfANewClusterAreThereAtOnce(t *testing.T) {
	s, ctx, g := newStore(t), t.Context(), member(t, "groups")
	c, err := s.CreateCluster(ctx, g, example("groups", "c"), 10)
	if err != nil {
		t.Fatal(err)
	}
	names := func() (out []string) {
		groups, err := s.NodeGroups(ctx, g, c.UUID)
		if err != nil {
			t.Fatal(err)
		}
		for _, ng := range groups {
			out = append(out, ng.Name)
		}
		return out
	}
	if d := cmp.Diff([]string{"default-master", "default-worker"}, names()); d != "" {
		t.Error(d)
	}
	ng, err := s.CreateNodeGroup(ctx, g, magnum.NodeGroup{Name: "gpu", ClusterID: c.UUID, Role: "worker", NodeCount: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateNodeGroup(ctx, g, magnum.NodeGroup{Name: "gpu", ClusterID: c.UUID, Role: "worker"}); status(err) != http.StatusConflict {
		t.Errorf("a second group of one name: %v", err)
	}
	if d := cmp.Diff([]string{"default-master", "default-worker", "gpu"}, names()); d != "" {
		t.Error(d)
	}
	if got, _ := s.Cluster(ctx, g, c.UUID); got.NodeCount != 5 {
		t.Errorf("node_count is the sum over groups, got %d", got.NodeCount)
	}
	if _, err := s.UpdateNodeGroup(ctx, g, c.UUID, ng.UUID, func(n *magnum.NodeGroup) error { n.NodeCount = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.NodeGroup(ctx, g, c.UUID, "gpu"); got.NodeCount != 1 {
		t.Errorf("resized to 1, got %d", got.NodeCount)
	}
	if err := s.DeleteNodeGroup(ctx, g, c.UUID, ng.UUID); err != nil {
		t.Fatal(err)
	}
	if got, err := s.NodeGroup(ctx, g, c.UUID, "gpu"); err != nil || got.Status != magnum.DeleteInProgress {
		t.Errorf("a group that is being deleted shows it: %v %v", got, err)
	}
}

func TestTheSchemaRefusesWhatMagnumWould(t *testing.T) {
	ctx := t.Context()
	for _, tc := range []struct {
		reason string
		edit   func(c *magnum.Cluster)
	}{
		{"a name Magnum does not allow", func(c *magnum.Cluster) { c.Name = "1; drop table" }},
		{"no masters", func(c *magnum.Cluster) { c.MasterCount = 0 }},
		{"a negative node count", func(c *magnum.Cluster) { c.NodeCount = -1 }},
		{"a stack name that is no DNS label", func(c *magnum.Cluster) { c.StackID = "../x" }},
		{"another COE", func(c *magnum.Cluster) { c.Template.COE = "swarm" }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c := example("schema", "ok")
			c.UUID, c.StackID = "0f8fad5b-d9cb-469f-a165-70867728950e", "kube-aaaaa"
			tc.edit(&c)
			err := management.Client.Create(ctx, store.ClusterRecord(&c), client.DryRunAll)
			if err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestTemplatesQuotasAndServices(t *testing.T) {
	s, ctx, g, all := newStore(t), t.Context(), member(t, "misc"), policy.System("test")
	public, err := s.CreateTemplate(ctx, g, magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
		Name: "pub", ProjectID: "misc", COE: "kubernetes", ImageID: "i", ServerType: "vm", Public: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Template(ctx, member(t, "elsewhere"), "pub"); err != nil {
		t.Errorf("a public template is seen by all: %v", err)
	}
	c := example("misc", "user")
	c.ClusterTemplateID = public.UUID
	if _, err := s.CreateCluster(ctx, g, c, 5); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTemplate(ctx, g, public.UUID); status(err) != http.StatusBadRequest {
		t.Errorf("a template in use: %v", err)
	}
	_, err = s.UpdateTemplate(ctx, g, public.UUID, func(_ *magnum.ClusterTemplate, referenced bool) error {
		if !referenced {
			t.Error("the change was not told that the template is in use")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	q := magnum.Quota{ProjectID: "misc", Resource: magnum.QuotaCluster, HardLimit: 3}
	if _, err := s.CreateQuota(ctx, all, q); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateQuota(ctx, all, q); status(err) != http.StatusConflict {
		t.Errorf("a second quota: %v", err)
	}
	if got, err := s.UpdateQuota(ctx, all, "misc", "Cluster", 9); err != nil || got.HardLimit != 9 {
		t.Errorf("update: %v %v", got, err)
	}
	if err := s.DeleteQuota(ctx, all, "misc", "Cluster"); err != nil {
		t.Error(err)
	}
	if _, err := s.Quota(ctx, all, "misc", "Cluster"); status(err) != http.StatusNotFound {
		t.Errorf("after delete: %v", err)
	}
	for range 2 {
		if err := s.Heartbeat(ctx, "host-a", "magnum-conductor"); err != nil {
			t.Fatal(err)
		}
	}
	services, err := s.Services(ctx, all)
	if err != nil || len(services) != 1 || services[0].ReportCount != 2 {
		t.Errorf("services: %+v %v", services, err)
	}
	for _, host := range []string{"host-c", "host-b", "host-a"} {
		if err := s.Heartbeat(ctx, host, "magnum-conductor"); err != nil {
			t.Fatal(err)
		}
	}
	services, err = s.Services(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int64{}
	for _, svc := range services {
		numbers[svc.Host] = svc.ID
	}
	if diff := cmp.Diff(map[string]int64{"host-a": 1, "host-c": 2, "host-b": 3}, numbers); diff != "" {
		t.Error("services are numbered from 1 in the order they came, and keep their numbers: " + diff)
	}
	if services, _ := s.Services(ctx, g); len(services) != 0 {
		t.Error("members do not see services")
	}
}
