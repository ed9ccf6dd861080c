package magnum_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

const (
	creating, created, createFailed = magnum.CreateInProgress, magnum.CreateComplete, magnum.CreateFailed
	updating, updated, updateFailed = magnum.UpdateInProgress, magnum.UpdateComplete, magnum.UpdateFailed
	deleting, deleteFailed          = magnum.DeleteInProgress, magnum.DeleteFailed
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }

func part(name string, s magnum.Status, reason string) magnum.Part {
	return magnum.Part{Name: name, Status: s, Reason: reason}
}

func newer(p magnum.Part) magnum.Part {
	p.Newer = true
	return p
}

// What a reader is told, who has the record and nothing else.
func TestWhatTheRecordSays(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		facts  magnum.Facts
		want   magnum.Status
		says   string
	}{
		"just made":                   {"nobody has looked at it", magnum.Facts{}, creating, ""},
		"being made":                  {"", magnum.Facts{Shown: creating, Reason: "network"}, creating, "network"},
		"at rest":                     {"", magnum.Facts{Shown: created, Parts: []magnum.Part{part("a", created, "")}}, created, ""},
		"changed a moment ago":        {"its state shows at once", magnum.Facts{Shown: created, Newer: true}, updating, ""},
		"a group was changed":         {"a resize is written to the group alone", magnum.Facts{Shown: created, Parts: []magnum.Part{newer(part("a", created, ""))}}, updating, ""},
		"a group was just added":      {"nobody has looked at it", magnum.Facts{Shown: updated, Parts: []magnum.Part{part("a", "", "")}}, updating, ""},
		"a group goes":                {"", magnum.Facts{Shown: updated, Parts: []magnum.Part{{Name: "a", Status: updated, Deleting: true}}}, updating, ""},
		"a group has failed":          {"the cluster says so itself, when its controller has looked", magnum.Facts{Shown: updated, Parts: []magnum.Part{part("a", updateFailed, "")}}, updated, ""},
		"changed after it failed":     {"a failed update can be tried with another request", magnum.Facts{Shown: updateFailed, Reason: "quota", Newer: true}, updating, ""},
		"changed after creation fell": {"it was never complete: it is still being created", magnum.Facts{Shown: createFailed, Newer: true}, creating, ""},
		"deleted":                     {"", magnum.Facts{Shown: created, Deleted: at(1)}, deleting, ""},
		"deleted, and it failed":      {"", magnum.Facts{Shown: deleteFailed, Reason: "403", Deleted: at(1)}, deleteFailed, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			got := magnum.StatusOf(is.facts)
			if got.Status != is.want || got.Reason != is.says {
				t.Errorf("%s %q, want %s %q: %s", got.Status, got.Reason, is.want, is.says, is.reason)
			}
		})
	}
}

