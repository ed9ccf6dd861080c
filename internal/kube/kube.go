// Package kube is how the house speaks to the management cluster's API server: one scheme with every type we read or
// write, one way to connect, server-side apply, and the installation of custom resource definitions. What the objects
// mean is not known here.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// FieldOwner is the field manager of everything Jeroboam writes: one name, so that what we no longer want goes away.
const FieldOwner = client.FieldOwner("jeroboam")

// IfUnchanged makes a patch of what differs from an object as it was read, which the API server refuses when somebody
// else has changed it since.
func IfUnchanged(was client.Object) client.Patch {
	return client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{})
}

// Soon is when to look again after a conflict: long enough for the watch to bring what was missed.
const Soon = 50 * time.Millisecond

// NewScheme knows every type Jeroboam reads or writes in a management cluster.
func NewScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme,
		appsv1.AddToScheme,
		coordinationv1.AddToScheme,
		discoveryv1.AddToScheme,
		rbacv1.AddToScheme,
		apiextensionsv1.AddToScheme,
		clusterv1.AddToScheme,
		controlplanev1.AddToScheme,
		v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return s, nil
}

// Connect reads a kubeconfig file; an empty path means KUBECONFIG, then the service account of the pod we run in.
// The client is not throttled: the API server's priority and fairness is what protects it.
func Connect(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig of the management cluster: %w", err)
	}
	cfg.QPS = -1
	cfg.UserAgent = "jeroboam"
	return cfg, nil
}

// InstallCRDs creates or updates the custom resource definitions in files (*.yaml) and returns when all are served.
func InstallCRDs(ctx context.Context, c client.Client, files fs.FS) error {
	crds, err := readCRDs(files)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := ensureCRD(ctx, c, crd); err != nil {
			return fmt.Errorf("install %s: %w", crd.Name, err)
		}
	}
	for _, crd := range crds {
		if err := waitEstablished(ctx, c, crd.Name); err != nil {
			return fmt.Errorf("wait until %s is served: %w", crd.Name, err)
		}
	}
	return nil
}

func readCRDs(files fs.FS) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, name := range names {
		err := eachDocument(files, name, func(u *unstructured.Unstructured) error {
			if u.GetKind() != "CustomResourceDefinition" {
				return nil
			}
			crd := &apiextensionsv1.CustomResourceDefinition{}
			crds = append(crds, crd)
			return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, crd)
		})
		if err != nil {
			return nil, err
		}
	}
	return crds, nil
}

// eachDocument reads the YAML documents of a file.
func eachDocument(files fs.FS, name string, do func(*unstructured.Unstructured) error) error {
	f, err := files.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // reading an embedded or local file: nothing to lose
	dec := yaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		u := &unstructured.Unstructured{}
		err := dec.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && len(u.Object) > 0 {
			err = do(u)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// Apply brings the objects of a file to the API server by server-side apply.
func Apply(ctx context.Context, c client.Client, files fs.FS, name string) error {
	return eachDocument(files, name, func(u *unstructured.Unstructured) error {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), FieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		return nil
	})
}

func ensureCRD(ctx context.Context, c client.Client, want *apiextensionsv1.CustomResourceDefinition) error {
	have := &apiextensionsv1.CustomResourceDefinition{}
	err := c.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		err = c.Create(ctx, want.DeepCopy(), FieldOwner)
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		err = c.Get(ctx, client.ObjectKeyFromObject(want), have)
	}
	if err != nil {
		return err
	}
	next := have.DeepCopy()
	next.Spec = want.Spec
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	for k, v := range want.Labels {
		next.Labels[k] = v
	}
	return c.Patch(ctx, next, client.MergeFrom(have), FieldOwner)
}

func waitEstablished(ctx context.Context, c client.Client, name string) error {
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
			return false, err
		}
		for _, cond := range crd.Status.Conditions {
			if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

// EnsureNamespace creates a namespace unless it is there.
func EnsureNamespace(ctx context.Context, c client.Client, name string) error {
	err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, FieldOwner)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// Refusal is what an API server finds wrong with an object, for people: without the lines that only say that others
// were not looked at.
func Refusal(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		if strings.Contains(c.Message, "some validation rules were not checked") {
			continue
		}
		field := strings.TrimPrefix(c.Field, "<nil>")
		out = append(out, strings.TrimPrefix(field+": "+c.Message, ": "))
	}
	if len(out) == 0 {
		return err.Error()
	}
	return strings.Join(out, "; ")
}
