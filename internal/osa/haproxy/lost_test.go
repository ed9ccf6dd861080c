package haproxy_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
)

// TestAlert: a server without power is given up at once, unless the operator says otherwise or there is no other one.
func TestAlert(t *testing.T) {
	two := []haproxy.Server{{Name: "a"}, {Name: "b"}}
	for _, tt := range []struct {
		reason string
		s      haproxy.Service
		want   string // of options, arguments and backend options
	}{
		{
			"two servers",
			haproxy.Service{Servers: two, ServerOptions: []string{"check-ssl", "verify none"}, BackendOptions: []string{"tcplog"}},
			"check-ssl, verify none, observe layer4, error-limit 1, on-error mark-down, on-marked-down shutdown-sessions, fastinter 1000, downinter 2000; timeout connect 2s; tcplog, redispatch 1",
		},
		{"there is no other one", haproxy.Service{Servers: two[:1]}, "; ; "},
		{"the other one is for emergencies", haproxy.Service{Servers: []haproxy.Server{{Name: "a"}, {Name: "b", Backup: true}}}, "; ; "},
		{"the operator's own words", haproxy.Service{
			Servers: two, ServerOptions: []string{"on-error fastinter", "downinter 5s fastinter 2s", "on-marked-down shutdown-sessions"},
			BackendArguments: []string{"timeout connect 9s"}, BackendOptions: []string{"redispatch 3"},
		}, "on-error fastinter, downinter 5s fastinter 2s, on-marked-down shutdown-sessions; timeout connect 9s; redispatch 3"},
	} {
		before := strings.Join(tt.s.ServerOptions, ", ")
		got := haproxy.Alerted(tt.s)
		if text := strings.Join(got.ServerOptions, ", ") + "; " + strings.Join(got.BackendArguments, ", ") + "; " + strings.Join(got.BackendOptions, ", "); text != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.reason, text, tt.want)
		}
		if strings.Join(tt.s.ServerOptions, ", ") != before {
			t.Errorf("%s: what was given is changed", tt.reason)
		}
	}
}
