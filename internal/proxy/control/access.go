package control

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// RoleKubeconfigs is the role that names the Secrets a fleet may touch.
const RoleKubeconfigs = "jeroboam-proxy-kubeconfigs"

// kubeconfigRole lets the fleet read and write the kubeconfigs of the clusters it proxies, by name. Without clusters it
// has no rule at all: a rule without names would mean every Secret.
func kubeconfigRole(clusters map[string]Cluster, always bool) *rbacv1.Role {
	r := &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: RoleKubeconfigs},
	}
	var names []string
	for _, c := range clusters {
		if c.Stack != "" && (c.Private || always) {
			names = append(names, SecretName(c.Stack))
		}
	}
	if len(names) == 0 {
		return r
	}
	slices.Sort(names)
	r.Rules = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "watch", "update"}, ResourceNames: slices.Compact(names)}}
	return r
}

// Access keeps the role RoleKubeconfigs: once, or until ctx ends. It needs what no host may have, the right to write
// roles and to read all kubeconfigs; so it runs beside the management cluster.
func Access(ctx context.Context, config *rest.Config, always, once bool, log *slog.Logger) error {
	c, err := connect(config)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	f := newFeed(convert, func(string) { signal(changed) })
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); f.run(ctx, "openstackclusters", c.versions, &OpenStackCluster{}) }()
	defer func() { cancel(); <-done }()
	if once {
		limit, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		if err := f.wait(limit); err != nil {
			return fmt.Errorf("list OpenStackClusters: %w", err)
		}
	} else if f.wait(ctx) != nil {
		return nil
	}
	last := -1
	for {
		role := kubeconfigRole(f.all(), always)
		err := keepRole(ctx, c.client, role)
		n := 0
		if len(role.Rules) > 0 {
			n = len(role.Rules[0].ResourceNames)
		}
		switch {
		case once:
			return err
		case err != nil && ctx.Err() == nil:
			log.WarnContext(ctx, "the role was not written", "role", RoleKubeconfigs, "error", err)
			if pause(ctx, 5*time.Second) != nil {
				return nil
			}
			continue
		case n != last:
			log.InfoContext(ctx, "the role names the kubeconfigs of all proxied clusters", "role", RoleKubeconfigs, "kubeconfigs", n)
			last = n
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func keepRole(ctx context.Context, c client.Client, want *rbacv1.Role) error {
	have := &rbacv1.Role{}
	err := c.Get(ctx, client.ObjectKeyFromObject(want), have)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read role %s: %w", want.Name, err)
	}
	if err != nil {
		if err := c.Create(ctx, want); err != nil {
			return fmt.Errorf("make role %s: %w", want.Name, err)
		}
		return nil
	}
	if len(have.Rules) == len(want.Rules) && (len(want.Rules) == 0 || slices.Equal(have.Rules[0].ResourceNames, want.Rules[0].ResourceNames) && slices.Equal(have.Rules[0].Verbs, want.Rules[0].Verbs)) {
		return nil
	}
	have.Rules = want.Rules
	if err := c.Update(ctx, have); err != nil {
		return fmt.Errorf("write role %s: %w", want.Name, err)
	}
	return nil
}
