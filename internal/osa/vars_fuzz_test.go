package osa_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// FuzzVarsFile reads anything as a file of variables and evaluates all of it.
func FuzzVarsFile(f *testing.F) {
	for _, seed := range []string{
		"a: \"{{ b }}\"\nb: \"{{ a }}\"\n", "a: &x [1, *x]\n", "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6161\n", "a: &a {b: \"{{ c }}\"}\nd: {<<: *a}\n",
		"$ANSIBLE_VAULT;1.2;AES256;x\n61\n", "1: {1.0: x, true: y}\n", "a: !unsafe [\"{{ x }}\"]\n", "a: \"{{ hostvars | to_json }}\"\n", "groups: 5\na: \"{{ groups }}{{ vars }}\"\n",
		"a: \"{{ vars.a }}\"\n", "a: \"{{ hostvars['h1'].a }}{{ hostvars['h2'] }}\"\n", "a: 2001-01-01\nb: !!binary aGk=\nc: 99999999999999999999\n",
	} {
		f.Add(seed)
	}
	root, err := osa.ReadJSON("inventory.json", []byte(smallInventory))
	if err != nil {
		f.Fatal(err)
	}
	m, _ := root.(*osa.Map)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "user_variables.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := osa.LoadVars(osa.NewInventory(m), osa.VarsOptions{Config: dir, Tree: dir, Passwords: []osa.VaultPassword{{Password: []byte("x")}}})
		if err != nil {
			return
		}
		h, err := all.Host("h1")
		if err != nil {
			return
		}
		for _, name := range h.Names() {
			if v, ok := h.Variable(name); ok && v.Err == nil {
				osa.Mask(v.Value)
			}
		}
	})
}
