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
