package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestActivity(t *testing.T) {
	for _, tc := range []struct {
		state   magnum.Status
		action  string
		outcome Outcome
		ok      bool
		reason  string
	}{
		{magnum.CreateInProgress, "create", Pending, true, "it began"},
		{magnum.CreateComplete, "create", Success, true, "it is there"},
		{magnum.UpdateFailed, "update", Failure, true, "it is not as asked"},
		{magnum.DeleteComplete, "delete", Success, true, "it is gone"},
		{"", "", "", false, "nobody has looked"},
		{"RESUME_COMPLETE", "", "", false, "Heat's, which nobody here writes"},
	} {
		action, outcome, ok := Activity(tc.state)
		if ok != tc.ok || ok && (action != tc.action || outcome != tc.outcome) {
			t.Errorf("%s (%s): %s, %s, %v", tc.state, tc.reason, action, outcome, ok)
		}
	}
}

// listener answers as it is told and keeps what it was sent.
type listener struct {
	mu      sync.Mutex
	answers []int // the last one for good
	bodies  []string
	came    chan struct{}
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies = append(l.bodies, string(body))
	status := l.answers[0]
	if len(l.answers) > 1 {
		l.answers = l.answers[1:]
	}
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(status)
	l.came <- struct{}{}
}

func hook(t *testing.T, l *listener) (*Hook, *bytes.Buffer) {
	t.Helper()
	l.came = make(chan struct{}, 100)
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	var log bytes.Buffer
	h := NewHook(s.URL+"/token-of-the-listener", nil, slog.New(slog.NewTextHandler(&log, nil)))
	h.pause = time.Millisecond
	return h, &log
}

// run lets a hook work until it has nothing to do.
func run(t *testing.T, h *Hook, tries int, came chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Start(ctx) }()
	for range tries {
		select {
		case <-came:
		case <-time.After(10 * time.Second):
			t.Error("nobody came")
		}
	}
	select {
	case <-came:
		t.Error("it was tried once more")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	<-ended
}

func TestDelivery(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		answers []int
		tries   int
		lost    int64
	}{
		"taken":       {"once is enough", []int{200}, 1, 0},
		"accepted":    {"any 2xx", []int{202}, 1, 0},
		"busy":        {"it comes up again", []int{503, 429, 204}, 3, 0},
		"down":        {"a few times, then never", []int{500}, hookTries, 1},
		"refused":     {"asking again would not help", []int{400}, 1, 1},
		"gone":        {"nor would this", []int{410}, 1, 1},
		"somewhere":   {"notifications go where the operator said", []int{307}, 1, 1},
		"unmannerly":  {"whatever it is", []int{302}, 1, 1},
		"second time": {"the last try counts", []int{500, 500, 500, 200}, 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := &listener{answers: tc.answers}
			h, log := hook(t, l)
			if !h.Offer([]byte(`{"a":1}`)) {
				t.Fatal("there was room")
			}
			run(t, h, tc.tries, l.came)
			if h.Lost() != tc.lost {
				t.Errorf("%s: %d lost, want %d", tc.reason, h.Lost(), tc.lost)
			}
			if shown := testutil.ToFloat64(h.Metrics()[0]); int64(shown) != h.Lost() {
				t.Errorf("Prometheus is shown %v lost, and there are %d", shown, h.Lost())
			}
			for _, b := range l.bodies {
				if b != `{"a":1}` {
					t.Errorf("the listener got %s", b)
				}
			}
			if strings.Contains(log.String(), "token-of-the-listener") {
				t.Errorf("the log has the listener's secret: %s", log)
			}
		})
	}
}

// TestNobodyAnswers: a listener that is not there is an error without its URL.
func TestNobodyAnswers(t *testing.T) {
	h := NewHook("http://127.0.0.1:1/token-of-the-listener", nil, slog.New(slog.DiscardHandler))
	h.pause = time.Microsecond
	err := h.deliver(t.Context(), []byte("{}"))
	if err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("got %v", err)
	}
}

// TestTheQueueHasAnEnd: who does not listen holds up nobody.
func TestTheQueueHasAnEnd(t *testing.T) {
	h := NewHook("http://127.0.0.1:1", nil, slog.New(slog.DiscardHandler))
	for i := range hookQueue {
		if !h.Offer([]byte("{}")) {
			t.Fatalf("no room after %d", i)
		}
	}
	if h.Offer([]byte("{}")) || h.Lost() != 1 {
		t.Errorf("the queue has no end, or the loss was not counted (%d)", h.Lost())
	}
}

func TestNotification(t *testing.T) {
	l := &listener{answers: []int{200}}
	h, _ := hook(t, l)
	var log bytes.Buffer
	n := &Notifier{
		Log: slog.New(slog.NewJSONHandler(&log, nil)), Now: func() time.Time { return time.Date(2026, 11, 23, 7, 9, 44, 5000, time.UTC) },
		Host: "infra1", Line: true, Hook: h,
	}
	c := &magnum.Cluster{
		UUID: "c-1", Name: "k8s", UserID: "u-1", ProjectID: "p-1", StackID: "kube-1", OperationRequestID: "req-1", NodeCount: 2, MasterCount: 1,
		Labels: map[string]string{"kube_tag": "v1.34.1"},
	}
	n.Cluster(t.Context(), c, magnum.UpdateFailed, "No valid host")
	n.Cluster(t.Context(), c, "", "") // says nothing
	run(t, h, 1, l.came)
	var got Notification
	if err := json.Unmarshal([]byte(l.bodies[0]), &got); err != nil || len(l.bodies) != 1 {
		t.Fatalf("%v: %v", err, l.bodies)
	}
	var line struct{ Notification Notification }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	if diff := cmp.Diff(got, line.Notification); diff != "" {
		t.Errorf("the log and the URL are told different things: %s", diff)
	}
	e := got.Payload
	if got.EventType != "magnum.cluster.update" || got.Priority != "ERROR" || got.PublisherID != "container-infra.infra1" ||
		got.Timestamp != "2026-11-23 07:09:44.000005" || e.Outcome != Failure || e.Action != "update" || e.EventType != "activity" {
		t.Errorf("got %+v", got)
	}
	if e.Initiator.UserID != "u-1" || e.Initiator.ProjectID != "p-1" || e.Initiator.RequestID != "req-1" || e.Target.ID != "c-1" || e.Target.Name != "k8s" {
		t.Errorf("who and what: %+v %+v", e.Initiator, e.Target)
	}
	data := e.Target.Attachments[0]
	if data.Name != "cluster_data" || data.Content["status"] != "UPDATE_FAILED" || data.Content["status_reason"] != "No valid host" ||
		data.Content["docker_volume_size:"] == nil {
		t.Errorf("the attachment: %+v", data)
	}
	if len(got.MessageID) != 36 || got.MessageID == e.ID {
		t.Errorf("ids: %s %s", got.MessageID, e.ID)
	}
}
