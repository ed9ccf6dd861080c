package magnum

import (
	"fmt"
	"time"
)

// What clients are told of a cluster and of a node group is decided here and nowhere else: readers hand StatusOf what
// the record says, controllers add what they have just found, and both get the same answer. Three rules:
//
//   - A record that was changed after its status was written is in progress, at once, without anybody writing that
//     down.
//   - An operation is complete when everything that was asked for has been reached. A cluster is complete when its node
//     groups and its addons are. What breaks afterwards is a matter of health, not of status.
//   - An operation fails when its time is up: a cluster must come up within create_timeout (Magnum 1.14); everything
//     else must come nearer to its goal at least once in create_timeout, however long it takes as a whole.
//
// A failed operation goes on being tried, and becomes complete when it is reached after all.

// Facts are everything that a status follows from.
type Facts struct {
	// What the record says.
	Shown   Status // as last written; empty: nobody has looked yet
	Reason  string // written with Shown
	Newer   bool   // the record was changed after Shown was written
	Created time.Time
	Deleted time.Time // when its end was asked for; zero: it was not
	Began   time.Time // when the operation of Shown began; zero: not known

	// Parts are the node groups of a cluster; a node group has none.
	Parts []Part

	// Found is what a controller has just seen. A reader has only the record and leaves it nil.
	Found *Found
}

// Part is a node group, as it counts for its cluster.
type Part struct {
	Name     string
	Status   Status // as last written
	Reason   string
	Newer    bool // changed after Status was written
	Deleting bool
}

// Found is what a controller has seen in this round.
type Found struct {
	Now time.Time
	// Impossible says why waiting will not help.
	Impossible string
	// Error is what broke this round off. It is tried again.
	Error string
	// Waiting is what is still missing of what was asked for; empty: nothing.
	Waiting string
	// Note is what was known before the operation began and may keep it from its goal.
	Note string
	// Cause is what Cluster API says is wrong, if it says anything. It explains better than Waiting.
	Cause string
	// Addons says which addon is not available yet; empty: all are, or nobody installs any.
	Addons string
	// Progress is when something last came nearer to what was asked for; zero: not yet.
	Progress time.Time
	// Timeout is create_timeout; 0 waits for ever.
	Timeout time.Duration
	// Whole says that Timeout bounds the operation as a whole: the creation of a cluster.
	Whole bool
	// Stuck says that Cause will not go away by itself, as far as anybody can tell. It matters to deletions.
	Stuck bool
}

// Verdict is what clients are told.
type Verdict struct {
	Status Status
	Reason string
	Began  time.Time // when the operation of Status began
	// Deadline is when the operation fails unless it comes nearer to its goal, and so when to look again; zero: never.
	Deadline time.Time
}

const (
	// DeleteFailedAfter is how long an error may keep a deletion from going on before clients are told DELETE_FAILED. The
	// deletion goes on being tried all the same, and at once when its owner asks again.
	DeleteFailedAfter = 2 * time.Minute
	// PartsAnswer is how long a cluster whose time is up waits for its node groups, whose time is up too: who reads that a
	// cluster has failed wants to read in the same answer which groups have, and why.
	PartsAnswer = 10 * time.Second
	// longest bounds create_timeout, whose minutes may be more than a Duration can hold.
	longest = 100 * 365 * 24 * time.Hour
)

// Minutes is create_timeout as a duration: 0 stays "no bound", and what no clock can count is cut.
func Minutes(n int) time.Duration {
	if n <= 0 {
		return 0
	}
	if n > int(longest/time.Minute) {
		return longest
	}
	return time.Duration(n) * time.Minute
}

// StatusOf decides.
func StatusOf(f Facts) Verdict {
	switch {
	case !f.Deleted.IsZero():
		return f.deleting()
	case f.Found == nil:
		return f.read()
	}
	return f.living()
}

// read is what follows from the record alone.
func (f Facts) read() Verdict {
	v := Verdict{Status: f.Shown, Reason: f.Reason, Began: f.Began}
	switch {
	case f.Shown == "" || f.Shown == CreateInProgress:
		v.Status = CreateInProgress
	case f.Newer:
		v.Status = f.operation(inProgress)
	case f.Shown.Complete():
		for _, p := range f.Parts {
			if p.Newer || p.Deleting || p.Status.InProgress() || p.Status == "" {
				v.Status = UpdateInProgress
			}
		}
	}
	if v.Status != f.Shown {
		v.Reason = ""
	}
	return v
}

const (
	inProgress = "_IN_PROGRESS"
	complete   = "_COMPLETE"
	failed     = "_FAILED"
)

// operation is the present operation in a state. What was never complete is still being created.
func (f Facts) operation(state string) Status {
	if f.Shown == "" || f.Shown == CreateInProgress || f.Shown == CreateFailed {
		return Status("CREATE" + state)
	}
	return Status("UPDATE" + state)
}

