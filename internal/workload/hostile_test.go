package workload_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// told notes what a watch tells.
type told struct {
	mu      sync.Mutex
	all     [][]workload.Seen
	changed []workload.Seen
	lost    []error
	any     chan struct{} // closed at the first loss
}

func newTold() *told { return &told{any: make(chan struct{})} }

func (w *told) All(_ schema.GroupVersionKind, objects []workload.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, objects)
}

func (w *told) Changed(o workload.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, o)
}

func (w *told) Lost(_ schema.GroupVersionKind, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost = append(w.lost, err); len(w.lost) == 1 {
		close(w.any)
	}
}

// served is an API server that knows ConfigMaps, and answers to a list and to a watch of them as it is told.
func served(list, events http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	text := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
	}
	text("/api", `{"kind":"APIVersions","versions":["v1"]}`)
	text("/apis", `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
	text("/api/v1", `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","kind":"ConfigMap","namespaced":true,"verbs":["list","watch"]}]}`)
	mux.HandleFunc("/api/v1/configmaps", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("watch") == "true" {
			events(w, r)
			return
		}
		list(w, r)
	})
	return mux
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// endless sends begin, and then the same part until nobody listens, or limit bytes.
func endless(begin, part string, limit int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, begin)
		many := strings.Repeat(part, max(1, (64<<10)/len(part)))
		for sent := 0; sent < limit && r.Context().Err() == nil; sent += len(many) {
			if _, err := io.WriteString(w, many); err != nil {
				return
			}
		}
	}
}

const emptyList = `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":[]}`

