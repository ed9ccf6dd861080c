package intent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedVariablesAreKnown: no variable that the manual tells an operator to set is called unknown, also where
// what it belongs to is switched off.
func TestDocumentedVariablesAreKnown(t *testing.T) {
	variable := regexp.MustCompile("[`\n](?:kubernetes|kubeadm|kubelet|containerd|cilium|cluster_api|clusterctl|mcapi|magnum|jeroboam)_[a-z0-9_]*[a-z0-9]\\b")
	names := map[string]bool{}
	for _, page := range []string{"deploy", "deploy-config", "backup", "proxy", "preflight", "beside-openstack-ansible"} {
		text, err := os.ReadFile(filepath.Join("../../../docs", page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			names[name[1:]] = true
		}
	}
	if len(names) < 25 {
		t.Errorf("only %d variables were found", len(names))
	}
	opts := clean(t)
	var all strings.Builder
	for name := range names {
		all.WriteString(name + ": ''\n")
	}
	write(t, filepath.Join(opts.Config, "user_zz.yml"), all.String())
	for _, f := range findings(t, opts) {
		if f.Code == "unknown-variable" {
			t.Error(f)
		}
	}
}
