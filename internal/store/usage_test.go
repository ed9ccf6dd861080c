package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// viewOf is a view of records that nobody follows.
func viewOf(clusters []*v1alpha1.MagnumCluster, groups []*v1alpha1.MagnumNodeGroup) *View {
	v := &View{
		clusters: map[string]*clusterEntry{}, orphans: map[string]nodeGroups{}, lists: map[string]*[]*magnum.Cluster{}, changed: make(chan struct{}),
	}
	for _, c := range clusters {
		v.setCluster(c)
	}
	for _, g := range groups {
		v.setNodeGroup(g)
	}
	return v
}

func TestUsage(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	cluster := func(name, project string, status magnum.Status, version, health string, began time.Duration) *v1alpha1.MagnumCluster {
		c := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-24 * time.Hour)), Generation: 1}}
		c.Spec.ProjectID = project
		c.Status.Status, c.Status.COEVersion, c.Status.Health, c.Status.ObservedGeneration = string(status), version, health, 1
		c.Status.OperationStartedAt = &metav1.Time{Time: now.Add(-began)}
		return c
	}
	group := func(name, cluster, role string, nodes int, status magnum.Status, version string) *v1alpha1.MagnumNodeGroup {
		g := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
		g.Spec.Name, g.Spec.ClusterID, g.Spec.Role, g.Spec.NodeCount = name, cluster, role, nodes
		g.Status.Status, g.Status.Version, g.Status.ObservedGeneration = string(status), version, 1
		return g
	}
	deleted := cluster("d", "q", magnum.DeleteInProgress, "v1.34.2", "", 0)
	deleted.DeletionTimestamp = &metav1.Time{Time: now.Add(-10 * time.Minute)}
	v := viewOf([]*v1alpha1.MagnumCluster{
		cluster("a", "p", magnum.CreateComplete, "v1.35.1", "HEALTHY", time.Hour),
		cluster("b", "p", magnum.UpdateInProgress, "v1.34.2", "UNHEALTHY", 30*time.Minute),
		cluster("c", "p", magnum.UpdateInProgress, "v1.34.9", "HEALTHY", 20*time.Minute),
		deleted,
	}, []*v1alpha1.MagnumNodeGroup{
		group("a-m", "a", magnum.RoleMaster, 3, magnum.CreateComplete, "v1.35.1"),
		group("a-w", "a", "GPU", 5, magnum.CreateComplete, "v1.34.1"), // stayed behind
		group("b-w", "b", magnum.RoleWorker, 2, magnum.UpdateFailed, ""),
	})
	want := `
# HELP jeroboam_clusters Clusters, by status.
# TYPE jeroboam_clusters gauge
jeroboam_clusters{status="CREATE_COMPLETE"} 1
jeroboam_clusters{status="CREATE_FAILED"} 0
jeroboam_clusters{status="CREATE_IN_PROGRESS"} 0
jeroboam_clusters{status="DELETE_FAILED"} 0
jeroboam_clusters{status="DELETE_IN_PROGRESS"} 1
jeroboam_clusters{status="UPDATE_COMPLETE"} 0
jeroboam_clusters{status="UPDATE_FAILED"} 0
jeroboam_clusters{status="UPDATE_IN_PROGRESS"} 2
# HELP jeroboam_clusters_health Clusters, by health status; none: not checked yet.
# TYPE jeroboam_clusters_health gauge
jeroboam_clusters_health{health="HEALTHY"} 2
jeroboam_clusters_health{health="UNHEALTHY"} 1
jeroboam_clusters_health{health="UNKNOWN"} 0
jeroboam_clusters_health{health="none"} 1
# HELP jeroboam_clusters_kubernetes Clusters, by minor version of Kubernetes.
# TYPE jeroboam_clusters_kubernetes gauge
jeroboam_clusters_kubernetes{version="v1.34"} 3
jeroboam_clusters_kubernetes{version="v1.35"} 1
# HELP jeroboam_nodes_kubernetes Nodes that were asked for, by minor version of Kubernetes.
# TYPE jeroboam_nodes_kubernetes gauge
jeroboam_nodes_kubernetes{version="v1.34"} 7
jeroboam_nodes_kubernetes{version="v1.35"} 3
# HELP jeroboam_oldest_operation_seconds How long the oldest operation of a kind has been in progress; 0: there is none.
# TYPE jeroboam_oldest_operation_seconds gauge
jeroboam_oldest_operation_seconds{operation="create"} 0
jeroboam_oldest_operation_seconds{operation="delete"} 600
jeroboam_oldest_operation_seconds{operation="update"} 1800
# HELP jeroboam_projects Projects that have clusters.
# TYPE jeroboam_projects gauge
jeroboam_projects 2
`
	collector := v.Usage(func() time.Time { return now })
	err := testutil.CollectAndCompare(collector, strings.NewReader(want), "jeroboam_clusters", "jeroboam_clusters_health", "jeroboam_clusters_kubernetes",
		"jeroboam_nodes_kubernetes", "jeroboam_oldest_operation_seconds", "jeroboam_projects")
	if err != nil {
		t.Error(err)
	}
	err = testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP jeroboam_nodes Nodes that were asked for, by role and by their group's status.
# TYPE jeroboam_nodes gauge
`+lines("jeroboam_nodes{role=\"master\",status=%q} %d\n", magnum.CreateComplete, 3)+lines("jeroboam_nodes{role=\"worker\",status=%q} %d\n", magnum.CreateComplete, 5, magnum.UpdateFailed, 2)), "jeroboam_nodes")
	if err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(collector); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// lines are a line for each state, 0 unless it is given.
func lines(format string, given ...any) string {
	counts := map[magnum.Status]int{}
	for i := 0; i < len(given); i += 2 {
		counts[given[i].(magnum.Status)] = given[i+1].(int) //nolint:forcetypeassert // the test ends
	}
	var b strings.Builder
	for _, s := range states() {
		fmt.Fprintf(&b, format, string(s), counts[s])
	}
	return b.String()
}

// A tenant may ask for any version, and for a thousand clusters: what Prometheus is shown has a bound.
func TestUsageIsBounded(t *testing.T) {
	var clusters []*v1alpha1.MagnumCluster
	for i := range 1000 {
		c := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}}
		c.Spec.ProjectID, c.Status.COEVersion, c.Status.Status = fmt.Sprint(i), fmt.Sprintf("v1.%d.0", i), string(magnum.CreateComplete)
		clusters = append(clusters, c)
	}
	if n := testutil.CollectAndCount(viewOf(clusters, nil).Usage(time.Now)); n > 100 {
		t.Errorf("%d series for a thousand clusters", n)
	}
}
