package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

const minimalConfig = "[keystone_authtoken]\nauth_url = http://keystone:5000\nusername = magnum\npassword = p\nproject_name = service\n"

// TestPolicyIsFound: an operator's policy is in force wherever oslo.policy would have found it, and a file that is
// named and missing is an error and not the default rules.
func TestPolicyIsFound(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		options string // of [oslo_policy]
		there   []string
		files   []string
		problem string
	}{
		"unset": {
			reason: "OpenStack-Ansible leaves the option out and writes policy.yaml beside magnum.conf",
			there:  []string{"etc/policy.yaml"}, files: []string{"etc/policy.yaml"},
		},
		"json":     {reason: "the name before Wallaby", there: []string{"etc/policy.json"}, files: []string{"etc/policy.json"}},
		"both":     {reason: "the new name wins", there: []string{"etc/policy.yaml", "etc/policy.json"}, files: []string{"etc/policy.yaml"}},
		"relative": {reason: "not the working directory", options: "policy_file = rules.yaml", there: []string{"etc/rules.yaml"}, files: []string{"etc/rules.yaml"}},
		"last file": {
			reason: "the last configuration file's directory comes first", options: "policy_file = rules.yaml",
			there: []string{"etc/rules.yaml", "more/rules.yaml"}, files: []string{"more/rules.yaml"},
		},
		"home": {reason: "the places of every service", there: []string{"home/.magnum/policy.yaml"}, files: []string{"home/.magnum/policy.yaml"}},
		"directory": {
			reason: "policy.d is read by default, in order, without hidden files and what lies deeper",
			there:  []string{"etc/policy.yaml", "etc/policy.d/20.yaml", "etc/policy.d/10.yaml", "etc/policy.d/.20.yaml.swp", "etc/policy.d/deep/30.yaml"},
			files:  []string{"etc/policy.yaml", "etc/policy.d/10.yaml", "etc/policy.d/20.yaml"},
		},
		"directories": {
			reason: "several in their order", options: "policy_dirs = b\npolicy_dirs = a",
			there: []string{"etc/a/1.yaml", "etc/b/2.yaml"}, files: []string{"etc/b/2.yaml", "etc/a/1.yaml"},
		},
		"missing":           {reason: "not the default rules in silence", options: "policy_file = lost.yaml", problem: "[oslo_policy] policy_file: lost.yaml does not exist, looked for in "},
		"missing, absolute": {reason: "nor for a whole path", options: "policy_file = /lost/policy.yaml", problem: "[oslo_policy] policy_file: /lost/policy.yaml does not exist; create it"},
		"missing default":   {reason: "nor for the usual name, when it is named", options: "policy_file = policy.yaml", problem: "[oslo_policy] policy_file: policy.yaml does not exist"},
		"missing directory": {reason: "nor for a directory", options: "policy_dirs = lost.d", problem: "[oslo_policy] policy_dirs: lost.d does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			t.Setenv("HOME", filepath.Join(root, "home"))
			t.Chdir(t.TempDir())
			put(t, filepath.Join(root, "etc/magnum.conf"), minimalConfig+"[oslo_policy]\n"+tc.options+"\n")
			put(t, filepath.Join(root, "more/extra.conf"), "")
			for _, file := range tc.there {
				put(t, filepath.Join(root, file), "")
			}
			c, err := ReadConfig(slog.New(slog.DiscardHandler), nil, filepath.Join(root, "etc/magnum.conf"), filepath.Join(root, "more/extra.conf"))
			if tc.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tc.problem) {
					t.Errorf("%s: got %v, want %s", tc.reason, err, tc.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, file := range c.Policy.Files {
				if relative, err := filepath.Rel(root, file); err == nil {
					got = append(got, relative)
				}
			}
			if diff := cmp.Diff(tc.files, got); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
		})
	}
}

// TestPolicyInForce: the log and /readyz say which rules count.
func TestPolicyInForce(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "policy.yaml")
	put(t, file, `"cluster:create": "role:creator"`+"\n")
	put(t, filepath.Join(root, "magnum.conf"), minimalConfig+"[oslo_policy]\nenforce_scope = false\nenforce_new_defaults = false\n")
	c, err := ReadConfig(slog.New(slog.DiscardHandler), nil, filepath.Join(root, "magnum.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	e, err := readPolicy(slog.New(slog.NewTextHandler(&log, nil)), c.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if want := `changed=[cluster:create] enforce_new_defaults=false enforce_scope=false`; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %s: %s", want, log.String())
	}
	want := "policy: Magnum's rules, 1 rule changed by " + file + ", enforce_new_defaults off, enforce_scope off"
	if got := policyInForce(e, c.Policy); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	member := policy.Credentials{UserID: "u", ProjectID: "p", Roles: []string{"member"}}
	if _, err := e.Authorize(member, "cluster:create", policy.Target{ProjectID: "p", UserID: "u"}); err == nil {
		t.Error("the operator's rule is not in force")
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
