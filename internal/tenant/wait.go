package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrFailed says that what was waited for has failed.
var ErrFailed = errors.New("failed")

// Wait asks again and again until the cluster has come to rest, or is gone if that is what is waited for, and tells
// each change of its state. What runs at the API when Wait begins is in progress there already, so nothing can be
// missed.
func (c *Client) Wait(ctx context.Context, ident string, gone bool, tell func(k Cluster)) error {
	var last Cluster
	for {
		now, err := c.Cluster(ctx, ident)
		switch {
		case errors.Is(err, ErrNotFound) && (gone || last.UUID != ""):
			if !gone {
				return fmt.Errorf("cluster %s was deleted meanwhile: %w", ident, ErrFailed)
			}
			return nil
		case errors.Is(err, errForAMoment): // an API that restarts
		case err != nil:
			return err
		default:
			ident = now.UUID // another may get the name
			if now.Status != last.Status || now.StatusReason != last.StatusReason {
				tell(*now)
			}
			if last = *now; settled(last.Status, gone) {
				return verdict(last, gone)
			}
		}
		select {
		case <-time.After(c.pause):
		case <-ctx.Done():
			return unfinished(ctx, ident, last, err)
		}
	}
}

func settled(status string, gone bool) bool {
	if gone {
		return status == "DELETE_FAILED"
	}
	return status != "" && !strings.HasSuffix(status, "_IN_PROGRESS")
}

func verdict(k Cluster, gone bool) error {
	if gone || !strings.HasSuffix(k.Status, "_COMPLETE") {
		return fmt.Errorf("cluster %s is %s: %s: %w", k.Name, k.Status, k.StatusReason, ErrFailed)
	}
	return nil
}

func unfinished(ctx context.Context, ident string, last Cluster, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("time is up: %w", err)
	}
	return fmt.Errorf("time is up: cluster %s is still %s: %s", ident, last.Status, last.StatusReason)
}
