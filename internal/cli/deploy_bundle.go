package cli

import (
	"errors"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
)

func openBundle(dir string) (deploy.Bundle, error) { return trialBundle(dir) }

var errNoBundle = errors.New("no bundle")
