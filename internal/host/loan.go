package host

import (
	"context"
	"os"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Returned ends a loan (OpLend): the last of a container's items. It is the agent's work, which a killed deployer does
// not stop.
type Returned struct{}

func (*Returned) thing(plan.Facts) plan.Thing { return plan.Thing{Kind: "directory", Name: blobs} }

func (*Returned) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	if !m.exists(blobs) {
		return nil, nil
	}
	return plan.Facts{}, nil
}

func (*Returned) ensure(_ context.Context, m *Machine) error { return os.RemoveAll(m.path(blobs)) }