// What an API server that is somebody's own may send in place of a list or an event, however much: the watch is lost
// and tried again, and what it cost in memory is bounded.
func TestHostileWatches(t *testing.T) {
	const much = 512 << 20
	for _, tc := range []struct {
		reason       string
		list, events http.HandlerFunc
		says         string
	}{
		{
			"an event without an end: client-go would read all of it into memory",
			says(emptyList), endless(`{"type":"ADDED","object":{"metadata":{"name":"`, "x", much), "longer than 1024 KiB",
		},
		{
			"blanks without an end between events",
			says(emptyList), endless("", " ", much), "longer than 1024 KiB",
		},
		{
			"an object of a list without an end",
			endless(`{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"`, "x", much), nil, "longer than 1024 KiB",
		},
		{
			"a list of nothing, which becomes a hundred times its size in memory",
			endless(`{"metadata":{"resourceVersion":"7"},"items":[{}`, ",{}", much), nil, "more than 10000 objects",
		},
		{
			"a list without an end of what is no item",
			endless(`{"a":1`, `,"a":1`, much), nil, "no list",
		},
		{
			"a list of few objects, each as long as one may be",
			endless(`{"metadata":{"resourceVersion":"7"},"items":[{}`, `,{"a":"`+strings.Repeat("x", 1<<19)+`"}`, much), nil, "all are longer than 16 MiB",
		},
		{"nesting without an end", endless(`{"metadata":`, `{"a":`, much), nil, "exceeded max depth"},
		{"no list", says(`[]`), nil, "no list"},
		{"a list without a version to watch from", says(`{"items":[]}`), nil, "no list"},
		{"a list that breaks off", says(`{"metadata":{"resourceVersion":"7"},"items":[{}`), nil, "EOF"},
		{"an event that is none", says(emptyList), says(`"event"`), "cannot unmarshal"},
		{"a redirect to where only we can go", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		}, nil, "302 Found"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, w := open(t, served(tc.list, tc.events)), newTold()
			runtime.GC()
			var before, peak runtime.MemStats
			runtime.ReadMemStats(&before)
			go c.Watch(t.Context(), configMaps(), "l", w)
			var grown uint64
			for waiting := true; waiting; {
				select {
				case <-w.any:
					waiting = false
				case <-time.After(20 * time.Millisecond):
				case <-t.Context().Done():
					t.Fatal("it is not told")
				}
				runtime.ReadMemStats(&peak)
				grown = max(grown, peak.HeapInuse-min(peak.HeapInuse, before.HeapInuse))
			}
			if !strings.Contains(w.lost[0].Error(), tc.says) {
				t.Errorf("it is told %q, want %q", w.lost[0], tc.says)
			}
			if grown > 64<<20 { // the server is in this process too, and garbage counts until it is collected
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// What a watch tells of an API server that is one.
func TestWatch(t *testing.T) {
	gone := make(chan struct{})
	long := strings.Repeat("x", 200<<10)
	list := `{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"7","continue":""},"items":[` +
		`{"metadata":{"name":"a","namespace":"n","resourceVersion":"5","generation":2,"labels":{"l":""}}},{"metadata":{"name":"b","resourceVersion":"6"}}]}`
	asked := make(chan string, 10)
	c, w := open(t, served(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery + " " + r.Header.Get("Accept")
		says(list)(w, r)
	}, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery + " " + r.Header.Get("Accept")
		for _, event := range []string{
			`{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"8","generation":3}}}` + "\n",
			`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}` + "\n",
			fmt.Sprintf(`{"type":"ADDED","object":{"metadata":{"name":"long","resourceVersion":"10","annotations":{"a":%q}}}}`, long) + "\n",
			`{"type":"DELETED","object":{"metadata":{"name":"b","resourceVersion":"11"}}}` + "\n",
			`{"type":"ERROR","object":{"kind":"Status","code":410}}` + "\n",
			`{"type":"ADDED","object":{"metadata":{"name":"after"}}}` + "\n",
		} {
			_, _ = io.WriteString(w, event)
			w.(http.Flusher).Flush() //nolint:forcetypeassert // of net/http
		}
		<-gone
	})), newTold()
	defer close(gone)
	go c.Watch(t.Context(), configMaps(), "l", w)
	query := func(want string) {
		t.Helper()
		if got := <-asked; got != want {
			t.Errorf("it asks %q, want %q", got, want)
		}
	}
	query("labelSelector=l application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	query("allowWatchBookmarks=true&labelSelector=l&resourceVersion=7&watch=true application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	<-asked // it lists again, because what it watched from is too old
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := configMaps()
	want := []workload.Seen{
		{Kind: kind, Namespace: "n", Name: "a", Generation: 2, ResourceVersion: "5"}, {Kind: kind, Name: "b", ResourceVersion: "6"},
	}
	if diff := cmp.Diff(want, w.all[0]); diff != "" {
		t.Error(diff)
	}
	want = []workload.Seen{
		{Kind: kind, Namespace: "n", Name: "a", Generation: 3, ResourceVersion: "8"},
		{Kind: kind, Name: "long", ResourceVersion: "10"},
		{Kind: kind, Name: "b", ResourceVersion: "11", Gone: true},
	}
	if diff := cmp.Diff(want, w.changed); diff != "" {
		t.Error(diff)
	}
	if len(w.lost) > 0 {
		t.Errorf("it is lost: %v", w.lost)
	}
}

// A watch that is taken and never begins is lost, like any other request.
func TestAWatchThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	c, w := open(t, served(says(emptyList), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })), newTold()
	began := time.Now()
	go c.Watch(t.Context(), configMaps(), "l", w)
	select {
	case <-w.any:
	case <-time.After(2 * workload.RequestTimeout):
		t.Errorf("nothing is told after %s", time.Since(began))
	}
}

func TestKubeconfigsThatReachOut(t *testing.T) {
	for _, tc := range []struct{ reason, user, says string }{
		{"a program would run as the server", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}", "/bin/sh"},
		{"a file of the server's host would be sent", "tokenFile: /etc/shadow", "names files"},
		{"a key of the server's host would be used", "client-certificate: /etc/c.pem, client-key: /etc/k.pem", "names files"},
	} {
		text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "https://192.0.2.1"}}], users: [{name: u, user: {%s}}]}`, tc.user)
		if _, err := workload.Open([]byte(text), nil); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.reason, err)
		}
	}
}
