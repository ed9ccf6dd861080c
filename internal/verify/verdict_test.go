package verify

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/golden"
)

var update = golden.Flag()

func results() []Result {
	return []Result{
		{Step: "cluster", Proves: "Magnum makes a cluster", State: Passed, Detail: "made", Seconds: 124.26},
		{
			Step: "dns", Proves: "pods find services by name", State: Failed, Seconds: 30,
			Detail: "from the pod a to web:80: DNS: no such host <web>\nfrom the pod b to web:80: TIMEOUT", LookAt: "kubectl logs",
		},
		{Step: "volume", Proves: "a volume moves", State: Skipped, Detail: "the cloud's catalog has no Cinder (block-storage)"},
		{Step: "health", Proves: "Magnum says so", State: NotRun, Detail: "interrupted"},
	}
}

func TestVerdictForPeopleAndPrograms(t *testing.T) {
	v := Judge("0badcafe", results())
	var text bytes.Buffer
	if err := v.Table(&text); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "table.txt", text.String())
	dir := t.TempDir()
	if err := v.write(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"junit.xml", "verdict.json"} {
		got, err := os.ReadFile(filepath.Join(dir, "new", name))
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, *update, name, string(got))
	}
	var back Verdict
	text.Reset()
	if err := json.NewEncoder(&text).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(&text).Decode(&back); err != nil || cmp.Diff(v, back) != "" {
		t.Errorf("%v %s", err, cmp.Diff(v, back))
	}
}

func TestJudge(t *testing.T) {
	of := func(states ...string) []Result {
		var out []Result
		for _, s := range states {
			out = append(out, Result{Step: s, State: s})
		}
		return out
	}
	for _, c := range []struct {
		reason string
		states []string
		want   bool
	}{
		{"all is well", []string{Passed, Passed}, true},
		{"what was skipped is no failure", []string{Passed, Skipped}, true},
		{"one failure is enough", []string{Passed, Failed, Passed}, false},
		{"what could not be looked at is no success", []string{Passed, NotRun}, false},
		{"nothing was looked at", []string{Skipped, Skipped}, false},
		{"nothing at all", nil, false},
	} {
		if v := Judge("0badcafe", of(c.states...)); v.Passed != c.want {
			t.Errorf("%s: %+v", c.reason, v)
		}
	}
}

func TestConformanceIsJudged(t *testing.T) {
	const (
		before = `<testcase name="[SynchronizedBeforeSuite]" status="passed"></testcase>`
		good   = `<testcase name="[It] [sig-node] Pods should be submitted and removed" status="passed"><system-err>` + "•" + `</system-err></testcase>`
		other  = `<testcase name="[It] [sig-apps] Job should run" status="skipped"><skipped message="skipped"></skipped></testcase>`
		bad    = `<testcase name="[It] [sig-network] DNS should work" status="failed"><failure message="no" type="failed">no</failure></testcase>`
		cut    = `<testcase name="[It] [sig-auth] x" status="timedout"><failure message="" type="timedout">[TIMEDOUT] A suite timeout occurred</failure></testcase>`
		slow   = `<testcase name="[It] [sig-node] y" status="timedout"><failure message="" type="timedout">[TIMEDOUT] A node timeout occurred</failure></testcase>`
		panics = `<testcase name="[BeforeEach] x" status="panicked"><error message="no"></error></testcase>`
	)
	suite := func(cases ...string) string {
		return `<?xml version="1.0"?><testsuites><testsuite name="Kubernetes e2e suite">` + strings.Join(cases, "") + `</testsuite></testsuites>`
	}
	for _, c := range []struct {
		reason, report string
		status         int
		want, fails    string
	}{
		{"one test of the quick mode", suite(before, good, other), 0, "quick: 1 tests passed", ""},
		{"a failure is named", suite(before, good, bad), 1, "", "quick: 1 tests passed, 1 failed:\n[It] [sig-network] DNS should work"},
		{"a failure counts although the program ends well", suite(good, bad), 0, "", "1 failed"},
		{"a step around tests that fails counts", suite(good, panics), 0, "", "[BeforeEach] x"},
		{"a focus that matches nothing proves nothing", suite(before, other), 0, "", "no test ran"},
		{"a run that was cut off proves nothing", suite(before, good), 137, "", "status 137"},
		{"what the limit ended has not failed, and the run proves nothing", suite(good, cut), 1, "", "1 tests passed, 1 cut off by the limit, and the program"},
		{"nor with a program that ends well", suite(good, cut), 0, "", "the run was cut off"},
		{"nor does it hide what has failed", suite(good, cut, bad), 1, "", "1 tests passed, 1 cut off by the limit, 1 failed:\n[It] [sig-network]"},
		{"a test that takes longer than it may has failed", suite(good, slow), 1, "", "1 failed:\n[It] [sig-node] y"},
		{"half a report", suite(before, good)[:90], 0, "", "read junit_01.xml"},
	} {
		tests, err := readTests([]byte(c.report))
		got := ""
		if err == nil {
			got, err = tests.judge(Quick, "", c.status)
		}
		if got != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %q, %v", c.reason, got, err)
		}
	}
	many := tests{passed: 1, failed: slices.Repeat([]string{"[It] x"}, 200)}
	if _, err := many.judge(Certified, "", 1); err == nil || strings.Count(err.Error(), "[It] x") != 30 || !strings.Contains(err.Error(), "200 failed") || !strings.Contains(err.Error(), "and 170 more, which junit_01.xml has") {
		t.Errorf("two hundred names are no verdict: %v", err)
	}
	if got, err := (tests{passed: 400}).judge(Certified, "Serial", 0); err != nil || got != `certified: 400 tests passed, those that match "Serial" were left out` {
		t.Errorf("what is left out is told: %q %v", got, err)
	}
}
