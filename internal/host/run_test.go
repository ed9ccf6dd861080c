package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// TestRunWithFiles: a secret is there while the command runs, for root alone, and is gone whatever the command does.
func TestRunWithFiles(t *testing.T) {
	for reason, result := range map[string]error{"it succeeds": nil, "it fails": errors.New("exit status 1")} {
		t.Run(reason, func(t *testing.T) {
			m := &host.Machine{Root: t.TempDir()}
			path := filepath.Join(m.Root, "run/jeroboam/join.yaml")
			m.Exec = func(_ context.Context, c host.Command) (host.Output, error) {
				info, err := os.Stat(path)
				if err != nil || info.Mode().Perm() != 0o600 || len(c.Files) > 0 {
					t.Errorf("while it runs: %v %v", info, err)
				}
				return host.Output{Out: "said"}, result
			}
			out, err := host.RunWithFiles(t.Context(), m, host.Command{Args: []string{"kubeadm"}, Files: []host.File{{Path: "/run/jeroboam/join.yaml", Content: "token", Mode: 0o600, Secret: true}}})
			if out.Out != "said" || !errors.Is(err, result) {
				t.Errorf("got %v, %v", out, err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it is left: %v", err)
			}
		})
	}
}

// What is left of us goes, and nothing that others have put there.
func TestLeave(t *testing.T) {
	m := &host.Machine{Root: t.TempDir()}
	put(t, m, host.Agents+"/agent-1", "x")
	put(t, m, "/etc/jeroboam/theirs", "x")
	put(t, m, "/usr/local/share/jeroboam/addons/ours", "x")
	if err := os.RemoveAll(filepath.Join(m.Root, "usr/local/share/jeroboam/addons")); err != nil {
		t.Fatal(err)
	}
	there := func(path string) bool {
		_, err := os.Stat(filepath.Join(m.Root, path))
		return err == nil
	}
	for range 2 {
		if err := host.Leave(m); err != nil {
			t.Fatal(err)
		}
		if there(host.Agents) || there("/usr/local/share/jeroboam") || !there("/usr/local/share") || !there("/etc/jeroboam/theirs") {
			t.Error("it has left something, or taken what is not ours")
		}
	}
	if err := os.Remove(filepath.Join(m.Root, "etc/jeroboam/theirs")); err != nil {
		t.Fatal(err)
	}
	if err := host.Leave(m); err != nil || there("/etc/jeroboam") {
		t.Errorf("/etc/jeroboam is left empty: %v", err)
	}
}