// The life of a cluster whose create_timeout is 60 minutes, and of its node groups.
func TestTheLifeOfAnOperation(t *testing.T) {
	const hour = time.Hour
	none := time.Time{}
	for name, is := range map[string]struct {
		reason string
		facts  magnum.Facts
		found  magnum.Found
		want   magnum.Verdict
	}{
		// Creation.
		"a cluster waits for its network": {
			"what Cluster API says explains better than what is waited for",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", creating, "")}},
			magnum.Found{Now: at(5), Waiting: "waiting for the API's address", Cause: "network: quota exceeded", Whole: true},
			magnum.Verdict{Status: creating, Reason: "network: quota exceeded", Began: at(0), Deadline: at(60)},
		},
		"a cluster waits for a group": {
			"the group says what for",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", creating, "0 of 2 machines"), part("b", created, "")}},
			magnum.Found{Now: at(5), Whole: true},
			magnum.Verdict{Status: creating, Reason: "Node group a: 0 of 2 machines", Began: at(0), Deadline: at(60)},
		},
		"a cluster waits for its addons": {
			"a cluster without a network cannot be used",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", created, "")}},
			magnum.Found{Now: at(5), Addons: "calico is not available yet", Whole: true},
			magnum.Verdict{Status: creating, Reason: "calico is not available yet", Began: at(0), Deadline: at(60)},
		},
		"everything is there": {
			"",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", created, "")}},
			magnum.Found{Now: at(5), Whole: true},
			magnum.Verdict{Status: created, Began: at(0)},
		},
		"a creation takes too long": {
			"create_timeout bounds the whole of it, whatever progress there is",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", created, "")}},
			magnum.Found{Now: at(60), Waiting: "waiting for the API's address", Whole: true, Progress: at(59)},
			magnum.Verdict{Status: createFailed, Reason: "Not done within create_timeout (60 minutes). waiting for the API's address", Began: at(0)},
		},
		"groups are about to answer": {
			"their time ends at the same moment: the first answer is not complete without them",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", createFailed, "No valid host"), part("b", creating, "")}},
			magnum.Found{Now: at(60), Whole: true},
			magnum.Verdict{Status: creating, Began: at(0), Deadline: at(60).Add(magnum.PartsAnswer)},
		},
		"groups have answered": {
			"",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", createFailed, "No valid host"), part("b", createFailed, "No valid host")}},
			magnum.Found{Now: at(60), Whole: true},
			magnum.Verdict{Status: createFailed, Reason: "Node group b: No valid host", Began: at(0)},
		},
		"groups never answer": {
			"nobody may wait for ever",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", creating, "")}},
			magnum.Found{Now: at(60.5), Waiting: "waiting for Godot", Whole: true},
			magnum.Verdict{Status: createFailed, Reason: "Not done within create_timeout (60 minutes). waiting for Godot", Began: at(0)},
		},
		"it comes up after all": {
			"what failed goes on being tried",
			magnum.Facts{Shown: createFailed, Reason: "No valid host", Parts: []magnum.Part{part("a", created, "")}},
			magnum.Found{Now: at(90), Whole: true},
			magnum.Verdict{Status: created, Began: at(0)},
		},
		"what cannot be": {
			"waiting will not help",
			magnum.Facts{Shown: creating},
			magnum.Found{Now: at(1), Impossible: "image's os_distro is not supported", Whole: true},
			magnum.Verdict{Status: createFailed, Reason: "image's os_distro is not supported", Began: at(0)},
		},
		"one group fails early": {
			"it fails with its reason, and the others go on",
			magnum.Facts{Shown: creating, Parts: []magnum.Part{part("a", createFailed, "flavor is gone"), part("b", creating, "")}},
			magnum.Found{Now: at(5), Whole: true},
			magnum.Verdict{Status: createFailed, Reason: "Node group a: flavor is gone", Began: at(0)},
		},
		"no bound": {
			"create_timeout 0 waits for ever",
			magnum.Facts{Shown: creating},
			magnum.Found{Now: at(1e6), Waiting: "waiting", Timeout: -1, Whole: true},
			magnum.Verdict{Status: creating, Reason: "waiting", Began: at(0)},
		},

		// Update.
		"a resize begins": {
			"",
			magnum.Facts{Shown: created, Parts: []magnum.Part{newer(part("a", created, ""))}},
			magnum.Found{Now: at(100)},
			magnum.Verdict{Status: updating, Began: at(100), Deadline: at(160)},
		},
		"a long roll": {
			"twenty nodes take longer than create_timeout, but one after another comes up",
			magnum.Facts{Shown: updating, Began: at(100), Parts: []magnum.Part{part("a", updating, "12 of 20 machines")}},
			magnum.Found{Now: at(300), Progress: at(290)},
			magnum.Verdict{Status: updating, Reason: "Node group a: 12 of 20 machines", Began: at(100), Deadline: at(350)},
		},
		"a roll that stands still": {
			"",
			magnum.Facts{Shown: updating, Began: at(100)},
			magnum.Found{Now: at(350), Waiting: "12 of 20 machines", Progress: at(290)},
			magnum.Verdict{Status: updateFailed, Reason: "No progress for create_timeout (60 minutes). 12 of 20 machines", Began: at(100)},
		},
		"an upgrade with a warning": {
			"what was known before explains why it hangs",
			magnum.Facts{Shown: updating, Began: at(100)},
			magnum.Found{Now: at(150), Waiting: "1 of 3 machines", Note: "PodDisruptionBudgets allow no eviction"},
			magnum.Verdict{Status: updating, Reason: "1 of 3 machines; PodDisruptionBudgets allow no eviction", Began: at(100), Deadline: at(160)},
		},
		"an upgrade that hangs as it was warned": {
			"",
			magnum.Facts{Shown: updating, Began: at(100)},
			magnum.Found{Now: at(200), Waiting: "1 of 3 machines", Note: "PodDisruptionBudgets allow no eviction"},
			magnum.Verdict{
				Status: updateFailed, Began: at(100),
				Reason: "No progress for create_timeout (60 minutes). 1 of 3 machines; PodDisruptionBudgets allow no eviction",
			},
		},
		"another request after a failure": {
			"a failed update can be resized, upgraded and repaired from: its time begins anew",
			magnum.Facts{Shown: updateFailed, Reason: "No progress", Began: at(100), Newer: true},
			magnum.Found{Now: at(500), Waiting: "9 of 10 machines"},
			magnum.Verdict{Status: updating, Reason: "9 of 10 machines", Began: at(500), Deadline: at(560)},
		},
		"asked for what is there": {
			"who waits for UPDATE_COMPLETE gets it",
			magnum.Facts{Shown: created, Began: at(0), Newer: true, Parts: []magnum.Part{part("a", updated, "")}},
			magnum.Found{Now: at(100)},
			magnum.Verdict{Status: updated, Began: at(100)},
		},
		"at rest": {
			"a machine that breaks is a matter of health",
			magnum.Facts{Shown: created, Began: at(0), Parts: []magnum.Part{part("a", created, "")}},
			magnum.Found{Now: at(1000), Waiting: "2 of 3 machines", Cause: "disk full"},
			magnum.Verdict{Status: created, Began: at(0)},
		},
		"an error that passes": {
			"it is shown while it lasts, and tried again",
			magnum.Facts{Shown: updating, Began: at(100)},
			magnum.Found{Now: at(101), Error: "server groups: unavailable", Cause: "x"},
			magnum.Verdict{Status: updating, Reason: "server groups: unavailable", Began: at(100), Deadline: at(160)},
		},
		"a group of a complete cluster fails": {
			"",
			magnum.Facts{Shown: created, Began: at(0), Parts: []magnum.Part{part("gpu", createFailed, "flavor g1 is gone"), part("b", created, "")}},
			magnum.Found{Now: at(100)},
			magnum.Verdict{Status: updateFailed, Reason: "Node group gpu: flavor g1 is gone", Began: at(100)},
		},

		// Deletion.
		"it goes": {
			"",
			magnum.Facts{Shown: created, Deleted: at(10)},
			magnum.Found{Now: at(500), Waiting: "waiting until 3 machines are gone"},
			magnum.Verdict{Status: deleting, Reason: "waiting until 3 machines are gone", Began: at(10)},
		},
		"an error in its way": {
			"",
			magnum.Facts{Shown: deleting, Deleted: at(10)},
			magnum.Found{Now: at(11), Error: "server groups: forbidden"},
			magnum.Verdict{Status: deleting, Reason: "server groups: forbidden", Began: at(10), Deadline: at(12)},
		},
		"an error that stays": {
			"",
			magnum.Facts{Shown: deleting, Deleted: at(10)},
			magnum.Found{Now: at(12), Error: "server groups: forbidden"},
			magnum.Verdict{Status: deleteFailed, Reason: "server groups: forbidden", Began: at(10)},
		},
		"Cluster API cannot get over it": {
			"a credential that is dead keeps machines for ever",
			magnum.Facts{Shown: deleting, Deleted: at(10)},
			magnum.Found{Now: at(15), Waiting: "waiting until 3 machines are gone", Cause: "authentication failed", Stuck: true, Progress: at(11)},
			magnum.Verdict{Status: deleteFailed, Reason: "authentication failed", Began: at(10)},
		},
		"it goes on": {
			"a deletion that failed is tried further",
			magnum.Facts{Shown: deleteFailed, Deleted: at(10)},
			magnum.Found{Now: at(16), Waiting: "waiting until 2 machines are gone"},
			magnum.Verdict{Status: deleting, Reason: "waiting until 2 machines are gone", Began: at(10)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			is.facts.Created = start
			switch is.found.Timeout {
			case 0:
				is.found.Timeout = hour
			case -1:
				is.found.Timeout = 0
			}
			is.facts.Found = &is.found
			got := magnum.StatusOf(is.facts)
			if diff := cmp.Diff(is.want, got); diff != "" {
				t.Errorf("%s\n-want +got\n%s", is.reason, diff)
			}
			if got.Deadline != none && !got.Deadline.After(is.found.Now) {
				t.Errorf("the deadline %s has passed: nobody would look again", got.Deadline)
			}
		})
	}
}

