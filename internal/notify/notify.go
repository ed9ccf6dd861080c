// Package notify tells others what becomes of clusters: who bills for them, who keeps an inventory, who must be called
// at night. What is told is what Magnum tells (Magnum 1.14, conductor/utils.py): an oslo.messaging notification whose
// payload is a CADF event of the activity create, update or delete of a cluster, with the outcome pending, success or
// failure. It goes where an operator says: into the log, one line each, and to a URL.
//
// Nobody may hold up a cluster by not listening: notifications for the URL wait in a queue that has an end, each is
// tried a few times, and what finds no place or no answer is counted and said in the log. A process that is killed
// takes its queue with it; what must be exact is asked of the API.
package notify

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Outcome is how far an activity is, in CADF's words.
type Outcome string

// The outcomes.
const (
	Pending Outcome = "pending"
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// Activity is what a state of a cluster says of what is done with it; ok is false for a state that says nothing.
func Activity(s magnum.Status) (action string, outcome Outcome, ok bool) {
	text, state, found := strings.Cut(string(s), "_")
	outcomes := map[string]Outcome{"IN_PROGRESS": Pending, "COMPLETE": Success, "FAILED": Failure}
	actions := map[string]string{"CREATE": "create", "UPDATE": "update", "DELETE": "delete"}
	return actions[text], outcomes[state], found && actions[text] != "" && outcomes[state] != ""
}

// Notification is oslo.messaging's envelope (oslo.messaging 17, notify/messaging.py).
type Notification struct {
	MessageID   string `json:"message_id"`
	PublisherID string `json:"publisher_id"`
	EventType   string `json:"event_type"`
	Priority    string `json:"priority"`
	Timestamp   string `json:"timestamp"`
	Payload     Event  `json:"payload"`
}

// Event is a CADF event (DSP0262), as pycadf writes it.
type Event struct {
	TypeURI   string   `json:"typeURI"`
	ID        string   `json:"id"`
	EventType string   `json:"eventType"`
	EventTime string   `json:"eventTime"`
	Action    string   `json:"action"`
	Outcome   Outcome  `json:"outcome"`
	Initiator Resource `json:"initiator"`
	Target    Resource `json:"target"`
	Observer  Resource `json:"observer"`
}

// Resource is who or what took part.
type Resource struct {
	ID          string       `json:"id"`
	TypeURI     string       `json:"typeURI"`
	Name        string       `json:"name,omitempty"`
	UserID      string       `json:"user_id,omitempty"`
	ProjectID   string       `json:"project_id,omitempty"`
	RequestID   string       `json:"request_id,omitempty"` // ours: x-openstack-request-id of the last request
	Attachments []Attachment `json:"attachments,omitempty"`
}

// Attachment is what is known of a resource.
type Attachment struct {
	TypeURI string         `json:"typeURI"`
	Name    string         `json:"name"`
	Content map[string]any `json:"content"`
}

// Notifier makes notifications and gives them to whoever listens.
type Notifier struct {
	Log  *slog.Logger
	Now  func() time.Time
	Host string // of this process
	Line bool   // a line of the log for each
	Hook *Hook  // nil: no URL was given
}

// Cluster tells that a cluster has come to a state.
func (n *Notifier) Cluster(ctx context.Context, c *magnum.Cluster, s magnum.Status, reason string) {
	action, outcome, ok := Activity(s)
	if !ok {
		return
	}
	m := n.notification(c, s, reason, action, outcome)
	text, err := json.Marshal(m)
	if err != nil {
		n.Log.ErrorContext(ctx, "a notification cannot be written", "cluster", c.UUID, "error", err)
		return
	}
	if n.Line {
		n.Log.LogAttrs(ctx, slog.LevelInfo, "notification", slog.String("event_type", m.EventType), slog.String("priority", m.Priority),
			slog.String("cluster", c.UUID), slog.String("outcome", string(outcome)), slog.Any("notification", json.RawMessage(text)))
	}
	if n.Hook != nil && !n.Hook.Offer(text) {
		n.Log.WarnContext(ctx, "a notification was dropped, because those before it have not been taken", "cluster", c.UUID, "event_type", m.EventType)
	}
}

func (n *Notifier) notification(c *magnum.Cluster, s magnum.Status, reason, action string, outcome Outcome) Notification {
	const clusterType = "service/magnum/cluster"
	now := n.Now().UTC()
	m := Notification{
		MessageID: uuid.NewString(), PublisherID: "container-infra." + n.Host, EventType: "magnum.cluster." + action, Priority: "INFO",
		Timestamp: now.Format("2006-01-02 15:04:05.000000"),
		Payload: Event{
			TypeURI: "http://schemas.dmtf.org/cloud/audit/1.0/event", ID: uuid.NewString(), EventType: "activity",
			EventTime: now.Format("2006-01-02T15:04:05.000000+0000"), Action: action, Outcome: outcome,
			Initiator: Resource{
				ID: c.UserID, TypeURI: "service/security/account/user", UserID: c.UserID, ProjectID: c.ProjectID, RequestID: c.OperationRequestID,
			},
			Target: Resource{
				ID: c.UUID, TypeURI: clusterType, Name: c.Name,
				Attachments: []Attachment{{TypeURI: "attachment", Name: "cluster_data", Content: content(c, s, reason)}},
			},
			Observer: Resource{ID: "target", TypeURI: clusterType},
		},
	}
	if outcome == Failure {
		m.Priority = "ERROR"
	}
	return m
}

// content has Magnum's names; docker_volume_size is spelled with a colon there, and so it is here.
func content(c *magnum.Cluster, s magnum.Status, reason string) map[string]any {
	date := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC().Format(time.RFC3339)
	}
	return map[string]any{
		"status": string(s), "status_reason": reason, "project_id": c.ProjectID, "created_at": date(c.CreatedAt), "updated_at": date(c.UpdatedAt),
		"cluster_template_id": c.ClusterTemplateID, "keypair": c.Keypair, "docker_volume_size:": c.DockerVolumeSize, "labels": c.Labels,
		"master_flavor_id": c.MasterFlavorID, "flavor_id": c.FlavorID, "stack_id": c.StackID, "health_status": string(c.Health),
		"create_timeout": c.CreateTimeout, "api_address": c.APIAddress, "discovery_url": c.DiscoveryURL,
		"node_addresses": c.NodeAddresses, "master_addresses": c.MasterAddresses, "node_count": c.NodeCount, "master_count": c.MasterCount,
	}
}
