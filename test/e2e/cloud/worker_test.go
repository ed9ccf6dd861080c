package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOnlyWorker loses the only worker of a cluster while the cloud has no room: its machine is given up on Nova's
// word, the next one's server is refused and its tenant told why, and when there is room again a machine is made anew,
// without anybody asking for it.
func TestOnlyWorker(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "only", network(), "--labels", labels)
	w.create(t, "only", "only", 1, 1)
	s := w.reaches(t, "only", "CREATE_COMPLETE", 15*time.Minute)
	config := w.config(t, "only")
	var worker, id string
	for name, server := range w.servers(t, "only") {
		if strings.Contains(name, "default-worker") {
			worker, id = name, server
		}
	}
	if id == "" {
		t.Fatal("there is no worker's server")
	}

	host := strings.Fields(w.say(t, "admin", "compute", "service", "list", "--service", "nova-compute", "-f", "value", "-c", "Host"))[0]
	room := func(flag string) {
		if out, err := w.lately("admin", "compute", "service", "set", flag, host, "nova-compute"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() { room("--enable") })
	room("--disable")
	began := time.Now()
	w.say(t, w.tenant, "server", "delete", "--wait", id)
	told := func(what string, limit time.Duration, words ...string) {
		t.Helper()
		w.await(t, limit, what, func() error {
			events, err := w.exec(t, time.Minute, w.tenant, place(t, "JEROBOAM"), "cluster", "events", "only")
			for _, word := range words {
				if err == nil && !strings.Contains(events, word) {
					err = fmt.Errorf("%w: %s", errNotYet, events)
				}
			}
			return err
		})
		t.Logf("%s: %.0f s after the server was deleted", what, time.Since(began).Seconds())
	}
	told("the worker is given up", 5*time.Minute, "WorkerReplaced", worker, "Nova has no server "+id)
	told("another server is refused", 5*time.Minute, "No valid host")
	room("--enable")
	again := time.Now()
	told("the refused machine is replaced", 7*time.Minute, "MachineReplaced")
	w.await(t, 5*time.Minute, "two nodes that are ready", func() error {
		out, err := w.kubectl(t, config, "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		if err == nil && (strings.Count(out, " True") != 2 || strings.Contains(out, worker)) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
	t.Logf("two nodes again %.0f s after there was room", time.Since(again).Seconds())
	if s := w.mustCluster(t, "only"); s.Status != "CREATE_COMPLETE" {
		t.Errorf("nobody asked for a change, and it is %s: %s", s.Status, s.StatusReason)
	}
	w.delete(t, "only")
	w.nothingLeft(t, before, s)
}
