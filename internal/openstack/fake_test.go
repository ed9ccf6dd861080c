package openstack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	servicePassword = "the-service-password"
	goodToken       = "gAAAAA-a-good-token"
	badToken        = "gAAAAA-a-bad-token"
)

// clock is moved by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keystone is a Keystone of a few lines, with knobs.
type keystone struct {
	*httptest.Server
	clock *clock

	mu          sync.Mutex
	down        int           // answer everything with this status
	lifetime    time.Duration // of user tokens
	refuse      string        // a service token that is not good any more
	issued      int           // logins
	validations int
	catalogs    int
	delay       time.Duration
	onValidate  func(w http.ResponseWriter) bool
}

func newKeystone(tb testing.TB) *keystone {
	tb.Helper()
	k := &keystone{clock: newClock(), lifetime: time.Hour}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", k.login)
	mux.HandleFunc("GET /v3/auth/tokens", k.validate)
	mux.HandleFunc("GET /v3/auth/catalog", k.catalog)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		down, delay := k.down, k.delay
		k.mu.Unlock()
		time.Sleep(delay)
		if down != 0 {
			w.WriteHeader(down)
			_, _ = fmt.Fprintf(w, `{"error": {"code": %d, "message": "down", "title": "x"}}`, down)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	tb.Cleanup(k.Close)
	return k
}

func (k *keystone) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *keystone) count(which *int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return *which
}

func (k *keystone) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
			}
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if u := in.Auth.Identity.Password.User; u.Name != "magnum" || u.Password != servicePassword {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error": {"code": 401, "message": "bad password %s", "title": "Unauthorized"}}`, u.Password)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issued++
	w.Header().Set("X-Subject-Token", fmt.Sprintf("service-%d", k.issued))
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprint(w, `{"token": {"expires_at": "2036-01-01T00:00:00.000000Z", "project": {"id": "service-project"}, "catalog": []}}`)
}

func (k *keystone) validate(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.validations++
	refuse, special, expires := k.refuse, k.onValidate, k.clock.Now().Add(k.lifetime)
	k.mu.Unlock()
	if special != nil && special(w) {
		return
	}
	if r.Header.Get("X-Auth-Token") == refuse {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error": {"code": 401, "message": "expired", "title": "Unauthorized"}}`)
		return
	}
	subject := r.Header.Get("X-Subject-Token")
	if subject != goodToken {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"error": {"code": 404, "message": "This is not a recognized Fernet token %s", "title": "Not Found"}}`, subject)
		return
	}
	_, _ = fmt.Fprintf(w, `{"token": {"methods": ["password"], "expires_at": %q,
		"user": {"id": "u1", "name": "demo", "domain": {"id": "default", "name": "Default"}},
		"project": {"id": "p1", "name": "demo-project", "domain": {"id": "d2", "name": "Two"}},
		"roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "reader"}]}}`, expires.Format("2006-01-02T15:04:05.000000Z"))
}

func (k *keystone) catalog(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.catalogs++
	k.mu.Unlock()
	if r.Header.Get("X-Auth-Token") != goodToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprintf(w, `{"catalog": [{"type": "identity", "name": "keystone", "endpoints": [
		{"interface": "internal", "region": "R1", "region_id": "R1", "url": "http://internal:5000/v3"},
		{"interface": "public", "region": "R1", "region_id": "R1", "url": %q}]}]}`, k.URL+"/v3")
}

func (k *keystone) cloud(tb testing.TB, change ...func(*Settings)) *Cloud {
	tb.Helper()
	settings := Settings{
		AuthURL: k.URL, Username: "magnum", Password: servicePassword, ProjectName: "service",
		Now: k.clock.Now, Timeout: 5 * time.Second,
	}
	for _, c := range change {
		c(&settings)
	}
	cloud, err := New(settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cloud.Close)
	return cloud
}
