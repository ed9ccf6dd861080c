package site

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// FillCredentials gives a place's items the credentials that the plan has made now, by the cluster that they are for.
// They stay in memory. The cluster is asked only if there is one to be made.
func (w Work) FillCredentials(
	ctx context.Context, place string, items []host.Item, api func(context.Context) (client.Client, error),
	issue func(ctx context.Context, c client.Client, one host.Credential, ca []byte) (content string, err error),
) error {
	for n, i := range items {
		if i.Credential == nil || !w.Plan.Touches(place, "credential", i.Credential.Path) {
			continue
		}
		c, err := api(ctx)
		if err != nil {
			return err
		}
		ca, err := rootCA(ctx, c)
		if err != nil {
			return err
		}
		made := *i.Credential
		if made.Content, err = issue(ctx, c, made, ca); err != nil {
			return fmt.Errorf("make a credential for %s: %w", place, err)
		}
		items[n].Credential = &made
	}
	return nil
}

// rootCA is the authority's certificate as the cluster publishes it in every namespace.
func rootCA(ctx context.Context, c client.Client) ([]byte, error) {
	var cm corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-root-ca.crt"}, &cm); err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	if cm.Data["ca.crt"] == "" {
		return nil, errors.New("the cluster has not published its authority yet")
	}
	return []byte(cm.Data["ca.crt"]), nil
}

// Credential says how the credential among the items of a place in a group is, "" if it should have none.
func (l List) Credential(seen Seen, place, group string) string {
	for i, item := range l.Items {
		if item.Credential == nil || item.Place != place || item.Group != group {
			continue
		}
		have := seen.Items[i]
		switch {
		case have == nil:
			return "not there"
		case have["fresh"] != "yes":
			return "ends soon"
		case item.Diff(have) != nil:
			return "of another account or cluster, or ended"
		}
		return "good"
	}
	return ""
}
