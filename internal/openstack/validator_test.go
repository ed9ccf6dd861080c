package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		reason string
		token  string
		knobs  func(*keystone)
		change func(*Settings)
		want   error
	}{
		"Good":         {reason: "Keystone knows the token.", token: goodToken},
		"Unknown":      {reason: "Keystone answers 404 for a token it does not know.", token: badToken, want: ErrUnauthorized},
		"Empty":        {reason: "No token needs no Keystone.", want: ErrUnauthorized},
		"Unsendable":   {reason: "A token with a line break cannot be a header.", token: "a\r\nX-Evil: 1", want: ErrUnauthorized},
		"Endless":      {reason: "No token is that long.", token: strings.Repeat("a", maxTokenLength+1), want: ErrUnauthorized},
		"Down":         {reason: "503 from Keystone.", token: goodToken, knobs: func(k *keystone) { k.down = 503 }, want: ErrUnavailable},
		"Expired":      {reason: "Keystone may show what has expired.", token: goodToken, knobs: func(k *keystone) { k.lifetime = -1 }, want: ErrUnauthorized},
		"OurPassword":  {reason: "A wrong password of ours is not the user's fault.", token: goodToken, change: func(s *Settings) { s.Password = "wrong" }, want: ErrUnavailable},
		"OurRole":      {reason: "Nor is a missing role.", token: goodToken, knobs: func(k *keystone) { k.onValidate = answer(403) }, want: ErrUnavailable},
		"Nonsense":     {reason: "A proxy that answers HTML.", token: goodToken, knobs: func(k *keystone) { k.onValidate = html }, want: ErrUnavailable},
		"Misrouted":    {reason: "A proxy's 404 says nothing about the token.", token: goodToken, knobs: func(k *keystone) { k.onValidate = answer(404) }, want: ErrUnavailable},
		"RateLimited":  {reason: "429 passes.", token: goodToken, knobs: func(k *keystone) { k.onValidate = answer(429) }, want: ErrUnavailable},
		"StillRefused": {reason: "Our renewed token is refused as well.", token: goodToken, knobs: func(k *keystone) { k.onValidate = answer(401) }, want: ErrUnavailable},
		"WithVersion":  {reason: "auth_url may end with /v3/.", token: goodToken, change: func(s *Settings) { s.AuthURL += "/v3/" }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			k := newKeystone(t)
			if tc.knobs != nil {
				k.set(func() { tc.knobs(k) })
			}
			change := tc.change
			if change == nil {
				change = func(*Settings) {}
			}
			got, err := k.cloud(t, change).Validator().Validate(t.Context(), tc.token)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%s\nwant %v, got %v", tc.reason, tc.want, err)
			}
			noSecrets(t, err)
			if tc.want != nil {
				return
			}
			want := Identity{
				UserID: "u1", UserName: "demo", UserDomainID: "default", UserDomainName: "Default", ProjectID: "p1", ProjectName: "demo-project",
				ProjectDomainID: "d2", ProjectDomainName: "Two", Roles: []string{"member", "reader"}, ExpiresAt: k.clock.Now().Add(time.Hour),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func answer(status int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { w.WriteHeader(status); return true }
}

func html(w http.ResponseWriter) bool {
	_, _ = fmt.Fprint(w, "<html>it works</html>")
	return true
}

func noSecrets(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{servicePassword, goodToken, badToken, "service-1"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// A token's life in the cache, told by the clock.
func TestValidatorCache(t *testing.T) {
	k := newKeystone(t)
	v := k.cloud(t).Validator()
	validate := func(token string, want error, validations int, reason string) {
		t.Helper()
		if _, err := v.Validate(t.Context(), token); !errors.Is(err, want) {
			t.Fatalf("%s: want %v, got %v", reason, want, err)
		}
		if got := k.count(&k.validations); got != validations {
			t.Fatalf("%s: want %d questions to Keystone, got %d", reason, validations, got)
		}
	}
	validate(goodToken, nil, 1, "the first time Keystone is asked")
	validate(goodToken, nil, 1, "the second time it is not")
	k.set(func() { k.down = http.StatusServiceUnavailable })
	k.clock.Add(299 * time.Second)
	validate(goodToken, nil, 1, "Keystone is down and the cache still good")
	k.clock.Add(time.Second)
	validate(goodToken, ErrUnavailable, 1, "token_cache_time is over")
	k.set(func() { k.down, k.lifetime = 0, 10*time.Second })
	validate(goodToken, nil, 2, "Keystone is back, with a token that ends soon")
	k.clock.Add(10 * time.Second)
	k.set(func() { k.lifetime = 0 })
	validate(goodToken, ErrUnauthorized, 3, "the token ended before token_cache_time")

	validate(badToken, ErrUnauthorized, 4, "a refusal")
	validate(badToken, ErrUnauthorized, 4, "is remembered")
	k.clock.Add(refusalLifetime)
	validate(badToken, ErrUnauthorized, 5, "for a short time")
}

func TestValidatorIsBounded(t *testing.T) {
	k := newKeystone(t)
	v := k.cloud(t).Validator()
	if _, err := v.Validate(t.Context(), goodToken); err != nil {
		t.Fatal(err)
	}
	for i := range maxRefusals + 100 {
		v.refused.put(keyOf(fmt.Sprint(i)), struct{}{}, k.clock.Now().Add(time.Hour), k.clock.Now())
	}
	if got := v.refused.len(); got != maxRefusals {
		t.Errorf("refusals are bounded to %d, there are %d", maxRefusals, got)
	}
	if got := v.known.len(); got != 1 {
		t.Errorf("refusals must not push identities out: %d are left", got)
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c, now := newCache[int](64), time.Unix(1000, 0)
	for i := range 64 {
		c.put(keyOf(fmt.Sprint(i)), i, now.Add(time.Hour), now)
	}
	favourite := keyOf("0")
	for i := range 10000 {
		now = now.Add(time.Microsecond)
		c.get(favourite, now)
		c.put(keyOf("new", fmt.Sprint(i)), i, now.Add(time.Hour), now)
	}
	if _, ok := c.get(favourite, now); !ok {
		t.Error("what is used all the time was evicted")
	}
	if c.len() != 64 {
		t.Errorf("want 64 entries, got %d", c.len())
	}
	c.put(keyOf("late"), 1, now.Add(2*time.Hour), now.Add(time.Hour+time.Second))
	if c.len() != 1 {
		t.Errorf("a sweep leaves what has not expired: want 1 entry, got %d", c.len())
	}
}

func TestServiceTokenIsRenewed(t *testing.T) {
	k := newKeystone(t)
	v := k.cloud(t).Validator()
	if _, err := v.Validate(t.Context(), badToken); !errors.Is(err, ErrUnauthorized) {
		t.Fatal(err)
	}
	k.set(func() { k.refuse = "service-1" })
	if _, err := v.Validate(t.Context(), goodToken); err != nil {
		t.Fatalf("the refused service token should have been renewed: %v", err)
	}
	if got := k.count(&k.issued); got != 2 {
		t.Errorf("want 2 logins, got %d", got)
	}
}

// A hundred requests with one token, and some that go away, are one question.
func TestConcurrentMissesAskOnce(t *testing.T) {
	k := newKeystone(t)
	k.set(func() { k.delay = 50 * time.Millisecond })
	v := k.cloud(t).Validator()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Validate(gone, goodToken); !errors.Is(err, context.Canceled) {
		t.Fatalf("want the caller's own context error, got %v", err)
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := v.Validate(t.Context(), goodToken); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := k.count(&k.validations); got != 1 {
		t.Errorf("want 1 question, got %d", got)
	}
	if got := k.count(&k.issued); got != 1 {
		t.Errorf("want 1 login, got %d", got)
	}
}

// Tokens come and go in many goroutines; the race detector watches.
func TestValidatorRace(t *testing.T) {
	k := newKeystone(t)
	v := k.cloud(t, func(s *Settings) { s.TokenCacheTime = time.Nanosecond }).Validator()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				k.clock.Add(time.Millisecond)
				token, want := goodToken, error(nil)
				if i%3 == 0 {
					token, want = badToken, ErrUnauthorized
				}
				if _, err := v.Validate(t.Context(), token); !errors.Is(err, want) {
					t.Error(err)
				}
				k.set(func() { k.refuse = fmt.Sprintf("service-%d", i/7) })
			}
		})
	}
	wg.Wait()
}

func TestKeystoneUnreachable(t *testing.T) {
	k := newKeystone(t)
	v := k.cloud(t).Validator()
	k.Close()
	_, err := v.Validate(t.Context(), goodToken)
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("want ErrUnavailable, got %v", err)
	}
	noSecrets(t, err)
}

func BenchmarkValidateHit(b *testing.B) {
	k := newKeystone(b)
	v := k.cloud(b, func(s *Settings) { s.Now = time.Now; s.TokenCacheTime = time.Hour }).Validator()
	k.set(func() { k.clock.now = time.Now() })
	if _, err := v.Validate(b.Context(), goodToken); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Validate(b.Context(), goodToken); err != nil {
				b.Error(err)
			}
		}
	})
}
