package site

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Hold makes all hosts this run's until its connections end. Two runs at once could each take a member of etcd away,
// with a gate that is right for itself. Hosts are taken one after the other in the same order by everybody, so that of
// two runs one gets all; a host that a run cannot reach it does not change. Nothing is kept in the cluster: there may
// be none yet, and none that answers.
func (h Hosts) Hold(ctx context.Context, run host.Hold) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if _, err := Ask[struct{}](ctx, h, Place{Host: name}, host.OpHold, run); err != nil {
			return fmt.Errorf("take the hosts for this run: %w", err)
		}
	}
	return nil
}

// Runs are the runs that hold hosts, each with the hosts.
func Runs(facts map[string]host.Facts) []UnderWay {
	var out []UnderWay
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		run := facts[name].Run
		if run == nil {
			continue
		}
		i := slices.IndexFunc(out, func(r UnderWay) bool { return r.ID == run.ID })
		if i < 0 {
			out = append(out, UnderWay{Hold: *run})
			i = len(out) - 1
		}
		out[i].Hosts = append(out[i].Hosts, name)
	}
	return out
}

// UnderWay is a run that is under way.
type UnderWay struct {
	host.Hold
	Hosts []string `json:"hosts"`
}
