package addon

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// dial counts connections and what is sent.
func (w *idleWorld) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := workload.Direct(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.made.Add(1)
	now := w.open.Add(1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	return &countedConn{Conn: c, w: w}, nil
}

type countedConn struct {
	net.Conn

	w    *idleWorld
	once sync.Once
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.w.sent.Add(int64(n))
	return n, err
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.w.open.Add(-1) })
	return c.Conn.Close()
}

// settled waits until the addons of all clusters are available. The workloads, which no kubelet is for, are made so.
func (w *idleWorld) settled(n int) {
	w.t.Helper()
	done, waits := 0, ""
	for end := time.Now().Add(time.Minute + time.Duration(n)*time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		w.run()
		list := &v1alpha1.MagnumClusterList{}
		if err := w.client.List(w.t.Context(), list); err != nil {
			w.t.Fatal(err)
		}
		done = 0
		for i := range list.Items {
			st := list.Items[i].Status
			if st.AddonsGeneration == list.Items[i].Generation && !slices.ContainsFunc(st.Addons, func(a v1alpha1.AddonStatus) bool {
				return a.State != v1alpha1.AddonAvailable && a.State != v1alpha1.AddonSkipped
			}) {
				done++
				continue
			}
			waits = fmt.Sprintf("generation %d, %+v", list.Items[i].Generation, st)
		}
		if done == n {
			return
		}
	}
	w.t.Fatalf("addons of %d of %d clusters are available; one has %s", done, n, waits)
}

func (w *idleWorld) run() {
	key := client.ObjectKey{Namespace: catalogue.Namespace, Name: "idle"}
	d, s := &appsv1.Deployment{}, &appsv1.DaemonSet{}
	if workloads.Get(w.t.Context(), key, d) == nil && d.Status.ObservedGeneration != d.Generation {
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
		_ = workloads.Status().Update(w.t.Context(), d) // it may have changed: the next second tries again
	}
	if workloads.Get(w.t.Context(), key, s) == nil && s.Status.ObservedGeneration != s.Generation {
		s.Status = appsv1.DaemonSetStatus{
			ObservedGeneration: s.Generation, DesiredNumberScheduled: 1, CurrentNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberReady: 1, NumberAvailable: 1,
		}
		_ = workloads.Status().Update(w.t.Context(), s)
	}
}

// rest waits until the last round that an event asked for is over.
func (w *idleWorld) rest() cost {
	last := costOf(w)
	for range 10 {
		time.Sleep(lookAgain + 5*time.Second)
		now := costOf(w)
		if now.requests == last.requests && now.made == last.made {
			return now
		}
		last = now
	}
	return last
}

// cost is what the process has at a moment.
type cost struct {
	goroutines, memory, resident            int64
	open, most, made, sent, requests, cloud int64
}

func costOf(w *idleWorld) cost {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := cost{
		goroutines: int64(runtime.NumGoroutine()), memory: int64(m.HeapAlloc + m.StackInuse), //nolint:gosec // far from the limit
		open: w.open.Load(), most: w.most.Load(), made: w.made.Load(), sent: w.sent.Load(), requests: w.requests.Load(), cloud: w.cloud.Load(),
	}
	text, _ := os.ReadFile("/proc/self/statm") // not on every system: 0 then
	if f := strings.Fields(string(text)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64) // the kernel's
		c.resident = pages * int64(os.Getpagesize())
	}
	return c
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg") // not on every system
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
