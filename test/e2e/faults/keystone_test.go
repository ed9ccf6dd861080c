package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Keystone refuses, then it is not there at all. Who was here before goes on within token_cache_time; who is new is
// told to come again, in an error body that clients understand; and afterwards all is as before.
func TestKeystoneIsDown(t *testing.T) {
	t.Parallel()
	const cached = 20 * time.Second
	s := apart(t, fmt.Sprintf("token_cache_time = %d\n", int(cached.Seconds())))
	known, fresh, admin := s.as(t, "demo"), s.as(t, "demo"), s.as(t, "admin")
	template := known.template(t, "v1.34.2")

	// outage is one time without Keystone: begin makes it, end ends it.
	outage := func(name string, begin, end func()) {
		t.Helper()
		fresh.login(t) // a token that Jeroboam has never seen
		known.login(t)
		known.want(t, http.StatusOK, "GET", "/clusters", nil, nil)
		since := time.Now() // not before Jeroboam asked
		begin()
		asked := time.Now()
		a, err := known.do(t.Context(), "GET", "/clustertemplates/"+template, nil)
		if time.Since(since) < cached && (err != nil || a.status != http.StatusOK) {
			t.Errorf("%s: a known token gets %d %s %v after %s, want 200", name, a.status, a.body, err, asked.Sub(since))
		}
		told := fresh.want(t, http.StatusServiceUnavailable, "GET", "/clusters", nil, nil)
		if detail, err := told.magnumError(); err != nil || !strings.Contains(detail, "try again") {
			t.Errorf("%s: an unknown token is told %q %v", name, detail, err)
		}
		a, err = known.do(t.Context(), "POST", "/clusters", clusterBody("no", template, 1, 1))
		if err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: a cluster that cannot get a credential: %d %s %v, want 503", name, a.status, a.body, err)
		}
		await(t, name+": the known token's time is up", cached+soonBound, func(ctx context.Context) (bool, string, error) {
			a, err := known.do(ctx, "GET", "/clusters", nil)
			return a.status == http.StatusServiceUnavailable, fmt.Sprintf("%d %s", a.status, a.body), err
		})
		end()
		for who, u := range map[string]*tenant{"known": known, "unknown": fresh} {
			await(t, name+": the "+who+" token works again", soonBound, func(ctx context.Context) (bool, string, error) {
				a, err := u.do(ctx, "GET", "/clusters", nil)
				return a.status == http.StatusOK, fmt.Sprintf("%d %s", a.status, a.body), err
			})
		}
		await(t, name+": what could not be made is gone", soonBound, func(context.Context) (bool, string, error) {
			left := append(known.belongings(t), fmt.Sprint(known.list(t)))
			return len(left) == 1 && left[0] == "[]", fmt.Sprint(left), nil
		})
	}
	outage("503", func() { admin.faults(t, object{"service": "identity", "status": 503}) }, func() { admin.faults(t) })
	outage("a slow 503", func() { admin.faults(t, object{"service": "identity", "status": 503, "delay": "2s"}) }, func() { admin.faults(t) })
	outage("connection refused", s.cloud.kill, func() { s.cloud.start(t) })

	if !s.server.running() {
		t.Error("the server has ended")
	}
	known.want(t, http.StatusAccepted, "POST", "/clusters", clusterBody("afterwards", template, 1, 1), nil)
	known.reaches(t, "afterwards", "CREATE_COMPLETE")
}

// A token that is revoked, or whose time is up, stops working, also in the middle of a request.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	const lifetime = 20 * time.Second
	file := filepath.Join(t.TempDir(), "simcloud.yaml")
	if err := os.WriteFile(file, []byte("token_lifetime: "+lifetime.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "--simcloud", file)
	s.env = []string{"OS_KEYSTONE_AUTHTOKEN__TOKEN_CACHE_TIME=5"}
	s.start(t)
	u := s.as(t, "demo")
	template := u.template(t, "v1.34.2")

	refused := func(u *tenant) func(context.Context) (bool, string, error) {
		return func(ctx context.Context) (bool, string, error) {
			a, err := u.do(ctx, "GET", "/clusters", nil)
			if err == nil && a.status == http.StatusUnauthorized {
				var body struct {
					Error struct{ Code int }
				}
				if json.Unmarshal(a.body, &body) != nil || body.Error.Code != 401 || a.header.Get("WWW-Authenticate") == "" {
					return false, "", givenUpError("a 401 that is not Keystone's: " + string(a.body))
				}
			}
			return a.status == http.StatusUnauthorized, fmt.Sprint(a.status), err
		}
	}
	u.login(t)
	u.want(t, http.StatusOK, "GET", "/clusters", nil, nil)
	began := time.Now()
	await(t, "a token whose time is up is refused", soonBound, refused(u))
	if lived := time.Since(began); lived > lifetime+10*time.Second { // it is refused at its end, cached or not; the rest is a loaded machine
		t.Errorf("a token of %s was believed for %s", lifetime, lived)
	}

	u.login(t)
	u.want(t, http.StatusOK, "GET", "/clusters", nil, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, u.cloudAt+"/v3/auth/tokens", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", u.token)
	req.Header.Set("X-Subject-Token", u.token)
	resp, err := browser.Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("revoke: %v %v", resp, err)
	}
	_ = resp.Body.Close()
	await(t, "a revoked token is refused", 15*time.Second, refused(u)) // before its time is up

	t.Log("a token that expires while its request is being sent")
	u.login(t)
	body, half := io.Pipe()
	text, _ := json.Marshal(clusterBody("too-late", template, 1, 1))
	go func() {
		_, _ = half.Write(text[:len(text)/2])
		time.Sleep(lifetime + 2*time.Second)
		_, _ = half.Write(text[len(text)/2:])
		_ = half.Close()
	}()
	a, err := u.do(t.Context(), "POST", "/clusters", body)
	if err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("answered %d %s %v, want 401", a.status, a.body, err)
	}
	u.login(t)
	if left := append(u.belongings(t), fmt.Sprint(u.list(t))); len(left) != 1 || left[0] != "[]" {
		t.Errorf("it left %v", left)
	}
	u.login(t)
	u.create(t, "in-time", template, 1, 0) // and Jeroboam's own token has been renewed by now
	await(t, "a cluster made with tokens that end", clusterBound, func(ctx context.Context) (bool, string, error) {
		u.login(t)
		c, _, err := u.get(ctx, "in-time")
		return c.Status == "CREATE_COMPLETE", c.Status + " " + c.StatusReason, err
	})
}
