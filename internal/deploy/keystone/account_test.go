package keystone_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestKeystoneThatIsNotThereYet(t *testing.T) {
	w := deploytest.NewTown(t)
	w.Directory.Fail = errors.New("connection refused")
	p, err := w.Run(t, false, true)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("apply: %v", err)
	}
	i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Place == "keystone" })
	if i < 0 || p.Changes[i].Action != plan.Check || p.Changes[i].Summary != "connection refused" {
		t.Errorf("the plan does not say so: %v", deploytest.Only(p))
	}
}
