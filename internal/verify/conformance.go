package verify

import "context"

const conformanceSuffix = "-conformance"

func (r *run) conformance(context.Context) (string, error) {
	return "", skipped("--conformance none")
}
