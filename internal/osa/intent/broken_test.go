package intent_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesThatCannotBeRead: what keeps any of an operator's files from being read is told in one reading, and nothing
// of a secret file is quoted. A named pipe is not waited for.
func TestFilesThatCannotBeRead(t *testing.T) {
	opts := clean(t)
	for name, text := range map[string]string{
		"conf.d/broken.yml":           "a: [1\n",
		"user_broken.yml":             "a: b\nc: d: e\n",
		"user_secrets_more.yml":       "a: b\nhunter2: \"hunter3\n",
		"user_list.yml":               "- a\n",
		"group_vars/k8s_all/more.yml": "\ta: b\n",
		"host_vars/nobody.yml":        "a: {b\n",
		"host_vars/vaulted.yml":       "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
	} {
		write(t, filepath.Join(opts.Config, name), text)
	}
	if err := syscall.Mkfifo(filepath.Join(opts.Config, "user_pipe.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range findings(t, opts) {
		all.WriteString(strings.TrimPrefix(f.String(), opts.Config+"/") + "\n")
	}
	for _, want := range []string{
		"conf.d/broken.yml:", "user_broken.yml:2: error: ", "user_secrets_more.yml:", "user_list.yml:1: error: variables must be a mapping",
		"group_vars/k8s_all/more.yml:1: error: ", "host_vars/nobody.yml:", "user_pipe.yml: error: ", "it is no regular file",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not told", want)
		}
	}
	for _, not := range []string{"hunter", "vaulted.yml"} {
		if strings.Contains(all.String(), not) {
			t.Errorf("%q is told", not)
		}
	}
	if t.Failed() {
		t.Log(all.String())
	}
}
