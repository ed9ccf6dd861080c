package deploy

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
)

// ServiceStatus is how one service stands at one place.
type ServiceStatus struct {
	Service string `json:"service"`
	Place   string `json:"place"`
	// State is "runs", or why not, in words.
	State string `json:"state"`
	Runs  bool   `json:"runs"`
	// Credential is "good", or what is to happen to it.
	Credential string `json:"credential,omitempty"`
}

// Status tells of all services that are ours, from what was seen of them.
func (s Services) Status() []ServiceStatus {
	var out []ServiceStatus
	for i, item := range s.List.Items {
		name := ""
		switch {
		case item.Unit != nil && !item.Unit.Gone && item.Group == magnum.Group:
			name = magnum.Group
		case item.Unit != nil && !item.Unit.Gone && item.Group == proxy.GroupAccess:
			name = proxy.GroupAccess
		case item.Relay != nil && !item.Relay.Gone:
			name = proxy.Group
		default:
			continue
		}
		st := ServiceStatus{Service: name, Place: item.Place}
		have := s.Seen.Items[i]
		switch {
		case s.Seen.Unseen[item.Place]:
			st.State = "its host does not answer"
		case have == nil:
			st.State = "not there"
		case have["active"] != "yes":
			st.State = "does not run"
		case have["ready"] == "no":
			st.State = "starts, and is not ready: see its journal"
		default:
			st.State, st.Runs = "runs", true
		}
		if !s.Seen.Unseen[item.Place] {
			st.Credential = s.List.Credential(s.Seen, item.Place, item.Group)
		}
		out = append(out, st)
	}
	return out
}
