package cloud

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestVerify is jeroboam's own judgement of the cloud, as a tenant asks for it. VERIFY_CONFORMANCE=quick or certified
// runs conformance tests as well, for which nodes need their images (docs/verify.md); VERIFY_ARGS has further
// arguments, VERIFY_RESULTS a directory that stays.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	out, results, err := w.verify(t, "--image-name", w.image, "--network-driver", network(), "--label", "kube_tag=v1.36.4", "--label", "cinder_csi_enabled=false",
		"--label", "addons_excluded=metrics-server")
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	var verdict struct {
		Passed  bool
		Results []struct{ Step, State, Detail string }
	}
	text, err := os.ReadFile(filepath.Join(results, "verdict.json"))
	if err == nil {
		err = json.Unmarshal(text, &verdict)
	}
	if err != nil || !verdict.Passed {
		t.Fatalf("%v %s", err, text)
	}
	// What this cloud can show was looked at: a verdict of skipped checks would pass as well.
	want := map[string]bool{
		"cluster": true, "connect": true, "nodes": true, "pods": true, "dns": true, "reach": true, "policy": true, "balancer": true, "resize": true,
		"health": true, "remove": true, "conformance": conformance() != "none",
	}
	for _, r := range verdict.Results {
		if want[r.Step] && r.State != "passed" {
			t.Errorf("%s: %s: %s", r.Step, r.State, r.Detail)
		}
		delete(want, r.Step)
	}
	if len(want) > 0 {
		t.Errorf("not looked at: %v", want)
	}
	if diff := gocmp.Diff(before, w.inventory(t)); diff != "" {
		t.Errorf("the project has something else than before (-before +after):\n%s", diff)
	}
}

// conformance are the conformance tests that were asked for.
func conformance() string { return cmp.Or(os.Getenv("VERIFY_CONFORMANCE"), "none") }

// verify runs "jeroboam verify" as the tenant, and says where its results are.
func (w *world) verify(t *testing.T, args ...string) (out, results string, err error) {
	t.Helper()
	results = cmp.Or(os.Getenv("VERIFY_RESULTS"), t.TempDir())
	args = append([]string{place(t, "JEROBOAM"), "verify", "--conformance", conformance(), "--results", results}, args...)
	out, err = w.exec(t, 3*time.Hour, w.tenant, append(args, strings.Fields(os.Getenv("VERIFY_ARGS"))...)...)
	return out, results, err
}
