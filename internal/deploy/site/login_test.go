package site_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// named is an agent that is nothing but its name.
type named struct {
	site.Agent
	name string
}

// Hosts that fail keep nobody from the others, and each is told of.
func TestLogIn(t *testing.T) {
	var to []remote.Target
	for n := range 200 {
		to = append(to, remote.Target{Name: fmt.Sprintf("net%d", n)})
	}
	hosts, errs := site.LogIn(t.Context(), to, func(_ context.Context, h remote.Target) (site.Agent, error) {
		if strings.HasSuffix(h.Name, "0") {
			return nil, errors.New(h.Name + ": no route")
		}
		return named{name: h.Name}, nil
	})
	if len(hosts) != 180 || len(errs) != 20 || hosts["net1"].(named).name != "net1" || hosts["net10"] != nil {
		t.Errorf("%d hosts, %d errors", len(hosts), len(errs))
	}
	if told := site.Lost(errs).Error(); !strings.HasPrefix(told, "net0: no route\nnet10: no route\nnet100: no route\n") {
		t.Errorf("told in the order %q", told)
	}
	if err := errs["net190"]; err == nil || err.Error() != "net190: no route" {
		t.Errorf("got %v", err)
	}
}
