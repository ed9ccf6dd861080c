package deploy_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

var update = golden.Flag()

var now = deploytest.Now()

func seed(t *testing.T) intent.Intent {
	t.Helper()
	return deploytest.Seed(t)
}

func blob(s string) string { return deploytest.Blob(s) }

func bundle() site.Bundle { return deploytest.Bundle() }

func facts(in intent.Intent) map[string]host.Facts { return deploytest.Facts(in) }

func quiet(h site.Hosts) site.Run { return deploytest.Quiet(h) }

func only(p plan.Plan) []string { return deploytest.Only(p) }

func want(t *testing.T, in intent.Intent, f map[string]host.Facts, gone ...string) deploy.Wanted {
	t.Helper()
	return deploytest.Want(t, in, f, gone...)
}

func converged(w deploy.Wanted) deploy.World { return deploytest.Converged(w) }

func empty(w deploy.Wanted) deploy.World { return deploytest.Empty(w) }

func remove(world *deploy.World, name string) { deploytest.Remove(world, name) }
