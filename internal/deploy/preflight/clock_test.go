package preflight_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// clock is a host that says what its clock is: the way there, looking around, and the way back take their time.
type clock struct {
	there, look, back time.Duration
	wrong             time.Duration
	facts             host.Facts
}

func (c clock) Call(_ context.Context, _, op string, _, out any, _ func(json.RawMessage)) error {
	if op != host.OpFacts {
		return fmt.Errorf("asked for %s", op)
	}
	time.Sleep(c.there)
	f := c.facts
	f.Now, f.Took = time.Now().Add(c.wrong), c.look
	time.Sleep(c.look)
	time.Sleep(c.back)
	*out.(*host.Facts) = f
	return nil
}

func (clock) Upload(context.Context, string, io.Reader) error { return nil }

func (clock) Dial(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }

func (clock) Close() error { return nil }

func TestClocksAreMeasuredHostByHost(t *testing.T) {
	tests := []struct {
		reason            string
		there, look, back time.Duration
		wrong             time.Duration
		says              string
	}{
		{reason: "a host that is quick and right"},
		{reason: "a host that is slow in everything is right", there: 8 * time.Second, look: 40 * time.Second, back: 8 * time.Second},
		{reason: "one whose answer came late may be right", back: 20 * time.Second},
		{reason: "one that is wrong, and slow to look around", look: 40 * time.Second, wrong: -9 * time.Second, says: "its clock is 9s behind this machine's"},
		{reason: "one that is far ahead", wrong: time.Hour, says: "its clock is 1h0m0s ahead of this machine's"},
		{reason: "one whose way is slow, and which is further away than that explains", there: 2 * time.Second, back: 2 * time.Second, wrong: 10 * time.Second, says: "its clock is 10s ahead"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := deploytest.Seed(t)
				hosts := site.Hosts{}
				for name, f := range deploytest.Facts(in) {
					hosts[name] = clock{facts: f}
				}
				slow := in.Nodes[1].PhysicalHost
				hosts[slow] = clock{there: tt.there, look: tt.look, back: tt.back, wrong: tt.wrong, facts: deploytest.Facts(in)[slow]}
				seen, err := site.Look(t.Context(), hosts)
				if err != nil {
					t.Fatal(err)
				}
				err = preflight.Check(in, seen)
				switch {
				case tt.says == "" && err != nil:
					t.Errorf("found wrong: %v", err)
				case tt.says != "" && (err == nil || !strings.Contains(err.Error(), "host "+slow+": "+tt.says) || strings.Count(err.Error(), "clock") != 1):
					t.Errorf("want %q for %s alone, got %v", tt.says, slow, err)
				}
			})
		})
	}
}
