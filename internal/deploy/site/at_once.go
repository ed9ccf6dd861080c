package site

import (
	"errors"

	"golang.org/x/sync/errgroup"
)

// atOnce bounds how many hosts are spoken to at the same time, logins how many are logged in to: those that are down
// are waited for together.
const (
	atOnce = 32
	logins = 64
)

// AtOnce does something for all of them, many at the same time and not too many. One that fails keeps no other from its
// turn; all errors are told, in the order of what they are of.
func AtOnce[T any](all []T, do func(T) error) error { return Bounded(atOnce, all, do) }

// Bounded is AtOnce for what bears another number.
func Bounded[T any](bound int, all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(bound)
	for i, one := range all {
		g.Go(func() error {
			errs[i] = do(one)
			return nil
		})
	}
	_ = g.Wait() // each has told its error
	return errors.Join(errs...)
}
