package management_test

import (
	"io"
	"strings"
	"testing"

	"k8s.io/klog/v2"

	"github.com/jeroboam-cloud/jeroboam/allinone/management"
)

// TestLastWords: who gives up ends the process, and the terminal says why.
func TestLastWords(t *testing.T) {
	defer klog.CaptureState().Restore()
	exit := klog.OsExit
	defer func() { klog.OsExit = exit }()
	status := 0
	klog.OsExit = func(code int) { status = code }
	var log, terminal strings.Builder
	if err := management.LogTo(&log, &terminal, 0); err != nil {
		t.Fatal(err)
	}
	klog.Warning("F as in a warning")
	klog.Fatalf("PostStartHook %q failed: %v", "rbac/bootstrap-roles", io.ErrUnexpectedEOF)
	const want = "error: Kubernetes gave up: PostStartHook \"rbac/bootstrap-roles\" failed: unexpected EOF; nothing is lost, start it again\n"
	if status != 255 || terminal.String() != want {
		t.Errorf("status %d, told %q; want 255, %q", status, terminal.String(), want)
	}
	if !strings.Contains(log.String(), "PostStartHook") {
		t.Errorf("the log has %q", log.String())
	}
}
