package site_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// All hosts are taken, in one order, and nothing goes on when one belongs to another run.
func TestARunTakesAllHosts(t *testing.T) {
	var taken []string
	hosts := site.Hosts{}
	for _, name := range []string{"infra3", "infra1", "infra2"} {
		hosts[name] = &deploytest.Agent{Host: name, Answer: func(_, op string, raw json.RawMessage) (any, error) {
			var h host.Hold
			if err := json.Unmarshal(raw, &h); err != nil || op != host.OpHold || h.ID != "aaaa" {
				t.Errorf("%s was asked for %s of %s", name, op, raw)
			}
			taken = append(taken, name)
			if name == "infra2" && h.Break == "" {
				return nil, errors.New("infra2: somebody else changes things here")
			}
			return struct{}{}, nil
		}}
	}
	err := hosts.Hold(t.Context(), host.Hold{ID: "aaaa"})
	if err == nil || !strings.Contains(err.Error(), "infra2: somebody else") || !slices.Equal(taken, []string{"infra1", "infra2"}) {
		t.Errorf("%v, after %v", err, taken)
	}
	taken = nil
	if err := hosts.Hold(t.Context(), host.Hold{ID: "aaaa", Break: "bbbb"}); err != nil || len(taken) != 3 {
		t.Errorf("%v, after %v", err, taken)
	}
	run := &host.Hold{ID: "aaaa", What: "apply"}
	got := site.Runs(map[string]host.Facts{"infra2": {Run: run}, "infra1": {Run: run}, "infra3": {}})
	if diff := cmp.Diff([]site.UnderWay{{Hold: *run, Hosts: []string{"infra1", "infra2"}}}, got); diff != "" {
		t.Error(diff)
	}
}
