package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// What a client of the virtual address sees while the cluster below changes. The load is a process of its own, because
// it has to be in the lab's network: this test's binary again, run by "lab exec".

// loadResult is what it saw. A write is tried again for a minute, as a controller would; Failed are those that did not
// succeed in it. Lost are writes that the watch never told of, though it was begun again from where it ended.
type loadResult struct {
	Writes, Retries, Failed int
	Longest                 time.Duration // of a write, all its tries together
	Watches, Lost           int
	Expired                 int // watches whose place etcd had forgotten
	Silence                 time.Duration
	Errors                  []string // kinds of errors that were retried
}

const (
	loadEvery = 100 * time.Millisecond
	loadTry   = 5 * time.Second // of one try: a connection to a server that was killed hangs
	loadLimit = time.Minute
)

// startLoad begins writing and watching through the virtual address, and returns what ends it.
func startLoad(t *testing.T, l lab, kubeconfig string) func() loadResult {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 1)
	go func() {
		out, code := l.run(t, "env", "LOAD_DIR="+dir, self, "-test.run", "^TestLoadClient$", "-test.timeout", "60m")
		done <- fmt.Sprintf("status %d: %s", code, out)
	}()
	return func() loadResult {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "stop"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		said := <-done
		var r loadResult
		text, err := os.ReadFile(filepath.Join(dir, "result"))
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			t.Fatalf("the load ended without a result: %v: %s", err, said)
		}
		t.Logf("%d writes, %d tries again (%s), %d failed, the longest took %.1f s; %d watches, %d expired, %d events lost, %.1f s of silence at most",
			r.Writes, r.Retries, strings.Join(r.Errors, "; "), r.Failed, r.Longest.Seconds(), r.Watches, r.Expired, r.Lost, r.Silence.Seconds())
		return r
	}
}

// TestLoadClient is the load itself, when startLoad runs it.
func TestLoadClient(t *testing.T) {
	dir := os.Getenv("LOAD_DIR")
	if dir == "" {
		t.Skip("no test of its own: the upgrade's test runs it in the lab's network")
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{client: client, seen: map[int]bool{}, kinds: map[string]bool{}}
	began, err := l.begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(ctx, began) })
	last := 0
	for ; !there(filepath.Join(dir, "stop")); time.Sleep(loadEvery) {
		last++
		l.write(ctx, last)
	}
	for deadline := time.Now().Add(loadLimit); !l.saw(last) && time.Now().Before(deadline); time.Sleep(loadEvery) {
	}
	cancel()
	watching.Wait()
	for n := 1; n <= last; n++ {
		if !l.seen[n] {
			l.result.Lost++
		}
	}
	for k := range l.kinds {
		l.result.Errors = append(l.result.Errors, k)
	}
	text, err := json.Marshal(l.result)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "result"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func there(path string) bool { _, err := os.Stat(path); return err == nil }

type load struct {
	client kubernetes.Interface

	mu     sync.Mutex
	result loadResult
	seen   map[int]bool
	kinds  map[string]bool
}

const loadName = "upgrade-load"

// begin makes the object that is written, and says from where to watch it.
func (l *load) begin(ctx context.Context) (string, error) {
	_ = l.client.CoreV1().ConfigMaps("default").Delete(ctx, loadName, metav1.DeleteOptions{}) // of a run before
	cm, err := l.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: loadName}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return cm.ResourceVersion, nil
}

// write puts a number into the object, with plain tries.
func (l *load) write(ctx context.Context, n int) {
	began := time.Now()
	patch := fmt.Sprintf(`{"data":{"n":"%d"}}`, n)
	var err error
	for first := true; first || time.Since(began) < loadLimit; first = false {
		try, cancel := context.WithTimeout(ctx, loadTry)
		_, err = l.client.CoreV1().ConfigMaps("default").Patch(try, loadName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		cancel()
		if err == nil {
			break
		}
		l.mu.Lock()
		l.result.Retries++
		l.kinds[kindOf(err)] = true
		l.mu.Unlock()
		time.Sleep(loadEvery)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Writes++
	if err != nil {
		l.result.Failed++
	}
	l.result.Longest = max(l.result.Longest, time.Since(began))
}

// kindOf is an error without what differs from one to the next.
func kindOf(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	return text
}

func (l *load) saw(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[n]
}

// watch notes the numbers it is told, beginning again from where it was whenever the connection ends.
func (l *load) watch(ctx context.Context, from string) {
	heard := time.Now()
	for ctx.Err() == nil {
		seconds := int64(3600)
		w, err := l.client.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("metadata.name", loadName).String(), ResourceVersion: from, TimeoutSeconds: &seconds,
		})
		if err != nil {
			time.Sleep(loadEvery)
			continue
		}
		l.mu.Lock()
		l.result.Watches++
		l.mu.Unlock()
		for e := range w.ResultChan() {
			cm, ok := e.Object.(*corev1.ConfigMap)
			if !ok {
				if apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) || apierrors.IsGone(apierrors.FromObject(e.Object)) {
					l.mu.Lock()
					l.result.Expired++
					l.mu.Unlock()
					from = "" // what was between is lost, and counted so
				}
				break
			}
			from = cm.ResourceVersion
			n, _ := strconv.Atoi(cm.Data["n"]) // before the first write there is none
			l.mu.Lock()
			l.seen[n] = true
			l.result.Silence = max(l.result.Silence, time.Since(heard))
			l.mu.Unlock()
			heard = time.Now()
		}
		w.Stop()
	}
}
