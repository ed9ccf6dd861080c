package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestEvents: a tenant can read what happened to their cluster, and nobody else's.
func TestEvents(t *testing.T) {
	s := newService(t)
	s.cluster(t, "k")
	s.events = []magnum.Event{
		{Type: "Normal", Reason: "Created", Message: "created", Count: 1, FirstSeen: s.now, LastSeen: s.now},
		{Type: "Warning", Reason: "State", Message: "no valid host", NodeGroup: "gpu", Count: 3, FirstSeen: s.now, LastSeen: s.now.Add(time.Minute)},
	}
	got := s.must(t, 200, "reader", "GET", "/v1/clusters/k/events", "").text
	want := `{"events":[{"type":"Normal","reason":"Created","message":"created","nodegroup":null,"count":1,` +
		`"first_seen":"2026-11-23T07:09:44+00:00","last_seen":"2026-11-23T07:09:44+00:00"},` +
		`{"type":"Warning","reason":"State","message":"no valid host","nodegroup":"gpu","count":3,` +
		`"first_seen":"2026-11-23T07:09:44+00:00","last_seen":"2026-11-23T07:10:44+00:00"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := s.must(t, 200, "member", "GET", "/v1/clusters/k/events?limit=1", "").text; !strings.Contains(got, "no valid host") || strings.Contains(got, "created\"") {
		t.Errorf("with a limit the newest are shown: %s", got)
	}
	s.must(t, 404, "other", "GET", "/v1/clusters/k/events", "")
	s.must(t, 404, "member", "GET", "/v1/clusters/lost/events", "")
	s.must(t, 400, "member", "GET", "/v1/clusters/k/events?limit=none", "")
	s.must(t, 405, "member", "POST", "/v1/clusters/k/events", "{}")
	if got := s.must(t, 200, "", "GET", "/v1", "").text; !strings.Contains(got, `"http://H/v1/clusters/{cluster_id}/events"`) {
		t.Errorf("the version document names it: %s", got)
	}
}
