package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
)

func trialBundle(dir string) (deploy.Bundle, error) {
	var b deploy.Bundle
	text, err := os.ReadFile(filepath.Join(dir, "trial.json"))
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, err
	}
	b.Open = func(digest string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	}
	return b, nil
}
