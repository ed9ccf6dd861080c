package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// runVars runs the command as "jeroboam inventory vars" would, from its flags to its output.
func runVars(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var tree struct {
		Vars inventoryVarsCommand `cmd:""`
	}
	var out, errs bytes.Buffer
	parser, err := kong.New(&tree, kong.Bind(Streams{In: strings.NewReader(""), Out: &out, Err: &errs}), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(append([]string{"vars"}, args...))
	if err != nil {
		return "", err
	}
	err = k.Run()
	return out.String(), err
}

// operator copies an oracle case, and adds what an operator has beside it.
func operator(t *testing.T) (config, environment string) {
	t.Helper()
	config = t.TempDir()
	if err := os.CopyFS(config, os.DirFS("../osa/testdata/oracle/aio/deploy")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"user_variables.yml": "cilium_ipv4_cidr: 10.200.0.0/16\nbackup_url: \"s3://key:{{ backup_key }}@store\"\nbroken: \"{{ nobody | lower }}\"\ngone: \"{{ nobody | default(omit) }}\"\n",
		"user_secrets.yml":   "backup_key: hunter2\n",
	} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config, "../osa/testdata/base/30.1.5"
}

func TestInventoryVars(t *testing.T) {
	config, environment := operator(t)
	base := []string{"--config", config, "--environment", environment, "aio1-k8s-container-cfa820a7"}
	for _, c := range []struct {
		args, want []string
		absent     string
		fails      bool
		reason     string
	}{
		{args: []string{"kubernetes_hostname"}, want: []string{`kubernetes_hostname: "172.29.236.101"`}, reason: "evaluated"},
		{args: []string{"--why", "cilium_ipv4_cidr"}, want: []string{
			`cilium_ipv4_cidr: "10.200.0.0/16"`, "from " + config + "/user_variables.yml:1 (extra vars)",
			"overrides " + config + "/group_vars/k8s_all/main.yml:6 (group k8s_all): \"172.29.200.0/22\"",
		}, reason: "file, line, and what was overridden"},
		{args: []string{"backup_url", "backup_key"}, want: []string{`backup_url: "********"`, `backup_key: "********"`}, absent: "hunter2", reason: "secrets, also within others"},
		{args: []string{"--show-secrets", "backup_url"}, want: []string{"s3://key:hunter2@store"}, reason: "unless asked"},
		{args: []string{"--output", "json", "--why", "haproxy_k8s_service"}, want: []string{`"haproxy_port": 6443`, `"from": "`}, reason: "for programs"},
		{args: nil, want: []string{"k8s_haproxy_services: [", "broken: (cannot be evaluated)"}, absent: "hunter2", fails: true, reason: "everything that can be told, and an error"},
		{args: []string{"gone", "cilium_ipv4_cidr"}, want: []string{"gone: (cannot be evaluated)", `cilium_ipv4_cidr: "10.200.0.0/16"`}, fails: true, reason: "omit takes nothing else with it"},
		{args: []string{"--output", "json", "gone", "cilium_ipv4_cidr"}, want: []string{`"cilium_ipv4_cidr": "10.200.0.0/16"`}, fails: true, reason: "in JSON, too"},
		{args: []string{"nothing"}, fails: true, reason: "a name that nobody defined"},
	} {
		out, err := runVars(t, append(base, c.args...)...)
		if (err != nil) != c.fails {
			t.Errorf("%v: %v (%s)", c.args, err, c.reason)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %s in\n%s (%s)", c.args, w, out, c.reason)
			}
		}
		if c.absent != "" && (strings.Contains(out, c.absent) || err != nil && strings.Contains(err.Error(), c.absent)) {
			t.Errorf("%v tells %s (%s)", c.args, c.absent, c.reason)
		}
	}
	_, err := runVars(t, append(base, "gone")...)
	if err == nil || !strings.Contains(err.Error(), config+`/user_variables.yml:4: gone: it evaluates to omit`) {
		t.Errorf("omit has a name and a place: %v", err)
	}
	_, err = runVars(t, append(base, "broken")...)
	if err == nil || !strings.Contains(err.Error(), config+`/user_variables.yml:3: broken: {{ nobody | lower }}: "nobody" is undefined`) {
		t.Errorf("file, line and expression: %v", err)
	}
}

func TestInventoryVarsVault(t *testing.T) {
	config, environment := operator(t)
	closed, err := os.ReadFile("../osa/testdata/vault/plain-1.1.yml")
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	for name, text := range map[string]string{filepath.Join(config, "user_vaulted.yml"): string(closed), password: "opensesame\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := []string{"--config", config, "--environment", environment, "aio1-k8s-container-cfa820a7", "vaulted_plain"}
	if _, err := runVars(t, base...); err == nil || !strings.Contains(err.Error(), "user_vaulted.yml: error: is encrypted with ansible-vault: give its password") {
		t.Errorf("without a password: %v", err)
	}
	out, err := runVars(t, append(base, "--show-secrets", "--vault-password-file", password)...)
	if err != nil || !strings.Contains(out, "deep secret") {
		t.Errorf("with it: %s, %v", out, err)
	}
	if err := os.Chmod(password, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := runVars(t, append(base, "--vault-password-file", password)...); err == nil || !strings.Contains(err.Error(), "executable") {
		t.Errorf("a password file that is a program: %v", err)
	}
}
