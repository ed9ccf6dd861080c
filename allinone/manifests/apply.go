package manifests

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	fieldOwner     = client.FieldOwner("jeroboam-allinone")
	hashAnnotation = "allinone.jeroboam.cloud/hash"
	parallel       = 8
)

// Apply creates what is missing, updates what differs from what an earlier start applied, and returns when all custom
// resources are served.
func Apply(ctx context.Context, cfg *rest.Config, s *Set) error {
	c, err := newClient(cfg)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, o := range s.CRDs {
		g.Go(func() error { return ensure(gctx, c, o) })
	}
	for _, o := range s.Mutating {
		g.Go(func() error { return ensure(gctx, c, o) })
	}
	for _, o := range s.Validating {
		g.Go(func() error { return ensure(gctx, c, o) })
	}
	for _, o := range s.Roles {
		g.Go(func() error { return ensure(gctx, c, o) })
	}
	for _, o := range s.Bindings {
		g.Go(func() error { return ensure(gctx, c, o) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return waitServed(ctx, c, s.CRDs)
}

func newClient(cfg *rest.Config) (client.Client, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{admissionv1.AddToScheme, apiextensionsv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("make a scheme: %w", err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return c, nil
}

func ensure(ctx context.Context, c client.Client, o client.Object) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode %s: %w", o.GetName(), err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(b))
	annotations := map[string]string{hashAnnotation: hash}
	for k, v := range o.GetAnnotations() {
		annotations[k] = v
	}
	o.SetAnnotations(annotations)
	current := o.DeepCopyObject().(client.Object)
	err = c.Get(ctx, client.ObjectKeyFromObject(o), current)
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(ctx, o, fieldOwner)
	case err == nil && current.GetAnnotations()[hashAnnotation] != hash:
		o.SetResourceVersion(current.GetResourceVersion())
		err = c.Update(ctx, o, fieldOwner)
	}
	if err != nil {
		return fmt.Errorf("apply %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

func waitServed(ctx context.Context, c client.Client, crds []*apiextensionsv1.CustomResourceDefinition) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		list := &apiextensionsv1.CustomResourceDefinitionList{}
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("list the custom resource definitions: %w", err)
		}
		missing := unserved(list.Items, crds)
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server to serve %v: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}

func unserved(have []apiextensionsv1.CustomResourceDefinition, want []*apiextensionsv1.CustomResourceDefinition) []string {
	established := map[string]bool{}
	for _, crd := range have {
		for _, cond := range crd.Status.Conditions {
			if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
				established[crd.Name] = true
			}
		}
	}
	var missing []string
	for _, crd := range want {
		if !established[crd.Name] {
			missing = append(missing, crd.Name)
		}
	}
	return missing
}
