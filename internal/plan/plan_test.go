package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestCompare(t *testing.T) {
	file := func(change func(*plan.Thing)) plan.Thing {
		th := plan.Thing{
			Place: "infra1", Group: "host", Kind: "file", Name: "/etc/motd",
			Want: plan.Facts{"mode": "0644", "owner": "root:root", "content": "hello\n"}, Text: []string{"content"},
		}
		if change != nil {
			change(&th)
		}
		return th
	}
	is := func(pairs ...string) plan.Facts {
		f := plan.Facts{"mode": "0644", "owner": "root:root", "content": "hello\n"}
		for i := 0; i < len(pairs); i += 2 {
			f[pairs[i]] = pairs[i+1]
		}
		return f
	}
	change := func(a plan.Action, summary, diff string) *plan.Change {
		return &plan.Change{Place: "infra1", Group: "host", Kind: "file", Name: "/etc/motd", Action: a, Summary: summary, Diff: diff}
	}
	const lines = "diff /etc/motd (is) /etc/motd (wanted)\n--- /etc/motd (is)\n+++ /etc/motd (wanted)\n@@ -1,1 +1,1 @@\n-bye\n+hello\n"
	tests := []struct {
		reason string
		thing  plan.Thing
		have   plan.Facts
		want   *plan.Change
	}{
		{"as it should be", file(nil), is(), nil},
		{"aspects nobody asked for are nobody's business", file(nil), is("selinux", "on"), nil},
		{"not there, and not wanted", file(func(th *plan.Thing) { th.Want = nil }), nil, nil},
		{"there, and not wanted", file(func(th *plan.Thing) { th.Want = nil }), is(), change(plan.Delete, "", "")},
		{"not there: the summary has what is short, and no text", file(nil), nil, change(plan.Create, "mode 0644, owner root:root", "")},
		{"there with nothing known of it is not the same as not there", file(nil), plan.Facts{}, change(plan.Update, "content, mode (none) -> 0644, owner (none) -> root:root", "diff /etc/motd (is) /etc/motd (wanted)\n--- /etc/motd (is)\n+++ /etc/motd (wanted)\n@@ -0,0 +1,1 @@\n+hello\n")},
		{"creating may be called something else", file(func(th *plan.Thing) { th.Creates = plan.Run }), nil, change(plan.Run, "mode 0644, owner root:root", "")},
		{"a short aspect is told with both values", file(nil), is("mode", "0600"), change(plan.Update, "mode 0600 -> 0644", "")},
		{"a text is told as a difference of lines", file(nil), is("content", "bye\n"), change(plan.Update, "content", lines)},
		{"aspects come in the order of their names", file(nil), is("owner", "bin:bin", "mode", ""), change(plan.Update, "mode (none) -> 0644, owner bin:bin -> root:root", "")},
		{
			"one aspect alone may have a word of its own", file(func(th *plan.Thing) { th.On = map[string]plan.Action{"mode": plan.Restart} }), is("mode", "0600"),
			change(plan.Restart, "mode 0600 -> 0644", ""),
		},
		{
			"with others it is an update", file(func(th *plan.Thing) { th.On = map[string]plan.Action{"mode": plan.Restart} }), is("mode", "0600", "owner", "a:b"),
			change(plan.Update, "mode 0600 -> 0644, owner a:b -> root:root", ""),
		},
		{"a secret's change says that it changes, not to what", file(func(th *plan.Thing) { th.Secret = true }), is("content", "bye\n", "mode", "0600"), change(plan.Update, "content, mode", "")},
		{"a new secret says nothing", file(func(th *plan.Thing) { th.Secret = true }), nil, change(plan.Create, "(secret)", "")},
		{
			"long values are cut in updates", file(func(th *plan.Thing) { th.Want["sum"] = strings.Repeat("a", 80) }), is("sum", strings.Repeat("b", 80)),
			change(plan.Update, "sum "+strings.Repeat("b", 61)+"... -> "+strings.Repeat("a", 61)+"...", ""),
		},
		{"long values are left out of new things", file(func(th *plan.Thing) { th.Want["sum"] = strings.Repeat("a", 80) }), nil, change(plan.Create, "mode 0644, owner root:root", "")},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, plan.Compare(tt.thing, tt.have)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSecretsAreNowhere looks for a secret in everything a plan is made into.
func TestSecretsAreNowhere(t *testing.T) {
	th := plan.Thing{Kind: "file", Name: "key", Secret: true, Text: []string{"content"}, Want: plan.Facts{"content": "hunter2\n", "note": "hunter2"}}
	for _, have := range []plan.Facts{nil, {}, {"content": "hunter2 old\n", "note": "hunter2 old"}} {
		c := plan.Compare(th, have)
		var text strings.Builder
		if err := plan.WriteText(&text, plan.Plan{Changes: []plan.Change{*c}}, true); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String()+c.Summary+c.Diff, "hunter2") {
			t.Errorf("the secret is in\n%s", text.String())
		}
	}
}

// world is a plan with one change of each kind.
func world() plan.Plan {
	return plan.Plan{Changes: []plan.Change{
		{Place: "infra1", Group: "host", Kind: "file", Name: "/etc/a", Action: plan.Create, Summary: "mode 0644"},
		{Place: "infra1", Group: "host", Kind: "file", Name: "/etc/b", Action: plan.Update, Summary: "content", Diff: "diff x y\n--- x\n+++ y\n-old\n+new\n"},
		{Place: "infra1", Group: "container", Kind: "container", Name: "c1", Action: plan.Restart, Summary: "current no -> yes"},
		{Place: "c1", Group: "control plane", Kind: "kubeadm", Name: "init", Action: plan.Run},
		{Place: "c2", Group: "control plane", Kind: "node", Name: "c2", Action: plan.Check},
		{Place: "infra1", Group: "host", Kind: "file", Name: "/etc/z", Action: plan.Delete},
	}}
}

func TestWriteText(t *testing.T) {
	p := world()
	p.Findings = []plan.Finding{{Judge: "restart", Where: "c1", Text: "it is restarted", Blocks: true}, {Judge: "quorum", Where: "c2", Text: "does not serve"}}
	const want = `infra1 / host
  + create file /etc/a: mode 0644
  ~ update file /etc/b: content
      --- x
      +++ y
      -old
      +new
infra1 / container
  ! restart container c1: current no -> yes
c1 / control plane
  > run kubeadm init
c2 / control plane
  ? check node c2
infra1 / host
  - delete file /etc/z
danger: c1: it is restarted (restart)
note: c2: does not serve (quorum)
6 changes in 3 places: 1 to create, 1 to update, 1 to restart, 1 to run, 1 to delete, 1 to check
`
	var got strings.Builder
	if err := plan.WriteText(&got, p, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	got.Reset()
	if err := plan.WriteText(&got, p, false); err != nil || strings.Contains(got.String(), "+new") {
		t.Errorf("differences were not asked for: %v\n%s", err, got.String())
	}
	got.Reset()
	if err := plan.WriteText(&got, plan.Plan{}, true); err != nil || got.String() != "no changes\n" {
		t.Errorf("an empty plan is %q, %v", got.String(), err)
	}
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteTextTellsThatItCouldNot(t *testing.T) {
	if err := plan.WriteText(full{}, world(), true); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestJudged(t *testing.T) {
	say := func(f ...plan.Finding) plan.Judge { return func(plan.Plan) []plan.Finding { return f } }
	before := world()
	p := plan.Judged(before,
		say(plan.Finding{Judge: "restart", Where: "c2", Blocks: true}, plan.Finding{Judge: "restart", Where: "c1", Blocks: true}),
		say(),
		say(plan.Finding{Judge: "note", Where: "a"}, plan.Finding{Judge: "delete", Where: "z", Blocks: true}),
	)
	var order []string
	for _, f := range p.Findings {
		order = append(order, f.Judge+" "+f.Where)
	}
	if diff := cmp.Diff([]string{"delete z", "restart c1", "restart c2", "note a"}, order); diff != "" {
		t.Errorf("what blocks comes first, then by name: %s", diff)
	}
	if diff := cmp.Diff(world().Changes, p.Changes); diff != "" || len(before.Findings) > 0 {
		t.Errorf("a judge changes nothing: %s %v", diff, before.Findings)
	}
	for _, tt := range []struct {
		reason  string
		allowed []string
		want    int
	}{
		{"nothing is allowed", nil, 3},
		{"one judge's findings are allowed, all of them", []string{"restart"}, 1},
		{"a note needs no word", []string{"restart", "delete"}, 0},
		{"a word for another judge does not help", []string{"quorum", "note"}, 3},
	} {
		if got := p.Blocked(tt.allowed); len(got) != tt.want {
			t.Errorf("%s: %v, want %d of them", tt.reason, got, tt.want)
		}
	}
}

func TestTouches(t *testing.T) {
	p := world()
	for _, tt := range []struct {
		reason, place, kind, name string
		want                      bool
	}{
		{"something of that kind", "infra1", "container", "", true},
		{"something of any kind", "c1", "", "", true},
		{"another kind", "c1", "file", "", false},
		{"another place, though a change names it", "c3", "", "", false},
		{"that very thing", "infra1", "file", "/etc/b", true},
		{"another one of that kind", "infra1", "file", "/etc/c", false},
		{"one of that name, of another kind", "infra1", "unit", "/etc/b", false},
	} {
		if got := p.Touches(tt.place, tt.kind, tt.name); got != tt.want {
			t.Errorf("%s: %v", tt.reason, got)
		}
	}
	if p.Empty() || !(plan.Plan{Findings: []plan.Finding{{Judge: "note"}}}).Empty() {
		t.Error("a plan is empty when it has no changes, whatever the judges say")
	}
}
