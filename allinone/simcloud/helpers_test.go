package simcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// running is a cloud behind a test server.
type running struct {
	*Cloud
	t     testing.TB
	url   string
	clock *testClock
}

func start(tb testing.TB, change ...func(*Options)) *running {
	tb.Helper()
	clock := &testClock{now: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}
	var current http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.ServeHTTP(w, r) }))
	tb.Cleanup(server.Close)
	options := Options{BaseURL: server.URL, Now: clock.Now, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&options)
	}
	cloud, err := New(options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cloud.Close() })
	current = cloud
	return &running{Cloud: cloud, t: tb, url: server.URL, clock: clock}
}

// got is an answer, read.
type got struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at walks into the body: at("token", "project", "id").
func (g got) at(path ...any) any {
	var value any = g.body
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func (g got) names(list string) (names []string) {
	items, _ := g.body[list].([]any)
	for i := range items {
		names = append(names, fmt.Sprint(g.at(list, i, "name")))
	}
	return names
}

func (r *running) do(token, method, path, body string, headers ...string) got {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	g := got{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if len(bytes.TrimSpace(text)) > 0 {
		_ = json.Unmarshal(text, &g.body)
	}
	return g
}

// want does a request and checks its status.
func (r *running) want(status int, token, method, path, body string, headers ...string) got {
	r.t.Helper()
	g := r.do(token, method, path, body, headers...)
	if g.status != status {
		r.t.Fatalf("%s %s: want %d, got %d %s", method, path, status, g.status, g.text)
	}
	return g
}

const inDefault = `"domain": {"name": "Default"}`

func passwordAuth(user, password, scope string) string {
	if scope != "" {
		scope = `, "scope": ` + scope
	}
	return fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user":
		{"name": %q, %s, "password": %q}}}%s}}`, user, inDefault, password, scope)
}

func onProject(name string) string {
	return fmt.Sprintf(`{"project": {"name": %q, %s}}`, name, inDefault)
}

// login is a token for a user on their default project; magnum's is on project service.
func (r *running) login(user string) string {
	r.t.Helper()
	scope := ""
	if user == "magnum" {
		scope = onProject("service")
	}
	return r.want(201, "", "POST", "/v3/auth/tokens", passwordAuth(user, user, scope)).header.Get("X-Subject-Token")
}
