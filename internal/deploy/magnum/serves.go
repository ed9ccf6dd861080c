package magnum

import (
	"maps"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Found is what is at a place before anything is done there.
type Found struct {
	// Ours: Jeroboam serves there, or a run that brought it in or out was killed. Theirs: OpenStack's own Magnum is
	// installed.
	Ours, Theirs bool
}

// witnesses are files by which Found is told: nothing of what they are, only whether they are there.
func witnesses() []host.Item {
	out := []host.Item{{File: &host.File{Path: unitFile, Once: true}}}
	for _, name := range theirs() {
		out = append(out, host.Item{File: &host.File{Path: "/etc/systemd/system/" + name, Once: true}})
	}
	return out
}

// foundBy reads what was seen of the witnesses.
func foundBy(seen []plan.Facts) Found {
	f := Found{Ours: seen[0] != nil}
	for _, s := range seen[1:] {
		f.Theirs = f.Theirs || s != nil
	}
	return f
}

// serves decides who serves Magnum's API: the operator's word, and without one whoever does already. A new cloud gets
// Jeroboam. The finding says what that means where somebody could be surprised; it is empty otherwise.
func serves(in intent.Intent, found map[string]Found) (who string, why plan.Finding) {
	var ours, theirs []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name].Ours {
			ours = append(ours, name)
		}
		if found[name].Theirs {
			theirs = append(theirs, name)
		}
	}
	say := func(text string) plan.Finding {
		return plan.Finding{Judge: "magnum", Where: "magnum_all", Text: text}
	}
	switch who = in.Magnum.Service.Implementation; {
	case len(in.Magnum.Hosts) == 0:
		return "", plan.Finding{}
	case who == intent.ImplementationJeroboam && len(theirs) > 0 && len(ours) < len(found):
		return who, say("Jeroboam serves from now on; magnum-api and magnum-conductor stop on " + strings.Join(theirs, ", ") +
			". Their configuration and their database stay as they are. Clusters that only the database knows are not in Jeroboam's lists")
	case who == intent.ImplementationMagnum && len(ours) > 0:
		return who, say("OpenStack's own Magnum serves from now on; Jeroboam's server stops on " + strings.Join(ours, ", ") +
			". Its records stay in the management cluster; clusters made with it keep running, and are not in Magnum's lists")
	case who != "":
		return who, plan.Finding{}
	case len(ours) == 0 && len(theirs) > 0:
		return intent.ImplementationMagnum, say("OpenStack's own Magnum is installed and stays; magnum_implementation: jeroboam puts Jeroboam in its place, " +
			"magnum_implementation: magnum says that it is meant so")
	}
	return intent.ImplementationJeroboam, plan.Finding{}
}