func (f Facts) living() Verdict {
	w, parts := f.Found, f.sumUp()
	begins := f.Newer || f.Shown.Complete() && !parts.settled || f.Shown.Failed() && parts.fresh
	if f.Shown.Complete() && !begins {
		return Verdict{Status: f.Shown, Reason: f.Reason, Began: f.Began}
	}
	v := Verdict{Began: f.began(begins)}
	v.Deadline = w.deadline(v.Began)
	expired := !v.Deadline.IsZero() && !w.Now.Before(v.Deadline)
	answering := parts.moving && !v.Deadline.IsZero() && w.Now.Sub(v.Deadline).Abs() <= PartsAnswer
	held := w.Error != "" || w.Waiting != ""
	switch {
	case w.Impossible != "":
		v.Status, v.Reason, v.Deadline = f.operation(failed), w.Impossible, time.Time{}
	case parts.failed != "" && !answering && (!held || expired):
		v.Status, v.Reason, v.Deadline = f.operation(failed), parts.failed, time.Time{}
	case !held && parts.settled && w.Addons == "":
		v.Status, v.Deadline = f.operation(complete), time.Time{}
	case expired && !answering:
		v.Status, v.Deadline = f.operation(failed), time.Time{}
		v.Reason = w.late() + w.noted(w.why(parts))
	case expired:
		v.Status, v.Reason, v.Deadline = f.operation(inProgress), w.why(parts), v.Deadline.Add(PartsAnswer)
	default:
		v.Status, v.Reason = f.operation(inProgress), w.noted(w.why(parts))
	}
	return v
}

// noted puts the note behind a reason.
func (w *Found) noted(reason string) string {
	switch {
	case w.Note == "":
		return reason
	case reason == "":
		return w.Note
	}
	return reason + "; " + w.Note
}

// began is when the present operation began: a creation with the record, an update when it was first seen.
func (f Facts) began(begins bool) time.Time {
	switch {
	case f.operation("") == "CREATE":
		return f.Created
	case f.Began.IsZero(), begins && (f.Newer || !f.Shown.InProgress()):
		return f.Found.Now
	}
	return f.Began
}

func (w *Found) deadline(began time.Time) time.Time {
	if w.Timeout == 0 {
		return time.Time{}
	}
	if !w.Whole && w.Progress.After(began) {
		began = w.Progress
	}
	return began.Add(w.Timeout)
}

func (w *Found) late() string {
	if w.Whole {
		return fmt.Sprintf("Not done within create_timeout (%s). ", Count(int(w.Timeout/time.Minute), "minute"))
	}
	return fmt.Sprintf("No progress for create_timeout (%s). ", Count(int(w.Timeout/time.Minute), "minute"))
}

// why is the sentence that says best why the goal is not reached.
func (w *Found) why(parts sum) string {
	for _, text := range []string{w.Error, w.Cause, w.Waiting, parts.waiting} {
		switch {
		case text == "":
		case w.Addons != "" && text != w.Error: // nodes wait for addons, and know only that they are not ready
			return text + "; " + w.Addons
		default:
			return text
		}
	}
	return w.Addons
}

// deleting: a deletion has failed when an error, or what Cluster API cannot get over, keeps it where it is.
func (f Facts) deleting() Verdict {
	v := Verdict{Status: DeleteInProgress, Began: f.Deleted}
	w := f.Found
	if w == nil {
		if f.Shown == DeleteFailed || f.Shown == DeleteInProgress {
			v.Status, v.Reason = f.Shown, f.Reason
		}
		return v
	}
	v.Reason = w.why(sum{})
	if w.Error == "" && !w.Stuck {
		return v
	}
	since := f.Deleted
	if w.Progress.After(since) {
		since = w.Progress
	}
	if v.Deadline = since.Add(DeleteFailedAfter); !w.Now.Before(v.Deadline) {
		v.Status, v.Deadline = DeleteFailed, time.Time{}
	}
	return v
}

// sum is what the parts are together.
type sum struct {
	settled bool   // each has come to rest where it should
	fresh   bool   // one was changed and nobody has looked at it since
	moving  bool   // one is on its way
	failed  string // which has failed, and why
	waiting string // which is on its way, and why it is not there
}

func (f Facts) sumUp() sum {
	out := sum{settled: true}
	for _, p := range f.Parts {
		lost := p.Status == DeleteFailed || p.Status.Failed() && !p.Newer && !p.Deleting
		switch {
		case lost:
			out.settled, out.failed = false, "Node group "+p.Name+": "+p.Reason
		case p.Newer || p.Deleting || !p.Status.Complete():
			out.settled, out.moving = false, true
			if p.Reason != "" && out.waiting == "" {
				out.waiting = "Node group " + p.Name + ": " + p.Reason
			}
		}
		out.fresh = out.fresh || p.Newer || p.Deleting
	}
	return out
}

// KnowsHealth tells whether a cluster in this state has a health: before it was complete for the first time and while
// it goes away nobody looks (Magnum 1.14, periodic.py: created and updated clusters only).
func KnowsHealth(s Status) bool {
	switch s {
	case CreateComplete, UpdateInProgress, UpdateComplete, UpdateFailed:
		return true
	default:
		return false
	}
}

// Progress remembers how near an operation has come to its goal, so that going round in circles does not count.
type Progress struct {
	Left int       // the fewest things that were ever left to do
	At   time.Time // when Left last became fewer
}

// Advance notes how many things are left to do now. A new operation begins to count anew.
func (p Progress) Advance(left int, anew bool, now time.Time) Progress {
	if anew || p.At.IsZero() || left < p.Left {
		return Progress{Left: left, At: now}
	}
	return p
}
