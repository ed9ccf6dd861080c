package cloud

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdle makes a cluster, says what that has cost, and then counts who asks OpenStack for something while nothing
// happens: by the access logs of the cloud, and by the provider's own counter. Jeroboam asks for nothing: it is told.
// IDLE_FOR is how long it looks, ten minutes if it is not given.
func TestIdle(t *testing.T) {
	if os.Getenv("ALLINONE_STATE") != "" {
		t.Skip("ALLINONE_STATE is set: what others do with that all-in-one would be counted")
	}
	idleFor, err := time.ParseDuration(cmp.Or(os.Getenv("IDLE_FOR"), "10m"))
	if err != nil {
		t.Fatalf("IDLE_FOR: %v", err)
	}
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "idle", network(), "--labels", labels)
	w.consumption(t, "before the cluster")
	began := time.Now()
	w.create(t, "idle", "idle", 1, 1)
	s := w.reaches(t, "idle", "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)
	w.consumption(t, "when it is complete")
	w.nodesAreReady(t, w.config(t, "idle"), "idle", 2)
	time.Sleep(time.Minute) // what creation has left over is done

	asked, from := w.providerAsked(t), w.logEnds(t)
	time.Sleep(idleFor)
	requests := w.requestsSince(t, from)
	asked = w.providerAsked(t) - asked
	w.consumption(t, fmt.Sprintf("after %s more", time.Minute+idleFor))

	var here, tokens int // of Jeroboam and the provider, which share an address
	for _, r := range requests {
		t.Logf("%3d  %s %s", r.n, r.client, r.what)
		switch {
		case r.client != "10.77.0.1":
		case strings.Contains(r.what, "/auth/tokens"):
			tokens += r.n
		default:
			here += r.n
		}
	}
	t.Logf("in %s: Cluster API's provider sent %d requests, and this address %d besides %d for tokens", idleFor, asked, here, tokens)
	if own := here - asked; own > 0 {
		t.Errorf("Jeroboam sent %d requests for a cluster that rests", own)
	}
	w.delete(t, "idle")
	w.nothingLeft(t, before, s)
}

// consumption says what the all-in-one and the provider have used so far.
func (w *world) consumption(t *testing.T, when string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-eo", "pid=,cputimes=,rss=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		name := filepath.Base(f[3])
		if name != filepath.Base(place(t, "ALLINONE")) && !strings.HasPrefix(name, "capo-manager") {
			continue
		}
		rss, _ := strconv.Atoi(f[2]) // ps's own number
		t.Logf("%s: %s %s s of a processor, %d MB", when, name, f[1], rss/1024)
		said++
	}
	if said < 2 {
		t.Errorf("the all-in-one and the provider are not both among the processes: %d", said)
	}
}

// providerAsked is the provider's own count of its requests to OpenStack's services.
func (w *world) providerAsked(t *testing.T) int {
	t.Helper()
	out := w.mustExec(t, time.Minute, "", "curl", "-sS", "http://127.0.0.1:19442/metrics")
	total := 0.0
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "capo_openstack_api_requests_total{") {
			continue
		}
		n, err := strconv.ParseFloat(strings.Fields(line)[len(strings.Fields(line))-1], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		total += n
	}
	if total == 0 {
		t.Fatal("the provider has counted no request to OpenStack, and has made a cluster")
	}
	return int(total)
}

const accessLogs = "/var/log/keystone/keystone.log /var/log/nova/nova-api.log /var/log/neutron/neutron-api.log /var/log/octavia/octavia-api.log " +
	"/var/log/cinder/cinder-api.log /var/log/glance/glance-api.log"

// logEnds are the lengths of the cloud's access logs.
func (w *world) logEnds(t *testing.T) map[string]int {
	t.Helper()
	out, err := w.insideLately("sh", "-c", "stat -c '%n %s' "+accessLogs)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ends := map[string]int{}
	for line := range strings.Lines(out) {
		name, size, _ := strings.Cut(strings.TrimSpace(line), " ")
		if ends[name], err = strconv.Atoi(size); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return ends
}

// request is what one client has asked for, and how often.
type request struct {
	client, what string
	n            int
}

var accessLine = regexp.MustCompile(`\] (10\.[0-9.]+) .*?(GET|HEAD|POST|PUT|PATCH|DELETE) (/[^ ?]*)`)

// requestsSince are those of clients outside of the cloud, from the ends of the logs on; IDs in paths are left out.
func (w *world) requestsSince(t *testing.T, ends map[string]int) []request {
	t.Helper()
	id := regexp.MustCompile(`[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}`)
	var found []request
	for name, end := range ends {
		out, err := w.insideLately("tail", "-c", fmt.Sprintf("+%d", end+1), name)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(out) {
			m := accessLine.FindStringSubmatch(line)
			if m == nil || m[1] == "10.77.0.10" { // the cloud's services among themselves
				continue
			}
			what := m[2] + " " + strings.TrimSuffix(filepath.Base(name), ".log") + " " + id.ReplaceAllString(m[3], "ID")
			i := slices.IndexFunc(found, func(r request) bool { return r.client == m[1] && r.what == what })
			if i < 0 {
				found = append(found, request{client: m[1], what: what})
				i = len(found) - 1
			}
			found[i].n++
		}
	}
	slices.SortFunc(found, func(a, b request) int { return strings.Compare(a.client+a.what, b.client+b.what) })
	return found
}
