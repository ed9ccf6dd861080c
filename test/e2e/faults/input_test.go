package faults

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowly sends a body a byte at a time, until it is cut off.
type slowly struct{ end <-chan struct{} }

func (s slowly) Read(b []byte) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-s.end:
		return 0, io.EOF
	}
	b[0] = ' '
	return 1, nil
}

// What no client should send, many times at once, to the process as it is: each is answered in few words, and none of
// it stays in memory.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := running(t)
	u := s.as(t, "demo")
	template := u.template(t, "v1.34.2")
	before := s.resident(t)

	var labels strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&labels, `"l%d":"v",`, i)
	}
	with := func(labels string) string {
		return fmt.Sprintf(`{"name":"bad","cluster_template_id":%q,"labels":{%s}}`, template, labels)
	}
	deep := strings.Repeat("[", 500_000)
	for name, c := range map[string]struct {
		path, body string
		status     []int
	}{
		"10 MB":               {"/clusters", with(`"a":"` + strings.Repeat("x", 10<<20) + `"`), []int{413}},
		"10 MB of nothing":    {"/clusters", strings.Repeat(" ", 10<<20), []int{413}},
		"100,000 labels":      {"/clusters", with(strings.TrimSuffix(labels.String(), ",")), []int{400, 413}},
		"a label of 900 KB":   {"/clusters", with(`"a":"` + strings.Repeat("x", 900<<10) + `"`), []int{400, 413}},
		"deep":                {"/clusters", deep, []int{400}},
		"not JSON":            {"/clusters", `{"name":`, []int{400}},
		"wrong types":         {"/clusters", `{"name":7,"cluster_template_id":[],"node_count":{}}`, []int{400}},
		"no UTF-8":            {"/clusters", "{\"name\":\"\xff\xfe\"}", []int{400}},
		"SQL":                 {"/clusters", `{"name":"x'; DROP TABLE cluster; --","cluster_template_id":"` + template + `"}`, []int{400}},
		"template language":   {"/clusters", `{"name":"{{ 7*7 }}${jndi:ldap://x}","cluster_template_id":"` + template + `"}`, []int{400}},
		"a path as template":  {"/clusters", `{"name":"x","cluster_template_id":"../../secrets"}`, []int{404, 400}},
		"JSONPath in a label": {"/clusters", with(`"kube_tag":"$..[?(@.x)]"`), []int{400}},
		"shell in a label":    {"/clusters", with(`"availability_zone":"$(reboot);` + "`id`" + `\n\u0000"`), []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					a, err := u.do(t.Context(), "POST", c.path, c.body)
					if err != nil && len(c.body) > 1<<20 {
						return // the connection is closed while the client still sends: nobody reads 10 MB to be polite
					}
					fine := false
					for _, status := range c.status {
						fine = fine || a.status == status
					}
					if err != nil || !fine {
						t.Errorf("%d %.300s %v, want %v", a.status, a.body, err, c.status)
						return
					}
					if detail, err := a.magnumError(); err != nil || len(a.body) > 4096 {
						t.Errorf("an answer of %d bytes, %.200q %v", len(a.body), detail, err)
					}
				})
			}
			all.Wait()
		})
	}
	t.Run("metacharacters in paths and queries", func(t *testing.T) {
		for _, path := range []string{
			"/clusters/%27%20OR%201=1--", "/clusters/..%2f..%2fsecrets", "/clusters/$%7b7*7%7d", "/clusters/%00", "/clusters/" + strings.Repeat("x", 8000),
			"/clusters?sort_key=%27;--", "/clusters?marker=%00", "/clusters?limit=-1", "/clusters?limit=99999999999999999999",
		} {
			a, err := u.do(t.Context(), "GET", path, nil)
			if err != nil || a.status >= 500 || a.status < 400 || len(a.body) > 20000 {
				t.Errorf("GET %.60s: %d with %d bytes: %.200s %v", path, a.status, len(a.body), a.body, err)
			}
		}
	})
	t.Run("slow bodies do not hold others up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { _, _ = u.do(ctx, "POST", "/clusters", slowly{ctx.Done()}) })
		}
		for range 20 {
			u.want(t, http.StatusOK, "GET", "/clusters", nil, nil)
		}
		cancel()
		all.Wait()
	})
	t.Run("a body that never ends is cut off", func(t *testing.T) {
		conn, err := net.Dial("tcp", local(s.ports.magnum))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "POST /v1/clusters HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", u.token)
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Minute))
		began := time.Now()
		text, err := io.ReadAll(conn)
		if err != nil || len(text) > 4096 {
			t.Errorf("not cut off: %v after %s: %.200s", err, time.Since(began), text)
		}
		t.Logf("cut off after %.0fs: %.40q", time.Since(began).Seconds(), text)
	})
	if have := u.list(t); len(have) != 0 {
		t.Errorf("clusters were made of this: %+v", have)
	}
	after := s.resident(t)
	t.Logf("%d MB resident before, %d MB after", before, after)
	if after > before+400 {
		t.Errorf("what was refused stays in memory: %d MB before, %d MB after", before, after)
	}
}
