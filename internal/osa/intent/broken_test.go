package intent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFilesThatCannotBeRead: what keeps any of an operator's files from being read is told in one reading, and nothing
// of a secret file is quoted. A named pipe is not waited for.
func TestFilesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		reason string
		files  map[string]string
		pipes  []string
		links  map[string]string
		want   []string
		not    []string
	}{
		{
			reason: "everything at once",
			files: map[string]string{
				"conf.d/broken.yml":           "a: [1\n",
				"user_broken.yml":             "a: b\nc: d: e\n",
				"user_secrets_more.yml":       "a: b\nhunter2: \"hunter3\n",
				"user_list.yml":               "- a\n",
				"user_anchor.yml":             "a: *hunter4\n",
				"user_tag.yml":                "a: !hunter5 x\n",
				"group_vars/k8s_all/more.yml": "\ta: b\n",
				"host_vars/vaulted.yml":       "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
			},
			pipes: []string{"user_pipe.yml", "conf.d/pipe.yml"},
			links: map[string]string{"user_dead.yml": "nowhere"},
			want: []string{
				"conf.d/broken.yml:", "conf.d/pipe.yml: error: ", "user_broken.yml:2: error: ", "user_secrets_more.yml:", "user_list.yml:1: error: variables must be",
				"group_vars/k8s_all/more.yml:1: error: ", "user_pipe.yml: error: ", "it is no regular file; put a file there", "user_dead.yml: error: ",
				"user_anchor.yml:1: error: ", "user_tag.yml:1: error: ",
			},
			not: []string{"hunter", "vaulted.yml"},
		},
		{
			reason: "a sound configuration beside variables that cannot be read",
			files:  map[string]string{"user_broken.yml": "a: [1\n", "group_vars/k8s_all/more.yml": "a: {b\n", "host_vars/compute1.yml": "a: {b\n"},
			want:   []string{"user_broken.yml:", "group_vars/k8s_all/more.yml:", "host_vars/compute1.yml:"},
		},
		{
			reason: "inventory.ini, encrypted files of what is deployed, and an empty file",
			files: map[string]string{
				"inventory.ini": "[a b]\nfoo\n", "user_empty.yml": "# nothing\n", "user_broken.yml": "a: [1\n",
				"user_secrets_closed.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "group_vars/k8s_all/closed.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
				"group_vars/nova_all.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
			},
			want: []string{"[inventory-ini]", "user_broken.yml:", "user_secrets_closed.yml: error: ", "group_vars/k8s_all/closed.yml: error: "},
			not:  []string{"nova_all"},
		},
		{
			reason: "an empty file", files: map[string]string{"user_empty.yml": "# nothing\n"}, want: []string{"[empty-extra]"}, not: []string{"error"},
		},
		{
			reason: "what Ansible does not read, or takes as empty",
			files: map[string]string{
				"group_vars/README": "a: {b\n", "group_vars/README.md": "a: {b\n", "group_vars/k8s_all.yml": "a: {b\n", "host_vars/gone/main.yml": "a: {b\n",
				"group_vars/infra1.yml": "a: {b\n", "host_vars/k8s_all.yml": "a: {b\n", "group_vars/k8s_all/x.json": `{"a": "http:\/\/x"}`, "group_vars/k8s_all/empty.yml": "[]\n",
				"host_vars/localhost.yml": "a: b\n",
			},
			links: map[string]string{
				"group_vars/k8s_all/dead.yml": "nowhere", "group_vars/nobody": "nowhere", "group_vars/all.yml": "/dev/null",
				"group_vars/k8s_all/loop.yml": "loop.yml", "group_vars/k8s_all/below.yml": "main.yml/x",
			},
			not: []string{"error"},
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			opts := clean(t)
			for name, text := range c.files {
				write(t, filepath.Join(opts.Config, name), text)
			}
			for _, name := range c.pipes {
				if err := syscall.Mkfifo(filepath.Join(opts.Config, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for name, to := range c.links {
				if err := os.Symlink(to, filepath.Join(opts.Config, name)); err != nil {
					t.Fatal(err)
				}
			}
			var all []string
			for _, f := range findings(t, opts) {
				all = append(all, strings.TrimPrefix(f.String(), opts.Config+"/"))
			}
			text := strings.Join(all, "\n")
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not told", want)
				}
			}
			if i := slices.IndexFunc(c.not, func(not string) bool { return strings.Contains(text, not) }); i >= 0 {
				t.Errorf("%q is told", c.not[i])
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// TestDirectoriesByAnyName: findings on what the operator wrote do not depend on how the directory is named.
func TestDirectoriesByAnyName(t *testing.T) {
	opts := clean(t, edit{vars, "", "kubernetes_vrsion: 1.36.1"})
	t.Chdir(opts.Config)
	for _, name := range []string{opts.Config + "/", opts.Config + "/./conf.d/..", ".", "./"} {
		opts.Config = name
		if found := findings(t, opts); len(found) == 0 || found.Sorted()[0].Code != "unknown-variable" {
			t.Errorf("%s: %v", name, found)
		}
	}
}
