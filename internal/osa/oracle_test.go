package osa_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// cases are operators' directories with the inventory that the original tool made of them, and the release that made
// it.
func cases(t *testing.T) map[string]osa.Options {
	t.Helper()
	dirs, err := filepath.Glob("testdata/oracle/*/RELEASE")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no oracle cases: %v", err)
	}
	out := map[string]osa.Options{}
	for _, file := range dirs {
		release, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(filepath.Dir(file))] = osa.Options{
			Config:      filepath.Join(filepath.Dir(file), "deploy"),
			Environment: filepath.Join("testdata/base", strings.TrimSpace(string(release))),
			System:      "testdata/nowhere",
		}
	}
	return out
}

func generate(t *testing.T, opts osa.Options, draw osa.Draw) (*osa.Source, *osa.Result, error) {
	t.Helper()
	src, err := osa.Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	res, err := osa.Generate(src, draw)
	return src, res, err
}

// An existing inventory is the truth: what comes out is the file, byte for byte, however often it goes round.
func TestExistingInventoryStays(t *testing.T) {
	for name, opts := range cases(t) {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(opts.Config, osa.InventoryFile))
			if err != nil {
				t.Fatal(err)
			}
			_, res, err := generate(t, opts, osa.NewDraw())
			if err != nil {
				t.Fatal(err)
			}
			got, err := osa.WriteJSON(res.Inventory.Root())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the inventory changed (-file +ours):\n%s", diff)
			}
			if res.Changed {
				t.Error("reported as changed")
			}
		})
	}
}