func TestGoingRoundInCirclesIsNoProgress(t *testing.T) {
	p := magnum.Progress{}
	for _, is := range []struct {
		reason string
		left   int
		anew   bool
		now    float64
		since  float64
	}{
		{"the beginning", 5, true, 0, 0},
		{"one is done", 4, false, 1, 1},
		{"it breaks again", 5, false, 2, 1},
		{"and is mended", 4, false, 3, 1},
		{"another is done", 3, false, 4, 4},
		{"more is asked for", 9, true, 5, 5},
	} {
		if p = p.Advance(is.left, is.anew, at(is.now)); !p.At.Equal(at(is.since)) {
			t.Errorf("%s: last progress at %s, want %s", is.reason, p.At, at(is.since))
		}
	}
}

func TestAnyCreateTimeoutIsADuration(t *testing.T) {
	for minutes, want := range map[int]time.Duration{0: 0, -3: 0, 60: time.Hour} {
		if got := magnum.Minutes(minutes); got != want {
			t.Errorf("%d minutes are %s, want %s", minutes, got, want)
		}
	}
	if got := magnum.Minutes(1<<31 - 1); got < 10*365*24*time.Hour || start.Add(got).Before(start) {
		t.Errorf("the longest create_timeout is %s", got)
	}
}

func TestHealthIsKnownOfWhatWasCompleteOnce(t *testing.T) {
	for s, want := range map[magnum.Status]bool{
		creating: false, createFailed: false, created: true, updating: true, updated: true, updateFailed: true, deleting: false, deleteFailed: false,
	} {
		if got := magnum.KnowsHealth(s); got != want {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
}
