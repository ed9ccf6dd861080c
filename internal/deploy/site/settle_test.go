package site_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// busy is an agent whose host is still at work for an earlier run.
type busy struct {
	mu    sync.Mutex
	asked []string
	err   error
}

func (b *busy) Call(_ context.Context, container, op string, _, _ any, event func(json.RawMessage)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, container+" "+op)
	if event != nil {
		event(json.RawMessage(`{"text":"waiting for an earlier run to end"}`))
	}
	return b.err
}
func (b *busy) Upload(context.Context, string, io.Reader) error { return errors.New("no") }
func (b *busy) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no")
}
func (b *busy) Close() error { return nil }

func TestSettleAsksEveryPlaceAndTellsWhatItWaitsFor(t *testing.T) {
	a, b := &busy{}, &busy{err: errors.New("host b: gone")}
	var mu sync.Mutex
	told := map[string]string{}
	err := site.Settle(t.Context(), site.Hosts{"a": a, "b": b}, []site.Place{{Host: "a"}, {Host: "a", Container: "c"}, {Host: "b"}}, func(place, text string) {
		mu.Lock()
		defer mu.Unlock()
		told[place] = text
	})
	if err == nil || !strings.Contains(err.Error(), "host b: gone") {
		t.Errorf("got %v", err)
	}
	if len(told) != 3 || told["c"] != "waiting for an earlier run to end" {
		t.Errorf("told %v", told)
	}
	if len(a.asked) != 2 || a.asked[0][len(a.asked[0])-len(host.OpSettle):] != host.OpSettle {
		t.Errorf("asked %v", a.asked)
	}
}
