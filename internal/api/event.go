package api

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// listEvents tells what happened to a cluster and its node groups, oldest first: what its states do not say. It is
// Jeroboam's own; the version document names it, and Magnum's clients pass over what they do not know. With a limit,
// the newest ones are shown.
func (s *server) listEvents(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "cluster:get", "cluster:get_one_all_projects")
	if err != nil {
		return answer{}, err
	}
	p, err := s.page(c)
	if err != nil {
		return answer{}, err
	}
	all, err := s.Events.Events(ctx, g, k.UUID)
	if err != nil {
		return answer{}, err
	}
	all = all[max(0, len(all)-p.limit):]
	return writeList(c, "events", paged[magnum.Event]{items: all}, func(o *object, e magnum.Event) {
		o.str("type", e.Type)
		o.str("reason", e.Reason)
		o.str("message", e.Message)
		o.text("nodegroup", e.NodeGroup)
		o.integer("count", e.Count)
		o.date("first_seen", e.FirstSeen)
		o.date("last_seen", e.LastSeen)
	}), nil
}
