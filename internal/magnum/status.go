package magnum

import "strings"

// Status is the state of a cluster or of a node group as Magnum's clients know it: an action and how far it is.
type Status string

// The states Jeroboam gives. Magnum knows more (ROLLBACK, RESUME, SNAPSHOT, CHECK, ADOPT); no operation here leads to
// them.
const (
	CreateInProgress Status = "CREATE_IN_PROGRESS"
	CreateComplete   Status = "CREATE_COMPLETE"
	CreateFailed     Status = "CREATE_FAILED"
	UpdateInProgress Status = "UPDATE_IN_PROGRESS"
	UpdateComplete   Status = "UPDATE_COMPLETE"
	UpdateFailed     Status = "UPDATE_FAILED"
	DeleteInProgress Status = "DELETE_IN_PROGRESS"
	DeleteComplete   Status = "DELETE_COMPLETE"
	DeleteFailed     Status = "DELETE_FAILED"
)

// InProgress tells whether work is still going on.
func (s Status) InProgress() bool { return strings.HasSuffix(string(s), "_IN_PROGRESS") }

// Complete tells whether the last action ended well.
func (s Status) Complete() bool { return strings.HasSuffix(string(s), "_COMPLETE") }

// Failed tells whether the last action ended badly.
func (s Status) Failed() bool { return strings.HasSuffix(string(s), "_FAILED") }

// Deleting tells whether the thing is going away, or should have.
func (s Status) Deleting() bool { return strings.HasPrefix(string(s), "DELETE_") }

// AllowsUpdate tells whether a cluster in this state may be updated, upgraded or have its certificates rotated (Magnum
// 1.14, conductor: only after something completed, and never while being deleted). Here an update that failed may be
// followed by another too: that is how it is repaired.
func (s Status) AllowsUpdate() bool { return s.Complete() && !s.Deleting() || s == UpdateFailed }

// AllowsResize tells whether a cluster in this state may be resized or have its node groups changed
// (Magnum 1.14, conductor: like an update, and also from a failed or unfinished update).
func (s Status) AllowsResize() bool {
	return s.AllowsUpdate() || s == UpdateInProgress
}

// AllowsCredential tells whether a cluster in this state may be given another application credential: also while it is
// deleted, which may need one. One that never came up is deleted and made again.
func (s Status) AllowsCredential() bool { return s.AllowsResize() || s.Deleting() }

// Health is what is known of a running cluster's health.
type Health string

// The values of Health; the empty string is "never looked" and is null to clients.
const (
	Healthy       Health = "HEALTHY"
	Unhealthy     Health = "UNHEALTHY"
	HealthUnknown Health = "UNKNOWN"
)
