package site_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Of two hundred hosts many have their turn at the same time, and not too many; those that fail keep no other from it,
// and are told in their order. Each is the same for those that have changes.
func TestManyHostsAtOnce(t *testing.T) {
	var names []string
	var p plan.Plan
	for n := range 200 {
		names = append(names, fmt.Sprintf("net%03d", n))
		p.Changes = append(p.Changes, plan.Change{Place: names[n], Group: "proxy"})
	}
	work := site.Work{Run: deploytest.Quiet(nil), Plan: p}
	for reason, run := range map[string]func(do func(string) error) error{
		"AtOnce": func(do func(string) error) error { return site.AtOnce(names, do) },
		"Each":   func(do func(string) error) error { return work.Each(append(names, "none"), []string{"proxy"}, do) },
	} {
		var mu sync.Mutex
		busy, most, done := 0, 0, 0
		err := run(func(name string) error {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			busy--
			done++
			if strings.HasSuffix(name, "50") {
				return errors.New(name + ": no route")
			}
			return nil
		})
		if done != 200 || most > 32 || most < 2 {
			t.Errorf("%s: %d had their turn, %d at once at most", reason, done, most)
		}
		if err == nil || err.Error() != "net050: no route\nnet150: no route" {
			t.Errorf("%s: told %v", reason, err)
		}
	}
}
