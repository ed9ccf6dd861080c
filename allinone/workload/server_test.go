package workload

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
)

// startEtcd is an etcd for one test.
func startEtcd(t *testing.T) *etcd.Server {
	t.Helper()
	e := &etcd.Server{Dir: t.TempDir(), Log: io.Discard}
	if err := e.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

func newServer(t *testing.T, e *etcd.Server) *Server {
	t.Helper()
	s, err := New(Options{Etcd: e.Endpoint(), Version: func(context.Context, string) string { return "v1.33.7" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// serve is a cluster at an address of its own, with a namespace in it.
func serve(t *testing.T, s *Server, cluster string) *rest.Config {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, Identify(r, cluster, "admin")) }))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	cfg := &rest.Config{Host: srv.URL, UserAgent: "test", QPS: -1}
	_, err := clientset(t, cfg).CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func clientset(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func configMap(name, key, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{key: value}}
}

// Two managers apply to one object: each owns its fields, and neither takes the other's unless it insists.
func TestServerSideApply(t *testing.T) {
	maps := clientset(t, serve(t, newServer(t, startEtcd(t)), "ns/a")).CoreV1().ConfigMaps("default")
	apply := func(manager, key, value string, force bool) (*corev1.ConfigMap, error) {
		return maps.Apply(t.Context(), corev1apply.ConfigMap("m", "default").WithData(map[string]string{key: value}), metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	first, err := apply("one", "a", "1", false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := apply("one", "a", "1", false)
	if err != nil || again.ResourceVersion != first.ResourceVersion {
		t.Errorf("applying the same again must write nothing: version %s, then %s, %v", first.ResourceVersion, again.ResourceVersion, err)
	}
	if _, err := apply("two", "b", "2", false); err != nil {
		t.Fatal(err)
	}
	_, err = apply("two", "a", "other", false)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one": .data.a`) {
		t.Errorf("another's field must be a conflict that says whose it is: %v", err)
	}
	if _, err := apply("two", "a", "other", true); err != nil {
		t.Fatal(err)
	}
	last, err := apply("one", "c", "3", false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "other", "c": "3"}, last.Data); diff != "" {
		t.Errorf("a manager loses what it no longer applies, and keeps nothing that it lost (-want +got):\n%s", diff)
	}
	var managers []string
	for _, f := range last.ManagedFields {
		managers = append(managers, f.Manager+" "+string(f.Operation)+" "+f.FieldsV1.String())
	}
	if diff := cmp.Diff([]string{`one Apply {"f:data":{"f:c":{}}}`, `two Apply {"f:data":{"f:a":{}}}`}, managers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	cfg := serve(t, newServer(t, startEtcd(t)), "ns/a")
	c := clientset(t, cfg)
	maps := c.CoreV1().ConfigMaps("default")
	made, err := maps.Create(t.Context(), configMap("m", "a", "1"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stale := made.DeepCopy()
	made.Data["a"] = "2"
	if _, err := maps.Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	raw := func(path string) func() error {
		return func() error {
			_, err := c.Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
			return err
		}
	}
	cases := map[string]struct {
		do   func() error
		code int32
	}{
		"there already": {func() error {
			_, err := maps.Create(t.Context(), configMap("m", "a", ""), metav1.CreateOptions{})
			return err
		}, 409},
		"changed by another": {func() error { _, err := maps.Update(t.Context(), stale, metav1.UpdateOptions{}); return err }, 409},
		"not there":          {func() error { return maps.Delete(t.Context(), "none", metav1.DeleteOptions{}) }, 404},
		"not that one": {func() error {
			return maps.Delete(t.Context(), "m", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("other")})
		}, 409},
		"no such namespace": {func() error {
			_, err := c.CoreV1().ConfigMaps("none").Create(t.Context(), configMap("m", "a", "1"), metav1.CreateOptions{})
			return err
		}, 404},
		"invalid": {func() error {
			_, err := c.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, metav1.CreateOptions{})
			return err
		}, 422},
		"no such kind":  {raw("/api/v1/namespaces/default/things"), 404},
		"no such group": {raw("/apis/example.com/v1/things"), 404},
		"no such patch": {func() error {
			_, err := maps.Patch(t.Context(), "m", "text/plain", []byte("x"), metav1.PatchOptions{})
			return err
		}, 415},
		"needed namespace": {func() error { return c.CoreV1().Namespaces().Delete(t.Context(), "default", metav1.DeleteOptions{}) }, 403},
		"healthy":          {raw("/readyz"), 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err, code := tc.do(), int32(0)
			if status, ok := err.(apierrors.APIStatus); ok {
				code = status.Status().Code
			} else if err != nil {
				t.Fatalf("not an answer of an API server: %v", err)
			}
			if code != tc.code {
				t.Errorf("status %d, want %d: %v", code, tc.code, err)
			}
		})
	}
}

// A watch begins where a list ended, tells where it is, and is refused for what is no longer known.
func TestWatch(t *testing.T) {
	s := newServer(t, startEtcd(t))
	maps := clientset(t, serve(t, s, "ns/a")).CoreV1().ConfigMaps("default")
	other := clientset(t, serve(t, s, "ns/b")).CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("before", "a", "1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	yes := true
	w, err := maps.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, LabelSelector: "!hidden",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	next := func() string {
		select {
		case e := <-w.ResultChan():
			m, ok := e.Object.(*corev1.ConfigMap)
			if !ok {
				t.Fatalf("%v", e)
			}
			if e.Type == watch.Bookmark {
				return "BOOKMARK " + m.Annotations[metav1.InitialEventsAnnotationKey]
			}
			return string(e.Type) + " " + m.Name
		case <-time.After(20 * time.Second):
			t.Fatal("no event")
			return ""
		}
	}
	got := []string{next(), next()}
	hidden := configMap("hidden", "a", "1")
	hidden.Labels = map[string]string{"hidden": ""}
	for _, do := range []func() error{
		func() error {
			_, err := other.Create(t.Context(), configMap("elsewhere", "a", "1"), metav1.CreateOptions{})
			return err
		},
		func() error { _, err := maps.Create(t.Context(), hidden, metav1.CreateOptions{}); return err },
		func() error {
			_, err := maps.Patch(t.Context(), "before", types.MergePatchType, []byte(`{"data":{"a":"2"}}`), metav1.PatchOptions{})
			return err
		},
		func() error { return maps.Delete(t.Context(), "before", metav1.DeleteOptions{}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	got = append(got, next(), next())
	if diff := cmp.Diff([]string{"ADDED before", "BOOKMARK true", "MODIFIED before", "DELETED before"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	list, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"after", "later"} {
		if _, err := maps.Create(t.Context(), configMap(name, "a", "1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	res, err := s.backend.client.KV.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.backend.client.Compact(t.Context(), res.Header.Revision); err != nil {
		t.Fatal(err)
	}
	late, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err == nil {
		defer late.Stop()
		e := <-late.ResultChan()
		err = apierrors.FromObject(e.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from a time that is compacted must be 410: %v", err)
	}
}

// Clusters have nothing in common, a cluster that is dropped takes nothing from others, and all is there after a
// restart.
func TestClustersAreApart(t *testing.T) {
	e := startEtcd(t)
	s := newServer(t, e)
	for _, cluster := range []string{"ns/a", "ns/ab", "other/a"} {
		if _, err := clientset(t, serve(t, s, cluster)).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m", "of", cluster), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Drop(t.Context(), "ns/a"); err != nil {
		t.Fatal(err)
	}
	again := newServer(t, e)
	all, err := again.Clusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ns/ab", "other/a"}, all); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for cluster, want := range map[string]string{"ns/a": "", "ns/ab": "ns/ab", "other/a": "other/a"} {
		m, err := clientset(t, again.Client(cluster, "test")).CoreV1().ConfigMaps("default").Get(t.Context(), "m", metav1.GetOptions{})
		if client := apierrors.IsNotFound(err); client != (want == "") || m.Data["of"] != want {
			t.Errorf("%s: got %q, %v", cluster, m.Data["of"], err)
		}
	}
}

// A request that nobody said a cluster for reaches nothing.
func TestNoCluster(t *testing.T) {
	s := newServer(t, startEtcd(t))
	for _, cluster := range []string{"", "a", "/a", "a/", "a/b/c"} {
		_, err := clientset(t, s.Client(cluster, "test")).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		if err == nil || !strings.Contains(err.Error(), "for no cluster") {
			t.Errorf("%q: %v", cluster, err)
		}
	}
}

func TestVersion(t *testing.T) {
	v, err := clientset(t, serve(t, newServer(t, startEtcd(t)), "ns/a")).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if v.GitVersion != "v1.33.7" || v.Major != "1" || v.Minor != "33" {
		t.Errorf("a cluster has the version that its machines have: %+v", v)
	}
}
